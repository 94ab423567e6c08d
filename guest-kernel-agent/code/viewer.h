/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One client that watches an execution: the events of its journal, from the one that the client
 * wants, its output capped when the client wants that.
 *
 * Under a cap the journal is read from its start, so that the client sees the same from any event
 * on. What was kept of the output comes before the end event, without a number.
 */
#include <stdbool.h>
#include <stdint.h>

#include "guest-kernel-agent/code/event.h"
#include "guest-kernel-agent/journal/capped.h"
#include "guest-kernel-agent/journal/follower.h"

struct execution;
struct loop;

/* What the client wants. */
struct viewer_wish {
	uint64_t from;	    /* first event; 0 and 1: from the start */
	uint64_t max_bytes; /* economy_is_cap() */
};

struct viewer_ops { /* as in struct follower_ops */
	bool (*is_ready)(void *arg);
	int (*on_event)(struct event *ev, void *arg);
	int (*on_batch)(void *arg); /* optional */
	int (*on_silence)(void *arg);
	void (*on_end)(int err, void *arg);
};

struct viewer {
	const struct viewer_ops *ops;
	void *arg;
	struct execution *execution; /* a reference, also after on_end */
	struct follower follower;
	struct viewer_wish wish;
	struct capped capped;
	struct event end; /* waits until what was kept is told */
	char *detail;	  /* its */
};

/* 0, or -ERANGE as journal_reader_init(). */
int viewer_init(struct viewer *v, struct loop *l, struct execution *x,
    const struct viewer_wish *wish, const struct viewer_ops *ops, void *arg);
/* As follower_fini(). */
void viewer_fini(struct viewer *v);
/* on_end is still to come. */
static inline bool viewer_is_live(const struct viewer *v)
{
	return v->follower.live;
}
static inline void viewer_resume(struct viewer *v)
{
	follower_resume(&v->follower);
}
