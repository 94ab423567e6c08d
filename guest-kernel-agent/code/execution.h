/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Executions: a cell given to a context, and the journal that takes what it emits. Anybody may
 * follow it through a reader of the journal (viewer.h). Those with keep stay after their end, the
 * newest of them for a while and within a bound of bytes (struct retention), so that a client that
 * lost its connection can attach again and anybody can ask for the outcome; others live as long as
 * their request.
 *
 * Output against a full journal: while somebody reads, the kernel waits; when nobody does, the cell
 * is interrupted and what it still writes is dropped, which its end says (EXEC_OUTPUT_LIMIT).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest-kernel-agent/code/event.h"
#include "guest-kernel-agent/jupyter/context.h"

struct execution;
struct executions;
struct journal;
struct loop;
struct notices;
struct offsets;
struct outcome;

#define EXECUTIONS_LIVE_MAX 1024 /* running and queued, all contexts together */
#define EXECUTION_ID_MAX 37	 /* with the terminator */

/* How long executions are kept after their end. */
struct retention {
	uint64_t count;
	uint64_t ms;
	uint64_t bytes; /* of all their journals */
};
#define RETENTION_DEFAULT                                                           \
	{                                                                           \
		.count = 64, .ms = 60 * 60 * 1000ull, .bytes = 512ull * 1024 * 1024 \
	}

struct executions_conf {
	struct loop *loop;
	struct contexts *contexts;
	const struct notices *notices; /* NULL: a kernel's end is told with its reason */
	size_t journal_memory;	       /* 0 = JOURNAL_MEMORY */
	uint64_t journal_cap;	       /* 0 = JOURNAL_CAP */
};
struct executions *executions_new(const struct executions_conf *c);
/* The contexts are gone already: no execution will end any more. */
struct executions *executions_free(struct executions *xs);

void executions_set_retention(struct executions *xs, const struct retention *r);

struct execution_ask {
	const char *code;
	size_t n;
	const char *const *env; /* name, value, ..., NULL; NULL = none */
	bool keep;		/* followers may come later */
	const char *id;		/* with keep: execution_id_ok(); NULL or "" = a new one */
};
/* May a caller choose this id? */
bool execution_id_ok(const char *id);
/* Queue code in c. 0 and a reference, -EEXIST (the id is in use), -EBUSY (too many), or -ENOMEM. */
int execution_start(struct executions *xs, struct context *c, const struct execution_ask *ask,
    struct execution **ret);
struct execution *execution_ref(struct execution *x);
struct execution *execution_unref(struct execution *x);
/* Borrowed, or NULL. */
struct execution *executions_find(const struct executions *xs, const char *id);
/* The one that has the kernel of c, borrowed, or NULL. */
struct execution *executions_running_in(const struct executions *xs, const struct context *c);

const char *execution_id(const struct execution *x);
/* Was it started with this code? Known of those whose id was chosen. */
bool execution_has_code(const struct execution *x, const char *code, size_t n);
struct journal *execution_journal(const struct execution *x);
const struct outcome *execution_outcome(const struct execution *x);
const char *execution_context_id(const struct execution *x);
/* Where the bytes of its stdout or stderr lie in the journal. */
const struct offsets *execution_offsets(const struct execution *x, enum output o);
/* False when it has ended already. how: EXEC_INTERRUPTED or EXEC_DEADLINE. */
bool execution_interrupt(struct execution *x, enum exec_end how);
/* Interrupt it with EXEC_DEADLINE unless it has ended by then, whoever follows it. */
void execution_set_deadline(struct execution *x, uint64_t ms);
/* Interrupt, and drop what it still writes: its only reader is gone. */
void execution_abandon(struct execution *x);
