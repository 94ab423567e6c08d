/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Executions: a cell given to a context, and the journal that takes what it emits. Anybody may
 * follow it through a reader of the journal (journal/follower.h). Executions of the native API are
 * kept after their end, the newest EXECUTIONS_KEPT of them for an hour and within a bound of bytes,
 * so that a client that lost its connection can attach again; those of the stock HTTP API live as
 * long as their request.
 *
 * Output against a full journal: while somebody reads, the kernel waits; when nobody does, the cell
 * is interrupted and what it still writes is dropped, which its end says (EXEC_OUTPUT_LIMIT).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest-kernel-agent/jupyter/context.h"

struct execution;
struct executions;
struct journal;
struct loop;
struct notices;

#define EXECUTIONS_LIVE_MAX 1024 /* running and queued, all contexts together */
#define EXECUTIONS_KEPT 64
#define EXECUTIONS_KEPT_MS (60 * 60 * 1000ull)
#define EXECUTIONS_KEPT_BYTES (512ull * 1024 * 1024)

struct executions_conf {
	struct loop *loop;
	struct contexts *contexts;
	const struct notices *notices;
	size_t journal_memory; /* 0 = JOURNAL_MEMORY */
	uint64_t journal_cap;  /* 0 = JOURNAL_CAP */
};
struct executions *executions_new(const struct executions_conf *c);
/* The contexts are gone already: no execution will end any more. */
struct executions *executions_free(struct executions *xs);

/* Queue code in c. keep: followers may come later. 0 and a reference, -EBUSY (too many), or
 * -ENOMEM. */
int execution_start(struct executions *xs, struct context *c, const char *code, size_t n,
    const char *const *env, bool keep, struct execution **ret);
struct execution *execution_ref(struct execution *x);
struct execution *execution_unref(struct execution *x);
/* Borrowed, or NULL. */
struct execution *executions_find(const struct executions *xs, const char *id);
/* The one that has the kernel of c, borrowed, or NULL. */
struct execution *executions_running_in(const struct executions *xs, const struct context *c);

const char *execution_id(const struct execution *x);
struct journal *execution_journal(const struct execution *x);
/* False when it has ended already. how: EXEC_INTERRUPTED or EXEC_DEADLINE. */
bool execution_interrupt(struct execution *x, enum exec_end how);
/* Interrupt it with EXEC_DEADLINE unless it has ended by then, whoever follows it. */
void execution_set_deadline(struct execution *x, uint64_t ms);
/* Interrupt, and drop what it still writes: its only reader is gone. */
void execution_abandon(struct execution *x);
