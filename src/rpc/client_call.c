/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gRPC over HTTP/2, client side. The call is OPEN until a status is known: from trailers, from a
 * head that is no gRPC answer, from the deadline, from cancel or from the loss of the stream. The
 * first of these wins, the stream is let go, and on_done follows from the loop.
 */
#include "rpc/client_call.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"
#include "rpc/http_client.h"
#include "wire/pbwire.h"

#define TEXT_MAX 1024
#define GRPC_TIMEOUT_MAX 99999999 /* eight digits */

enum client_call_state { CLIENT_CALL_STATE_OPEN, CLIENT_CALL_STATE_ENDED };

struct client_call {
	enum client_call_state state;
	struct http_stream *st; /* NULL once let go or closed */
	const ProtobufCMessageDescriptor *response;
	const struct client_call_ops *ops;
	void *arg;
	struct rpc_deframer deframer;
	struct buf payload, frame;
	enum rpc_code code;
	char text[TEXT_MAX];
	struct loop_timer deadline;
	struct loop_defer defer;
};

static void client_call_free(struct client_call *c)
{
	loop_timer_fini(&c->deadline);
	loop_defer_fini(&c->defer);
	rpc_deframer_fini(&c->deframer);
	buf_fini(&c->payload);
	buf_fini(&c->frame);
	free(c);
}

/* No further callback of the stream reaches us. */
static void let_go(struct client_call *c, bool finished)
{
	static const struct http_handler deaf = { 0 };
	if (!c->st)
		return;
	http_stream_set_handler(c->st, &deaf, NULL);
	if (finished)
		(void)http_stream_end(c->st, NULL); /* our side may be open still */
	else
		http_stream_reset(c->st, HTTP_RESET_CANCEL);
	c->st = NULL;
}

__attribute__((format(printf, 4, 5))) static void end(
    struct client_call *c, bool finished, enum rpc_code code, const char *fmt, ...)
{
	va_list ap;
	if (c->state != CLIENT_CALL_STATE_OPEN)
		return;
	c->state = CLIENT_CALL_STATE_ENDED;
	c->code = code;
	va_start(ap, fmt);
	(void)vsnprintf(c->text, sizeof(c->text), fmt, ap);
	va_end(ap);
	let_go(c, finished);
	loop_timer_cancel(&c->deadline);
	loop_defer_set(&c->defer);
}

static void on_defer(struct loop_defer *d, void *arg)
{
	struct client_call *c = arg;
	(void)d;
	c->ops->on_done(c, c->code, c->text, c->arg);
	client_call_free(c);
}

static void on_deadline(struct loop_timer *t, void *arg)
{
	(void)t;
	end(arg, false, RPC_DEADLINE_EXCEEDED, "deadline exceeded");
}

/* ---- the answer ---- */

static void on_head(struct http_stream *st, void *user)
{
	struct client_call *c = user;
	const struct http_head *head = http_stream_peer_head(st);
	const char *type = http_fields_get(&head->fields, "content-type");
	if (head->status != 200)
		end(c, false, rpc_code_from_http(head->status), "the server answered HTTP %d %s",
		    head->status, http_status_text(head->status));
	else if (!type || !str_after(type, "application/grpc"))
		end(c, false, RPC_UNKNOWN,
		    "the server's answer is no gRPC (content-type \"%.60s\")", type ? type : "");
}

static void take_message(struct client_call *c, uint8_t flags, const void *p, size_t n)
{
	struct err err = ERR_INIT;
	if (flags) {
		end(c, false, RPC_INTERNAL, "message with unexpected flags 0x%02x", flags);
		return;
	}
	ProtobufCMessage *m = pb_unpack(c->response, p, n, &err);
	if (!m) {
		end(c, false, RPC_INTERNAL, "answer: %s", err_text(&err));
		return;
	}
	c->ops->on_message(c, m, c->arg);
	protobuf_c_message_free_unpacked(m, NULL);
}

static void on_data(struct http_stream *st, const void *p, size_t n, void *user)
{
	struct client_call *c = user;
	int r = rpc_deframer_feed(&c->deframer, p, n);
	while (r >= 0 && c->state == CLIENT_CALL_STATE_OPEN) {
		uint8_t flags;
		const void *msg;
		size_t len;
		r = rpc_deframer_next(&c->deframer, &flags, &msg, &len);
		if (r == 0)
			break;
		if (r > 0)
			take_message(c, flags, msg, len);
	}
	http_stream_consume(st, n);
	if (r < 0)
		end(c, false, RPC_RESOURCE_EXHAUSTED,
		    r == -ENOMEM ? "out of memory" : "message larger than %d bytes",
		    LIMIT_RPC_MESSAGE);
}

/* grpc-message, decoded where it can be. */
static void decode_text(const char *s, char dst[TEXT_MAX])
{
	CLEAN_BUF struct buf b = BUF_INIT;
	bool decoded = str_unpercent(&b, s, strlen(s), false) == 0 && buf_cstr(&b);
	(void)str_copy(dst, TEXT_MAX, decoded ? (char *)buf_data(&b) : s);
}

static void on_end(struct http_stream *st, const struct http_fields *trailers, void *user)
{
	struct client_call *c = user;
	const struct http_fields *f = trailers;
	char text[TEXT_MAX] = "";
	uint64_t code;
	if (!http_fields_get(f, "grpc-status"))
		f = &http_stream_peer_head(st)->fields; /* trailers-only answer */
	const char *status = http_fields_get(f, "grpc-status");
	const char *message = http_fields_get(f, "grpc-message");
	if (!status || str_u64(status, UINT32_MAX, &code) < 0) {
		end(c, true, RPC_INTERNAL, "the server ended without a status");
		return;
	}
	if (message)
		decode_text(message, text);
	if (code == RPC_OK && rpc_deframer_partial(&c->deframer))
		end(c, true, RPC_INTERNAL, "the answer ends inside a message");
	else
		end(c, true, code <= RPC_UNAUTHENTICATED ? (enum rpc_code)code : RPC_UNKNOWN, "%s",
		    text);
}

static void on_close(struct http_stream *st, int err, void *user)
{
	struct client_call *c = user;
	(void)st;
	c->st = NULL;
	end(c, false, RPC_UNAVAILABLE, "connection lost: %s", err_name(err ? err : -ECONNRESET));
}

static const struct http_handler handler = {
	.on_head = on_head,
	.on_data = on_data,
	.on_end = on_end,
	.on_close = on_close,
};

/* ---- the request ---- */

static int make_head(struct http_head *h, const char *authority, const char *path,
    const struct http_fields *metadata, uint64_t timeout_ms)
{
	int r = http_head_set_request(h, "POST", "http", authority, path);
	if (r == 0)
		r = http_fields_add(
		    &h->fields, "content-type", rpc_content_type(RPC_GRPC, RPC_PROTO));
	if (r == 0)
		r = http_fields_add(&h->fields, "te", "trailers");
	if (r == 0 && timeout_ms > 0 && timeout_ms <= GRPC_TIMEOUT_MAX)
		r = http_fields_addf(&h->fields, "grpc-timeout", "%" PRIu64 "m", timeout_ms);
	else if (r == 0 && timeout_ms / 1000 > 0 && timeout_ms / 1000 <= GRPC_TIMEOUT_MAX)
		r = http_fields_addf(&h->fields, "grpc-timeout", "%" PRIu64 "S", timeout_ms / 1000);
	for (size_t i = 0; r == 0 && metadata && i < metadata->n; i++)
		r = http_fields_add(&h->fields, metadata->v[i].name, metadata->v[i].value);
	return r;
}

struct client_call *client_call_start(struct http_client *http, const char *authority,
    const char *path, const ProtobufCMessageDescriptor *response,
    const struct http_fields *metadata, uint64_t timeout_ms, const struct client_call_ops *ops,
    void *arg)
{
	struct http_head head = HTTP_HEAD_INIT;
	struct client_call *c = mem_zalloc(sizeof(*c));
	int r = c ? make_head(&head, authority, path, metadata, timeout_ms) : -ENOMEM;
	if (r == 0) {
		c->response = response;
		c->ops = ops;
		c->arg = arg;
		rpc_deframer_init(&c->deframer, LIMIT_RPC_MESSAGE, false);
		loop_timer_init(&c->deadline, http_client_loop(http), on_deadline, c);
		loop_defer_init(&c->defer, http_client_loop(http), on_defer, c);
		c->st = http_client_request(http, &head, false, &handler, c, &r);
		if (!c->st && r != -ENOMEM)
			end(c, false, RPC_UNAVAILABLE, "%s", err_name(r));
	}
	http_head_fini(&head);
	if (c && r == -ENOMEM && !c->st) {
		client_call_free(c);
		return NULL;
	}
	if (c && c->st && timeout_ms > 0)
		loop_timer_set(&c->deadline, timeout_ms);
	return c;
}

int client_call_send(struct client_call *c, const ProtobufCMessage *m)
{
	if (!c->st)
		return -EPIPE;
	buf_reset(&c->payload);
	buf_reset(&c->frame);
	int r = pb_pack(&c->payload, m);
	if (r == 0)
		r = rpc_frame(&c->frame, 0, buf_data(&c->payload), buf_len(&c->payload), false);
	return r < 0 ? r : http_stream_write(c->st, buf_data(&c->frame), buf_len(&c->frame));
}

void client_call_half_close(struct client_call *c)
{
	if (c->st)
		(void)http_stream_end(c->st, NULL); /* a lost stream is told by on_close */
}

void client_call_cancel(struct client_call *c)
{
	end(c, false, RPC_CANCELED, "canceled");
}

size_t client_call_queued(const struct client_call *c)
{
	return c->st ? http_stream_queued(c->st) : 0;
}
