/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fdutil.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/path.h"

int fd_close(int fd)
{
	int keep = errno;
	if (fd >= 0)
		(void)close(fd);
	errno = keep;
	return -1;
}

int fd_set_nonblock(int fd)
{
	int fl = fcntl(fd, F_GETFL);
	return fl < 0 || fcntl(fd, F_SETFL, fl | O_NONBLOCK) < 0 ? -errno : 0;
}

int fd_set_cloexec(int fd, int on)
{
	return fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0) < 0 ? -errno : 0;
}

int fd_write_all(int fd, const void *p, size_t n)
{
	const char *s = p;
	while (n > 0) {
		ssize_t r = write(fd, s, n);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		s += r;
		n -= (size_t)r;
	}
	return 0;
}

int fd_read_all(int fd, size_t max, struct buf *dst)
{
	size_t had = buf_len(dst);
	for (;;) {
		void *space;
		int r = buf_reserve(dst, 16 * 1024, &space);
		if (r < 0)
			return r;
		ssize_t n = read(fd, space, 16 * 1024);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		buf_commit(dst, (size_t)n);
		if (buf_len(dst) - had > max)
			return -EFBIG;
	}
}

int fd_read_file(int dirfd, const char *path, size_t max, struct buf *dst)
{
	CLEAN_FD int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd_read_all(fd, max, dst);
}

int fd_write_file(int dirfd, const char *path, const void *p, size_t n)
{
	CLEAN_FD int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	ssize_t r = write(fd, p, n);
	if (r < 0)
		return -errno;
	return (size_t)r == n ? 0 : -EIO;
}

int fd_replace_file(int dirfd, const char *path, mode_t mode, const void *p, size_t n)
{
	char tmp[PATH_LEN_MAX], tag[9];
	id_random_text(tag, 8);
	int r = path_printf(tmp, sizeof(tmp), "%s.%s", path, tag);
	if (r < 0)
		return r;
	CLEAN_FD int fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	r = fchmod(fd, mode) < 0 ? -errno : fd_write_all(fd, p, n);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(dirfd, tmp, dirfd, path) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(dirfd, tmp, 0);
	return r;
}

union fd_control {
	struct cmsghdr align;
	char space[CMSG_SPACE(sizeof(int) * FD_PASS_MAX)];
};

ssize_t fd_send_msg(int sock, const void *p, size_t n, const int *fds, size_t nfds)
{
	union fd_control control;
	struct iovec iov = { (void *)p, n };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	if (nfds > FD_PASS_MAX)
		return -EINVAL;
	if (nfds > 0) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
	}
	ssize_t r;
	do
		r = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

/* Take the descriptors of a message; those beyond max are closed. Returns how many there were. */
static size_t take_fds(struct msghdr *msg, int *fds, size_t max)
{
	size_t total = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t k = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < k; i++, total++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (total < max)
				fds[total] = fd;
			else
				(void)fd_close(fd);
		}
	}
	return total;
}

ssize_t fd_recv_msg(int sock, void *p, size_t n, int *fds, size_t max_fds, size_t *ret_nfds)
{
	union fd_control control;
	struct iovec iov = { p, n };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t r;
	do
		r = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	size_t got = take_fds(&msg, fds, max_fds);
	if (got > max_fds || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		for (size_t i = 0; i < got && i < max_fds; i++)
			(void)fd_close(fds[i]);
		return -EPROTO;
	}
	*ret_nfds = got;
	return r;
}

/*
 * A unix socket address holds 107 bytes. Longer paths go through the descriptor of their directory.
 * Returns that descriptor (to be closed), -1 when none was needed, or -errno below -1.
 */
static int unix_address(const char *path, struct sockaddr_un *sa)
{
	memset(sa, 0, sizeof(*sa));
	sa->sun_family = AF_UNIX;
	size_t n = strlen(path);
	if (n < sizeof(sa->sun_path)) {
		memcpy(sa->sun_path, path, n);
		return -1;
	}
	const char *slash = strrchr(path, '/');
	char dir[PATH_LEN_MAX];
	if (!slash || (size_t)(slash - path) >= sizeof(dir))
		return -ENAMETOOLONG;
	memcpy(dir, path, (size_t)(slash - path));
	dir[slash - path] = '\0';
	int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == EPERM ? -EACCES : -errno; /* -1 has a meaning of its own */
	int len = snprintf(sa->sun_path, sizeof(sa->sun_path), "/proc/self/fd/%d%s", fd, slash);
	if (len < 0 || (size_t)len >= sizeof(sa->sun_path)) {
		(void)fd_close(fd);
		return -ENAMETOOLONG;
	}
	return fd;
}

int fd_listen_unix(const char *path, mode_t mode, int backlog)
{
	struct sockaddr_un sa;
	CLEAN_FD int dir = unix_address(path, &sa);
	if (dir < -1)
		return TAKE_FD(dir);
	CLEAN_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	(void)unlink(sa.sun_path);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || chmod(sa.sun_path, mode) < 0 ||
	    listen(fd, backlog) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int fd_connect_unix(const char *path)
{
	struct sockaddr_un sa;
	CLEAN_FD int dir = unix_address(path, &sa);
	if (dir < -1)
		return TAKE_FD(dir);
	CLEAN_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int fd_open_signals(const int *signals, size_t n)
{
	sigset_t set;
	(void)sigemptyset(&set);
	for (size_t i = 0; i < n; i++)
		(void)sigaddset(&set, signals[i]);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}
