/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Step engine: an operation is a const table of steps, run one after the other with undo in
 * reverse.
 *
 * begin returns OP_NEXT (done), OP_WAIT (exactly one completion is registered and will call
 * op_wake()) or -errno. After a failure, a limit that ran out or op_cancel(), undo of the failing
 * step and of all before it is run in reverse order; undo must accept a half-made thing, may wait
 * too, and its own failure is logged but does not change the result. The first error wins.
 *
 * Only the engine moves the cursor. A completion never runs inside the begin that started it
 * (asserted). done() is called from a fresh loop turn, once, and may free the operation. cancel, if
 * given, is called once when a WAIT is cut short, so that the step can drop its registration; a
 * completion that arrives later must be matched by op_slot() and is ignored if the slot is stale.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "loop/loop.h"

struct op;

#define OP_NEXT 0
#define OP_WAIT 1

struct op_step {
	const char *name;
	int (*begin)(struct op *op);
	int (*undo)(struct op *op);    /* may be NULL */
	void (*cancel)(struct op *op); /* may be NULL */
	unsigned limit_ms;	       /* for each WAIT of begin and of undo; never 0 */
};

struct op_table {
	const char *name;
	const struct op_step *steps;
	unsigned n;
};

struct op {
	const struct op_table *table;
	struct loop *loop;
	void *owner;		     /* what the steps work on */
	void (*done)(struct op *op); /* result in op->err.code: 0 or the first -errno */
	struct err err;
	/* engine's own */
	int at;
	bool running, waiting, undoing, finished, cancelled;
	uint32_t slot;
	uint64_t step_started_us;
	struct loop_timer limit;
	struct loop_defer defer;
};

void op_init(struct op *op, struct loop *l, const struct op_table *table, void *owner,
    void (*done)(struct op *op));
void op_fini(struct op *op); /* asserts that the operation is not in progress */
/* Begins in a later loop turn. */
void op_start(struct op *op);
/* Number of the current wait; give it to the completion, which passes it back to op_wake(). */
uint32_t op_slot(const struct op *op);
/* End the wait numbered slot with r (0 or -errno). A stale slot is ignored. */
void op_wake(struct op *op, uint32_t slot, int r);
/* As a step: remember a sentence for the error about to be returned; returns code. */
int op_fail(struct op *op, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Ask for the end: -ECANCELED unless an error came first. Undo runs. No effect when undoing. */
void op_cancel(struct op *op);
const char *op_step_name(const struct op *op);

/* Every step's name and time go here (table name, step name, undo?, microseconds, result). */
typedef void op_trace_fn(const char *table, const char *step, bool undo, uint64_t us, int r);
void op_set_trace(op_trace_fn *fn);
