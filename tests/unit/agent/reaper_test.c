/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest-kernel-agent/system/reaper.h"
#include "lib/test.h"
#include "loop/loop.h"
#include "unit/agent/agent_tests.h"

#define ORPHANS 50

struct watched {
	struct loop_child child;
	int status;
	bool ended;
};

static void on_child(struct loop_child *c, int wait_status, void *arg)
{
	struct watched *w = arg;
	w->status = wait_status;
	w->ended = true;
}

static pid_t spawn(int code, unsigned delay_us)
{
	pid_t pid = fork();
	if (pid == 0) {
		(void)usleep(delay_us);
		_exit(code);
	}
	return pid;
}

static void turn_until(struct loop *l, bool (*done)(void *arg), void *arg)
{
	for (int i = 0; i < 5000 && !done(arg); i++)
		ck_assert_int_ge(loop_turn(l, true), 0);
	ck_assert(done(arg));
}

static bool all_ended(void *arg)
{
	struct watched *w = arg;
	for (int i = 0; i < ORPHANS; i++)
		if (!w[i].ended)
			return false;
	return true;
}

static bool no_children(void *arg)
{
	siginfo_t si = { 0 };
	return waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD;
}

/* Children with a watcher keep their status, all others are collected. */
START_TEST(test_orphans_and_children)
{
	static struct watched w[ORPHANS];
	struct loop *l = loop_new();
	struct reaper *r = reaper_new(l);
	ck_assert_ptr_nonnull(r);
	for (int i = 0; i < ORPHANS; i++) {
		pid_t pid = spawn(i, (unsigned)i * 300);
		int fd = (int)syscall(SYS_pidfd_open, pid, 0);
		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(loop_child_init(&w[i].child, l, fd, on_child, &w[i]), 0);
		ck_assert_int_gt(spawn(1, (unsigned)(ORPHANS - i) * 300), 0);
	}
	turn_until(l, all_ended, w);
	for (int i = 0; i < ORPHANS; i++) {
		ck_assert(WIFEXITED(w[i].status));
		ck_assert_int_eq(WEXITSTATUS(w[i].status), i);
		loop_child_fini(&w[i].child);
	}
	turn_until(l, no_children, NULL);
	reaper_free(r);
	loop_free(l);
}
END_TEST

void add_reaper_tests(Suite *s)
{
	tcase_add_test(test_case(s, "reaper", 30), test_orphans_and_children);
}
