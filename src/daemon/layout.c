/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fdutil.h"
#include "base/log.h"
#include "base/path.h"
#include "base/str.h"
#include "daemon/config.h"
#include "daemon/roles.h"
#include "launcher/instance.h"

static int make_dir(
    const char *base, const char *name, mode_t mode, uid_t uid, gid_t gid, struct err *reterr)
{
	char path[PATH_LEN_MAX];
	struct stat st;
	int r = path_join(path, sizeof(path), base, name);
	if (r == 0)
		r = path_mkdir_p(path, mode);
	if (r == 0 && lstat(path, &st) < 0)
		r = -errno;
	if (r == 0 && !S_ISDIR(st.st_mode))
		r = -ENOTDIR;
	if (r == 0 && (chown(path, uid, gid) < 0 || chmod(path, mode) < 0))
		r = -errno;
	return r < 0 ? err_set(reterr, r, "%s: %s", path, err_name(r)) : 0;
}

static int find_user(struct layout *l, const char *name, struct err *reterr)
{
	const struct passwd *pw = getpwnam(name);
	if (!pw)
		return err_set(reterr, -ENOENT,
		    "user: there is no user '%s'; make it with: useradd --system --no-create-home "
		    "--shell /usr/sbin/nologin %s",
		    name, name);
	if (pw->pw_uid == 0)
		return err_set(reterr, -EINVAL, "user: expected a user other than root");
	l->uid = pw->pw_uid;
	l->gid = pw->pw_gid;
	return 0;
}

int layout_identify(struct layout *l, const struct config *c, struct err *reterr)
{
	int r = find_user(l, c->user, reterr);
	if (r < 0)
		return r;
	r = instance_tag(c->state_dir, l->instance);
	return r < 0 ? err_set(reterr, r, "state_dir: %s: %s", c->state_dir, err_name(r)) : 0;
}

/* One server a state directory: the lock goes with the process, however it ends. */
static int take_lock(struct layout *l, const struct config *c, struct err *reterr)
{
	char path[PATH_LEN_MAX];
	int r = path_join(path, sizeof(path), c->state_dir, "lock");
	if (r == 0)
		r = path_join(l->pid_path, sizeof(l->pid_path), c->state_dir, "sandglassd.pid");
	if (r < 0)
		return err_set(reterr, r, "state_dir: %s", err_name(r));
	CLEAN_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(reterr, -errno, "%s: %s", path, err_name(-errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(
		    reterr, -EBUSY, "state_dir: %s is in use by a running server", c->state_dir);
	char pid[16];
	int n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	r = fd_replace_file(AT_FDCWD, l->pid_path, 0644, pid, (size_t)n);
	if (r < 0)
		return err_set(reterr, r, "%s: %s", l->pid_path, err_name(r));
	l->lock_fd = TAKE_FD(fd);
	return 0;
}

int layout_prepare(struct layout *l, const struct config *c, struct err *reterr)
{
	*l = (struct layout){ .lock_fd = -1 };
	int r = make_dir(c->state_dir, "", 0711, 0, 0, reterr);
	if (r == 0)
		r = layout_identify(l, c, reterr);
	if (r == 0)
		r = take_lock(l, c, reterr);
	if (r == 0)
		r = make_dir(c->state_dir, "data", 0700, l->uid, l->gid, reterr);
	if (r == 0)
		r = make_dir(c->state_dir, "launcher", 0700, 0, 0, reterr);
	if (r == 0)
		r = make_dir(c->runtime_dir, "", 0711, 0, 0, reterr);
	return r;
}

void layout_release(struct layout *l)
{
	if (l->lock_fd < 0 || !l->pid_path[0])
		return;
	(void)unlink(l->pid_path);
	l->lock_fd = fd_close(l->lock_fd);
}

int layout_program(const char *configured, const char *name, char *dst, size_t cap)
{
	char self[PATH_LEN_MAX];
	if (!str_empty(configured))
		return path_printf(dst, cap, "%s", configured);
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0)
		return -errno;
	self[n] = '\0';
	char *slash = strrchr(self, '/');
	if (slash)
		*slash = '\0';
	int r = path_join(dst, cap, self, name);
	if (r == 0 && !path_exists(dst))
		r = path_join(dst, cap, SANDGLASS_LIBEXECDIR, name);
	return r;
}

void layout_exec_launcher(const struct layout *l, const struct config *c)
{
	char program[PATH_LEN_MAX], agent[PATH_LEN_MAX], templates[PATH_LEN_MAX];
	char uid[16], gid[16];
	const char *argv[32];
	size_t n = 0;
	if (layout_program(c->launcher, "sandglass-launcher", program, sizeof(program)) < 0 ||
	    layout_program(c->agent, "sandglass-agent", agent, sizeof(agent)) < 0)
		_exit(EXIT_FAILURE);
	(void)snprintf(uid, sizeof(uid), "%u", (unsigned)l->uid);
	(void)snprintf(gid, sizeof(gid), "%u", (unsigned)l->gid);
	const char *const pairs[][2] = {
		{ "--state", c->state_dir },
		{ "--runtime", c->runtime_dir },
		{ "--instance", l->instance },
		{ "--owner-uid", uid },
		{ "--owner-gid", gid },
		{ "--agent", agent },
	};
	argv[n++] = program;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		argv[n++] = pairs[i][0];
		argv[n++] = pairs[i][1];
	}
	/* As seen from elsewhere: the launcher changes its directory. */
	if (c->template_dir && realpath(c->template_dir, templates)) {
		argv[n++] = "--templates";
		argv[n++] = templates;
	}
	if (!str_empty(c->network_cidr)) {
		argv[n++] = "--cidr";
		argv[n++] = c->network_cidr;
	}
	if (!str_empty(c->firecracker_binary)) {
		argv[n++] = "--firecracker";
		argv[n++] = c->firecracker_binary;
		argv[n++] = "--jailer";
		argv[n++] = c->firecracker_jailer;
	}
	for (char **dns = c->network_dns; dns && *dns && n + 3 < sizeof(argv) / sizeof(argv[0]);
	     dns++) {
		argv[n++] = "--dns";
		argv[n++] = *dns;
	}
	argv[n] = NULL;
	(void)execv(program, (char *const *)argv);
	log_error("cannot run %s: %s", program, err_name(-errno));
	_exit(EXIT_FAILURE);
}

/* ---- environment files ---- */

#define ENV_KEY_LINE "export E2B_API_KEY="

void layout_read_env_key(const char *path, char *dst, size_t cap)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	dst[0] = '\0';
	if (fd_read_file(AT_FDCWD, path, 64 * 1024, &b) < 0)
		return;
	const char *text = buf_cstr(&b);
	const char *line = text ? strstr(text, ENV_KEY_LINE) : NULL;
	if (!line)
		return;
	line += strlen(ENV_KEY_LINE);
	size_t n = strcspn(line, "\n");
	if (n < cap) {
		memcpy(dst, line, n);
		dst[n] = '\0';
	}
}

/* "http://ADDRESS:PORT" that a client on this machine can use. */
static int local_url(int fd, const char *scheme, char *dst, size_t cap)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);
	char text[64];
	if (getsockname(fd, (struct sockaddr *)&ss, &n) < 0)
		return -errno;
	const struct sockaddr_in *v4 = (const void *)&ss;
	const struct sockaddr_in6 *v6 = (const void *)&ss;
	bool six = ss.ss_family == AF_INET6;
	unsigned port = ntohs(six ? v6->sin6_port : v4->sin_port);
	bool any =
	    six ? IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr) : v4->sin_addr.s_addr == INADDR_ANY;
	if (any)
		return path_printf(dst, cap, "%s://127.0.0.1:%u", scheme, port);
	if (!inet_ntop(ss.ss_family,
		six ? (const void *)&v6->sin6_addr : (const void *)&v4->sin_addr, text,
		sizeof(text)))
		return -errno;
	return path_printf(dst, cap, six ? "%s://[%s]:%u" : "%s://%s:%u", scheme, text, port);
}

int layout_write_env(
    const struct config *c, const char *path, const char *key, const struct role_inherit *in)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	char url[128], tls_url[128] = "";
	int fd = in->listen_fd >= 0 ? in->listen_fd : in->tls_listen_fd;
	int r = local_url(fd, in->listen_fd >= 0 ? "http" : "https", url, sizeof(url));
	if (r == 0 && in->tls_listen_fd >= 0)
		r = local_url(in->tls_listen_fd, "https", tls_url, sizeof(tls_url));
	if (r == 0)
		r = buf_printf(&b,
		    ENV_KEY_LINE "%s\nexport E2B_API_URL=%s\nexport E2B_SANDBOX_URL=%s\n"
				 "export E2B_DOMAIN=%s\nexport SANDGLASS_URL=%s\n",
		    key, url, url, str_empty(c->domain) ? "sandglass.localhost" : c->domain, url);
	if (r == 0 && tls_url[0])
		r = buf_printf(&b, "export SANDGLASS_TLS_URL=%s\n", tls_url);
	return r < 0 ? r : fd_replace_file(AT_FDCWD, path, 0600, buf_data(&b), buf_len(&b));
}

void layout_notify_service_manager(void)
{
	static const char message[] = "READY=1";
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	if (str_empty(path) ||
	    str_copy(sa.sun_path, sizeof(sa.sun_path), path) >= sizeof(sa.sun_path))
		return;
	socklen_t n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	if (sa.sun_path[0] == '@')
		sa.sun_path[0] = '\0';
	CLEAN_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		(void)!sendto(
		    fd, message, sizeof(message) - 1, MSG_NOSIGNAL, (struct sockaddr *)&sa, n);
}
