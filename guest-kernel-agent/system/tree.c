/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each round lists all processes and kills those with the mark; rounds go on until one finds none
 * alive, so a process that forks while we look is met in the next one. A pid is opened first and
 * then looked at: what is killed through the descriptor is what had the mark, even if the number is
 * given away in between.
 */
#include "guest-kernel-agent/system/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdutil.h"
#include "base/str.h"

#define LIMITS_MAX 4096
#define LOCKS_LINE "Max file locks"
#define BATCH 128 /* killed together before we wait for their ends */

bool tree_mark_self(uint64_t mark)
{
	struct rlimit l = { mark, mark };
	return setrlimit(RLIMIT_LOCKS, &l) == 0;
}

uint64_t tree_parse_mark(const char *limits)
{
	const char *line = strstr(limits, LOCKS_LINE);
	uint64_t soft, hard;
	char unit[8];
	if (!line || (line != limits && line[-1] != '\n'))
		return 0;
	if (sscanf(line + strlen(LOCKS_LINE), " %lu %lu %7s", &soft, &hard, unit) != 3)
		return 0; /* "unlimited" */
	return hard >= TREE_MARK_MIN ? hard : 0;
}

/* The whole text of a file of /proc/PID, cut at cap; false when the process is gone. */
static bool read_text(int proc, const char *pid, const char *file, char *dst, size_t cap)
{
	char path[64];
	(void)snprintf(path, sizeof(path), "%s/%s", pid, file);
	CLEAN_FD int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, dst, cap - 1);
	dst[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* A zombie is over, whoever is to collect it. Its name may contain anything, so that the state is
 * behind the last parenthesis. */
static bool is_alive(int proc, const char *pid)
{
	char stat[1024];
	if (!read_text(proc, pid, "stat", stat, sizeof(stat)))
		return false;
	const char *end = strrchr(stat, ')');
	return end && end[1] == ' ' && end[2] != 'Z' && end[2] != 'X';
}

static bool has_mark(int proc, const char *pid, uint64_t mark)
{
	char limits[LIMITS_MAX];
	return read_text(proc, pid, "limits", limits, sizeof(limits)) &&
	       tree_parse_mark(limits) == mark;
}

/* Kill pid when it has the mark: its pidfd, or -1. */
static int kill_marked(int proc, const char *pid, uint64_t mark)
{
	uint64_t number;
	if (str_u64(pid, INT32_MAX, &number) < 0 || !has_mark(proc, pid, mark))
		return -1;
	CLEAN_FD int fd = (int)syscall(SYS_pidfd_open, (pid_t)number, 0);
	if (fd < 0 || !has_mark(proc, pid, mark) || !is_alive(proc, pid))
		return -1;
	if (syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) < 0)
		return -1;
	return TAKE_FD(fd);
}

static void wait_for_ends(struct pollfd *fds, size_t n, uint64_t until_ms)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t now = clock_mono_ms();
		(void)poll(&fds[i], 1, now < until_ms ? (int)(until_ms - now) : 0);
		fds[i].fd = fd_close(fds[i].fd);
	}
}

/* How many were killed, or -errno. */
static int kill_round(uint64_t mark, uint64_t until_ms)
{
	struct pollfd fds[BATCH];
	size_t n = 0;
	int killed = 0;
	DIR *dir = opendir("/proc");
	if (!dir)
		return -errno;
	for (struct dirent *e; (e = readdir(dir));) {
		int fd = e->d_name[0] >= '1' && e->d_name[0] <= '9'
			     ? kill_marked(dirfd(dir), e->d_name, mark)
			     : -1;
		if (fd < 0)
			continue;
		killed++;
		fds[n++] = (struct pollfd){ .fd = fd, .events = POLLIN };
		if (n == BATCH) {
			wait_for_ends(fds, n, until_ms);
			n = 0;
		}
	}
	wait_for_ends(fds, n, until_ms);
	(void)closedir(dir);
	return killed;
}

int tree_kill(uint64_t mark)
{
	uint64_t until_ms = clock_mono_ms() + TREE_KILL_MS;
	int r = 1;
	while (r > 0 && clock_mono_ms() < until_ms)
		r = kill_round(mark, until_ms);
	return r > 0 ? -ETIMEDOUT : r;
}
