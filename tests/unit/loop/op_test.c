/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The step engine under every schedule: step i x {refuses at once, fails later, times out, is
 * cancelled, completes twice}, each with undo that answers at once or later. After each run the
 * ledger of what was taken and not returned must be empty and the first error must be told.
 */
#include "loop/op.h"

#include <errno.h>
#include <string.h>

#include "loop_tests.h"

#define STEPS 4

enum trouble { NONE, REFUSE, FAIL_LATER, TIME_OUT, CANCEL, CANCEL_INSIDE, TWICE, TROUBLES };

struct world {
	struct loop *loop;
	struct op op;
	enum trouble trouble;
	int at; /* step with the trouble */
	bool waits, undo_waits;
	bool held[STEPS]; /* the ledger */
	int cancels, dones;
	struct loop_timer later[STEPS];
	int later_r[STEPS];
	uint32_t later_slot[STEPS];
	struct loop_timer canceller;
};

static struct world *world_of(struct op *op)
{
	return op->owner;
}

static void on_later(struct loop_timer *t, void *arg)
{
	struct world *w = arg;
	int i = (int)(t - w->later);
	op_wake(&w->op, w->later_slot[i], w->later_r[i]);
	if (w->trouble == TWICE && i == w->at)
		op_wake(&w->op, w->later_slot[i], -EIO); /* must be ignored */
}

static int answer_later(struct world *w, int i, int r)
{
	w->later_r[i] = r;
	w->later_slot[i] = op_slot(&w->op);
	loop_timer_set(&w->later[i], 1);
	return OP_WAIT;
}

static int begin(struct op *op)
{
	struct world *w = world_of(op);
	int i = op->at;
	bool mine = i == w->at;
	if (mine && w->trouble == REFUSE)
		return op_fail(op, -EACCES, "step %d refused", i);
	w->held[i] = true; /* taken already when it fails later: undo must accept that */
	if (mine && w->trouble == CANCEL_INSIDE)
		op_cancel(op);
	if (mine && w->trouble == FAIL_LATER)
		return answer_later(w, i, -EIO);
	if (mine && w->trouble == TIME_OUT)
		return OP_WAIT;
	if (mine && w->trouble == CANCEL) {
		loop_timer_set(&w->canceller, 1);
		return OP_WAIT;
	}
	return w->waits || (mine && w->trouble == TWICE) ? answer_later(w, i, 0) : OP_NEXT;
}

static int undo(struct op *op)
{
	struct world *w = world_of(op);
	w->held[op->at] = false;
	return w->undo_waits ? answer_later(w, op->at, 0) : OP_NEXT;
}

static void cancel(struct op *op)
{
	struct world *w = world_of(op);
	w->cancels++;
	loop_timer_cancel(&w->later[op->at]);
}

static const struct op_step steps[STEPS] = {
	{ "one", begin, undo, cancel, 20 },
	{ "two", begin, undo, cancel, 20 },
	{ "three", begin, undo, cancel, 20 },
	{ "four", begin, undo, cancel, 20 },
};
static const struct op_table table = { "test", steps, STEPS };

static void on_done(struct op *op)
{
	struct world *w = world_of(op);
	ck_assert(!op->running && !op->waiting);
	w->dones++;
	loop_stop(w->loop);
}

static void on_canceller(struct loop_timer *t, void *arg)
{
	op_cancel(&((struct world *)arg)->op);
}

static int expected_code(const struct world *w)
{
	static const int codes[TROUBLES] = {
		[REFUSE] = -EACCES,
		[FAIL_LATER] = -EIO,
		[TIME_OUT] = -ETIMEDOUT,
		[CANCEL] = -ECANCELED,
		[CANCEL_INSIDE] = -ECANCELED,
	};
	return codes[w->trouble];
}

static void check_result(const struct world *w)
{
	bool ok = w->trouble == NONE || w->trouble == TWICE;
	ck_assert_int_eq(w->dones, 1);
	ck_assert_int_eq(w->op.err.code, expected_code(w));
	for (int i = 0; i < STEPS; i++)
		ck_assert_int_eq(w->held[i], ok);
	if (w->trouble == REFUSE)
		ck_assert_ptr_nonnull(strstr(w->op.err.text, "refused"));
	else if (!ok)
		ck_assert_str_ne(w->op.err.text, "");
}

static void run_schedule(enum trouble trouble, int at, bool waits, bool undo_waits)
{
	struct world w = { .loop = loop_new(),
		.trouble = trouble,
		.at = at,
		.waits = waits,
		.undo_waits = undo_waits };
	for (int i = 0; i < STEPS; i++)
		loop_timer_init(&w.later[i], w.loop, on_later, &w);
	loop_timer_init(&w.canceller, w.loop, on_canceller, &w);
	op_init(&w.op, w.loop, &table, &w, on_done);
	op_start(&w.op);
	ck_assert_int_eq(loop_run(w.loop), 0);
	check_result(&w);
	op_fini(&w.op);
	for (int i = 0; i < STEPS; i++)
		loop_timer_fini(&w.later[i]);
	loop_timer_fini(&w.canceller);
	(void)loop_free(w.loop);
}

START_TEST(sweep)
{
	int trouble = _i / 4;
	for (int at = 0; at < STEPS; at++)
		run_schedule((enum trouble)trouble, at, _i & 1, _i & 2);
}
END_TEST

START_TEST(cancel_before_the_first_step)
{
	struct world w = { .loop = loop_new(), .at = -1 };
	op_init(&w.op, w.loop, &table, &w, on_done);
	op_start(&w.op);
	op_cancel(&w.op);
	ck_assert_int_eq(w.dones, 0); /* never from inside the call */
	ck_assert_int_eq(loop_run(w.loop), 0);
	ck_assert_int_eq(w.op.err.code, -ECANCELED);
	ck_assert(!w.held[0]);
	op_fini(&w.op);
	(void)loop_free(w.loop);
}
END_TEST

void op_tests(Suite *s)
{
	TCase *tc = test_case(s, "op", 30);
	tcase_add_loop_test(tc, sweep, 0, TROUBLES * 4);
	tcase_add_test(tc, cancel_before_the_first_step);
}
