/* SPDX-License-Identifier: Apache-2.0 */
/* A namespace exists as long as a process is in it or a descriptor holds it: a child that does
 * nothing makes it, we write its maps and open it, the child goes. */
#include "jail/userns.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fdutil.h"

static int write_map(pid_t pid, const char *which, uint32_t host_base)
{
	char path[64], map[64];
	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, which);
	int n = snprintf(map, sizeof(map), "0 %u %u\n", host_base, USERNS_RANGE);
	return fd_write_file(AT_FDCWD, path, map, (size_t)n);
}

static int map_and_open(pid_t pid, uint32_t host_base)
{
	char path[64];
	int r = write_map(pid, "uid_map", host_base);
	if (r == 0)
		r = write_map(pid, "gid_map", host_base);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/*
 * Who makes a user namespace owns it, and what the kernel counts for a user (inotify instances,
 * watches, namespaces, queued signals) it counts in the namespace and again for the owner outside.
 * The owner is therefore the first id of the range: each range has counts of its own, not a share
 * of root's. Only the effective ids change: root as real id keeps the number of processes
 * unlimited (the cgroup limits it), and the capabilities stay, because Debian's
 * kernel.unprivileged_userns_clone may ask for them. Bare calls: libc's concern themselves with
 * threads that this child has not got.
 */
static int enter_new(uint32_t owner)
{
	if (prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) < 0 ||
	    syscall(SYS_setresgid, -1, owner, -1) < 0 ||
	    syscall(SYS_setresuid, -1, owner, -1) < 0 || unshare(CLONE_NEWUSER) < 0)
		return -errno;
	return 0;
}

/* sock: tells how it went, then lasts until the other end is closed. */
static void child_run(uint32_t owner, int sock) __attribute__((noreturn));
static void child_run(uint32_t owner, int sock)
{
	char c;
	if (dup2(sock, STDIN_FILENO) < 0)
		_exit(1);
	(void)close_range(1, UINT_MAX, 0);
	int r = enter_new(owner);
	if (send(STDIN_FILENO, &r, sizeof(r), MSG_NOSIGNAL) != sizeof(r))
		_exit(1);
	while (read(STDIN_FILENO, &c, 1) < 0 && errno == EINTR)
		;
	_exit(0);
}

static int wait_for_start(int sock)
{
	int told = 0;
	ssize_t n;
	do {
		n = recv(sock, &told, sizeof(told), 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n == sizeof(told) ? told : -EIO;
}

int userns_new(uint32_t host_base)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	long pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		child_run(host_base, ends[1]);
	int fd = pid < 0 ? -errno : 0;
	(void)fd_close(ends[1]);
	if (fd == 0)
		fd = wait_for_start(ends[0]);
	if (fd == 0)
		fd = map_and_open((pid_t)pid, host_base);
	(void)fd_close(ends[0]);
	while (pid > 0 && waitpid((pid_t)pid, NULL, 0) < 0 && errno == EINTR)
		;
	return fd;
}
