/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/system/reply.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "rpc/call.h"
#include "wire/http.h"

#define METHODS "HEAD, GET, POST, PUT, PATCH, DELETE"
#define EXPOSED                                                                          \
	"Grpc-Status, Grpc-Message, Grpc-Status-Details-Bin, Connect-Content-Encoding, " \
	"Connect-Protocol-Version, Connect-Accept-Encoding, Location, Cache-Control, "   \
	"X-Content-Type-Options, Sandglass-Seq"

static const char *request_header(const struct http_stream *st, const char *name)
{
	return http_fields_get(&http_stream_peer_head(st)->fields, name);
}

int reply_add_cors(const struct http_stream *st, struct http_fields *f)
{
	if (!request_header(st, "origin"))
		return 0;
	int r = http_fields_add(f, "access-control-allow-origin", "*");
	return r < 0 ? r : http_fields_add(f, "access-control-expose-headers", EXPOSED);
}

int reply_add_cors_call(struct call *c)
{
	if (!call_header(c, "origin"))
		return 0;
	int r = call_add_header(c, "access-control-allow-origin", "*");
	return r < 0 ? r : call_add_header(c, "access-control-expose-headers", EXPOSED);
}

/* Whatever goes wrong, the client sees an end: a failed answer resets the stream. */
static int send_reply(struct http_stream *st, struct http_head *head, const void *p, size_t n)
{
	int r = reply_add_cors(st, &head->fields);
	if (r == 0 && n > 0)
		r = http_fields_addf(&head->fields, "content-length", "%zu", n);
	if (r == 0)
		r = http_stream_respond(st, head, n == 0);
	if (r == 0 && n > 0) {
		r = http_stream_write(st, p, n);
		if (r == 0)
			r = http_stream_end(st, NULL);
	}
	http_head_fini(head);
	if (r < 0)
		http_stream_reset(st, HTTP_RESET_INTERNAL);
	return r;
}

int reply_bytes(
    struct http_stream *st, int status, const char *content_type, const void *p, size_t n)
{
	struct http_head head = HTTP_HEAD_INIT;
	head.status = status;
	int r = http_fields_add(&head.fields, "content-type", content_type);
	if (r == 0 && n == 0)
		r = http_fields_add(&head.fields, "content-length", "0");
	if (r < 0) {
		http_head_fini(&head);
		http_stream_reset(st, HTTP_RESET_INTERNAL);
		return r;
	}
	return send_reply(st, &head, p, n);
}

int reply_empty(struct http_stream *st, int status)
{
	struct http_head head = HTTP_HEAD_INIT;
	head.status = status;
	return send_reply(st, &head, NULL, 0);
}

int reply_text(struct http_stream *st, int status, const char *text)
{
	return reply_bytes(st, status, "text/plain; charset=utf-8", text, strlen(text));
}

int reply_json(struct http_stream *st, int status, json_t *v_consume)
{
	CLEAN_JSON json_t *v = v_consume;
	CLEAN_BUF struct buf b = BUF_INIT;
	if (!v || json_write(&b, v, false) < 0) {
		http_stream_reset(st, HTTP_RESET_INTERNAL);
		return -ENOMEM;
	}
	return reply_bytes(st, status, "application/json", buf_data(&b), buf_len(&b));
}

int reply_error(struct http_stream *st, int status, const char *fmt, ...)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	va_list ap;
	va_start(ap, fmt);
	int r = buf_vprintf(&b, fmt, ap);
	va_end(ap);
	const char *text = r == 0 ? buf_cstr(&b) : NULL;
	return reply_json(
	    st, status, json_pack("{s:i, s:s}", "code", status, "message", text ? text : ""));
}

int reply_unauthorized(struct http_stream *st)
{
	return reply_error(st, 401,
	    "unauthorized access, please provide a valid access token or method signing if "
	    "supported");
}

void reply_no_memory(struct call *c)
{
	call_finish(c, RPC_RESOURCE_EXHAUSTED, "out of memory");
}

void reply_message(struct call *c, const ProtobufCMessage *m)
{
	int r = call_send(c, m);
	if (r == -ENOMEM)
		reply_no_memory(c);
	else if (r == -EINVAL)
		call_finish(c, RPC_INTERNAL, "the answer has no JSON form");
	else
		call_finish(c, RPC_OK, NULL);
}

bool reply_preflight(struct http_stream *st)
{
	const char *method = http_stream_peer_head(st)->method;
	const char *wanted = request_header(st, "access-control-request-headers");
	struct http_head head = HTTP_HEAD_INIT;
	if (!str_eq(method, "OPTIONS") || !request_header(st, "access-control-request-method"))
		return false;
	head.status = 204;
	int r = http_fields_add(&head.fields, "access-control-allow-methods", METHODS);
	if (r == 0)
		/* "*" would not cover Authorization, so that what was asked for is named. */
		r = http_fields_add(
		    &head.fields, "access-control-allow-headers", wanted ? wanted : "*");
	if (r == 0)
		r = http_fields_add(&head.fields, "access-control-max-age", "7200");
	if (r < 0) {
		http_head_fini(&head);
		http_stream_reset(st, HTTP_RESET_INTERNAL);
	} else {
		(void)send_reply(st, &head, NULL, 0);
	}
	return true;
}
