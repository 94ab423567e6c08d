/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/loop.h"

#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdutil.h"
#include "loop/work.h"
#include "loop_tests.h"

struct seen {
	struct loop *loop;
	int n, stop_at;
	unsigned events;
	int status;
	char order[8];
};

static void saw(struct seen *s, char what)
{
	s->order[s->n++] = what;
	if (s->n == s->stop_at)
		loop_stop(s->loop);
}

static void on_timer(struct loop_timer *t, void *arg)
{
	saw(arg, t->arg == arg ? 't' : '?');
}

static void on_defer(struct loop_defer *d, void *arg)
{
	saw(arg, 'd');
}

START_TEST(timers_and_defers_in_order)
{
	struct seen s = { .loop = loop_new(), .stop_at = 2 };
	struct loop_timer t = { 0 };
	struct loop_defer d = { 0 };
	loop_timer_init(&t, s.loop, on_timer, &s);
	loop_defer_init(&d, s.loop, on_defer, &s);
	loop_timer_set(&t, 1);
	loop_defer_set(&d);
	loop_defer_set(&d); /* once only */
	ck_assert_int_eq(s.n, 0);
	ck_assert_int_eq(loop_run(s.loop), 0);
	ck_assert_str_eq(s.order, "dt");
	ck_assert(!loop_timer_is_armed(&t));
	loop_timer_fini(&t);
	loop_timer_fini(&t);
	loop_defer_fini(&d);
	(void)loop_free(s.loop);
}
END_TEST

#define MANY 200

struct many {
	struct loop *loop;
	struct loop_timer timers[MANY];
	uint64_t last_ns;
	unsigned left;
	bool begun;
};

/* In the order of their ends; the first one takes every fifth back, and itself is set once more. */
static void on_one_of_many(struct loop_timer *t, void *arg)
{
	struct many *m = arg;
	ck_assert(!loop_timer_is_armed(t));
	ck_assert_uint_ge(t->end_ns, m->last_ns);
	ck_assert_uint_ge(clock_kernel_ns(), t->end_ns);
	m->last_ns = t->end_ns;
	if (m->begun) {
		if (--m->left == 0)
			loop_stop(m->loop);
		return;
	}
	m->begun = true;
	for (size_t i = 0; i < MANY; i += 5) {
		m->left -= loop_timer_is_armed(&m->timers[i]);
		loop_timer_cancel(&m->timers[i]);
	}
	loop_timer_set(t, 60);
}

START_TEST(many_timers_end_in_order)
{
	struct many m = { .loop = loop_new(), .left = MANY };
	struct loop_timer late = { 0 };
	loop_timer_init(&late, m.loop, on_one_of_many, &m);
	loop_timer_set(&late, UINT64_MAX); /* still set when the loop goes */
	for (size_t i = 0; i < MANY; i++) {
		loop_timer_init(&m.timers[i], m.loop, on_one_of_many, &m);
		loop_timer_set(&m.timers[i], 1000);
	}
	for (size_t i = 0; i < MANY; i++)
		loop_timer_set(&m.timers[i], 2 + i * 7919 % 50);
	ck_assert_int_eq(loop_run(m.loop), 0);
	ck_assert_uint_eq(m.left, 0);
	ck_assert(loop_timer_is_armed(&late));
	(void)loop_free(m.loop);
	ck_assert(!loop_timer_is_armed(&late));
	loop_timer_fini(&late);
}
END_TEST

/* The earliest one moves on again and again, then goes: the next one must not be forgotten. */
START_TEST(timers_that_move)
{
	struct seen s = { .loop = loop_new(), .stop_at = 1 };
	struct loop_timer moved = { 0 }, set = { 0 };
	loop_timer_init(&moved, s.loop, on_timer, &s);
	loop_timer_init(&set, s.loop, on_timer, &s);
	for (uint64_t ms = 10000; ms < 20000; ms += 100)
		loop_timer_set(&moved, ms);
	loop_timer_set(&moved, 5);
	loop_timer_set(&moved, 10000);
	uint64_t begun = clock_kernel_ns();
	loop_timer_set(&set, 20);
	ck_assert_int_eq(loop_run(s.loop), 0);
	ck_assert_uint_ge(clock_kernel_ns() - begun, 20 * 1000000);
	ck_assert(!loop_timer_is_armed(&set) && loop_timer_is_armed(&moved));
	(void)loop_free(s.loop);
}
END_TEST

/* A deferred call that sets the next one, and one that takes the other back. */
struct chain {
	struct loop *loop;
	struct loop_defer first, second, third;
	char order[8];
	int n;
};

static void on_chain(struct loop_defer *d, void *arg)
{
	struct chain *c = arg;
	c->order[c->n++] = d == &c->first ? '1' : d == &c->second ? '2' : '3';
	if (d == &c->first && c->n == 1) {
		loop_defer_cancel(&c->second);
		loop_defer_set(&c->first);
	}
}

START_TEST(defers_set_and_taken_back_by_defers)
{
	struct chain c = { .loop = loop_new() };
	loop_defer_init(&c.first, c.loop, on_chain, &c);
	loop_defer_init(&c.second, c.loop, on_chain, &c);
	loop_defer_init(&c.third, c.loop, on_chain, &c);
	loop_defer_set(&c.first);
	loop_defer_set(&c.second);
	loop_defer_set(&c.third);
	ck_assert_int_eq(loop_turn(c.loop, false), 0);
	ck_assert_str_eq(c.order, "131");
	loop_defer_set(&c.second); /* still due when the loop goes */
	(void)loop_free(c.loop);
	loop_defer_fini(&c.first);
	loop_defer_fini(&c.second);
	loop_defer_fini(&c.third);
}
END_TEST

static void on_io(struct loop_io *io, unsigned events, void *arg)
{
	struct seen *s = arg;
	char c;
	s->events = events;
	ck_assert_int_eq(read(io->fd, &c, 1), 1);
	(void)loop_io_want(io, 0);
	saw(s, c);
}

START_TEST(descriptors)
{
	struct seen s = { .loop = loop_new(), .stop_at = 1 };
	struct loop_io io = { 0 };
	int p[2];
	ck_assert_int_eq(pipe(p), 0);
	ck_assert_int_eq(loop_io_init(&io, s.loop, p[0], on_io, &s), 0);
	ck_assert_int_eq(loop_io_want(&io, LOOP_READ), 0);
	ck_assert_int_eq(fd_write_all(p[1], "ab", 2), 0);
	ck_assert_int_eq(loop_run(s.loop), 0);
	ck_assert_uint_eq(s.events, LOOP_READ);
	ck_assert_int_eq(loop_turn(s.loop, false), 0); /* paused: 'b' stays unread */
	ck_assert_str_eq(s.order, "a");
	loop_io_fini(&io);
	(void)fd_close(p[0]);
	(void)fd_close(p[1]);
	(void)loop_free(s.loop);
}
END_TEST

static void on_edge(struct loop_io *io, unsigned events, void *arg)
{
	saw(arg, 'e'); /* and leaves the byte where it is */
}

/* What lasts is not told again: a hang-up, or a byte that nobody reads. */
START_TEST(edges)
{
	struct seen s = { .loop = loop_new(), .stop_at = 9 };
	struct loop_io io = { 0 };
	int p[2];
	ck_assert_int_eq(pipe(p), 0);
	ck_assert_int_eq(loop_io_init(&io, s.loop, p[0], on_edge, &s), 0);
	ck_assert_int_eq(loop_io_want(&io, LOOP_READ | LOOP_EDGE), 0);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(fd_write_all(p[1], "a", 1), 0);
		for (int turns = 0; turns < 3; turns++)
			ck_assert_int_eq(loop_turn(s.loop, false), 0);
	}
	ck_assert_str_eq(s.order, "ee");
	(void)fd_close(p[1]);
	for (int turns = 0; turns < 3; turns++)
		ck_assert_int_eq(loop_turn(s.loop, false), 0);
	ck_assert_str_eq(s.order, "eee");
	loop_io_fini(&io);
	(void)fd_close(p[0]);
	(void)loop_free(s.loop);
}
END_TEST

static void on_child(struct loop_child *c, int status, void *arg)
{
	struct seen *s = arg;
	s->status = status;
	loop_child_fini(c);
	saw(s, 'c');
}

static int status_after(int code, int signo)
{
	struct seen s = { .loop = loop_new(), .stop_at = 1 };
	struct loop_child c = { 0 };
	pid_t pid = fork();
	if (pid == 0) {
		if (signo)
			raise(signo);
		_exit(code);
	}
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	ck_assert_int_ge(pidfd, 0);
	ck_assert_int_eq(loop_child_init(&c, s.loop, pidfd, on_child, &s), 0);
	ck_assert_int_eq(loop_run(s.loop), 0);
	(void)loop_free(s.loop);
	return s.status;
}

START_TEST(children)
{
	int exited = status_after(7, 0);
	ck_assert(WIFEXITED(exited) && WEXITSTATUS(exited) == 7);
	int killed = status_after(0, SIGKILL);
	ck_assert(WIFSIGNALED(killed) && WTERMSIG(killed) == SIGKILL);
}
END_TEST

static void on_signal(struct loop_signal *sig, int signo, void *arg)
{
	ck_assert_int_eq(signo, SIGUSR1);
	saw(arg, 's');
}

START_TEST(signals)
{
	struct seen s = { .loop = loop_new(), .stop_at = 1 };
	struct loop_signal sig = { 0 };
	ck_assert_int_eq(loop_signal_init(&sig, s.loop, SIGUSR1, on_signal, &s), 0);
	ck_assert_int_eq(kill(getpid(), SIGUSR1), 0);
	ck_assert_int_eq(loop_run(s.loop), 0);
	loop_signal_fini(&sig);
	(void)loop_free(s.loop);
}
END_TEST

struct job {
	struct work_job job;
	struct seen *seen;
	char name;
	bool ran;
};

static void job_run(struct work_job *j)
{
	((struct job *)j)->ran = true;
}

static void job_done(struct work_job *j)
{
	struct job *job = (struct job *)j;
	ck_assert(job->ran);
	saw(job->seen, job->name);
}

START_TEST(work_keeps_a_lanes_order)
{
	struct seen s = { .loop = loop_new(), .stop_at = 4 };
	struct work *w = work_new(s.loop, 1);
	struct job jobs[6];
	for (int i = 0; i < 6; i++)
		jobs[i] = (struct job){ { job_run, job_done, NULL }, &s, (char)('a' + i), false };
	for (int i = 0; i < 4; i++)
		work_submit(w, 0, &jobs[i].job);
	ck_assert_int_eq(loop_run(s.loop), 0);
	ck_assert_str_eq(s.order, "abcd");
	work_submit(w, 0, &jobs[4].job);
	work_submit(w, 0, &jobs[5].job);
	(void)work_free(w); /* delivers what is left */
	ck_assert_str_eq(s.order, "abcdef");
	(void)loop_free(s.loop);
}
END_TEST

void source_tests(Suite *s)
{
	TCase *tc = test_case(s, "sources", 10);
	tcase_add_test(tc, timers_and_defers_in_order);
	tcase_add_test(tc, many_timers_end_in_order);
	tcase_add_test(tc, timers_that_move);
	tcase_add_test(tc, defers_set_and_taken_back_by_defers);
	tcase_add_test(tc, descriptors);
	tcase_add_test(tc, edges);
	tcase_add_test(tc, children);
	tcase_add_test(tc, signals);
	tcase_add_test(tc, work_keeps_a_lanes_order);
}

static Suite *loop_suite(void)
{
	Suite *s = suite_create("loop");
	source_tests(s);
	op_tests(s);
	return s;
}

TEST_MAIN(loop_suite)
