/* SPDX-License-Identifier: Apache-2.0 */
/* How executions and kernels end: interrupts, deaths, restarts, deletion. */
#include "kernels.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

static void interrupt(struct record *r)
{
	exec_interrupt(r->exec, EXEC_INTERRUPTED);
}

static void interrupt_deadline(struct record *r)
{
	exec_interrupt(r->exec, EXEC_DEADLINE);
}

START_TEST(test_interrupt_keeps_state)
{
	struct context *c = kernels_python();
	struct record *r;

	kernels_expect(c, "kept = 7", "");
	r = record_begin(c, "import time\nprint('go')\ntime.sleep(1000)");
	r->on_first = interrupt;
	record_wait(r);
	ck_assert_int_eq(r->how, EXEC_INTERRUPTED);
	ck_assert_str_eq(r->error, "KeyboardInterrupt");
	ck_assert_str_eq(r->detail, "");
	record_free(r);
	r = record_begin(c, "import subprocess\nprint('go')\nsubprocess.run(['sleep', '1000'])");
	r->on_first = interrupt_deadline;
	record_wait(r);
	ck_assert_int_eq(r->how, EXEC_DEADLINE);
	ck_assert_str_eq(r->detail, "");
	record_free(r);
	for (int i = 0; i < 10; i++) {
		r = record_begin(c, "import asyncio\nprint('go')\nawait asyncio.sleep(1000)");
		r->on_first = interrupt;
		record_wait(r);
		ck_assert_int_eq(r->how, EXEC_INTERRUPTED);
		ck_assert_str_eq(r->detail, "");
		record_free(r);
	}
	kernels_expect(c, "print(kept)", "7\n");
}
END_TEST

/* The signal's handler has run, and the system call goes on all the same: as when it comes just
 * before the call. */
START_TEST(test_interrupt_that_does_not_wake)
{
	struct context *c = kernels_python();
	for (int i = 0; i < 3; i++) {
		struct record *r =
		    record_begin(c, "import os, signal, threading\nr, w = os.pipe()\nkept = 9\n"
				    "signal.siginterrupt(signal.SIGINT, False)\n"
				    "threading.Timer(0.2, print, ['go']).start()\nos.read(r, 1)");
		r->on_first = interrupt;
		record_wait(r);
		ck_assert_int_eq(r->how, EXEC_INTERRUPTED);
		ck_assert_str_eq(r->error, "KeyboardInterrupt");
		ck_assert_str_eq(r->detail, "");
		record_free(r);
	}
	kernels_expect(c, "print(kept)", "9\n");
}
END_TEST

/* Before the code was even sent: the signal must not get lost, nor hit the kernel's own code. */
START_TEST(test_interrupt_at_once)
{
	struct context *c = kernels_python();

	for (int i = 0; i < 20; i++) {
		struct record *r = record_begin(c, "import time; time.sleep(1000)");

		/* Some are still queued, some sent, some running. */
		if (i % 4)
			kernels_turns((unsigned)(i % 4 - 1));
		exec_interrupt(r->exec, EXEC_INTERRUPTED);
		record_wait(r);
		ck_assert_int_eq(r->how, EXEC_INTERRUPTED);
		ck_assert_str_eq(r->detail, "");
		record_free(r);
	}
	kernels_expect(c, "print('alive')", "alive\n");
}
END_TEST

START_TEST(test_interrupt_queued)
{
	struct context *c = kernels_python();
	struct record *running = record_begin(c, "import time; time.sleep(0.3); ran = 1");
	struct record *queued = record_begin(c, "ran = 2");
	struct record *last = record_begin(c, "print(ran)");

	ck_assert_int_eq(loop_turn(kernels_loop, true), 0);
	exec_interrupt(queued->exec, EXEC_INTERRUPTED);
	exec_interrupt(queued->exec, EXEC_DEADLINE);
	ck_assert(!queued->ended);
	record_wait(queued);
	ck_assert(!running->ended);
	ck_assert_int_eq(queued->how, EXEC_INTERRUPTED);
	ck_assert_str_eq(record_order(queued), "$");
	record_wait(last);
	ck_assert_str_eq(record_out(last), "1\n");
	record_free(running);
	record_free(queued);
	record_free(last);
}
END_TEST

START_TEST(test_interrupt_ignored)
{
	struct context *c = kernels_python();
	struct record *r =
	    record_begin(c, "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
			    "print('deaf')\nwhile True: time.sleep(1)");

	r->on_first = interrupt;
	record_wait(r);
	ck_assert_int_eq(r->how, EXEC_INTERRUPTED);
	ck_assert_ptr_nonnull(strstr(r->detail, "the kernel was restarted"));
	record_free(r);
	kernels_expect(c, "print('again')", "again\n");
}
END_TEST

/* The reader has gone away with the journal full: the interrupt works all the same. */
START_TEST(test_interrupt_under_back_pressure)
{
	struct context *c = kernels_python();
	struct record *r;

	kernels_expect(c, "kept = 8", "");
	r = record_begin(c, "while True: print('x' * 1000)");
	r->closed = true;
	kernels_turns(300);
	ck_assert(!r->ended);
	ck_assert_uint_eq(r->stream_bytes, 0);
	exec_interrupt(r->exec, EXEC_INTERRUPTED);
	record_wait(r);
	ck_assert_int_eq(r->how, EXEC_INTERRUPTED);
	ck_assert_ptr_nonnull(strstr(r->detail, "left out"));
	record_free(r);
	kernels_expect(c, "print(kept)", "8\n");
}
END_TEST

static void expect_died(struct context *c, const char *code, const char *out, const char *detail)
{
	struct record *r = record_begin(c, code);
	struct record *next = record_begin(c, "print('next')");

	record_wait(r);
	ck_assert_msg(r->how == EXEC_KERNEL_DIED, "%s: %d", code, r->how);
	ck_assert_str_eq(record_out(r), out);
	ck_assert_msg(strstr(r->detail, detail) != NULL, "%s: %s", code, r->detail);
	record_free(r);
	record_wait(next);
	ck_assert_int_eq(next->how, EXEC_OK);
	ck_assert_uint_eq(next->count, 1);
	ck_assert_str_eq(record_out(next), "next\n");
	record_free(next);
}

START_TEST(test_deaths)
{
	struct context *c = kernels_python();
	char id[64];

	(void)str_copy(id, sizeof(id), context_id(c));
	expect_died(c,
	    "import os, time\nprint('last words')\ntime.sleep(0.3)\nos.kill(os.getpid(), 9)",
	    "last words\n", "signal 9");
	expect_died(c, "import os; os._exit(3)", "", "status 3");
	expect_died(c, "exit()", "", "status 0");
	expect_died(c, "import ctypes; ctypes.string_at(0)", "", "signal 11");
	ck_assert_str_eq(context_id(c), id);
}
END_TEST

START_TEST(test_killed_from_outside)
{
	struct context *c = kernels_python();
	pid_t pid = kernels_pid(c);
	struct record *r = record_begin(c, "import time; time.sleep(1000)");

	kernels_turns(50);
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	record_wait(r);
	ck_assert_int_eq(r->how, EXEC_KERNEL_DIED);
	record_free(r);
	pid = kernels_pid(c);
	/* Now while nothing runs. */
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	while (kill(pid, 0) == 0) /* until it was collected; what is begun before that dies, too */
		kernels_turns(10);
	ck_assert_int_ne(kernels_pid(c), pid);
}
END_TEST

/* The kernel loses what says that it is done: its reply, its status, or both. */
START_TEST(test_lost_reply)
{
	static const struct {
		const char *lost, *detail;
		unsigned most_ms;
	} cases[] = {
		{ "('execute_reply',)", "reply was lost", 4000 },
		{ "('status',)", "did not say that it is idle", 4000 },
		{ "('execute_reply', 'status')", "reply was lost", 9000 },
	};
	struct context *c = kernels_python();
	char code[600];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		(void)snprintf(code, sizeof(code),
		    "import builtins\n"
		    "s = get_ipython().kernel.session\n"
		    "if not hasattr(builtins, 'send'): builtins.send = s.send\n"
		    "def lossy(stream, kind, content=None, parent=None, *a, **kw):\n"
		    "    of = kind if isinstance(kind, str) else kind['header']['msg_type']\n"
		    "    asked = (parent or {}).get('header', {}).get('msg_type')\n"
		    "    if of in %s and asked == 'execute_request': return\n"
		    "    return send(stream, kind, content, parent, *a, **kw)\n"
		    "s.send = lossy\n"
		    "x = %zu\nprint('out')",
		    cases[i].lost, i);
		struct record *r = record_run(c, code);
		ck_assert_msg(r->how == EXEC_OK, "%zu: %d", i, r->how);
		ck_assert_str_eq(record_out(r), "out\n");
		ck_assert_msg(strstr(r->detail, cases[i].detail), "%zu: '%s'", i, r->detail);
		ck_assert_uint_le((r->ended_us - r->began_us) / 1000, cases[i].most_ms);
		record_free(r);
	}
	/* The state is still there, and the next execution runs. */
	struct record *r = record_run(c, "s.send = send\nprint(x)");
	ck_assert_str_eq(record_out(r), "2\n");
	record_free(r);
	kernels_expect(c, "print(x)", "2\n");
}
END_TEST

/* Code that is merely busy for longer than the watchdog waits is left alone. */
START_TEST(test_busy_is_not_lost)
{
	struct context *c = kernels_python();
	struct record *r = record_run(c, "import time\ntime.sleep(6)\nprint('done')");

	ck_assert_int_eq(r->how, EXEC_OK);
	ck_assert_str_eq(record_out(r), "done\n");
	ck_assert_str_eq(r->detail, "");
	ck_assert(!r->stalled);
	record_free(r);
}
END_TEST

START_TEST(test_stopped_process)
{
	struct context *c = kernels_python();
	pid_t pid = kernels_pid(c);
	struct record *r = record_begin(c, "import time\ntime.sleep(1)\nprint('done')");

	kernels_turns(300);
	ck_assert_int_eq(kill(pid, SIGSTOP), 0);
	kernels_until(&r->stalled);
	ck_assert(!r->ended);
	ck_assert_int_eq(kill(pid, SIGCONT), 0);
	record_wait(r);
	ck_assert_int_eq(r->how, EXEC_OK);
	ck_assert_str_eq(record_out(r), "done\n");
	record_free(r);
	/* An interrupt does not reach a stopped process: it is killed after its time of grace. */
	r = record_begin(c, "time.sleep(1000)");
	kernels_turns(300);
	ck_assert_int_eq(kill(pid, SIGSTOP), 0);
	exec_interrupt(r->exec, EXEC_INTERRUPTED);
	record_wait(r);
	ck_assert_int_eq(r->how, EXEC_INTERRUPTED);
	ck_assert_ptr_nonnull(strstr(r->detail, "restarted"));
	record_free(r);
	kernels_expect(c, "print(1)", "1\n");
}
END_TEST

START_TEST(test_children_die_with_the_kernel)
{
	struct context *c = kernels_python();
	struct record *r = record_run(c, "import subprocess\n"
					 "p = subprocess.Popen(['sleep', '1000'])\nprint(p.pid)");
	pid_t child = (pid_t)atoi(record_out(r));

	ck_assert_int_gt(child, 1);
	record_free(r);
	ck_assert_int_eq(kill(child, 0), 0);
	kernels_restart(c);
	/* Gone, or a zombie of whoever adopts it. */
	for (int i = 0; i < 100 && kill(child, 0) == 0; i++) {
		char path[64], state[256] = "";
		(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)child);
		FILE *f = fopen(path, "r");
		if (!f || !fgets(state, sizeof(state), f) || strstr(state, ") Z ")) {
			if (f)
				(void)fclose(f);
			break;
		}
		(void)fclose(f);
		ck_assert_int_lt(i, 99);
		kernels_turns(10);
	}
}
END_TEST

START_TEST(test_restart)
{
	struct context *c = kernels_python();
	struct record *running, *queued;
	char id[64];

	(void)str_copy(id, sizeof(id), context_id(c));
	kernels_expect(c, "v = 1", "");
	running = record_begin(c, "import time; time.sleep(1000)");
	queued = record_begin(c, "print('never')");
	kernels_turns(50);
	kernels_restart(c);
	ck_assert(running->ended && queued->ended);
	ck_assert_int_eq(running->how, EXEC_RESTARTED);
	ck_assert_int_eq(queued->how, EXEC_RESTARTED);
	ck_assert_str_eq(record_order(queued), "$");
	ck_assert_str_eq(context_id(c), id);
	kernels_expect(c, "print('v' in globals())", "False\n");
	kernels_restart(c);
	kernels_expect(c, "print('v' in globals())", "False\n");
	record_free(running);
	record_free(queued);
}
END_TEST

START_TEST(test_delete)
{
	struct context *a = kernels_python(), *b = kernels_python();
	struct record *r;
	char id[64];

	(void)str_copy(id, sizeof(id), context_id(a));
	r = record_begin(a, "import time; time.sleep(1000)");
	kernels_turns(20);
	kernels_delete(a);
	ck_assert(r->ended);
	ck_assert_int_eq(r->how, EXEC_RESTARTED);
	ck_assert_str_eq(r->detail, "the context was deleted");
	record_free(r);
	ck_assert_ptr_null(context_find(kernels, id));
	ck_assert_ptr_eq(contexts_at(kernels, 0), b);
	kernels_delete(b); /* idle: asked to shut down */
	ck_assert_ptr_null(contexts_at(kernels, 0));
}
END_TEST

static void on_never(const struct err *err, struct context *c, void *arg)
{
	(*(int *)arg)++;
}

/* Requests that cross each other are each answered once. */
START_TEST(test_crossing_requests)
{
	struct context *c = kernels_python();
	int answers = 0;

	ck_assert_int_eq(context_restart(c, on_never, &answers), 0);
	ck_assert_int_eq(context_restart(c, on_never, &answers), 0);
	ck_assert_int_eq(loop_turn(kernels_loop, true), 0);
	ck_assert_int_eq(context_restart(c, on_never, &answers), 0);
	ck_assert_int_eq(context_delete(c, on_never, &answers), 0);
	ck_assert_int_eq(context_delete(c, on_never, &answers), 0);
	while (answers < 5)
		ck_assert_int_eq(loop_turn(kernels_loop, true), 0);
	ck_assert_int_eq(context_create(kernels, "python", NULL, on_never, &answers), 0);
	/* Freed while it starts. */
}
END_TEST

START_TEST(test_kernel_that_does_not_start)
{
	static const char spec[] = "{\"argv\": [\"sh\", \"-c\", \"echo broken here >&2; exit 4\"], "
				   "\"language\": \"bash\"}";
	static const char missing[] = "{\"argv\": [\"no-such-program\"], \"language\": \"r\"}";
	char text[320];

	kernels_add_spec("sh", spec);
	kernels_add_spec("r", missing);
	kernels_use_specs();
	ck_assert_int_lt(kernels_create_fails("bash", NULL, text), 0);
	ck_assert_str_eq(text, "the kernel exited with status 4: broken here");
	ck_assert_int_lt(kernels_create_fails("r", NULL, text), 0);
	ck_assert_str_eq(text, "program 'no-such-program' was not found");
	ck_assert_ptr_null(contexts_at(kernels, 0));
}
END_TEST

/* The n-th allocation of a start fails: an error or a kernel, no crash and no leak. */
START_TEST(test_out_of_memory_at_start)
{
	for (long n = 0; n < 26; n++) {
		int answers = 0, r;

		mem_fail_after(n);
		r = context_create(kernels, "python", NULL, on_never, &answers);
		for (int turn = 0; r == 0 && turn < 3; turn++)
			ck_assert_int_eq(loop_turn(kernels_loop, false), 0);
		mem_fail_after(-1);
		ck_assert(r == 0 || r == -ENOMEM);
		while (r == 0 && answers == 0)
			ck_assert_int_eq(loop_turn(kernels_loop, true), 0);
		ck_assert_int_eq(answers, r == 0);
	}
}
END_TEST

START_TEST(test_nothing_is_left)
{
	struct context *c = kernels_python();
	char run[128];

	kernels_expect(c, "pass", "");
	kernels_delete(c);
	(void)tmpdir_at(&kernels_dir, "run", run);
	ck_assert_int_eq(rmdir(run), 0); /* empty */
}
END_TEST

void add_end_tests(Suite *s)
{
	TCase *tc = test_case(s, "ends", 60);

	tcase_add_checked_fixture(tc, kernels_setup, kernels_teardown);
	tcase_add_test(tc, test_interrupt_keeps_state);
	tcase_add_test(tc, test_interrupt_that_does_not_wake);
	tcase_add_test(tc, test_interrupt_at_once);
	tcase_add_test(tc, test_interrupt_queued);
	tcase_add_test(tc, test_interrupt_ignored);
	tcase_add_test(tc, test_interrupt_under_back_pressure);
	tcase_add_test(tc, test_deaths);
	tcase_add_test(tc, test_killed_from_outside);
	tcase_add_test(tc, test_lost_reply);
	tcase_add_test(tc, test_busy_is_not_lost);
	tcase_add_test(tc, test_stopped_process);
	tcase_add_test(tc, test_children_die_with_the_kernel);
	tcase_add_test(tc, test_restart);
	tcase_add_test(tc, test_delete);
	tcase_add_test(tc, test_crossing_requests);
	tcase_add_test(tc, test_kernel_that_does_not_start);
	tcase_add_test(tc, test_out_of_memory_at_start);
	tcase_add_test(tc, test_nothing_is_left);
}
