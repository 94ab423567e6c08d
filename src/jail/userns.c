/* SPDX-License-Identifier: Apache-2.0 */
/* A namespace exists as long as a process is in it or a descriptor holds it: a child that does
 * nothing makes it, we write its maps and open it, the child goes. */
#include "jail/userns.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
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

static void wait_for_end(const int *ends) __attribute__((noreturn));
static void wait_for_end(const int *ends)
{
	char c;
	if (dup2(ends[0], STDIN_FILENO) < 0)
		_exit(1);
	(void)close_range(1, UINT_MAX, 0);
	while (read(STDIN_FILENO, &c, 1) < 0 && errno == EINTR)
		;
	_exit(0);
}

int userns_new(uint32_t host_base)
{
	struct clone_args args = { .flags = CLONE_NEWUSER, .exit_signal = SIGCHLD };
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	long pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		wait_for_end(ends);
	int fd = pid < 0 ? -errno : map_and_open((pid_t)pid, host_base);
	(void)fd_close(ends[0]);
	(void)fd_close(ends[1]);
	while (pid > 0 && waitpid((pid_t)pid, NULL, 0) < 0 && errno == EINTR)
		;
	return fd;
}
