/* SPDX-License-Identifier: Apache-2.0 */
/* Executions, their journals and followers, over fake contexts. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "guest-kernel-agent/code/event.h"
#include "guest-kernel-agent/code/execution.h"
#include "guest-kernel-agent/code/viewer.h"
#include "guest-kernel-agent/code/outcome.h"
#include "guest-kernel-agent/code/warmup.h"
#include "guest-kernel-agent/jupyter/context.h"
#include "guest-kernel-agent/journal/journal.h"
#include "guest-kernel-agent/system/notices.h"
#include "lib/fake_contexts.h"
#include "lib/test.h"
#include "loop/loop.h"
#include "unit/agent/agent_tests.h"

#define TURNS_MAX 200000

struct fixture {
	struct loop *loop;
	struct contexts *contexts;
	struct executions *executions;
	struct notices notices;
	struct context *context;
};

/* What a follower saw, one letter an event: started, busy, output, result, error, End. */
struct client {
	struct viewer viewer;
	char seen[64];
	uint64_t next; /* expected sequence number */
	size_t bytes;
	size_t appetite; /* events that it still takes */
	enum exec_end how;
	bool ended;
	int err;
};

static void on_context(const struct err *err, struct context *c, void *arg)
{
	*(struct context **)arg = c;
}

static void turn_until(struct fixture *f, const bool *done)
{
	for (int i = 0; i < TURNS_MAX && !*done; i++)
		ck_assert_int_ge(loop_turn(f->loop, false), 0);
	ck_assert(*done);
}

static void turn(struct fixture *f, int n)
{
	while (n--)
		ck_assert_int_ge(loop_turn(f->loop, false), 0);
}

static void setup(struct fixture *f, size_t memory, uint64_t cap)
{
	*f = (struct fixture){ .loop = loop_new() };
	f->contexts = contexts_new(f->loop);
	struct executions_conf c = { .loop = f->loop,
		.contexts = f->contexts,
		.notices = &f->notices,
		.journal_memory = memory,
		.journal_cap = cap };
	f->executions = executions_new(&c);
	ck_assert_int_eq(context_default(f->contexts, "python", on_context, &f->context), 0);
	turn(f, 3);
	ck_assert_ptr_nonnull(f->context);
}

static void teardown(struct fixture *f)
{
	contexts_free(f->contexts);
	executions_free(f->executions);
	loop_free(f->loop);
}

/* ---- clients ---- */

static bool is_ready(void *arg)
{
	return ((struct client *)arg)->appetite > 0;
}

static int on_event(struct event *ev, void *arg)
{
	static const char letters[] = "?sbooreE";
	struct client *c = arg;
	size_t n = strlen(c->seen);
	ck_assert_uint_eq(ev->seq, c->next++);
	c->appetite--;
	if (ev->type == EVENT_STDOUT)
		c->bytes += ev->output.n;
	if (ev->type == EVENT_END)
		c->how = ev->end.how;
	if (n + 1 < sizeof(c->seen))
		c->seen[n] = letters[ev->type];
	return 0;
}

static int on_silence(void *arg)
{
	return 0;
}

static void on_end(int err, void *arg)
{
	struct client *c = arg;
	c->ended = true;
	c->err = err;
	viewer_fini(&c->viewer);
}

static const struct viewer_ops ops = {
	.is_ready = is_ready, .on_event = on_event, .on_silence = on_silence, .on_end = on_end
};

static int client_start(
    struct fixture *f, struct client *c, struct execution *x, uint64_t from, size_t appetite)
{
	struct viewer_wish wish = { .from = from };
	*c = (struct client){ .next = from, .appetite = appetite };
	return viewer_init(&c->viewer, f->loop, x, &wish, &ops, c);
}

static struct execution *start(struct fixture *f, const char *code, bool keep)
{
	struct execution *x = NULL;
	struct execution_ask ask = { .code = code, .n = strlen(code), .keep = keep };
	ck_assert_int_eq(execution_start(f->executions, f->context, &ask, &x), 0);
	return x;
}

/* ---- tests ---- */

START_TEST(test_events_in_order)
{
	struct fixture f;
	struct client c;
	setup(&f, 0, 0);
	struct execution *x = start(&f, "print a\nerr b\nmain 1\nraise E v", false);
	ck_assert_int_eq(client_start(&f, &c, x, 1, 100), 0);
	turn_until(&f, &c.ended);
	ck_assert_str_eq(c.seen, "sbooreE");
	ck_assert_int_eq(c.how, EXEC_ERROR);
	ck_assert_int_eq(c.err, 0);
	ck_assert_ptr_null(executions_find(f.executions, execution_id(x)));
	execution_unref(x);
	teardown(&f);
}
END_TEST

/* A client that is cut off after each event in turn gets all the others from a second stream. */
START_TEST(test_attach_after_every_event)
{
	struct fixture f;
	setup(&f, 2048, 0);
	for (size_t cut = 0; cut <= 11; cut++) {
		struct client a, b;
		struct execution *x =
		    start(&f, "print 1\nspam 3000\nmain 2\nspam 3000\nerr 3", true);
		ck_assert_int_eq(client_start(&f, &a, x, 1, cut), 0);
		turn(&f, 40);
		viewer_fini(&a.viewer);
		ck_assert_int_eq(client_start(&f, &b, x, a.next, 1000), 0);
		turn_until(&f, &b.ended);
		ck_assert_uint_eq(a.bytes + b.bytes, 2 + 6000);
		ck_assert_uint_eq(b.next, journal_last(execution_journal(x)) + 1);
		ck_assert_uint_eq(strlen(a.seen) + strlen(b.seen), 12);
		ck_assert_int_eq(b.how, EXEC_OK);
		ck_assert_ptr_eq(executions_find(f.executions, execution_id(x)), x);
		ck_assert_int_eq(
		    client_start(&f, &b, x, journal_last(execution_journal(x)) + 2, 1), -ERANGE);
		execution_unref(x);
	}
	teardown(&f);
}
END_TEST

START_TEST(test_several_followers)
{
	struct fixture f;
	struct client c[4];
	setup(&f, 4096, 0);
	struct execution *x = start(&f, "spam 100000\nprint end", true);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(client_start(&f, &c[i], x, 1, i ? 100000 : 5), 0);
	turn_until(&f, &c[1].ended);
	turn_until(&f, &c[2].ended);
	ck_assert(!c[0].ended);
	c[0].appetite = 100000;
	viewer_resume(&c[0].viewer);
	turn_until(&f, &c[0].ended);
	for (int i = 0; i < 4; i++)
		ck_assert_uint_eq(c[i].bytes, 100004);
	execution_unref(x);
	teardown(&f);
}
END_TEST

/* A reader that stops does not grow anything beyond the cap; when it goes on, nothing is missing.
 */
START_TEST(test_slow_reader_is_bounded)
{
	struct fixture f;
	struct client c;
	setup(&f, 8192, 50000);
	struct execution *x = start(&f, "spam 1000000", false);
	ck_assert_int_eq(client_start(&f, &c, x, 1, 10), 0);
	turn(&f, 3000);
	ck_assert_uint_le(journal_bytes(execution_journal(x)), 50000 + 2048);
	ck_assert_uint_le(journal_memory(execution_journal(x)), 8192 + 2048);
	ck_assert(!c.ended);
	for (int i = 0; i < 3000 && !c.ended; i++) {
		c.appetite += 17;
		viewer_resume(&c.viewer);
		turn(&f, 2);
	}
	ck_assert(c.ended);
	ck_assert_uint_eq(c.bytes, 1000000);
	ck_assert_int_eq(c.how, EXEC_OK);
	execution_unref(x);
	teardown(&f);
}
END_TEST

/* Much more than the cap passes a live reader, also when the journal is kept; the start is gone
 * then. */
START_TEST(test_more_than_the_cap)
{
	struct fixture f;
	struct client c, late;
	setup(&f, 8192, 50000);
	struct execution *x = start(&f, "spam 2000000", _i != 0);
	ck_assert_int_eq(client_start(&f, &c, x, 1, SIZE_MAX), 0);
	turn_until(&f, &c.ended);
	ck_assert_uint_eq(c.bytes, 2000000);
	ck_assert_uint_le(journal_bytes(execution_journal(x)), 50000 + 2048);
	ck_assert_int_eq(client_start(&f, &late, x, 1, 1), -ERANGE);
	execution_unref(x);
	teardown(&f);
}
END_TEST

START_TEST(test_nobody_reads_at_cap)
{
	struct fixture f;
	struct client c;
	setup(&f, 8192, 50000);
	struct execution *x = start(&f, "spam 2000000\nprint more", true);
	turn(&f, 3000);
	ck_assert_uint_le(journal_bytes(execution_journal(x)), 50000 + 2048);
	ck_assert_int_eq(client_start(&f, &c, x, 1, SIZE_MAX), 0);
	turn_until(&f, &c.ended);
	ck_assert_int_eq(c.how, EXEC_OUTPUT_LIMIT);
	ck_assert_uint_ge(c.bytes, 40000);
	ck_assert(!context_is_busy(f.context));
	execution_unref(x);
	teardown(&f);
}
END_TEST

/* The reader that the kernel waits for goes away for good. */
START_TEST(test_reader_leaves_at_cap)
{
	struct fixture f;
	struct client c;
	setup(&f, 8192, 50000);
	struct execution *x = start(&f, "spam 2000000", true);
	ck_assert_int_eq(client_start(&f, &c, x, 1, 3), 0);
	turn(&f, 2000);
	ck_assert(context_is_busy(f.context));
	viewer_fini(&c.viewer);
	turn(&f, 10);
	ck_assert(!context_is_busy(f.context));
	ck_assert_int_eq(client_start(&f, &c, x, 4, SIZE_MAX), 0);
	turn_until(&f, &c.ended);
	ck_assert_int_eq(c.how, EXEC_OUTPUT_LIMIT);
	execution_unref(x);
	teardown(&f);
}
END_TEST

START_TEST(test_interrupt)
{
	struct fixture f;
	struct client a, b;
	setup(&f, 0, 0);
	struct execution *x = start(&f, "print 1\nhang", true), *y = start(&f, "print 2", true);
	ck_assert_int_eq(client_start(&f, &a, x, 1, 100), 0);
	ck_assert_int_eq(client_start(&f, &b, y, 1, 100), 0);
	turn(&f, 20);
	ck_assert_ptr_eq(executions_running_in(f.executions, f.context), x);
	ck_assert(execution_interrupt(y, EXEC_INTERRUPTED));
	turn_until(&f, &b.ended);
	ck_assert_str_eq(b.seen, "sE");
	ck_assert_int_eq(b.how, EXEC_INTERRUPTED);
	ck_assert(execution_interrupt(x, EXEC_DEADLINE));
	turn_until(&f, &a.ended);
	ck_assert_str_eq(a.seen, "sboeE");
	ck_assert_int_eq(a.how, EXEC_DEADLINE);
	ck_assert(!execution_interrupt(x, EXEC_INTERRUPTED));
	ck_assert_ptr_null(executions_running_in(f.executions, f.context));
	execution_unref(x);
	execution_unref(y);
	teardown(&f);
}
END_TEST

START_TEST(test_abandon)
{
	struct fixture f;
	struct client c;
	setup(&f, 8192, 20000);
	struct execution *x = start(&f, "spam 900000\nhang", false);
	ck_assert_int_eq(client_start(&f, &c, x, 1, 4), 0);
	turn(&f, 200);
	execution_abandon(x);
	viewer_fini(&c.viewer);
	execution_unref(x);
	turn(&f, 10);
	ck_assert(!context_is_busy(f.context));
	teardown(&f);
}
END_TEST

/* The host's word that memory ran out may come before the kernel's death or after it. */
START_TEST(test_out_of_memory_notice)
{
	struct fixture f;
	struct client c;
	setup(&f, 0, 0);
	if (_i == 0)
		ck_assert_int_eq(notices_add(&f.notices, "oom", 1), 0);
	struct execution *x = start(&f, "die", true);
	ck_assert_int_eq(client_start(&f, &c, x, 1, 100), 0);
	turn(&f, 20);
	ck_assert_int_eq(c.ended, _i == 0);
	if (_i == 1)
		ck_assert_int_eq(notices_add(&f.notices, "oom", 1), 0);
	for (int i = 0; i < 1000 && !c.ended; i++)
		ck_assert_int_ge(loop_turn(f.loop, true), 0);
	ck_assert_int_eq(c.how, _i == 2 ? EXEC_KERNEL_DIED : EXEC_OUT_OF_MEMORY);
	ck_assert_int_eq(notices_add(&f.notices, "cold", 1), -EINVAL);
	execution_unref(x);
	teardown(&f);
}
END_TEST

START_TEST(test_kept_are_bounded)
{
	struct fixture f;
	const struct retention kept = RETENTION_DEFAULT;
	char first[37] = "";
	setup(&f, 0, 0);
	for (unsigned i = 0; i < kept.count + 1; i++) {
		struct client c;
		struct execution *x = start(&f, "print 1", true);
		if (!*first)
			(void)str_copy(first, sizeof(first), execution_id(x));
		ck_assert_int_eq(client_start(&f, &c, x, 1, 100), 0);
		turn_until(&f, &c.ended);
		ck_assert_ptr_nonnull(executions_find(f.executions, execution_id(x)));
		ck_assert_int_eq(executions_find(f.executions, first) != NULL, i < kept.count);
		execution_unref(x);
	}
	teardown(&f);
}
END_TEST

START_TEST(test_retention)
{
	struct fixture f;
	struct client c;
	static const struct retention none = { .count = 100, .ms = 0, .bytes = UINT64_MAX },
				      few = { .count = 2, .ms = 60000, .bytes = UINT64_MAX },
				      small = { .count = 100, .ms = 60000, .bytes = 3000 };
	const struct retention *r = _i == 0 ? &none : _i == 1 ? &few : &small;
	char ids[4][EXECUTION_ID_MAX];
	setup(&f, 0, 0);
	executions_set_retention(f.executions, r);
	for (int i = 0; i < 4; i++) {
		struct execution *x = start(&f, "spam 1100", true);
		(void)str_copy(ids[i], sizeof(ids[i]), execution_id(x));
		ck_assert_int_eq(client_start(&f, &c, x, 1, 100), 0);
		turn_until(&f, &c.ended);
		execution_unref(x);
	}
	int kept = 0;
	for (int i = 0; i < 4; i++)
		kept += executions_find(f.executions, ids[i]) != NULL;
	ck_assert_int_eq(kept, _i == 0 ? 0 : 2);
	ck_assert_int_eq(executions_find(f.executions, ids[3]) != NULL, _i != 0);
	executions_set_retention(f.executions, &none);
	ck_assert_ptr_null(executions_find(f.executions, ids[3]));
	teardown(&f);
}
END_TEST

/* The disk takes nothing: memory bounds the journal, nothing is lost, and the end says so. */
START_TEST(test_disk_full)
{
	struct fixture f;
	struct client c;
	struct rlimit all, none;
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	ck_assert_int_eq(sigaction(SIGXFSZ, &ignore, NULL), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &all), 0);
	none = (struct rlimit){ 0, all.rlim_max };
	setup(&f, 8192, 0);
	struct execution *x = start(&f, "spam 300000", true);
	ck_assert_int_eq(client_start(&f, &c, x, 1, 5), 0);
	(void)setrlimit(RLIMIT_FSIZE, &none); /* of Check's own files, too */
	for (int i = 0; i < 3000; i++)
		(void)loop_turn(f.loop, false);
	(void)setrlimit(RLIMIT_FSIZE, &all);
	ck_assert_int_eq(journal_spill_error(execution_journal(x)), -EFBIG);
	ck_assert_uint_le(journal_memory(execution_journal(x)), 8192 + 4096);
	ck_assert(context_is_busy(f.context)); /* it waits for the reader */
	for (int i = 0; i < 3000 && !c.ended; i++) {
		c.appetite += 17;
		viewer_resume(&c.viewer);
		turn(&f, 2);
	}
	ck_assert(c.ended);
	ck_assert_uint_eq(c.bytes, 300000);
	ck_assert_int_eq(c.how, EXEC_OK);
	ck_assert_ptr_nonnull(strstr(execution_outcome(x)->detail, "could not be written"));
	execution_unref(x);
	teardown(&f);
}
END_TEST

START_TEST(test_live_are_bounded)
{
	struct fixture f;
	struct execution *x;
	setup(&f, 0, 0);
	for (int i = 0; i < EXECUTIONS_LIVE_MAX; i++)
		execution_unref(start(&f, "hang", i % 2));
	struct execution_ask ask = { .code = "1", .n = 1, .keep = true };
	ck_assert_int_eq(execution_start(f.executions, f.context, &ask, &x), -EBUSY);
	teardown(&f);
}
END_TEST

/* ---- warm-up ---- */

static void count_change(void *arg)
{
	++*(int *)arg;
}

START_TEST(test_warmup)
{
	struct fixture f;
	struct err err = ERR_INIT;
	bool failed;
	int changes = 0;
	setup(&f, 0, 0);
	struct warmup *w = warmup_new(f.contexts, false, count_change, &changes);
	ck_assert(warmup_is_ready(w));
	ck_assert_int_eq(warmup_start(w, "cobol", &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "cobol"));
	ck_assert_int_eq(warmup_start(w, "Python", NULL), 0);
	ck_assert_int_eq(warmup_start(w, "python", NULL), 0);
	ck_assert_int_eq(warmup_start(w, "bash", NULL), 0);
	ck_assert(!warmup_is_ready(w));
	ck_assert_str_eq(warmup_reason(w, &failed), "the python kernel is starting");
	ck_assert(!failed);
	turn(&f, 20);
	ck_assert(warmup_is_ready(w));
	ck_assert_int_eq(changes, 2);
	ck_assert_str_eq(fake_contexts_silent(f.contexts), "[python] 1 + 1\n[bash] :\n");
	ck_assert_int_eq(warmup_start(w, "java", NULL), 0);
	turn(&f, 20);
	ck_assert(!warmup_is_ready(w));
	ck_assert_ptr_nonnull(strstr(warmup_reason(w, &failed), "java kernel did not start"));
	ck_assert(failed);
	warmup_reseed(f.contexts);
	turn(&f, 20);
	ck_assert_ptr_nonnull(strstr(fake_contexts_silent(f.contexts), "seed()"));
	warmup_free(w);
	teardown(&f);
}
END_TEST

static struct warmup *start_three(struct fixture *f, int *changes)
{
	struct warmup *w = warmup_new(f->contexts, true, count_change, changes);
	ck_assert_int_eq(warmup_start(w, "python", NULL), 0);
	ck_assert_int_eq(warmup_start(w, "bash", NULL), 0);
	ck_assert_int_eq(warmup_start(w, "javascript", NULL), 0);
	return w;
}

/* A copy of a snapshot: every kernel that has answered runs what users do first. */
START_TEST(test_warmup_again)
{
	struct fixture f;
	int changes = 0;
	setup(&f, 0, 0);
	struct warmup *w = start_three(&f, &changes);
	warmup_again(w); /* none has answered */
	turn(&f, 20);
	ck_assert(warmup_is_ready(w));
	ck_assert_int_eq(changes, 3);
	const char *silent = fake_contexts_silent(f.contexts);
	ck_assert_ptr_nonnull(strstr(silent, "import matplotlib")); /* ahead, for all copies */
	ck_assert_ptr_nonnull(strstr(silent, "plt.close(f)"));	    /* and used once */
	ck_assert_ptr_nonnull(strstr(silent, "[bash] echo a line"));
	size_t before = strlen(silent);
	warmup_again(w);
	ck_assert(!warmup_is_ready(w));
	warmup_again(w); /* it is under way */
	turn(&f, 40);
	ck_assert(warmup_is_ready(w));
	ck_assert_int_eq(changes, 6);
	silent = fake_contexts_silent(f.contexts) + before;
	for (int i = 0; i < 2; i++) {
		static const char *const cells[] = { "[python] 1 + 1\n", "[python] print(",
			"[python] 1 / 0\n", "plt.close(f)", "[bash] echo a line\n" };
		for (size_t k = 0; k < 5; k++)
			ck_assert_ptr_nonnull(strstr(silent, cells[k]));
		ck_assert_ptr_null(strstr(silent, "[javascript]"));
		warmup_again(w);
		before += strlen(silent);
		turn(&f, 40);
		ck_assert(warmup_is_ready(w));
		silent = fake_contexts_silent(f.contexts) + before;
	}
	warmup_free(w);
	teardown(&f);
}
END_TEST

/* Kernels whose generators nobody can seed are others in each copy. */
START_TEST(test_warmup_renew)
{
	struct fixture f;
	int changes = 0;
	setup(&f, 0, 0);
	struct warmup *w = start_three(&f, &changes);
	turn(&f, 40);
	ck_assert(warmup_is_ready(w));
	size_t before = strlen(fake_contexts_silent(f.contexts));
	warmup_reseed(f.contexts);
	warmup_renew(w);
	ck_assert(!warmup_is_ready(w));
	turn(&f, 40);
	ck_assert(warmup_is_ready(w));
	const char *silent = fake_contexts_silent(f.contexts) + before;
	ck_assert_ptr_nonnull(strstr(silent, "[bash] RANDOM=$SRANDOM\n"));
	const char *renewed = strstr(silent, "[javascript] restarted\n");
	ck_assert(renewed && strstr(renewed, "[javascript] 1 + 1\n"));
	ck_assert_ptr_null(strstr(silent, "[python] restarted"));
	ck_assert_ptr_null(strstr(silent, "[bash] restarted"));
	before += strlen(silent);
	warmup_renew(w); /* and what warms up again does not wait for it */
	warmup_again(w);
	turn(&f, 40);
	ck_assert(warmup_is_ready(w));
	silent = fake_contexts_silent(f.contexts) + before;
	ck_assert_ptr_nonnull(strstr(silent, "[javascript] restarted\n"));
	ck_assert_ptr_nonnull(strstr(silent, "[python] print("));
	warmup_free(w);
	teardown(&f);
}
END_TEST

void add_execution_tests(Suite *s)
{
	TCase *tc = test_case(s, "execution", 30);
	tcase_add_test(tc, test_events_in_order);
	tcase_add_test(tc, test_attach_after_every_event);
	tcase_add_test(tc, test_several_followers);
	tcase_add_test(tc, test_slow_reader_is_bounded);
	tcase_add_loop_test(tc, test_more_than_the_cap, 0, 2);
	tcase_add_test(tc, test_nobody_reads_at_cap);
	tcase_add_test(tc, test_reader_leaves_at_cap);
	tcase_add_test(tc, test_interrupt);
	tcase_add_test(tc, test_abandon);
	tcase_add_loop_test(tc, test_out_of_memory_notice, 0, 3);
	tcase_add_test(tc, test_kept_are_bounded);
	tcase_add_loop_test(tc, test_retention, 0, 3);
	tcase_add_test(tc, test_disk_full);
	tcase_add_test(tc, test_live_are_bounded);
	tcase_add_test(tc, test_warmup);
	tcase_add_test(tc, test_warmup_again);
	tcase_add_test(tc, test_warmup_renew);
}
