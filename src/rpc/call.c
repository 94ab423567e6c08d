/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call on the server.
 *
 *   OPEN ----status decided----> ENDED ----method told, from the loop----> LINGER ----> freed
 *     (call_finish, deadline,      |                                         ^  stream closed
 *      bad request, client gone)   +--- client gone already: freed ----------+
 *
 * Request bytes are consumed when every message in them was handed over, and messages are handed
 * over only while the answer queue is below its mark. So a client that sends without reading fills
 * its own window and nothing else.
 *
 * A method with one request message gets it when the client has ended its side: only then is it
 * known that it is whole and the only one.
 *
 * After the end the stream may still have to send the answer, and the client may still be sending:
 * it is given LINGER_MS at a time as long as bytes leave, and about DRAIN_MAX bytes of body.
 */
#include "rpc/call_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "rpc/router.h"
#include "wire/pbwire.h"
#include "wire/pjson.h"

#define TEXT_MAX 1024			/* status text */
#define REQUEST_TIMEOUT_MS (120 * 1000) /* for the only message of a request: slow senders */
#define LINGER_MS (30 * 1000)
#define DRAIN_MAX (2 * LIMIT_RPC_MESSAGE)
#define TIMER_MAX_MS (24 * 3600 * 1000u) /* longer waits are taken in pieces */
#define QUEUE_MARK (LIMIT_STREAM_QUEUE / 2)
#define QUEUE_MAX (LIMIT_STREAM_QUEUE + 2 * LIMIT_RPC_MESSAGE)

static void call_free(struct call *c)
{
	link_remove(&c->link);
	loop_timer_fini(&c->timer);
	loop_defer_fini(&c->defer);
	rpc_deframer_fini(&c->deframer);
	if (c->message)
		protobuf_c_message_free_unpacked(c->message, NULL);
	http_fields_fini(&c->headers);
	http_fields_fini(&c->trailers);
	buf_fini(&c->payload);
	buf_fini(&c->frame);
	free(c->path);
	free(c);
}

/* ---- time ---- */

uint64_t call_time_left(const struct call *c)
{
	uint64_t now = clock_mono_ms();
	if (c->deadline_ms == UINT64_MAX)
		return UINT64_MAX;
	return c->deadline_ms > now ? c->deadline_ms - now : 0;
}

static bool awaits_only_message(const struct call *c)
{
	return c->request != CALL_REQUEST_TAKEN && c->method && !c->method->client_stream;
}

static void arm_timer(struct call *c)
{
	uint64_t now = clock_mono_ms(), ms = call_time_left(c);
	if (awaits_only_message(c)) {
		uint64_t left = c->request_by_ms > now ? c->request_by_ms - now : 0;
		ms = left < ms ? left : ms;
	}
	if (ms == UINT64_MAX)
		loop_timer_cancel(&c->timer);
	else
		loop_timer_set(&c->timer, ms < TIMER_MAX_MS ? ms : TIMER_MAX_MS);
}

static void linger(struct call *c)
{
	size_t queued = http_stream_queued(c->st);
	if (queued > 0 && queued < c->linger_queued) {
		c->linger_queued = queued;
		loop_timer_set(&c->timer, LINGER_MS);
		return;
	}
	/* The answer left whole, or nobody reads it. */
	http_stream_reset(c->st, queued ? HTTP_RESET_CANCEL : HTTP_RESET_NONE);
}

static void on_timer(struct loop_timer *t, void *arg)
{
	struct call *c = arg;
	(void)t;
	if (c->state == CALL_STATE_LINGER)
		linger(c);
	else if (call_time_left(c) == 0)
		call_fail(c, RPC_DEADLINE_EXCEEDED, -ETIMEDOUT, "deadline exceeded");
	else if (awaits_only_message(c) && clock_mono_ms() >= c->request_by_ms)
		call_fail(c, RPC_DEADLINE_EXCEEDED, -ETIMEDOUT,
		    "no complete request message within %d seconds", REQUEST_TIMEOUT_MS / 1000);
	else
		arm_timer(c);
}

/* ---- the end ---- */

/* Status text goes into headers and JSON: cut or broken UTF-8 becomes question marks. */
static void clean_text(char *text)
{
	if (str_utf8_valid(text, strlen(text)))
		return;
	for (; *text; text++)
		*text = (unsigned char)*text < 0x80 ? *text : '?';
}

static void consume_held(struct call *c)
{
	if (c->st && c->held > 0)
		http_stream_consume(c->st, c->held);
	c->held = 0;
}

static void end_call(struct call *c, int err)
{
	c->state = CALL_STATE_ENDED;
	c->done_err = err;
	loop_timer_cancel(&c->timer);
	loop_defer_set(&c->defer);
	consume_held(c);
}

static void end_with_status(
    struct call *c, enum rpc_code code, int err, const char *fmt, va_list ap)
{
	char text[TEXT_MAX] = "";
	if (c->state != CALL_STATE_OPEN)
		return;
	if (fmt)
		(void)vsnprintf(text, sizeof(text), fmt, ap);
	clean_text(text);
	if (call_reply_status(c, code, text) < 0)
		http_stream_reset(c->st, HTTP_RESET_INTERNAL);
	end_call(c, err);
}

void call_finish(struct call *c, enum rpc_code code, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	end_with_status(c, code, 0, fmt, ap);
	va_end(ap);
}

void call_fail(struct call *c, enum rpc_code code, int err, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	end_with_status(c, code, err, fmt, ap);
	va_end(ap);
}

static void tell_method(struct call *c)
{
	c->state = CALL_STATE_LINGER;
	if (c->method)
		c->method->on_done(c, c->done_err);
	c->user = NULL;
}

static void finish_later(struct call *c)
{
	tell_method(c);
	if (!c->st) {
		call_free(c);
		return;
	}
	c->linger_queued = SIZE_MAX;
	loop_timer_set(&c->timer, LINGER_MS);
}

void call_cut(struct call *c)
{
	static const struct http_handler deaf = { 0 };
	if (c->st) {
		http_stream_set_handler(c->st, &deaf, NULL);
		http_stream_reset(c->st, HTTP_RESET_CANCEL);
		c->st = NULL;
	}
	if (c->state == CALL_STATE_OPEN)
		end_call(c, -ECONNRESET);
	if (c->state == CALL_STATE_ENDED)
		tell_method(c);
	call_free(c);
}

/* ---- request messages ---- */

static ProtobufCMessage *decode(struct call *c, const void *p, size_t n, struct err *reterr)
{
	const ProtobufCMessageDescriptor *d = c->descriptor->input;
	return c->codec == RPC_JSON ? pjson_decode(d, p, n, reterr) : pb_unpack(d, p, n, reterr);
}

static void take_message(struct call *c, uint8_t flags, const void *p, size_t n)
{
	struct err err = ERR_INIT;
	if (flags) {
		call_fail(c, RPC_INTERNAL, -EBADMSG, "%s",
		    flags == RPC_FLAG_COMPRESSED
			? "compressed message, although no encoding was agreed on"
			: "request message with unknown flags");
		return;
	}
	if (c->message) {
		call_fail(c, RPC_UNIMPLEMENTED, -EBADMSG,
		    "more than one request message for a method that takes one");
		return;
	}
	ProtobufCMessage *m = decode(c, p, n, &err);
	if (!m) {
		call_fail(c,
		    err.code == -ENOMEM || err.code == -EMSGSIZE ? RPC_RESOURCE_EXHAUSTED
								 : RPC_INVALID_ARGUMENT,
		    -EBADMSG, "request: %s", err_text(&err));
		return;
	}
	if (!c->method->client_stream) {
		c->message = m; /* until the request is known to be complete */
		return;
	}
	c->method->on_message(c, m);
	protobuf_c_message_free_unpacked(m, NULL);
}

/* The client ended its side and every message was taken. */
static void finish_request(struct call *c)
{
	c->request = CALL_REQUEST_TAKEN;
	if (c->protocol != RPC_CONNECT_UNARY && rpc_deframer_partial(&c->deframer)) {
		call_fail(c,
		    c->protocol == RPC_CONNECT_STREAM ? RPC_INVALID_ARGUMENT : RPC_INTERNAL,
		    -EBADMSG, "the request ends inside a message");
		return;
	}
	if (c->method->client_stream) {
		if (c->method->on_half_close)
			c->method->on_half_close(c);
		return;
	}
	if (!c->message) {
		call_fail(c, RPC_UNIMPLEMENTED, -EBADMSG,
		    "no request message for a method that takes one");
		return;
	}
	arm_timer(c);
	c->method->on_message(c, c->message);
}

/* Hand over what is there, as far as the answer queue allows. */
static void pump(struct call *c)
{
	while (c->state == CALL_STATE_OPEN && c->request != CALL_REQUEST_TAKEN && !c->on_hold &&
	       call_is_ready(c)) {
		uint8_t flags;
		const void *p;
		size_t n;
		int r = rpc_deframer_next(&c->deframer, &flags, &p, &n);
		if (r > 0) {
			take_message(c, flags, p, n);
			continue;
		}
		if (r < 0) {
			call_fail(c, RPC_RESOURCE_EXHAUSTED, -EBADMSG,
			    "request message larger than %d bytes", LIMIT_RPC_MESSAGE);
			return;
		}
		consume_held(c);
		if (c->request == CALL_REQUEST_BODY)
			return;
		finish_request(c);
	}
}

void call_hold(struct call *c, bool hold)
{
	c->on_hold = hold;
	if (!hold)
		loop_defer_set(&c->defer);
}

static void take_unary_body(struct call *c)
{
	take_message(c, 0, buf_data(&c->deframer.buf), buf_len(&c->deframer.buf));
	buf_reset(&c->deframer.buf);
	if (c->state == CALL_STATE_OPEN)
		finish_request(c);
}

static void add_unary_body(struct call *c, const void *p, size_t n)
{
	http_stream_consume(c->st, n);
	if (buf_len(&c->deframer.buf) + n > LIMIT_RPC_MESSAGE)
		call_fail(c, RPC_RESOURCE_EXHAUSTED, -EBADMSG,
		    "request message larger than %d bytes", LIMIT_RPC_MESSAGE);
	else if (buf_append(&c->deframer.buf, p, n) < 0)
		call_fail(c, RPC_RESOURCE_EXHAUSTED, -EBADMSG, "out of memory");
}

static void add_stream_body(struct call *c, const void *p, size_t n)
{
	c->held += n;
	int r = rpc_deframer_feed(&c->deframer, p, n);
	if (r == -ENOMEM)
		call_fail(c, RPC_RESOURCE_EXHAUSTED, -EBADMSG, "out of memory");
	else if (r < 0)
		call_fail(c, RPC_INVALID_ARGUMENT, -EBADMSG, "the request is not base64");
	else
		pump(c);
}

/* ---- stream events ---- */

static void on_data(struct http_stream *st, const void *p, size_t n, void *user)
{
	struct call *c = user;
	if (c->state == CALL_STATE_OPEN && c->protocol == RPC_CONNECT_UNARY) {
		add_unary_body(c, p, n);
	} else if (c->state == CALL_STATE_OPEN) {
		add_stream_body(c, p, n);
	} else if (c->drained < DRAIN_MAX) {
		c->drained += n;
		http_stream_consume(st, n);
	}
}

static void on_end(struct http_stream *st, const struct http_fields *trailers, void *user)
{
	struct call *c = user;
	(void)st;
	(void)trailers;
	if (c->state != CALL_STATE_OPEN)
		return;
	c->request = CALL_REQUEST_COMPLETE;
	if (c->protocol == RPC_CONNECT_UNARY)
		take_unary_body(c);
	else
		pump(c);
}

static void on_sent(struct http_stream *st, size_t n, void *user)
{
	struct call *c = user;
	(void)st;
	(void)n;
	if (c->waiting && call_is_ready(c)) {
		c->waiting = false;
		loop_defer_set(&c->defer);
	}
}

static void on_close(struct http_stream *st, int err, void *user)
{
	struct call *c = user;
	(void)st;
	(void)err;
	c->st = NULL;
	if (c->state == CALL_STATE_OPEN)
		end_call(c, -ECONNRESET);
	else if (c->state == CALL_STATE_LINGER)
		call_free(c);
}

static const struct http_handler call_handler = {
	.on_data = on_data,
	.on_end = on_end,
	.on_sent = on_sent,
	.on_close = on_close,
};

static void on_defer(struct loop_defer *d, void *arg)
{
	struct call *c = arg;
	(void)d;
	if (c->state == CALL_STATE_ENDED) {
		finish_later(c);
		return;
	}
	if (c->state != CALL_STATE_OPEN)
		return;
	if (c->method->on_ready)
		c->method->on_ready(c);
	pump(c);
}

/* ---- start ---- */

/* The headers of a protocol: what the request is encoded with, and what we could read instead. */
struct encoding_names {
	const char *encoding, *accepted;
};

static struct encoding_names encoding_names(enum rpc_protocol p)
{
	if (p == RPC_CONNECT_UNARY)
		return (struct encoding_names){ "content-encoding", "accept-encoding" };
	if (p == RPC_CONNECT_STREAM)
		return (
		    struct encoding_names){ "connect-content-encoding", "connect-accept-encoding" };
	return (struct encoding_names){ "grpc-encoding", "grpc-accept-encoding" };
}

/* Headers that concern every call; false when the call was refused. */
static bool check_head(struct call *c)
{
	bool connect = c->protocol == RPC_CONNECT_UNARY || c->protocol == RPC_CONNECT_STREAM;
	const struct encoding_names names = encoding_names(c->protocol);
	const char *encoding = call_header(c, names.encoding);
	const char *version = call_header(c, "connect-protocol-version");
	const char *timeout = call_header(c, connect ? "connect-timeout-ms" : "grpc-timeout");
	uint64_t ms = 0;
	if (encoding && !str_ieq(encoding, "identity")) {
		(void)call_add_header(c, names.accepted, "identity");
		call_fail(c, RPC_UNIMPLEMENTED, -EBADMSG, "%s \"%.40s\" is not supported",
		    names.encoding, encoding);
	} else if (connect && version && !str_eq(version, "1")) {
		call_fail(
		    c, RPC_INVALID_ARGUMENT, -EBADMSG, "connect-protocol-version must be \"1\"");
	} else if (timeout && (connect ? rpc_parse_connect_timeout(timeout, &ms)
				       : rpc_parse_grpc_timeout(timeout, &ms)) < 0) {
		call_fail(
		    c, RPC_INVALID_ARGUMENT, -EBADMSG, "malformed timeout \"%.40s\"", timeout);
	} else if (timeout) {
		c->deadline_ms = clock_mono_ms() + ms;
	}
	return c->state == CALL_STATE_OPEN;
}

static bool pass_gate(struct call *c)
{
	char text[TEXT_MAX] = "";
	struct rpc_router *r = c->router;
	enum rpc_code code = r->gate ? r->gate(c, text, sizeof(text), r->gate_arg) : RPC_OK;
	if (code == RPC_OK)
		return true;
	c->method = NULL; /* it never hears of this call */
	call_fail(c, code, -EACCES, "%s", text);
	return false;
}

static void begin(struct call *c)
{
	const struct http_head *head = http_stream_peer_head(c->st);
	const struct rpc_method *method = c->method;
	c->method = NULL; /* until the gate is passed */
	if (!check_head(c))
		return;
	if (!method) {
		call_fail(c, RPC_UNIMPLEMENTED, -EBADMSG, "unknown method %s", c->path);
		return;
	}
	c->method = method;
	if (!pass_gate(c))
		return;
	if (c->protocol == RPC_CONNECT_UNARY && head->length > LIMIT_RPC_MESSAGE) {
		call_fail(c, RPC_RESOURCE_EXHAUSTED, -EBADMSG,
		    "request message larger than %d bytes", LIMIT_RPC_MESSAGE);
		return;
	}
	arm_timer(c);
}

int call_start(struct rpc_router *r, const struct rpc_service *svc, const struct rpc_method *method,
    struct http_stream *st, enum rpc_protocol protocol, enum rpc_codec codec, const char *path)
{
	struct call *c = mem_zalloc(sizeof(*c));
	char *name = mem_strndup(path, strcspn(path, "?"));
	if (!c || !name) {
		free(c);
		free(name);
		return -ENOMEM;
	}
	*c = (struct call){ .router = r,
		.service = svc,
		.method = method,
		.st = st,
		.path = name,
		.protocol = protocol,
		.codec = codec,
		.deadline_ms = UINT64_MAX,
		.request_by_ms = clock_mono_ms() + REQUEST_TIMEOUT_MS };
	if (method)
		c->descriptor =
		    protobuf_c_service_descriptor_get_method_by_name(svc->descriptor, method->name);
	rpc_deframer_init(&c->deframer, LIMIT_RPC_MESSAGE, protocol == RPC_GRPC_WEB_TEXT);
	loop_timer_init(&c->timer, r->loop, on_timer, c);
	loop_defer_init(&c->defer, r->loop, on_defer, c);
	list_push_back(&r->calls, &c->link);
	http_stream_set_handler(st, &call_handler, c);
	begin(c);
	return 0;
}

/* ---- for methods ---- */

void *call_service_arg(const struct call *c)
{
	return c->service->arg;
}

void *call_user(const struct call *c)
{
	return c->user;
}

void call_set_user(struct call *c, void *user)
{
	c->user = user;
}

const char *call_method(const struct call *c)
{
	return c->path;
}

const char *call_header(const struct call *c, const char *name)
{
	return c->st ? http_fields_get(&http_stream_peer_head(c->st)->fields, name) : NULL;
}

struct http_stream *call_stream(const struct call *c)
{
	return c->st;
}

int call_add_header(struct call *c, const char *name, const char *value)
{
	return http_fields_add(&c->headers, name, value);
}

int call_add_trailer(struct call *c, const char *name, const char *value)
{
	return http_fields_add(&c->trailers, name, value);
}

bool call_is_ready(const struct call *c)
{
	return c->state == CALL_STATE_OPEN && http_stream_queued(c->st) < QUEUE_MARK;
}

int call_send_head(struct call *c)
{
	return c->state == CALL_STATE_OPEN ? call_reply_head(c) : -EPIPE;
}

int call_send(struct call *c, const ProtobufCMessage *m)
{
	if (c->state != CALL_STATE_OPEN)
		return -EPIPE;
	if (c->sent > 0 && !c->method->server_stream)
		return -EINVAL;
	if (http_stream_queued(c->st) > QUEUE_MAX)
		return -ENOMEM;
	int r = call_reply_message(c, m);
	if (r < 0)
		return r;
	c->sent++;
	c->waiting = !call_is_ready(c);
	return 0;
}
