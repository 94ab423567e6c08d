/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/process/native_event.h"

#include <sys/wait.h>

#include "base/clock.h"
#include "guest-kernel-agent/process/process.h"
#include "rpc/call.h"

#define NS 1000000000

typedef Sandglass__V1__ProcessStreamResponse Response;

Google__Protobuf__Timestamp *native_event_time(Google__Protobuf__Timestamp *t, int64_t ns)
{
	google__protobuf__timestamp__init(t);
	t->seconds = ns / NS;
	t->nanos = (int32_t)(ns % NS);
	return ns ? t : NULL;
}

static int send_at(struct call *c, Response *m, uint64_t seq, int64_t time_ns)
{
	Google__Protobuf__Timestamp time;
	m->seq = seq;
	m->time = native_event_time(&time, time_ns);
	return call_send(c, &m->base);
}

static int send_output(struct call *c, const struct process_event *ev)
{
	Response m = SANDGLASS__V1__PROCESS_STREAM_RESPONSE__INIT;
	Sandglass__V1__ProcessOutput out = SANDGLASS__V1__PROCESS_OUTPUT__INIT;
	out.data.data = (uint8_t *)ev->output.p;
	out.data.len = ev->output.n;
	out.offset = ev->output.offset;
	if (ev->type == PROCESS_EVENT_STDERR) {
		m.event_case = SANDGLASS__V1__PROCESS_STREAM_RESPONSE__EVENT_STDERR;
		m.stderr = &out;
	} else if (ev->type == PROCESS_EVENT_PTY) {
		m.event_case = SANDGLASS__V1__PROCESS_STREAM_RESPONSE__EVENT_PTY;
		m.pty = &out;
	} else {
		m.event_case = SANDGLASS__V1__PROCESS_STREAM_RESPONSE__EVENT_STDOUT;
		m.stdout = &out;
	}
	return send_at(c, &m, ev->seq, ev->time_ns);
}

static int send_started(struct call *c, const struct process *p, const struct process_event *ev)
{
	Response m = SANDGLASS__V1__PROCESS_STREAM_RESPONSE__INIT;
	Sandglass__V1__ProcessStarted started = SANDGLASS__V1__PROCESS_STARTED__INIT;
	started.pid = ev->pid;
	started.process_id = (char *)process_id(p);
	m.event_case = SANDGLASS__V1__PROCESS_STREAM_RESPONSE__EVENT_STARTED;
	m.started = &started;
	return send_at(c, &m, ev->seq, ev->time_ns);
}

void native_event_end(Sandglass__V1__ProcessEnd *m, enum process_end how, int wait_status,
    char text[PROCESS_STATUS_TEXT_MAX])
{
	sandglass__v1__process_end__init(m);
	m->reason = (Sandglass__V1__ProcessEndReason)how; /* the same numbers */
	m->exit_code = process_exit_code(wait_status);
	m->signal = WIFSIGNALED(wait_status) ? (uint32_t)WTERMSIG(wait_status) : 0;
	m->status = process_status_text(wait_status, text);
}

static int send_end(struct call *c, const struct process_event *ev)
{
	char text[PROCESS_STATUS_TEXT_MAX];
	Response m = SANDGLASS__V1__PROCESS_STREAM_RESPONSE__INIT;
	Sandglass__V1__ProcessEnd end;
	native_event_end(&end, ev->end.how, ev->end.wait_status, text);
	m.event_case = SANDGLASS__V1__PROCESS_STREAM_RESPONSE__EVENT_END;
	m.end = &end;
	return send_at(c, &m, ev->seq, ev->time_ns);
}

int native_event_send(struct call *c, const struct process *p, const struct process_event *ev)
{
	switch (ev->type) {
	case PROCESS_EVENT_STARTED:
		return send_started(c, p, ev);
	case PROCESS_EVENT_STDOUT:
	case PROCESS_EVENT_STDERR:
	case PROCESS_EVENT_PTY:
		return send_output(c, ev);
	case PROCESS_EVENT_END:
		return send_end(c, ev);
	}
	return 0;
}

int native_event_send_omitted(struct call *c, int64_t time_ns, enum process_event_type stream,
    uint64_t offset, uint64_t bytes)
{
	Response m = SANDGLASS__V1__PROCESS_STREAM_RESPONSE__INIT;
	Sandglass__V1__Omitted omitted = SANDGLASS__V1__OMITTED__INIT;
	omitted.stream =
	    stream == PROCESS_EVENT_PTY	     ? SANDGLASS__V1__OUTPUT_STREAM__OUTPUT_STREAM_PTY
	    : stream == PROCESS_EVENT_STDERR ? SANDGLASS__V1__OUTPUT_STREAM__OUTPUT_STREAM_STDERR
					     : SANDGLASS__V1__OUTPUT_STREAM__OUTPUT_STREAM_STDOUT;
	omitted.offset = offset;
	omitted.bytes = bytes;
	m.event_case = SANDGLASS__V1__PROCESS_STREAM_RESPONSE__EVENT_OMITTED;
	m.omitted = &omitted;
	return send_at(c, &m, 0, time_ns);
}

int native_event_send_heartbeat(struct call *c)
{
	Response m = SANDGLASS__V1__PROCESS_STREAM_RESPONSE__INIT;
	Sandglass__V1__Heartbeat beat = SANDGLASS__V1__HEARTBEAT__INIT;
	m.event_case = SANDGLASS__V1__PROCESS_STREAM_RESPONSE__EVENT_HEARTBEAT;
	m.heartbeat = &beat;
	return send_at(c, &m, 0, clock_real_ns());
}
