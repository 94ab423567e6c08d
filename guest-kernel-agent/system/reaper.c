/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Children of the agent's own have a pidfd in the loop, whose callback collects them; taking such a
 * one here would lose its status. Nothing tells the two kinds apart, but the loop does: a pidfd is
 * readable as soon as its process is dead, so whoever is still a zombie after the loop has polled
 * twice in the meantime has no watcher. Each pass over the children therefore only counts, and
 * collects those that it has met in PASSES earlier ones.
 */
#include "guest-kernel-agent/system/reaper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fdutil.h"
#include "base/mem.h"
#include "loop/loop.h"

#define PASSES 2
#define PASS_MS 2
#define CHILDREN_MAX (1024 * 1024) /* bytes of the kernel's list */

struct zombie {
	pid_t pid;
	unsigned seen; /* earlier passes that met it */
	bool now;      /* met in this one */
};

struct reaper {
	struct loop_signal signal;
	struct loop_timer pass;
	struct zombie *zombies;
	size_t n, cap;
};

static int remember(struct reaper *r, pid_t pid)
{
	for (size_t i = 0; i < r->n; i++) {
		if (r->zombies[i].pid == pid) {
			r->zombies[i].now = true;
			return 0;
		}
	}
	if (r->n == r->cap) {
		size_t cap = r->cap ? r->cap * 2 : 16;
		struct zombie *z = mem_realloc(r->zombies, cap * sizeof(*z));
		if (!z)
			return -ENOMEM;
		r->zombies = z;
		r->cap = cap;
	}
	r->zombies[r->n++] = (struct zombie){ .pid = pid, .now = true };
	return 0;
}

/* Dead, but not collected: its pid, else 0. */
static pid_t peek(idtype_t type, id_t id)
{
	siginfo_t si = { 0 };
	return waitid(type, id, &si, WEXITED | WNOHANG | WNOWAIT) == 0 ? si.si_pid : 0;
}

/* Zombies among our children; where the kernel has no list of them, the first one. */
static void find_zombies(struct reaper *r)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	char path[64];
	pid_t pid = peek(P_ALL, 0);
	if (pid == 0)
		return;
	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	char *s = fd_read_file(AT_FDCWD, path, CHILDREN_MAX, &b) == 0 ? buf_cstr(&b) : NULL;
	if (!s || !*s) {
		(void)remember(r, pid);
		return;
	}
	for (char *end; (pid = (pid_t)strtol(s, &end, 10)) > 0 && end != s; s = end)
		if (peek(P_PID, (id_t)pid) == pid)
			(void)remember(r, pid);
}

static void on_pass(struct loop_timer *t, void *arg)
{
	struct reaper *r = arg;
	size_t kept = 0;
	find_zombies(r);
	for (size_t i = 0; i < r->n; i++) {
		struct zombie z = r->zombies[i];
		if (!z.now)
			continue;
		z.now = false;
		if (z.seen++ >= PASSES)
			(void)waitpid(z.pid, NULL, WNOHANG);
		else
			r->zombies[kept++] = z;
	}
	r->n = kept;
	if (kept > 0)
		loop_timer_set(&r->pass, PASS_MS);
}

static void on_child(struct loop_signal *s, int signo, void *arg)
{
	struct reaper *r = arg;
	if (!loop_timer_is_armed(&r->pass))
		loop_timer_set(&r->pass, PASS_MS);
}

struct reaper *reaper_new(struct loop *l)
{
	struct reaper *r = mem_zalloc(sizeof(*r));
	if (!r)
		return NULL;
	loop_timer_init(&r->pass, l, on_pass, r);
	if (loop_signal_init(&r->signal, l, SIGCHLD, on_child, r) < 0)
		return reaper_free(r);
	return r;
}

struct reaper *reaper_free(struct reaper *r)
{
	if (!r)
		return NULL;
	loop_signal_fini(&r->signal);
	loop_timer_fini(&r->pass);
	mem_free(r->zombies);
	return mem_free(r);
}
