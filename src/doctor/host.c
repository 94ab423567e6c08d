/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor/host.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fdutil.h"
#include "base/path.h"
#include "base/str.h"

#define RUN_LIMIT_MS 5000
#define OUTPUT_MAX 65536u

/* ---- files ---- */

int host_path(const struct host *h, const char *path, char *dst, size_t cap)
{
	return path_printf(dst, cap, "%s%s", h->root, path);
}

bool host_exists(const struct host *h, const char *path)
{
	char full[PATH_LEN_MAX];
	return host_path(h, path, full, sizeof(full)) == 0 && access(full, F_OK) == 0;
}

/* Links are followed: all of it belongs to root. */
const char *host_text(const struct host *h, const char *path, struct buf *dst)
{
	char full[PATH_LEN_MAX];
	buf_reset(dst);
	CLEAN_FD int fd = host_path(h, path, full, sizeof(full)) < 0
			      ? -1
			      : open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fd_read_all(fd, HOST_TEXT_MAX, dst) < 0)
		buf_reset(dst);
	const char *text = buf_cstr(dst);
	return text ? text : "";
}

int host_existing(const struct host *h, const char *path, char *dst, size_t cap)
{
	int r = host_path(h, path, dst, cap);
	size_t least = strlen(h->root);
	while (r == 0 && access(dst, F_OK) < 0) {
		char *slash = strrchr(dst, '/');
		if (!slash || slash <= dst + least) {
			r = path_printf(dst, cap, "%s/", h->root);
			break;
		}
		*slash = '\0';
	}
	return r;
}

int host_open_device(const struct host *h, const char *path)
{
	char full[PATH_LEN_MAX];
	int r = host_path(h, path, full, sizeof(full));
	if (r < 0)
		return r;
	CLEAN_FD int fd = open(full, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	return fd < 0 ? -errno : 0;
}

/* ---- programs ---- */

int host_find_program(const struct host *h, const char *name, char *dst, size_t cap)
{
	static const char *const dirs[] = { "/usr/local/sbin", "/usr/local/bin", "/usr/sbin",
		"/usr/bin", "/sbin", "/bin" };
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		if (path_printf(dst, cap, "%s%s/%s", h->root, dirs[i], name) == 0 &&
		    access(dst, X_OK) == 0)
			return 0;
	return -ENOENT;
}

static void exec_child(const char *const *argv, int out) __attribute__((noreturn));
static void exec_child(const char *const *argv, int out)
{
	static const char *const env[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
					   ":/sbin:/bin",
		"LC_ALL=C", "HOME=/", NULL };
	sigset_t none;
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		_exit(127);
	(void)execve(argv[0], (char *const *)argv, (char *const *)env);
	_exit(127);
}

/* Until the end of its output, the limit, or more than anyone wants. */
static int collect(int fd, struct buf *out)
{
	uint64_t end = clock_mono_ms() + RUN_LIMIT_MS;
	for (;;) {
		uint64_t now = clock_mono_ms();
		struct pollfd p = { fd, POLLIN, 0 };
		void *space;
		if (now >= end || poll(&p, 1, (int)(end - now)) == 0)
			return -ETIMEDOUT;
		if (buf_reserve(out, 4096, &space) < 0)
			return -ENOMEM;
		ssize_t n = read(fd, space, 4096);
		if (n == 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		buf_commit(out, n > 0 ? (size_t)n : 0);
		if (buf_len(out) > OUTPUT_MAX)
			return -EFBIG;
	}
}

int host_run(const char *const *argv, struct buf *out)
{
	int ends[2], status = 0;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid_t pid = fork();
	if (pid == 0)
		exec_child(argv, ends[1]);
	int r = pid < 0 ? -errno : 0;
	(void)fd_close(ends[1]);
	if (r == 0)
		r = collect(ends[0], out);
	(void)fd_close(ends[0]);
	if (pid < 0)
		return r;
	if (r < 0)
		(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (r < 0)
		return r;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -ECHILD;
}

int host_version(const char *text, unsigned ret[3])
{
	for (; *text; text++) {
		int n = sscanf(text, "%3u.%5u.%5u", &ret[0], &ret[1], &ret[2]);
		if (*text >= '0' && *text <= '9' && n >= 2)
			return n;
	}
	return 0;
}

/* ---- all checks ---- */

void check_all(struct report *r, const struct host *h)
{
	static host_check_fn *const all[] = { check_kernel, check_cgroups, check_idmap,
		check_overlay, check_loop, check_seccomp, check_landlock, check_network,
		check_forward, check_memory, check_swap, check_disk, check_hugepages, check_kvm,
		check_tun, check_user, check_programs, check_python, check_kernels, check_server };
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		all[i](r, h);
}
