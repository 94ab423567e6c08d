/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One client that follows an execution or a process: pulls records from its journal while the
 * client's queue takes them, and speaks up when there was nothing for a while. Callbacks come from
 * the loop, never from inside a call below; after on_end none comes.
 */
#include <stdbool.h>
#include <stdint.h>

#include "guest-kernel-agent/journal/journal.h"
#include "loop/loop.h"

#define FOLLOWER_SILENCE_MS 5000 /* where the client does not say otherwise */

enum follower_outcome {
	FOLLOWER_SENT = 0,
	FOLLOWER_SILENT = 1, /* the client heard nothing */
	FOLLOWER_MORE = 2,   /* on_more is to be called before the next record */
};

struct follower_ops {
	/* The client's queue is below its mark. */
	bool (*is_ready)(void *arg);
	/* An outcome, or -errno: the client cannot be served any more, on_end follows with it. */
	int (*on_record)(const struct journal_record *rec, void *arg);
	/* Send the next part of what FOLLOWER_MORE promised; the record's bytes are gone. As
	 * on_record; needed by who returns FOLLOWER_MORE only. */
	int (*on_more)(void *arg);
	/* A batch of records is over (optional): write what was collected. 0 or -errno. */
	int (*on_batch)(void *arg);
	/* Nothing was sent for the time of silence. 0 or -errno. */
	int (*on_silence)(void *arg);
	/* Last callback: 0 at the end of a closed journal, else what went wrong. */
	void (*on_end)(int err, void *arg);
};

struct follower {
	const struct follower_ops *ops;
	void *arg;
	struct journal_reader reader;
	struct loop_defer pull;
	struct loop_timer silence;
	unsigned silence_ms;
	bool live, more;
	bool sent; /* in this turn */
};

/* Begin with record number from (0 and 1: the first). The journal must outlive the follower.
 * 0, or -ERANGE as journal_reader_init(). */
int follower_init(struct follower *f, struct loop *l, struct journal *j, uint64_t from,
    unsigned silence_ms, const struct follower_ops *ops, void *arg);
/* Accepts zeroed memory. Not from on_record, on_more, on_batch and on_silence, which return an
 * error instead. */
void follower_fini(struct follower *f);
/* The client's queue went below its mark. */
void follower_resume(struct follower *f);
