/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cursor "at" moves up while begin functions succeed and down while undo functions run; the
 * operation is over when it leaves the table at either end. Only settle() moves it.
 *
 * Slots: every wait gets a new number. A completion that carries an old one found its wait already
 * ended (by the limit, a cancel, or an earlier completion) and is dropped.
 */
#include "loop/op.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"

static op_trace_fn *trace_fn;

void op_set_trace(op_trace_fn *fn)
{
	trace_fn = fn;
}

const char *op_step_name(const struct op *op)
{
	return op->at >= 0 && (unsigned)op->at < op->table->n ? op->table->steps[op->at].name : "";
}

static void finish(struct op *op)
{
	op->finished = true;
	loop_defer_set(&op->defer);
}

/* Record the end of the step under the cursor and move on. */
static void settle(struct op *op, int r)
{
	if (trace_fn)
		trace_fn(op->table->name, op_step_name(op), op->undoing,
		    clock_mono_us() - op->step_started_us, r);
	if (op->undoing) {
		if (r < 0)
			log_warn("%s: undo of %s failed: %s", op->table->name, op_step_name(op),
			    err_name(r));
		op->at--;
	} else if (r < 0) {
		(void)err_set(&op->err, r, "%s: %s failed: %s", op->table->name, op_step_name(op),
		    err_name(r));
		op->undoing = true; /* the same row again, this time its undo */
	} else if (op->cancelled) {
		(void)err_set(&op->err, -ECANCELED, "%s was cancelled", op->table->name);
		op->undoing = true;
	} else {
		op->at++;
	}
}

static void cut_wait(struct op *op);

static void run(struct op *op)
{
	while (op->at >= 0 && (unsigned)op->at < op->table->n) {
		const struct op_step *s = &op->table->steps[op->at];
		int (*fn)(struct op *) = op->undoing ? s->undo : s->begin;
		op->step_started_us = clock_mono_us();
		op->slot++;
		op->running = true;
		int r = fn ? fn(op) : OP_NEXT;
		op->running = false;
		if (r == OP_WAIT) {
			assert(s->limit_ms > 0);
			op->waiting = true;
			loop_timer_set(&op->limit, s->limit_ms);
			if (!op->cancelled || op->undoing)
				return;
			cut_wait(op); /* the step itself asked for the end */
			r = -ECANCELED;
			(void)err_set(&op->err, r, "%s was cancelled", op->table->name);
		}
		settle(op, r);
	}
	finish(op);
}

/* End the current wait from our side; the step drops its registration. */
static void cut_wait(struct op *op)
{
	const struct op_step *s = &op->table->steps[op->at];
	loop_timer_cancel(&op->limit);
	op->waiting = false;
	op->slot++;
	if (s->cancel)
		s->cancel(op);
}

static void on_limit(struct loop_timer *t, void *arg)
{
	struct op *op = arg;
	cut_wait(op);
	if (!op->undoing)
		(void)err_set(&op->err, -ETIMEDOUT, "%s: %s took longer than %u ms",
		    op->table->name, op_step_name(op), op->table->steps[op->at].limit_ms);
	settle(op, -ETIMEDOUT);
	run(op);
}

static void on_defer(struct loop_defer *d, void *arg)
{
	struct op *op = arg;
	if (op->finished) {
		op->finished = false;
		op->at = -1;
		op->undoing = false;
		op->done(op);
	} else if (op->cancelled) {
		(void)err_set(&op->err, -ECANCELED, "%s was cancelled", op->table->name);
		op->at = -1;
		finish(op);
	} else {
		run(op);
	}
}

void op_init(struct op *op, struct loop *l, const struct op_table *table, void *owner,
    void (*done)(struct op *op))
{
	*op = (struct op){ .table = table, .loop = l, .owner = owner, .done = done, .at = -1 };
	loop_timer_init(&op->limit, l, on_limit, op);
	loop_defer_init(&op->defer, l, on_defer, op);
}

void op_fini(struct op *op)
{
	assert(op->at < 0 && !op->running && !op->waiting && !op->finished);
	loop_timer_fini(&op->limit);
	loop_defer_fini(&op->defer);
}

void op_start(struct op *op)
{
	assert(op->at < 0 && !op->finished);
	err_reset(&op->err);
	op->at = 0;
	op->undoing = op->cancelled = false;
	loop_defer_set(&op->defer);
}

uint32_t op_slot(const struct op *op)
{
	return op->slot;
}

void op_wake(struct op *op, uint32_t slot, int r)
{
	if (slot != op->slot || !op->waiting) {
		assert(!(op->running && slot == op->slot)); /* a completion inside its own begin */
		return;
	}
	loop_timer_cancel(&op->limit);
	op->waiting = false;
	settle(op, r);
	run(op);
}

int op_fail(struct op *op, int code, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(&op->err, code, "%s", text);
}

void op_cancel(struct op *op)
{
	if (op->at < 0 || op->undoing || op->finished || op->cancelled)
		return;
	op->cancelled = true;
	if (!op->waiting)
		return; /* seen when the step returns, or before the first one */
	cut_wait(op);
	(void)err_set(&op->err, -ECANCELED, "%s was cancelled", op->table->name);
	settle(op, -ECANCELED);
	run(op);
}
