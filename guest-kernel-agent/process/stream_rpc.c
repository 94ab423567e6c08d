/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream begins with the start event, whatever of the journal follows. The process belongs to no
 * stream: it goes on when its client leaves, until its deadline, which is that of Start.
 */
#include "guest-kernel-agent/process/stream_rpc.h"

#include <errno.h>
#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/journal/follower.h"
#include "guest-kernel-agent/process/process.h"
#include "guest-kernel-agent/process/request.h"
#include "guest-kernel-agent/process/service.h"
#include "guest-kernel-agent/system/reply.h"
#include "loop/loop.h"
#include "process/process.pb-c.h"

#define KEEPALIVE_S 90
#define KEEPALIVE_MAX_S 3600

typedef Process__ProcessEvent Event;

struct stream {
	struct process_service *service;
	struct call *call;
	bool is_start, starting;
	struct process *process; /* a reference */
	struct follower follower;
};

/* ---- events ---- */

static int send_event(struct stream *s, Event *ev)
{
	Process__StartResponse started = PROCESS__START_RESPONSE__INIT;
	Process__ConnectResponse connected = PROCESS__CONNECT_RESPONSE__INIT;
	started.event = connected.event = ev;
	return call_send(s->call, s->is_start ? &started.base : &connected.base);
}

static int send_started(struct stream *s)
{
	Event ev = PROCESS__PROCESS_EVENT__INIT;
	Process__ProcessEvent__StartEvent start = PROCESS__PROCESS_EVENT__START_EVENT__INIT;
	start.pid = (uint32_t)process_pid(s->process);
	ev.event_case = PROCESS__PROCESS_EVENT__EVENT_START;
	ev.start = &start;
	return send_event(s, &ev);
}

static int send_output(struct stream *s, const struct process_event *pe)
{
	Event ev = PROCESS__PROCESS_EVENT__INIT;
	Process__ProcessEvent__DataEvent data;
	ProtobufCBinaryData bytes = { pe->output.n, (uint8_t *)pe->output.p };
	process__process_event__data_event__init(&data);
	if (pe->type == PROCESS_EVENT_STDERR) {
		data.output_case = PROCESS__PROCESS_EVENT__DATA_EVENT__OUTPUT_STDERR;
		data.stderr = bytes;
	} else if (pe->type == PROCESS_EVENT_PTY) {
		data.output_case = PROCESS__PROCESS_EVENT__DATA_EVENT__OUTPUT_PTY;
		data.pty = bytes;
	} else {
		data.output_case = PROCESS__PROCESS_EVENT__DATA_EVENT__OUTPUT_STDOUT;
		data.stdout = bytes;
	}
	ev.event_case = PROCESS__PROCESS_EVENT__EVENT_DATA;
	ev.data = &data;
	return send_event(s, &ev);
}

static int send_end(struct stream *s, const struct process_event *pe)
{
	Event ev = PROCESS__PROCESS_EVENT__INIT;
	Process__ProcessEvent__EndEvent end = PROCESS__PROCESS_EVENT__END_EVENT__INIT;
	char text[PROCESS_STATUS_TEXT_MAX];
	end.exit_code = process_exit_code(pe->end.wait_status);
	end.exited = end.exit_code >= 0;
	end.status = process_status_text(pe->end.wait_status, text);
	if (end.exit_code != 0)
		end.error = end.status;
	ev.event_case = PROCESS__PROCESS_EVENT__EVENT_END;
	ev.end = &end;
	return send_event(s, &ev);
}

/* ---- following ---- */

static bool is_ready(void *arg)
{
	const struct stream *s = arg;
	return call_is_ready(s->call);
}

static int on_record(const struct journal_record *rec, void *arg)
{
	struct stream *s = arg;
	struct process_event pe;
	int r = process_event_decode(rec, &pe);
	if (r < 0 || pe.type == PROCESS_EVENT_STARTED)
		return r; /* it was sent first of all */
	return pe.type == PROCESS_EVENT_END ? send_end(s, &pe) : send_output(s, &pe);
}

static int on_silence(void *arg)
{
	Event ev = PROCESS__PROCESS_EVENT__INIT;
	Process__ProcessEvent__KeepAlive alive = PROCESS__PROCESS_EVENT__KEEP_ALIVE__INIT;
	ev.event_case = PROCESS__PROCESS_EVENT__EVENT_KEEPALIVE;
	ev.keepalive = &alive;
	return send_event(arg, &ev);
}

static void on_follow_end(int err, void *arg)
{
	struct stream *s = arg;
	if (err < 0)
		call_finish(
		    s->call, RPC_DATA_LOSS, "the journal cannot be read: %s", err_name(err));
	else
		call_finish(s->call, RPC_OK, NULL);
}

static const struct follower_ops follow_ops = {
	.is_ready = is_ready,
	.on_record = on_record,
	.on_silence = on_silence,
	.on_end = on_follow_end,
};

static unsigned keepalive_ms(const struct call *c)
{
	const char *text = call_header(c, "keepalive-ping-interval");
	uint64_t s;
	if (!text || str_u64(text, KEEPALIVE_MAX_S, &s) < 0 || s == 0)
		s = KEEPALIVE_S;
	return (unsigned)s * 1000;
}

static void follow(struct stream *s, uint64_t from)
{
	struct journal *j = process_journal(s->process);
	char number[24];
	int r = follower_init(
	    &s->follower, s->service->loop, j, from, keepalive_ms(s->call), &follow_ops, s);
	if (r == -ERANGE) {
		call_finish(s->call, RPC_OUT_OF_RANGE,
		    "Sandglass-From-Seq: the journal of this process holds %llu to %llu",
		    (unsigned long long)journal_first(j), (unsigned long long)journal_last(j));
		return;
	}
	(void)snprintf(number, sizeof(number), "%llu", (unsigned long long)(from > 1 ? from : 2));
	if (r == 0)
		r = call_add_header(s->call, "sandglass-seq", number);
	if (r == 0)
		r = send_started(s);
	if (r < 0)
		reply_no_memory(s->call);
}

void stream_rpc_on_ready(struct call *c)
{
	struct stream *s = call_user(c);
	if (s)
		follower_resume(&s->follower);
}

void stream_rpc_on_done(struct call *c, int err)
{
	struct stream *s = call_user(c);
	if (!s)
		return;
	if (s->starting && s->process)
		process_forget_starter(s->process);
	follower_fini(&s->follower);
	process_unref(s->process);
	mem_free(s);
}

static struct stream *stream_new(struct call *c, bool is_start)
{
	struct stream *s = mem_zalloc(sizeof(*s));
	if (!s) {
		reply_no_memory(c);
		return NULL;
	}
	s->service = call_service_arg(c);
	s->call = c;
	s->is_start = is_start;
	call_set_user(c, s);
	return s;
}

/* ---- Start ---- */

static void on_started(struct process *p, int stage, int error, void *arg)
{
	struct stream *s = arg;
	s->starting = false;
	if (stage)
		process_request_refuse(s->call, p, stage, error);
	else
		follow(s, 1);
}

void stream_rpc_on_start(struct call *c, const ProtobufCMessage *m)
{
	const Process__StartRequest *q = (const Process__StartRequest *)m;
	struct stream *s = stream_new(c, true);
	if (!s)
		return;
	struct process_wish w = { .config = q->process,
		.pty = q->pty,
		.tag = q->tag,
		.stdin_open =
		    q->stdin_choice_case == PROCESS__START_REQUEST__STDIN_CHOICE__NOT_SET ||
		    q->stdin,
		.on_started = on_started,
		.arg = s };
	s->starting = true;
	s->process = process_request_start(c, &w);
}

/* ---- Connect ---- */

/* The number of the first event wanted: false when the call is finished. */
static bool first_wanted(struct call *c, const struct process *p, uint64_t *ret)
{
	const struct journal *j = process_journal(p);
	const char *text = call_header(c, "sandglass-from-seq");
	if (!text) {
		/* The last event of an ended process is its end. */
		*ret = journal_last(j) + (process_is_ended(p) ? 0 : 1);
		return true;
	}
	if (str_u64(text, UINT64_MAX, ret) == 0)
		return true;
	call_finish(c, RPC_INVALID_ARGUMENT, "Sandglass-From-Seq: expected a number");
	return false;
}

void stream_rpc_on_connect(struct call *c, const ProtobufCMessage *m)
{
	const Process__ConnectRequest *q = (const Process__ConnectRequest *)m;
	struct stream *s = stream_new(c, false);
	struct process *p = s ? process_request_find(c, q->process, false) : NULL;
	uint64_t from;
	if (!p || !first_wanted(c, p, &from))
		return;
	s->process = process_ref(p);
	follow(s, from);
}
