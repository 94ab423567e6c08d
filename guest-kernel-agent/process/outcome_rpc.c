/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/process/outcome_rpc.h"

#include "base/err.h"
#include "guest-kernel-agent/journal/journal.h"
#include "guest-kernel-agent/journal/reading.h"
#include "guest-kernel-agent/process/native_event.h"
#include "guest-kernel-agent/process/process.h"
#include "guest-kernel-agent/process/request.h"
#include "guest-kernel-agent/process/service.h"
#include "guest-kernel-agent/system/reply.h"
#include "rpc/call.h"

/* ---- GetProcess ---- */

void outcome_rpc_on_get(struct call *c, const ProtobufCMessage *m)
{
	const Sandglass__V1__GetProcessRequest *q = (const Sandglass__V1__GetProcessRequest *)m;
	const struct process *p = process_request_find_ref(c, q->process);
	if (!p)
		return;
	const struct journal *j = process_journal(p);
	Sandglass__V1__ProcessOutcome answer = SANDGLASS__V1__PROCESS_OUTCOME__INIT;
	Sandglass__V1__ProcessEnd end;
	Google__Protobuf__Timestamp created, ended;
	struct process_outcome o;
	char text[PROCESS_STATUS_TEXT_MAX];
	process_outcome(p, &o);
	native_event_end(&end, o.how, o.wait_status, text);
	answer.process_id = (char *)process_id(p);
	answer.pid = (uint32_t)process_pid(p);
	answer.tag = process_command(p)->tag;
	answer.state = o.ended_ns ? SANDGLASS__V1__PROCESS_STATE__PROCESS_STATE_ENDED
				  : SANDGLASS__V1__PROCESS_STATE__PROCESS_STATE_RUNNING;
	answer.created = native_event_time(&created, o.created_ns);
	answer.ended = native_event_time(&ended, o.ended_ns);
	answer.end = o.ended_ns ? &end : NULL;
	answer.stdout_bytes = process_bytes(p, PROCESS_EVENT_STDOUT);
	answer.stderr_bytes = process_bytes(p, PROCESS_EVENT_STDERR);
	answer.pty_bytes = process_bytes(p, PROCESS_EVENT_PTY);
	answer.first_seq = journal_first(j);
	answer.last_seq = journal_last(j);
	if (journal_spill_error(j) < 0)
		answer.journal_error = (char *)err_name(journal_spill_error(j));
	reply_message(c, &answer.base);
}

/* ---- ReadOutput ---- */

static int piece_of(const struct journal_record *rec, int stream, struct reading_piece *ret)
{
	struct process_event ev;
	int r = process_event_decode(rec, &ev);
	if (r < 0 || (int)ev.type != stream)
		return r < 0 ? r : 0;
	*ret = (struct reading_piece){ ev.output.offset, ev.output.p, ev.output.n };
	return 1;
}

static void unref(void *owner)
{
	process_unref(owner);
}

/* 0 = none. */
static enum process_event_type type_of(Sandglass__V1__OutputStream stream)
{
	switch (stream) {
	case SANDGLASS__V1__OUTPUT_STREAM__OUTPUT_STREAM_STDOUT:
		return PROCESS_EVENT_STDOUT;
	case SANDGLASS__V1__OUTPUT_STREAM__OUTPUT_STREAM_STDERR:
		return PROCESS_EVENT_STDERR;
	case SANDGLASS__V1__OUTPUT_STREAM__OUTPUT_STREAM_PTY:
		return PROCESS_EVENT_PTY;
	default:
		return (enum process_event_type)0;
	}
}

void outcome_rpc_on_read(struct call *c, const ProtobufCMessage *m)
{
	const Sandglass__V1__ReadProcessOutputRequest *q =
	    (const Sandglass__V1__ReadProcessOutputRequest *)m;
	const struct process_service *sv = call_service_arg(c);
	struct process *p = process_request_find_ref(c, q->process);
	enum process_event_type type = type_of(q->stream);
	if (!p)
		return;
	if (!type || !process_offsets(p, type)) {
		call_finish(c, RPC_INVALID_ARGUMENT, "stream: expected %s of this process",
		    process_offsets(p, PROCESS_EVENT_PTY)
			? "OUTPUT_STREAM_PTY"
			: "OUTPUT_STREAM_STDOUT or OUTPUT_STREAM_STDERR");
		return;
	}
	struct reading_wish w = { .journal = process_journal(p),
		.offsets = process_offsets(p, type),
		.total = process_bytes(p, type),
		.offset = q->offset,
		.limit = q->limit,
		.stream = (int)type,
		.piece = piece_of,
		.owner = process_ref(p),
		.unref = unref };
	reading_begin(c, sv->loop, &w);
}
