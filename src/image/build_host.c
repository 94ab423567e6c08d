/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How this machine reaches package indexes: its proxies, certificates, mirrors, and configuration
 * of apt, pip and npm, brought into a form that programs of an image can use.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "image/build_private.h"

#define CA_MAX (8u << 20)
#define CONFIG_MAX (256u << 10)
#define ENV_MAX 100
#define CA_FILE BUILD_HOST_DIR "/ca.crt"

extern char **environ;

/* ---- environment ---- */

static int add_env(struct build_host *h, const char *pair)
{
	if (h->n_env == ENV_MAX)
		return 0;
	h->env[h->n_env] = mem_strdup(pair);
	return h->env[h->n_env++] ? 0 : -ENOMEM;
}

static bool is_proxy(const char *pair)
{
	static const char *const names[] = {
		"http_proxy=", "https_proxy=", "ftp_proxy=", "all_proxy=", "no_proxy="
	};
	char name[16];
	size_t n = strcspn(pair, "=") + 1;
	if (n >= sizeof(name))
		return false;
	(void)str_copy(name, n + 1, pair);
	(void)str_lower(name);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (str_eq(name, names[i]))
			return true;
	return false;
}

/* pip's and npm's own variables, but for those that name files of the host. */
static bool is_installer(const char *pair)
{
	const char *eq = strchr(pair, '=');
	bool named = str_after(pair, "PIP_") || str_after(pair, "NPM_CONFIG_") ||
		     str_after(pair, "npm_config_");
	return named && eq && eq[1] != '/' && eq[1] != '~';
}

static int fill_env(struct build_host *h)
{
	static const char *const own[] = { BUILD_PATH_ENV, "HOME=/root", "LANG=C.UTF-8",
		"LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "TERM=dumb",
		"APT_CONFIG=" BUILD_HOST_DIR "/apt.conf", "PIP_NO_CACHE_DIR=1",
		"PIP_DISABLE_PIP_VERSION_CHECK=1", "PIP_BREAK_SYSTEM_PACKAGES=1",
		"PIP_ROOT_USER_ACTION=ignore", "PIP_PROGRESS_BAR=off", "PYTHONDONTWRITEBYTECODE=1",
		"NPM_CONFIG_CACHE=/tmp/npm", "NPM_CONFIG_UPDATE_NOTIFIER=false",
		"NPM_CONFIG_FUND=false", "NPM_CONFIG_AUDIT=false" };
	static const char *const ca[] = { "SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE",
		"CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO", "NPM_CONFIG_CAFILE" };
	int r = 0;
	h->env = mem_calloc(ENV_MAX + 1, sizeof(*h->env));
	if (!h->env)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < sizeof(own) / sizeof(own[0]); i++)
		r = add_env(h, own[i]);
	for (size_t i = 0; r == 0 && buf_len(&h->ca) && i < sizeof(ca) / sizeof(ca[0]); i++) {
		char pair[96];
		(void)snprintf(pair, sizeof(pair), "%s=" CA_FILE, ca[i]);
		r = add_env(h, pair);
	}
	if (r == 0 && buf_len(&h->pip_conf))
		r = add_env(h, "PIP_CONFIG_FILE=" BUILD_HOST_DIR "/pip.conf");
	if (r == 0 && buf_len(&h->npmrc))
		r = add_env(h, "NPM_CONFIG_USERCONFIG=" BUILD_HOST_DIR "/npmrc");
	for (char **e = environ; r == 0 && *e; e++)
		if (strlen(*e) < 1024 && (is_proxy(*e) || is_installer(*e)))
			r = add_env(h, *e);
	return r;
}

/* ---- files ---- */

/* The first that can be read; none is fine. */
static int read_first(const char *const *paths, size_t n, size_t max, struct buf *dst)
{
	for (size_t i = 0; i < n; i++) {
		char real[PATH_LEN_MAX];
		if (str_empty(paths[i]) || !realpath(paths[i], real))
			continue;
		int r = fd_read_file(AT_FDCWD, real, max, dst);
		if (r == 0 || r == -ENOMEM)
			return r;
		buf_reset(dst);
	}
	return 0;
}

static int read_files(struct build_host *h)
{
	const char *const ca[] = { getenv("SSL_CERT_FILE"), "/etc/ssl/certs/ca-certificates.crt",
		"/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem" };
	const char *const pip[] = { getenv("PIP_CONFIG_FILE"), "/root/.config/pip/pip.conf",
		"/root/.pip/pip.conf", "/etc/xdg/pip/pip.conf", "/etc/pip.conf" };
	const char *const npm[] = { getenv("NPM_CONFIG_USERCONFIG"), "/root/.npmrc", "/etc/npmrc" };
	const char *const resolv[] = { "/etc/resolv.conf" };
	int r = read_first(ca, sizeof(ca) / sizeof(ca[0]), CA_MAX, &h->ca);
	if (r == 0)
		r = read_first(pip, sizeof(pip) / sizeof(pip[0]), CONFIG_MAX, &h->pip_conf);
	if (r == 0)
		r = read_first(npm, sizeof(npm) / sizeof(npm[0]), CONFIG_MAX, &h->npmrc);
	return r < 0 ? r : read_first(resolv, 1, CONFIG_MAX, &h->resolv_conf);
}

/* ---- apt ---- */

static bool wanted_option(const char *line)
{
	static const char *const prefixes[] = { "Acquire::http", "Acquire::https", "Acquire::ftp",
		"Acquire::Retries", "Acquire::ForceIPv" };
	if (strstr(line, "Auto-Detect") || strstr(line, "AutoDetect") || strstr(line, "CAInfo"))
		return false;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (str_after(line, prefixes[i]))
			return true;
	return false;
}

static int read_apt(struct build_host *h)
{
	static const char *const argv[] = { "apt-config", "dump", NULL };
	CLEAN_BUF struct buf out = BUF_INIT;
	int r = build_ask_host(argv, CONFIG_MAX, &out);
	char *save = NULL, *text = r == 0 ? buf_cstr(&out) : NULL;
	if (r == -ENOMEM || (r == 0 && !text))
		return -ENOMEM;
	r = buf_append_str(&h->apt_conf, "APT::Install-Recommends \"false\";\n"
					 "APT::Sandbox::User \"root\";\n"
					 "Dpkg::Use-Pty \"false\";\n"
					 "Acquire::Languages \"none\";\n");
	for (char *line = text ? strtok_r(text, "\n", &save) : NULL; r == 0 && line;
	     line = strtok_r(NULL, "\n", &save))
		if (wanted_option(line))
			r = buf_printf(&h->apt_conf, "%s\n", line);
	if (r == 0 && buf_len(&h->ca))
		r = buf_append_str(&h->apt_conf, "Acquire::https::CAInfo \"" CA_FILE "\";\n");
	return r;
}

/* What this machine itself installs Debian from, if it is a plain URL. */
static bool is_mirror(const char *s)
{
	return (str_after(s, "http://") || str_after(s, "https://")) && !strchr(s, '@') &&
	       str_only(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:/.-_~%");
}

static void take_mirror(struct build_host *h, char *line)
{
	char *label = strchr(line, '\t');
	if (!label)
		return;
	*label++ = '\0';
	size_t n = strlen(line);
	if (n > 0 && line[n - 1] == '/')
		line[n - 1] = '\0';
	char *dst = str_eq(label, "Debian")	       ? h->mirror
		    : str_eq(label, "Debian-Security") ? h->security_mirror
						       : NULL;
	if (dst && !dst[0] && is_mirror(line))
		(void)str_copy(dst, sizeof(h->mirror), line);
}

static int read_mirrors(struct build_host *h)
{
	static const char *const argv[] = { "apt-get", "indextargets", "--format",
		"$(REPO_URI)\t$(LABEL)", "Created-By: Packages", NULL };
	CLEAN_BUF struct buf out = BUF_INIT;
	int r = build_ask_host(argv, CONFIG_MAX, &out);
	char *save = NULL, *text = r == 0 ? buf_cstr(&out) : NULL;
	if (r == -ENOMEM || (r == 0 && !text))
		return -ENOMEM;
	for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save))
		take_mirror(h, line);
	if (!h->mirror[0])
		(void)str_copy(h->mirror, sizeof(h->mirror), "http://deb.debian.org/debian");
	if (!h->security_mirror[0])
		(void)str_copy(h->security_mirror, sizeof(h->security_mirror),
		    "http://deb.debian.org/debian-security");
	return 0;
}

int build_host_read(struct build *b, struct err *reterr)
{
	struct build_host *h = &b->host;
	int r = read_files(h);
	if (r == 0)
		r = fill_env(h);
	if (r == 0)
		r = read_apt(h);
	if (r == 0)
		r = read_mirrors(h);
	return r < 0 ? err_set(reterr, r, "the host's package configuration: %s", err_name(r)) : 0;
}

void build_host_fini(struct build_host *h)
{
	for (size_t i = 0; i < h->n_env; i++)
		mem_free(h->env[i]);
	h->env = mem_free(h->env);
	buf_fini(&h->apt_conf);
	buf_fini(&h->pip_conf);
	buf_fini(&h->npmrc);
	buf_fini(&h->ca);
	buf_fini(&h->resolv_conf);
}
