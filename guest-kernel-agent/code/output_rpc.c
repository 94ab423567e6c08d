/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/code/output_rpc.h"

#include <errno.h>

#include "base/err.h"
#include "base/mem.h"
#include "guest-kernel-agent/code/event.h"
#include "guest-kernel-agent/code/event_proto.h"
#include "guest-kernel-agent/code/execution.h"
#include "guest-kernel-agent/code/interpreter.h"
#include "guest-kernel-agent/code/outcome.h"
#include "guest-kernel-agent/journal/journal.h"
#include "guest-kernel-agent/journal/offsets.h"
#include "loop/loop.h"
#include "rpc/call.h"
#include "sandglass/v1/code_interpreter.pb-c.h"

#define BYTES_PER_TURN (1024 * 1024) /* read at most, so that others get their turn */

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

struct reading {
	struct call *call;
	struct execution *execution; /* a reference */
	struct journal_reader reader;
	struct loop_defer pull;
	enum output output;
	uint64_t at, end; /* what is still to be sent */
};

static void reading_free(struct reading *r)
{
	journal_reader_fini(&r->reader);
	loop_defer_fini(&r->pull);
	execution_unref(r->execution);
	mem_free(r);
}

static int send_part(struct reading *r, const struct event *ev)
{
	Sandglass__V1__ReadOutputResponse m = SANDGLASS__V1__READ_OUTPUT_RESPONSE__INIT;
	uint64_t skip = r->at - ev->output.offset;
	uint64_t n = ev->output.n - skip;
	m.offset = r->at;
	m.data.data = (uint8_t *)ev->output.text + skip;
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
static bool take_output(struct reading *r, const struct event *ev)
{
	if (event_output(ev) != r->output || ev->output.offset + ev->output.n <= r->at)
		return true;
	if (ev->output.offset > r->at) {
		finish_dropped(r, ev->output.offset);
		return false;
	}
	if (send_part(r, ev) < 0) {
		call_finish(r->call, RPC_RESOURCE_EXHAUSTED, "out of memory");
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
	struct event ev;
	int e = journal_read(&r->reader, &rec);
	if (e == JOURNAL_RECORD) {
		*bytes += rec.n;
		e = event_decode(&rec, &ev);
		if (e == 0)
			return (ev.type != EVENT_STDOUT && ev.type != EVENT_STDERR) ||
			       take_output(r, &ev);
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
	struct journal *j = execution_journal(r->execution);
	uint64_t seq = offsets_find(execution_offsets(r->execution, r->output), r->at);
	if (seq < journal_first(j))
		seq = journal_first(j);
	return journal_peeker_init(&r->reader, j, seq, on_more, r);
}

static bool check_range(struct call *c, const Sandglass__V1__ReadOutputRequest *q, uint64_t total)
{
	if (q->offset <= total)
		return true;
	call_finish(c, RPC_OUT_OF_RANGE, "offset: expected at most %llu, what was written so far",
	    (unsigned long long)total);
	return false;
}

static void begin_reading(
    struct call *c, const Sandglass__V1__ReadOutputRequest *q, struct execution *x, enum output o)
{
	const struct interpreter *ip = call_service_arg(c);
	uint64_t total = execution_outcome(x)->bytes[o];
	if (!check_range(c, q, total))
		return;
	struct reading *r = mem_zalloc(sizeof(*r));
	if (!r) {
		call_finish(c, RPC_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	r->call = c;
	r->execution = execution_ref(x);
	r->output = o;
	r->at = q->offset;
	r->end = q->limit && q->limit < total - r->at ? r->at + q->limit : total;
	call_set_user(c, r);
	loop_defer_init(&r->pull, ip->loop, on_pull, r);
	if (r->at == r->end)
		call_finish(c, RPC_OK, NULL);
	else if (call_send_head(c) < 0 || place_reader(r) < 0)
		call_finish(c, RPC_RESOURCE_EXHAUSTED, "out of memory");
	else
		loop_defer_set(&r->pull);
}

void output_rpc_on_read(struct call *c, const ProtobufCMessage *m)
{
	const Sandglass__V1__ReadOutputRequest *q = (const Sandglass__V1__ReadOutputRequest *)m;
	struct execution *x = find(c, q->execution_id);
	if (!x)
		return;
	for (enum output o = OUTPUT_STDOUT; o < OUTPUTS; o++) {
		if ((int)q->stream != event_proto_stream(o))
			continue;
		begin_reading(c, q, x, o);
		return;
	}
	call_finish(c, RPC_INVALID_ARGUMENT,
	    "stream: expected OUTPUT_STREAM_STDOUT or OUTPUT_STREAM_STDERR");
}

void output_rpc_on_ready(struct call *c)
{
	struct reading *r = call_user(c);
	if (r && r->at < r->end)
		loop_defer_set(&r->pull);
}

void output_rpc_on_done(struct call *c, int err)
{
	struct reading *r = call_user(c);
	if (r)
		reading_free(r);
}
