/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * ReadOutput of executions and processes: a range of what one of their streams has written, out of
 * the journal, onto a call that streams ReadOutputResponse. It belongs to the call.
 */
#include <stddef.h>
#include <stdint.h>

struct call;
struct journal;
struct journal_record;
struct loop;
struct offsets;

struct reading_piece {
	uint64_t offset; /* in the stream */
	const void *p;
	size_t n;
};

struct reading_wish {
	struct journal *journal;
	const struct offsets *offsets; /* of the stream */
	uint64_t total;		       /* bytes of the stream so far */
	uint64_t offset, limit;	       /* as asked for; limit 0 = up to total */
	int stream;
	/* Does the record belong to the stream: 1 with *ret set, 0, or -errno. */
	int (*piece)(const struct journal_record *rec, int stream, struct reading_piece *ret);
	void *owner; /* of the journal and offsets: a reference, which is taken over */
	void (*unref)(void *owner);
};

void reading_begin(struct call *c, struct loop *l, const struct reading_wish *w);
/* Methods of rpc/call.h. */
void reading_on_ready(struct call *c);
void reading_on_done(struct call *c, int err);
