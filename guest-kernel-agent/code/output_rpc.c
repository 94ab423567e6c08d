/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/code/output_rpc.h"

#include "base/err.h"
#include "guest-kernel-agent/code/event.h"
#include "guest-kernel-agent/code/event_proto.h"
#include "guest-kernel-agent/code/execution.h"
#include "guest-kernel-agent/code/interpreter.h"
#include "guest-kernel-agent/code/outcome.h"
#include "guest-kernel-agent/journal/journal.h"
#include "guest-kernel-agent/journal/reading.h"
#include "rpc/call.h"
#include "sandglass/v1/code_interpreter.pb-c.h"

static struct execution *find(struct call *c, const char *id)
{
	const struct interpreter *ip = call_service_arg(c);
	struct execution *x = executions_find(ip->executions, id);
	if (!x)
		call_finish(c, RPC_NOT_FOUND, "no execution '%s'", id);
	return x;
}

/* ---- GetExecution ---- */

static Google__Protobuf__Timestamp *timestamp(Google__Protobuf__Timestamp *t, int64_t ns)
{
	google__protobuf__timestamp__init(t);
	t->seconds = ns / 1000000000;
	t->nanos = (int32_t)(ns % 1000000000);
	return ns ? t : NULL;
}

static Sandglass__V1__ExecutionState state_of(const struct outcome *o)
{
	if (o->how)
		return SANDGLASS__V1__EXECUTION_STATE__EXECUTION_STATE_ENDED;
	return o->begun ? SANDGLASS__V1__EXECUTION_STATE__EXECUTION_STATE_RUNNING
			: SANDGLASS__V1__EXECUTION_STATE__EXECUTION_STATE_QUEUED;
}

static char *text_of(char *s)
{
	return s ? s : (char *)"";
}

static void send_execution(struct call *c, const struct execution *x)
{
	const struct outcome *o = execution_outcome(x);
	const struct journal *j = execution_journal(x);
	Sandglass__V1__Execution m = SANDGLASS__V1__EXECUTION__INIT;
	Sandglass__V1__End end = SANDGLASS__V1__END__INIT;
	Sandglass__V1__ExecutionError error = SANDGLASS__V1__EXECUTION_ERROR__INIT;
	Google__Protobuf__Timestamp created, ended;
	m.execution_id = (char *)execution_id(x);
	m.context_id = (char *)execution_context_id(x);
	m.state = state_of(o);
	m.created = timestamp(&created, o->created_ns);
	m.ended = timestamp(&ended, o->ended_ns);
	end.status = (Sandglass__V1__EndStatus)o->how; /* the same numbers, see context.h */
	end.detail = text_of(o->detail);
	end.execution_count = o->execution_count;
	m.end = o->how ? &end : NULL;
	error.name = text_of(o->name);
	error.value = text_of(o->value);
	error.traceback = text_of(o->traceback);
	m.error = o->name ? &error : NULL;
	m.stdout_bytes = o->bytes[OUTPUT_STDOUT];
	m.stderr_bytes = o->bytes[OUTPUT_STDERR];
	m.results = o->results;
	m.stalls = o->stalls;
	m.first_seq = journal_first(j);
	m.last_seq = journal_last(j);
	if (journal_spill_error(j) < 0)
		m.journal_error = (char *)err_name(journal_spill_error(j));
	if (call_send(c, &m.base) < 0)
		call_finish(c, RPC_RESOURCE_EXHAUSTED, "out of memory");
	else
		call_finish(c, RPC_OK, NULL);
}

void output_rpc_on_get(struct call *c, const ProtobufCMessage *m)
{
	const struct execution *x =
	    find(c, ((const Sandglass__V1__GetExecutionRequest *)m)->execution_id);
	if (x)
		send_execution(c, x);
}

/* ---- ReadOutput ---- */

static int piece_of(const struct journal_record *rec, int stream, struct reading_piece *ret)
{
	struct event ev;
	int r = event_decode(rec, &ev);
	if (r < 0)
		return r;
	if ((ev.type != EVENT_STDOUT && ev.type != EVENT_STDERR) ||
	    (int)event_output(&ev) != stream)
		return 0;
	*ret = (struct reading_piece){ ev.output.offset, ev.output.text, ev.output.n };
	return 1;
}

static void unref(void *owner)
{
	execution_unref(owner);
}

void output_rpc_on_read(struct call *c, const ProtobufCMessage *m)
{
	const Sandglass__V1__ReadOutputRequest *q = (const Sandglass__V1__ReadOutputRequest *)m;
	const struct interpreter *ip = call_service_arg(c);
	struct execution *x = find(c, q->execution_id);
	if (!x)
		return;
	for (enum output o = OUTPUT_STDOUT; o < OUTPUTS; o++) {
		if ((int)q->stream != event_proto_stream(o))
			continue;
		struct reading_wish w = { .journal = execution_journal(x),
			.offsets = execution_offsets(x, o),
			.total = execution_outcome(x)->bytes[o],
			.offset = q->offset,
			.limit = q->limit,
			.stream = (int)o,
			.piece = piece_of,
			.owner = execution_ref(x),
			.unref = unref };
		reading_begin(c, ip->loop, &w);
		return;
	}
	call_finish(c, RPC_INVALID_ARGUMENT,
	    "stream: expected OUTPUT_STREAM_STDOUT or OUTPUT_STREAM_STDERR");
}

void output_rpc_on_done(struct call *c, int err)
{
	(void)c;
	(void)err;
}
