/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A native stream is the journal from an event on, as it is. Under a cap it is read from its start,
 * whatever event the client wants first: what is left out follows from the output alone, so that
 * the client gets the same after a disconnect. What was kept of the output comes before the end.
 */
#include "guest-kernel-agent/process/native_rpc.h"

#include <errno.h>

#include "base/err.h"
#include "base/mem.h"
#include "guest-kernel-agent/journal/capped.h"
#include "guest-kernel-agent/journal/follower.h"
#include "guest-kernel-agent/process/native_event.h"
#include "guest-kernel-agent/process/process.h"
#include "guest-kernel-agent/process/request.h"
#include "guest-kernel-agent/process/service.h"
#include "guest-kernel-agent/system/reply.h"
#include "loop/loop.h"
#include "rpc/call.h"

struct native {
	struct process_service *service;
	struct call *call;
	bool starting;
	struct process *process; /* a reference */
	uint64_t from, max_bytes;
	struct follower follower;
	struct capped capped;
	struct process_event end; /* waits until what was kept is told */
};

static int tell(struct native *n, const struct process_event *ev)
{
	if (ev->seq && ev->seq < n->from)
		return FOLLOWER_SILENT;
	int r = native_event_send(n->call, n->process, ev);
	return r < 0 ? r : FOLLOWER_SENT;
}

/* ---- under a cap ---- */

/* A terminal is one stream, which takes the place of the first. */
static enum process_event_type stream_type(const struct native *n, unsigned stream)
{
	if (stream == 1)
		return PROCESS_EVENT_STDERR;
	return process_offsets(n->process, PROCESS_EVENT_PTY) ? PROCESS_EVENT_PTY
							      : PROCESS_EVENT_STDOUT;
}

static int tell_head(struct native *n, struct process_event *ev)
{
	struct capped_text t = { .stream = ev->type == PROCESS_EVENT_STDERR,
		.offset = ev->output.offset,
		.text = ev->output.p,
		.n = ev->output.n };
	int r = capped_take(&n->capped, &t);
	if (r < 0)
		return r;
	ev->output.p = t.text;
	ev->output.n = (size_t)t.n;
	return t.n > 0 ? tell(n, ev) : FOLLOWER_SILENT;
}

static int on_more(void *arg)
{
	struct native *n = arg;
	struct capped_text t;
	int part = capped_next(&n->capped, &t), r;
	if (part < 0)
		return part;
	if (part == CAPPED_NOTHING)
		return tell(n, &n->end);
	if (part == CAPPED_OMITTED) {
		r = native_event_send_omitted(
		    n->call, n->end.time_ns, stream_type(n, t.stream), t.offset, t.n);
	} else {
		struct process_event ev = { .type = stream_type(n, t.stream),
			.time_ns = n->end.time_ns };
		ev.output.offset = t.offset;
		ev.output.p = t.text;
		ev.output.n = (size_t)t.n;
		r = tell(n, &ev);
	}
	return r < 0 ? r : FOLLOWER_MORE;
}

static int tell_capped(struct native *n, struct process_event *ev)
{
	if (ev->type == PROCESS_EVENT_STARTED)
		return tell(n, ev);
	if (ev->type != PROCESS_EVENT_END)
		return tell_head(n, ev);
	if (ev->seq < n->from)
		return FOLLOWER_SILENT; /* who has seen the end has seen what comes before it */
	n->end = *ev;
	return FOLLOWER_MORE;
}

/* ---- following ---- */

static bool is_ready(void *arg)
{
	const struct native *n = arg;
	return call_is_ready(n->call);
}

static int on_record(const struct journal_record *rec, void *arg)
{
	struct native *n = arg;
	struct process_event ev;
	int r = process_event_decode(rec, &ev);
	if (r < 0)
		return r;
	return n->max_bytes ? tell_capped(n, &ev) : tell(n, &ev);
}

static int on_silence(void *arg)
{
	const struct native *n = arg;
	return native_event_send_heartbeat(n->call);
}

static void on_follow_end(int err, void *arg)
{
	struct native *n = arg;
	if (err < 0)
		call_finish(
		    n->call, RPC_DATA_LOSS, "the journal cannot be read: %s", err_name(err));
	else
		call_finish(n->call, RPC_OK, NULL);
}

static const struct follower_ops follow_ops = {
	.is_ready = is_ready,
	.on_record = on_record,
	.on_more = on_more,
	.on_silence = on_silence,
	.on_end = on_follow_end,
};

static int follow_from(struct native *n, uint64_t from)
{
	return follower_init(&n->follower, n->service->loop, process_journal(n->process), from,
	    FOLLOWER_SILENCE_MS, &follow_ops, n);
}

static void follow(struct native *n)
{
	struct journal *j = process_journal(n->process);
	/* Under a cap, too, the client's place must be one that the journal holds. */
	int r = follow_from(n, n->from);
	if (r == 0 && n->max_bytes) {
		follower_fini(&n->follower);
		r = follow_from(n, journal_first(j));
	}
	if (r == 0)
		r = call_send_head(n->call);
	if (r == -ERANGE)
		call_finish(n->call, RPC_OUT_OF_RANGE,
		    "from_seq: the journal of this process holds %llu to %llu",
		    (unsigned long long)journal_first(j), (unsigned long long)journal_last(j));
	else if (r < 0)
		reply_no_memory(n->call);
}

void native_rpc_on_ready(struct call *c)
{
	struct native *n = call_user(c);
	if (n)
		follower_resume(&n->follower);
}

void native_rpc_on_done(struct call *c, int err)
{
	struct native *n = call_user(c);
	if (!n)
		return;
	if (n->starting && n->process)
		process_forget_starter(n->process);
	follower_fini(&n->follower);
	capped_fini(&n->capped);
	process_unref(n->process);
	mem_free(n);
}

/* NULL: the call is finished. */
static struct native *native_new(struct call *c, uint64_t from, uint64_t max_bytes)
{
	if (!economy_is_cap(max_bytes)) {
		call_finish(c, RPC_INVALID_ARGUMENT, "max_bytes: expected 0 (all) or at least %u",
		    ECONOMY_MIN);
		return NULL;
	}
	struct native *n = mem_zalloc(sizeof(*n));
	if (!n) {
		reply_no_memory(c);
		return NULL;
	}
	n->service = call_service_arg(c);
	n->call = c;
	n->from = from;
	n->max_bytes = max_bytes;
	capped_init(&n->capped, max_bytes);
	call_set_user(c, n);
	return n;
}

/* ---- methods ---- */

static void on_started(struct process *p, int stage, int error, void *arg)
{
	struct native *n = arg;
	n->starting = false;
	if (stage)
		process_request_refuse(n->call, p, stage, error);
	else
		follow(n);
}

void native_rpc_on_start(struct call *c, const ProtobufCMessage *m)
{
	const Sandglass__V1__StartProcessRequest *q = (const Sandglass__V1__StartProcessRequest *)m;
	struct native *n = native_new(c, 1, q->max_bytes);
	if (!n)
		return;
	struct process_wish w = { .config = q->process,
		.pty = q->pty,
		.tag = q->tag,
		.stdin_open = q->stdin,
		.output_max = q->output_limit,
		.limit_ms = q->timeout_ms,
		.on_started = on_started,
		.arg = n };
	n->starting = true;
	n->process = process_request_start(c, &w);
}

void native_rpc_on_attach(struct call *c, const ProtobufCMessage *m)
{
	const Sandglass__V1__AttachProcessRequest *q =
	    (const Sandglass__V1__AttachProcessRequest *)m;
	struct process *p = process_request_find_ref(c, q->process);
	struct native *n = p ? native_new(c, q->from_seq, q->max_bytes) : NULL;
	if (!n)
		return;
	n->process = process_ref(p);
	follow(n);
}
