/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts of the journal are used in place. Only one that contains NUL, which a C string of
 * protobuf-c cannot, is copied with U+FFFD in its place.
 */
#include "guest-kernel-agent/code/event_proto.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "guest-kernel-agent/code/event.h"
#include "rpc/call.h"
#include "sandglass/v1/code_interpreter.pb-c.h"
#include "wire/pjson.h"

#define NS 1000000000

typedef Sandglass__V1__ExecuteResponse Response;

int event_proto_stream(enum output o)
{
	return o == OUTPUT_STDERR ? SANDGLASS__V1__OUTPUT_STREAM__OUTPUT_STREAM_STDERR
				  : SANDGLASS__V1__OUTPUT_STREAM__OUTPUT_STREAM_STDOUT;
}

static int send_at(struct call *c, Response *m, uint64_t seq, int64_t time_ns)
{
	Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	time.seconds = time_ns / NS;
	time.nanos = (int32_t)(time_ns % NS);
	m->seq = seq;
	m->time = &time;
	return call_send(c, &m->base);
}

/* text itself, or a copy in *buf that has no NUL inside. NULL on -ENOMEM. */
static char *plain_text(const char *text, size_t n, struct buf *buf)
{
	const char *end = text + n, *nul;
	int r = 0;
	while (r == 0 && (nul = memchr(text, 0, (size_t)(end - text)))) {
		r = buf_append(buf, text, (size_t)(nul - text));
		if (r == 0)
			r = buf_append_str(buf, "\xef\xbf\xbd");
		text = nul + 1;
	}
	if (r == 0 && buf_len(buf) > 0)
		r = buf_append(buf, text, (size_t)(end - text));
	return r < 0 ? NULL : buf_len(buf) > 0 ? buf_cstr(buf) : (char *)text;
}

static int send_output(struct call *c, const struct event *ev)
{
	CLEAN_BUF struct buf copy = BUF_INIT;
	Response m = SANDGLASS__V1__EXECUTE_RESPONSE__INIT;
	Sandglass__V1__Output out = SANDGLASS__V1__OUTPUT__INIT;
	out.offset = ev->output.offset;
	out.text = plain_text(ev->output.text, ev->output.n, &copy);
	if (!out.text)
		return -ENOMEM;
	if (ev->type == EVENT_STDERR) {
		m.event_case = SANDGLASS__V1__EXECUTE_RESPONSE__EVENT_STDERR;
		m.stderr = &out;
	} else {
		m.event_case = SANDGLASS__V1__EXECUTE_RESPONSE__EVENT_STDOUT;
		m.stdout = &out;
	}
	return send_at(c, &m, ev->seq, ev->time_ns);
}

/* ---- results ---- */

typedef Sandglass__V1__Result__DataEntry DataEntry;
typedef Sandglass__V1__Result__JsonEntry JsonEntry;

struct forms {
	Sandglass__V1__Result result;
	DataEntry *data;
	JsonEntry *json;
	struct buf *copies; /* texts that had a NUL, as many as forms */
	size_t n;
};

static void forms_fini(struct forms *f)
{
	for (size_t i = 0; i < f->result.n_json; i++)
		protobuf_c_message_free_unpacked(&f->json[i].value->base, NULL);
	for (size_t i = 0; f->copies && i < f->n; i++)
		buf_fini(&f->copies[i]);
	mem_free(f->copies);
	mem_free(f->data);
	mem_free(f->json);
	mem_free(f->result.data);
	mem_free(f->result.json);
}

static int forms_alloc(struct forms *f, size_t n)
{
	f->n = n;
	f->data = mem_calloc(n, sizeof(*f->data));
	f->json = mem_calloc(n, sizeof(*f->json));
	f->copies = mem_calloc(n, sizeof(*f->copies));
	f->result.data = mem_calloc(n, sizeof(*f->result.data));
	f->result.json = mem_calloc(n, sizeof(*f->result.json));
	return f->data && f->json && f->copies && f->result.data && f->result.json ? 0 : -ENOMEM;
}

static int forms_add_json(struct forms *f, const struct event_form *form)
{
	JsonEntry *e = &f->json[f->result.n_json];
	ProtobufCMessage *v =
	    pjson_decode(&google__protobuf__value__descriptor, form->text, form->n, NULL);
	if (!v)
		return -EINVAL;
	sandglass__v1__result__json_entry__init(e);
	e->key = (char *)form->mime;
	e->value = (Google__Protobuf__Value *)v;
	f->result.json[f->result.n_json++] = e;
	return 0;
}

static int forms_add_text(struct forms *f, const struct event_form *form)
{
	DataEntry *e = &f->data[f->result.n_data];
	sandglass__v1__result__data_entry__init(e);
	e->key = (char *)form->mime;
	e->value = plain_text(form->text, form->n, &f->copies[f->result.n_data]);
	if (!e->value)
		return -ENOMEM;
	f->result.data[f->result.n_data++] = e;
	return 0;
}

static int forms_fill(struct forms *f, struct event *ev)
{
	struct event count = *ev;
	struct event_form form;
	size_t n = 0;
	while (event_next_form(&count, &form))
		n++;
	int r = forms_alloc(f, n);
	while (r == 0 && event_next_form(ev, &form)) {
		/* JSON that the mapping cannot take (too deep) is passed on as its text. */
		r = form.is_json ? forms_add_json(f, &form) : -EINVAL;
		if (r == -EINVAL)
			r = forms_add_text(f, &form);
	}
	return r;
}

static int send_result(struct call *c, struct event *ev)
{
	Response m = SANDGLASS__V1__EXECUTE_RESPONSE__INIT;
	struct forms f = { .result = SANDGLASS__V1__RESULT__INIT };
	f.result.is_main_result = ev->result.main_result;
	int r = forms_fill(&f, ev);
	if (r == 0) {
		m.event_case = SANDGLASS__V1__EXECUTE_RESPONSE__EVENT_RESULT;
		m.result = &f.result;
		r = send_at(c, &m, ev->seq, ev->time_ns);
	}
	forms_fini(&f);
	return r;
}

/* ---- the others ---- */

static int send_started(struct call *c, const struct event *ev)
{
	Response m = SANDGLASS__V1__EXECUTE_RESPONSE__INIT;
	Sandglass__V1__Started v = SANDGLASS__V1__STARTED__INIT;
	v.execution_id = (char *)ev->started.execution_id;
	v.context_id = (char *)ev->started.context_id;
	m.event_case = SANDGLASS__V1__EXECUTE_RESPONSE__EVENT_STARTED;
	m.started = &v;
	return send_at(c, &m, ev->seq, ev->time_ns);
}

static int send_busy(struct call *c, const struct event *ev)
{
	Response m = SANDGLASS__V1__EXECUTE_RESPONSE__INIT;
	Sandglass__V1__Busy v = SANDGLASS__V1__BUSY__INIT;
	v.execution_count = ev->execution_count;
	m.event_case = SANDGLASS__V1__EXECUTE_RESPONSE__EVENT_BUSY;
	m.busy = &v;
	return send_at(c, &m, ev->seq, ev->time_ns);
}

static int send_error(struct call *c, const struct event *ev)
{
	Response m = SANDGLASS__V1__EXECUTE_RESPONSE__INIT;
	Sandglass__V1__ExecutionError v = SANDGLASS__V1__EXECUTION_ERROR__INIT;
	v.name = (char *)ev->error.name;
	v.value = (char *)ev->error.value;
	v.traceback = (char *)ev->error.traceback;
	m.event_case = SANDGLASS__V1__EXECUTE_RESPONSE__EVENT_ERROR;
	m.error = &v;
	return send_at(c, &m, ev->seq, ev->time_ns);
}

static int send_end(struct call *c, const struct event *ev)
{
	Response m = SANDGLASS__V1__EXECUTE_RESPONSE__INIT;
	Sandglass__V1__End v = SANDGLASS__V1__END__INIT;
	v.status = (Sandglass__V1__EndStatus)ev->end.how; /* the same numbers, see context.h */
	v.detail = (char *)ev->end.detail;
	v.execution_count = ev->end.execution_count;
	m.event_case = SANDGLASS__V1__EXECUTE_RESPONSE__EVENT_END;
	m.end = &v;
	return send_at(c, &m, ev->seq, ev->time_ns);
}

static int send_omitted(struct call *c, const struct event *ev)
{
	Response m = SANDGLASS__V1__EXECUTE_RESPONSE__INIT;
	Sandglass__V1__Omitted v = SANDGLASS__V1__OMITTED__INIT;
	v.stream = event_proto_stream(ev->omitted.output);
	v.offset = ev->omitted.offset;
	v.bytes = ev->omitted.bytes;
	m.event_case = SANDGLASS__V1__EXECUTE_RESPONSE__EVENT_OMITTED;
	m.omitted = &v;
	return send_at(c, &m, ev->seq, ev->time_ns);
}

static int send_stall(struct call *c, const struct event *ev)
{
	Response m = SANDGLASS__V1__EXECUTE_RESPONSE__INIT;
	Sandglass__V1__Stall v = SANDGLASS__V1__STALL__INIT;
	v.stalled = ev->stalled;
	m.event_case = SANDGLASS__V1__EXECUTE_RESPONSE__EVENT_STALL;
	m.stall = &v;
	return send_at(c, &m, ev->seq, ev->time_ns);
}

int event_proto_send(struct call *c, struct event *ev)
{
	switch (ev->type) {
	case EVENT_STARTED:
		return send_started(c, ev);
	case EVENT_BUSY:
		return send_busy(c, ev);
	case EVENT_STDOUT:
	case EVENT_STDERR:
		return send_output(c, ev);
	case EVENT_RESULT:
		return send_result(c, ev);
	case EVENT_ERROR:
		return send_error(c, ev);
	case EVENT_END:
		return send_end(c, ev);
	case EVENT_STALL:
		return send_stall(c, ev);
	case EVENT_OMITTED:
		return send_omitted(c, ev);
	}
	return -EINVAL;
}

int event_proto_send_heartbeat(struct call *c)
{
	Response m = SANDGLASS__V1__EXECUTE_RESPONSE__INIT;
	Sandglass__V1__Heartbeat v = SANDGLASS__V1__HEARTBEAT__INIT;
	m.event_case = SANDGLASS__V1__EXECUTE_RESPONSE__EVENT_HEARTBEAT;
	m.heartbeat = &v;
	return send_at(c, &m, 0, clock_real_ns());
}
