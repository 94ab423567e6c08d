/* SPDX-License-Identifier: Apache-2.0 */
/* Programs, the server's user, languages, the server itself. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/path.h"
#include "base/str.h"
#include "doctor/host.h"
#include "doctor/report.h"
#include "vmm/firecracker/version.h"

#define KERNELSPEC_MAX 65536u

void check_user(struct report *r, const struct host *h)
{
	char fix[160];
	(void)snprintf(fix, sizeof(fix),
	    "useradd --system --no-create-home --home-dir /nonexistent --shell "
	    "/usr/sbin/nologin %s",
	    h->user);
	bool ok = h->ops->has_user(h->user);
	report_add(r, "user", ok ? REPORT_OK : REPORT_FAIL, ok ? NULL : fix,
	    ok ? "%s" : "there is no user %s for the server to run as", h->user);
}

/* ---- programs ---- */

/* 0, or -ENOTSUP with what is wrong with it. */
static int judge_firecracker(const unsigned v[3], struct err *reterr)
{
	return fc_version_check(&(const struct fc_version){ v[0], v[1], v[2] }, reterr);
}

static int judge_qemu(const unsigned v[3], struct err *reterr)
{
	if (v[0] > 7 || (v[0] == 7 && v[1] >= 2))
		return 0;
	return err_set(reterr, -ENOTSUP, "%u.%u is too old, 7.2 or later is needed", v[0], v[1]);
}

#define FIRECRACKER_FIX                                                                          \
	"install firecracker and jailer of one release, 1.15.1, 1.16.1 or 1.17 and later, into " \
	"/usr/local/bin: https://github.com/firecracker-microvm/firecracker/releases"

static const struct program {
	const char *name, *use, *fix;
	const char *argument; /* prints its version; NULL = it is not run */
	int (*judge)(const unsigned v[3], struct err *reterr);
	enum report_status absent;
} programs[] = {
	{ "qemu-system-x86_64", "driver qemu",
	    "apt-get install --no-install-recommends qemu-system-x86", "--version", judge_qemu,
	    REPORT_WARN },
	{ "firecracker", "driver firecracker", FIRECRACKER_FIX, "--version", judge_firecracker,
	    REPORT_WARN },
	{ "jailer", "driver firecracker", FIRECRACKER_FIX, "--version", judge_firecracker,
	    REPORT_WARN },
	{ "mkfs.ext4", "disks of sandboxes", "apt-get install e2fsprogs", NULL, NULL, REPORT_FAIL },
	{ "mkfs.erofs", "images of templates", "apt-get install erofs-utils", NULL, NULL,
	    REPORT_WARN },
	{ "mmdebstrap", "images of base debian:", "apt-get install mmdebstrap", NULL, NULL,
	    REPORT_WARN },
	{ "skopeo", "images of base oci:", "apt-get install skopeo", NULL, NULL, REPORT_WARN },
	{ "umoci", "images of base oci:", "apt-get install umoci", NULL, NULL, REPORT_WARN },
	{ "lz4", "compressed kernels", "apt-get install lz4", NULL, NULL, REPORT_WARN },
};

static void check_version(struct report *r, const struct program *p, const char *path)
{
	CLEAN_BUF struct buf out = BUF_INIT;
	unsigned v[3] = { 0 };
	const char *const argv[] = { path, p->argument, NULL };
	int status = host_run(argv, &out);
	const char *text = buf_cstr(&out);
	if (status != 0 || !text || host_version(text, v) < 2) {
		report_add(r, p->name, REPORT_WARN, p->fix, "%s %s does not tell its version", path,
		    p->argument);
		return;
	}
	struct err err = ERR_INIT;
	if (p->judge(v, &err) < 0)
		report_add(r, p->name, REPORT_WARN, p->fix, "%s", err_text(&err));
	else
		report_add(r, p->name, REPORT_OK, NULL, "%u.%u.%u", v[0], v[1], v[2]);
}

/* Where the configuration says, else where the launcher looks. */
static int find_program(const struct host *h, const struct program *p, char *dst, size_t cap)
{
	const char *configured = str_eq(p->name, "firecracker") ? h->firecracker
				 : str_eq(p->name, "jailer")	? h->jailer
								: NULL;
	if (str_empty(configured))
		return host_find_program(h, p->name, dst, cap);
	int r = host_path(h, configured, dst, cap);
	return r == 0 && access(dst, X_OK) < 0 ? -errno : r;
}

void check_programs(struct report *r, const struct host *h)
{
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		const struct program *p = &programs[i];
		char path[PATH_LEN_MAX];
		if (find_program(h, p, path, sizeof(path)) < 0)
			report_add(r, p->name, p->absent, p->fix, "not installed; for %s", p->use);
		else if (p->argument)
			check_version(r, p, path);
		else
			report_add(r, p->name, REPORT_OK, NULL, "for %s", p->use);
	}
}

void check_python(struct report *r, const struct host *h)
{
	CLEAN_BUF struct buf out = BUF_INIT;
	char path[PATH_LEN_MAX];
	const char *const argv[] = { path, "-c",
		"import sys, ipykernel; print('%d.%d.%d, ipykernel %s' % (*sys.version_info[:3], "
		"ipykernel.__version__))",
		NULL };
	int status = host_path(h, "/usr/bin/python3", path, sizeof(path));
	if (status == 0)
		status = host_run(argv, &out);
	char *text = buf_cstr(&out);
	bool ok = status == 0 && text && text[0];
	if (ok)
		text[strcspn(text, "\n")] = '\0';
	report_add(r, "python3", ok ? REPORT_OK : REPORT_WARN,
	    ok ? NULL : "apt-get install --no-install-recommends python3-ipykernel", "%s",
	    ok ? text : "/usr/bin/python3 has no ipykernel: no Python in sandboxes of base host");
}

/* ---- languages of base host ---- */

static void add_language(const struct host *h, const char *spec, char *list, size_t cap)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	struct err err = ERR_INIT;
	const char *text = host_text(h, spec, &b);
	CLEAN_JSON json_t *o = json_parse_object(text, strlen(text), KERNELSPEC_MAX, false, &err);
	const char *language = json_string_value(json_object_get(o, "language"));
	if (!language ||
	    !str_only(language, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+#"))
		return;
	size_t n = strlen(list), len = strlen(language);
	for (const char *p = list; (p = strstr(p, language)) != NULL; p += len)
		if ((p == list || p[-1] == ' ') && (p[len] == ',' || p[len] == '\0'))
			return;
	if (n + len + 3 < cap)
		(void)snprintf(list + n, cap - n, "%s%s", n ? ", " : "", language);
}

void check_kernels(struct report *r, const struct host *h)
{
	static const char *const dirs[] = { "/usr/local/share/jupyter/kernels",
		"/usr/share/jupyter/kernels" };
	char list[128] = "", path[PATH_LEN_MAX];
	for (size_t i = 0; i < 2; i++) {
		DIR *d = host_path(h, dirs[i], path, sizeof(path)) == 0 ? opendir(path) : NULL;
		for (struct dirent *e; d && (e = readdir(d)) != NULL;)
			if (e->d_name[0] != '.' &&
			    path_printf(
				path, sizeof(path), "%s/%s/kernel.json", dirs[i], e->d_name) == 0)
				add_language(h, path, list, sizeof(list));
		if (d)
			(void)closedir(d);
	}
	report_add(r, "languages", list[0] ? REPORT_OK : REPORT_WARN,
	    list[0] ? NULL : "contrib/packages run languages", "%s%s",
	    list[0] ? "in sandboxes of base host: " : "no Jupyter kernels for base host", list);
}

/* ---- the server ---- */

void check_server(struct report *r, const struct host *h)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	char path[PATH_LEN_MAX], proc[64];
	uint64_t pid = 0;
	if (path_join(path, sizeof(path), h->state_dir, "sandglassd.pid") < 0)
		return;
	(void)host_text(h, path, &b);
	char *text = buf_cstr(&b);
	if (text)
		text[strcspn(text, "\n")] = '\0';
	if (!text || str_u64(text, INT32_MAX, &pid) < 0) {
		report_add(r, "server", REPORT_OK, NULL, "does not run");
		return;
	}
	(void)snprintf(proc, sizeof(proc), "/proc/%u/comm", (unsigned)pid);
	if (str_eq(host_text(h, proc, &b), "sandglassd\n"))
		report_add(r, "server", REPORT_OK, NULL, "runs as process %u", (unsigned)pid);
	else
		report_add(r, "server", REPORT_WARN, "start it again: systemctl restart sandglassd",
		    "does not run any more; %s names process %u", path, (unsigned)pid);
}
