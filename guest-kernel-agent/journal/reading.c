/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/journal/reading.h"

#include <errno.h>

#include "base/err.h"
#include "base/mem.h"
#include "guest-kernel-agent/journal/journal.h"
#include "guest-kernel-agent/journal/offsets.h"
#include "guest-kernel-agent/system/reply.h"
#include "loop/loop.h"
#include "rpc/call.h"
#include "sandglass/v1/code_interpreter.pb-c.h"

#define BYTES_PER_TURN (1024 * 1024) /* read at most, so that others get their turn */

struct reading {
	struct call *call;
	struct reading_wish wish;
	struct journal_reader reader;
	struct loop_defer pull;
	uint64_t at, end; /* what is still to be sent */
};

static void reading_free(struct reading *r)
{
	journal_reader_fini(&r->reader);
	loop_defer_fini(&r->pull);
	r->wish.unref(r->wish.owner);
	mem_free(r);
}

static int send_part(struct reading *r, const struct reading_piece *piece)
{
	Sandglass__V1__ReadOutputResponse m = SANDGLASS__V1__READ_OUTPUT_RESPONSE__INIT;
	uint64_t skip = r->at - piece->offset;
	uint64_t n = piece->n - skip;
	m.offset = r->at;
	m.data.data = (uint8_t *)piece->p + skip;
	m.data.len = (size_t)(n < r->end - r->at ? n : r->end - r->at);
	r->at += m.data.len;
	return call_send(r->call, &m.base);
}

static void finish_dropped(struct reading *r, uint64_t held)
{
	call_finish(r->call, RPC_OUT_OF_RANGE,
	    "offset: byte %llu of this output was dropped from the journal; it holds those from "
	    "%llu on",
	    (unsigned long long)r->at, (unsigned long long)held);
}

/* False when the call is finished. */
static bool take_output(struct reading *r, const struct reading_piece *piece)
{
	if (piece->offset + piece->n <= r->at)
		return true;
	if (piece->offset > r->at) {
		finish_dropped(r, piece->offset);
		return false;
	}
	if (send_part(r, piece) < 0) {
		reply_no_memory(r->call);
		return false;
	}
	if (r->at < r->end)
		return true;
	call_finish(r->call, RPC_OK, NULL);
	return false;
}

/* The same with the journal's next record; *bytes grows by what it cost. */
static bool take_next(struct reading *r, size_t *bytes)
{
	struct journal_record rec;
	struct reading_piece piece;
	int e = journal_read(&r->reader, &rec);
	if (e == JOURNAL_RECORD) {
		*bytes += rec.n;
		e = r->wish.piece(&rec, r->wish.stream, &piece);
		if (e >= 0)
			return e == 0 || take_output(r, &piece);
	}
	if (e == -ERANGE)
		call_finish(r->call, RPC_OUT_OF_RANGE,
		    "offset: byte %llu of this output was dropped while it was read",
		    (unsigned long long)r->at);
	else if (e < 0)
		call_finish(r->call, RPC_DATA_LOSS, "the journal cannot be read: %s", err_name(e));
	else
		call_finish(r->call, RPC_DATA_LOSS, "the journal ends before its output");
	return false;
}

static void on_pull(struct loop_defer *d, void *arg)
{
	struct reading *r = arg;
	size_t bytes = 0;
	while (call_is_ready(r->call) && bytes < BYTES_PER_TURN)
		if (!take_next(r, &bytes))
			return;
	if (bytes >= BYTES_PER_TURN)
		loop_defer_set(&r->pull);
}

static void on_more(void *arg)
{
}

/* As near before the first byte as is known. */
static int place_reader(struct reading *r)
{
	struct journal *j = r->wish.journal;
	uint64_t seq = offsets_find(r->wish.offsets, r->at);
	if (seq < journal_first(j))
		seq = journal_first(j);
	return journal_peeker_init(&r->reader, j, seq, on_more, r);
}

static bool begin(struct reading *r, struct loop *l, uint64_t limit)
{
	r->end = limit && limit < r->wish.total - r->at ? r->at + limit : r->wish.total;
	call_set_user(r->call, r);
	loop_defer_init(&r->pull, l, on_pull, r);
	if (r->at == r->end)
		call_finish(r->call, RPC_OK, NULL);
	else if (call_send_head(r->call) < 0 || place_reader(r) < 0)
		return false;
	else
		loop_defer_set(&r->pull);
	return true;
}

void reading_begin(struct call *c, struct loop *l, const struct reading_wish *w)
{
	struct reading *r = w->offset <= w->total ? mem_zalloc(sizeof(*r)) : NULL;
	if (w->offset > w->total)
		call_finish(c, RPC_OUT_OF_RANGE,
		    "offset: expected at most %llu, what was written so far",
		    (unsigned long long)w->total);
	if (!r) {
		w->unref(w->owner);
		reply_no_memory(c); /* the first status wins */
		return;
	}
	r->call = c;
	r->wish = *w;
	r->at = w->offset;
	if (!begin(r, l, w->limit))
		reply_no_memory(c);
}

void reading_on_ready(struct call *c)
{
	struct reading *r = call_user(c);
	if (r && r->at < r->end)
		loop_defer_set(&r->pull);
}

void reading_on_done(struct call *c, int err)
{
	struct reading *r = call_user(c);
	if (r)
		reading_free(r);
}
