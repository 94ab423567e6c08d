/* SPDX-License-Identifier: Apache-2.0 */
/* Processes of doctor: how they are waited for and ended. What gives up rights needs root and is
 * seen in the end-to-end test. */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "doctor/child.h"
#include "doctor_tests.h"
#include "lib/test.h"

static struct children children;

static void set_up(void)
{
	children = (struct children){ .signal_fd = -1, .log_path = "/dev/null" };
	ck_assert_int_eq(children_open(&children), 0);
}

static void tear_down(void)
{
	children_close(&children);
}

static void end_with_7(void *arg)
{
	_exit(7);
}

static void wait_for_ever(void *arg)
{
	for (;;)
		(void)pause();
}

static void ignore_term(void *arg)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	char c = 1;
	(void)sigaction(SIGTERM, &ignore, NULL);
	(void)!write(3, &c, 1);
	wait_for_ever(NULL);
}

START_TEST(the_status_comes_back)
{
	int status = 0;
	pid_t pid = children_start(&children, end_with_7, NULL, -1);
	ck_assert_int_gt(pid, 0);
	ck_assert_int_eq(children_wait(&children, pid, 20000, &status), 0);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}
END_TEST

START_TEST(a_limit_ends_the_wait_and_stop_the_process)
{
	int status = 0;
	pid_t pid = children_start(&children, wait_for_ever, NULL, -1);
	ck_assert_int_eq(children_wait(&children, pid, 20, &status), -ETIMEDOUT);
	ck_assert_int_eq(children_stop(&children, pid, 20000), -ECHILD); /* no status 0 */
	ck_assert_int_eq(kill(pid, 0), -1);
}
END_TEST

START_TEST(stop_kills_who_does_not_listen)
{
	int ends[2];
	char c;
	ck_assert_int_eq(pipe(ends), 0);
	pid_t pid = children_start(&children, ignore_term, NULL, ends[1]);
	ck_assert_int_eq(read(ends[0], &c, 1), 1);
	ck_assert_int_eq(children_stop(&children, pid, 50), -ECHILD);
	ck_assert_int_eq(kill(pid, 0), -1);
	(void)close(ends[0]);
	(void)close(ends[1]);
}
END_TEST

START_TEST(a_signal_ends_every_wait)
{
	int status = 0;
	pid_t pid = children_start(&children, wait_for_ever, NULL, -1);
	ck_assert_int_eq(kill(getpid(), SIGTERM), 0);
	ck_assert_int_eq(children_wait(&children, pid, 20000, &status), -EINTR);
	ck_assert_int_eq(children.signo, SIGTERM);
	ck_assert_int_eq(children_pause(&children, 20000), -EINTR); /* and all that follow */
	ck_assert_int_eq(children_stop(&children, pid, 20000), -ECHILD);
}
END_TEST

TCase *doctor_child_case(Suite *s)
{
	TCase *tc = test_case(s, "child", 30);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, the_status_comes_back);
	tcase_add_test(tc, a_limit_ends_the_wait_and_stop_the_process);
	tcase_add_test(tc, stop_kills_who_does_not_listen);
	tcase_add_test(tc, a_signal_ends_every_wait);
	return tc;
}
