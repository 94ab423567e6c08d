/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* File descriptors: ownership, whole reads and writes, passing over unix sockets. */
#include <stddef.h>
#include <sys/types.h>

struct buf;

int fd_close(int fd); /* accepts -1; keeps errno; always returns -1 */
static inline void fd_close_p(int *fd)
{
	fd_close(*fd);
}
#define CLEAN_FD __attribute__((cleanup(fd_close_p)))
#define TAKE_FD(fd)                \
	({                         \
		int taken_ = (fd); \
		(fd) = -1;         \
		taken_;            \
	})

int fd_set_nonblock(int fd);
int fd_set_cloexec(int fd, int on);
/* Blocking, EINTR and short writes handled: 0 or -errno. */
int fd_write_all(int fd, const void *p, size_t n);
/* Append the rest of fd, at most max bytes: 0, -EFBIG, -errno. */
int fd_read_all(int fd, size_t max, struct buf *dst);
/* dirfd may be AT_FDCWD. O_NOFOLLOW on the last component. */
int fd_read_file(int dirfd, const char *path, size_t max, struct buf *dst);
/* Write to an existing file such as one of /proc or a cgroup, in one write(2). */
int fd_write_file(int dirfd, const char *path, const void *p, size_t n);
/* Create or replace atomically: temporary file, fsync, rename. */
int fd_replace_file(int dirfd, const char *path, mode_t mode, const void *p, size_t n);

/* One message on a unix seqpacket or datagram socket with up to nfds descriptors attached.
 * Return bytes (>= 0) or -errno; received descriptors are CLOEXEC; surplus ones are closed and the
 * message is then refused with -EPROTO, as is a truncated one. */
#define FD_PASS_MAX 16
ssize_t fd_send_msg(int sock, const void *p, size_t n, const int *fds, size_t nfds);
ssize_t fd_recv_msg(int sock, void *p, size_t n, int *fds, size_t max_fds, size_t *ret_nfds);

/* Listening unix stream socket at path (unlinked first), CLOEXEC and NONBLOCK: fd or -errno. */
int fd_listen_unix(const char *path, mode_t mode, int backlog);
int fd_connect_unix(const char *path); /* nonblocking; fd or -errno */

/* Block n signals and read them (struct signalfd_siginfo) from a descriptor, CLOEXEC and NONBLOCK:
 * fd or -errno. */
int fd_open_signals(const int *signals, size_t n);
