/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an answer looks like in each protocol.
 *
 *                  head             messages     status
 *   gRPC           200              envelopes    HTTP trailers, or the head when nothing was sent
 *   gRPC-Web       200              envelopes    envelope 0x80: header lines (text: all of it
 * base64) Connect stream 200              envelopes    envelope 0x02: JSON Connect unary  200 or an
 * error  the body     head; an error's body is JSON
 *
 * A Connect unary answer is held back until its status is known, because both stand in the head.
 */
#include "rpc/call_internal.h"

#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "wire/pbwire.h"
#include "wire/pjson.h"

static bool is_grpc_web(const struct call *c)
{
	return c->protocol == RPC_GRPC_WEB || c->protocol == RPC_GRPC_WEB_TEXT;
}

static int copy_fields(struct http_fields *dst, const struct http_fields *src, const char *prefix)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < src->n; i++) {
		char name[128];
		int n = snprintf(name, sizeof(name), "%s%s", prefix, src->v[i].name);
		r = n < (int)sizeof(name) ? http_fields_add(dst, name, src->v[i].value) : -EINVAL;
	}
	return r;
}

/* A head with the content type and the method's headers, for http_head_fini(). */
static int make_head(
    const struct call *c, int status, const char *content_type, struct http_head *ret)
{
	*ret = (struct http_head)HTTP_HEAD_INIT;
	ret->status = status;
	int r = http_fields_add(&ret->fields, "content-type", content_type);
	return r < 0 ? r : copy_fields(&ret->fields, &c->headers, "");
}

int call_reply_head(struct call *c)
{
	struct http_head head;
	if (c->protocol == RPC_CONNECT_UNARY || http_stream_head_sent(c->st))
		return 0;
	int r = make_head(c, 200, rpc_content_type(c->protocol, c->codec), &head);
	if (r == 0)
		r = http_stream_respond(c->st, &head, false);
	http_head_fini(&head);
	return r;
}

static int send_envelope(struct call *c, uint8_t flags, const struct buf *payload)
{
	buf_reset(&c->frame);
	int r = rpc_frame(&c->frame, flags, buf_data(payload), buf_len(payload),
	    c->protocol == RPC_GRPC_WEB_TEXT);
	if (r == 0)
		r = call_reply_head(c);
	return r < 0 ? r : http_stream_write(c->st, buf_data(&c->frame), buf_len(&c->frame));
}

int call_reply_message(struct call *c, const ProtobufCMessage *m)
{
	buf_reset(&c->payload);
	int r = c->codec == RPC_JSON ? pjson_encode(&c->payload, m) : pb_pack(&c->payload, m);
	if (r < 0 || c->protocol == RPC_CONNECT_UNARY)
		return r;
	return send_envelope(c, 0, &c->payload);
}

/* ---- gRPC ---- */

static int make_grpc_status(
    const struct call *c, enum rpc_code code, const char *text, struct http_fields *ret)
{
	CLEAN_BUF struct buf message = BUF_INIT;
	int r = http_fields_addf(ret, "grpc-status", "%d", (int)code);
	if (r == 0 && *text) {
		r = rpc_encode_message(&message, text);
		if (r == 0)
			r = buf_cstr(&message) ? 0 : -ENOMEM;
		if (r == 0)
			r = http_fields_add(ret, "grpc-message", (char *)buf_data(&message));
	}
	return r < 0 ? r : copy_fields(ret, &c->trailers, "");
}

static int finish_grpc(struct call *c, enum rpc_code code, const char *text)
{
	struct http_fields status = { 0 };
	struct http_head head = HTTP_HEAD_INIT;
	int r = make_grpc_status(c, code, text, &status);
	if (r == 0 && http_stream_head_sent(c->st)) {
		r = http_stream_end(c->st, &status);
	} else if (r == 0) { /* trailers only */
		r = make_head(c, 200, rpc_content_type(c->protocol, c->codec), &head);
		if (r == 0)
			r = copy_fields(&head.fields, &status, "");
		if (r == 0)
			r = http_stream_respond(c->st, &head, true);
	}
	http_head_fini(&head);
	http_fields_fini(&status);
	return r;
}

static int finish_grpc_web(struct call *c, enum rpc_code code, const char *text)
{
	struct http_fields status = { 0 };
	CLEAN_BUF struct buf lines = BUF_INIT;
	int r = make_grpc_status(c, code, text, &status);
	for (size_t i = 0; r == 0 && i < status.n; i++)
		r = buf_printf(&lines, "%s: %s\r\n", status.v[i].name, status.v[i].value);
	http_fields_fini(&status);
	if (r == 0)
		r = send_envelope(c, RPC_FLAG_TRAILERS, &lines);
	return r < 0 ? r : http_stream_end(c->st, NULL);
}

/* ---- Connect ---- */

/* {"code":"...","message":"..."}; NULL on -ENOMEM. */
static json_t *make_error(enum rpc_code code, const char *text)
{
	CLEAN_JSON json_t *o = json_object();
	if (!o || json_object_set_new(o, "code", json_string(rpc_code_name(code))) < 0)
		return NULL;
	if (*text && json_object_set_new(o, "message", json_string(text)) < 0)
		return NULL;
	return TAKE(o);
}

/* {"name":["value",...]} */
static json_t *make_metadata(const struct http_fields *f)
{
	CLEAN_JSON json_t *o = json_object();
	for (size_t i = 0; o && i < f->n; i++) {
		json_t *values = json_object_get(o, f->v[i].name);
		if (!values) {
			values = json_array();
			if (json_object_set_new(o, f->v[i].name, values) < 0)
				return NULL;
		}
		if (json_array_append_new(values, json_string(f->v[i].value)) < 0)
			return NULL;
	}
	return TAKE(o);
}

static int finish_connect_stream(struct call *c, enum rpc_code code, const char *text)
{
	CLEAN_BUF struct buf payload = BUF_INIT;
	CLEAN_JSON json_t *o = json_object();
	if (!o || (code != RPC_OK && json_object_set_new(o, "error", make_error(code, text)) < 0))
		return -ENOMEM;
	if (c->trailers.n > 0 &&
	    json_object_set_new(o, "metadata", make_metadata(&c->trailers)) < 0)
		return -ENOMEM;
	int r = json_write(&payload, o, false);
	if (r == 0)
		r = send_envelope(c, RPC_FLAG_END_STREAM, &payload);
	return r < 0 ? r : http_stream_end(c->st, NULL);
}

static int send_unary(struct call *c, int status, const char *content_type, const struct buf *body)
{
	struct http_head head;
	int r = make_head(c, status, content_type, &head);
	head.length = (int64_t)buf_len(body);
	if (r == 0)
		r = copy_fields(&head.fields, &c->trailers, "trailer-");
	if (r == 0)
		r = http_stream_respond(c->st, &head, false);
	if (r == 0)
		r = http_stream_write(c->st, buf_data(body), buf_len(body));
	if (r == 0)
		r = http_stream_end(c->st, NULL);
	http_head_fini(&head);
	return r;
}

static int finish_connect_unary(struct call *c, enum rpc_code code, const char *text)
{
	CLEAN_BUF struct buf body = BUF_INIT;
	if (code == RPC_OK)
		return send_unary(c, 200, rpc_content_type(c->protocol, c->codec), &c->payload);
	CLEAN_JSON json_t *o = make_error(code, text);
	int r = o ? json_write(&body, o, false) : -ENOMEM;
	return r < 0 ? r : send_unary(c, rpc_code_http(code), "application/json", &body);
}

int call_reply_status(struct call *c, enum rpc_code code, const char *text)
{
	if (code == RPC_OK && c->method && !c->method->server_stream && c->sent == 0) {
		code = RPC_INTERNAL;
		text = "the method gave no answer";
	}
	if (c->protocol == RPC_GRPC)
		return finish_grpc(c, code, text);
	if (is_grpc_web(c))
		return finish_grpc_web(c, code, text);
	return c->protocol == RPC_CONNECT_STREAM ? finish_connect_stream(c, code, text)
						 : finish_connect_unary(c, code, text);
}
