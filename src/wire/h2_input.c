/* SPDX-License-Identifier: Apache-2.0 */
/* What nghttp2 reads: heads, bodies, ends. nghttp2 has checked framing, states and field syntax. */
#include <errno.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "wire/h2.h"

#define FIELD_OVERHEAD 32 /* RFC 9113 10.5.1 */

/* ---- heads ---- */

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
	struct h2_session *h = user;
	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	struct http_stream *st = http_stream_new(&h->base);
	if (!st)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	st->id = frame->hd.stream_id;
	(void)nghttp2_session_set_stream_user_data(ng, st->id, st);
	return 0;
}

static int parse_status(const char *value, size_t n, int *ret)
{
	int v = 0;
	for (size_t i = 0; i < n; i++)
		v = 10 * v + value[i] - '0'; /* nghttp2 lets three digits through */
	*ret = v;
	return 0;
}

/* Pseudo fields count like the others (RFC 9113 10.5.1). */
static int add_pseudo(struct http_head *head, const char *name, const char *value, size_t n)
{
	if (str_eq(name, ":protocol")) /* RFC 8441; nghttp2 lets no "upgrade" pass */
		return http_fields_add_n(&head->fields, "upgrade", strlen("upgrade"), value, n);
	char **text = str_eq(name, ":method")	   ? &head->method
		      : str_eq(name, ":scheme")	   ? &head->scheme
		      : str_eq(name, ":authority") ? &head->authority
		      : str_eq(name, ":path")	   ? &head->path
						   : NULL;
	size_t bytes = strlen(name) + n + FIELD_OVERHEAD;
	if (head->fields.bytes + bytes > LIMIT_HEAD_BYTES)
		return -E2BIG;
	head->fields.bytes += bytes;
	if (str_eq(name, ":status"))
		return parse_status(value, n, &head->status);
	if (!text || *text)
		return -EINVAL;
	*text = mem_strndup(value, n);
	return *text ? 0 : -ENOMEM;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
    size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *user)
{
	struct http_stream *st = h2_stream(user, frame->hd.stream_id);
	const char *key = (const char *)name, *text = (const char *)value;
	int r;
	if (!st || st->oversize)
		return 0;
	if (st->recv != HTTP_RECV_STATE_HEAD)
		r = http_fields_add_n(&st->peer_trailers, key, name_len, text, value_len);
	else if (name_len > 0 && key[0] == ':')
		r = add_pseudo(&st->peer, key, text, value_len);
	else
		r = http_fields_add_n(&st->peer.fields, key, name_len, text, value_len);
	if (r == -E2BIG)
		st->oversize = true;
	return r == 0 || r == -E2BIG ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* nghttp2 would drop the field and let the head pass. */
static int on_invalid_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
    size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *user)
{
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* An extended CONNECT becomes the upgrade request that it stands for: 0, a status or -ENOMEM. */
static int check_connect(struct http_head *head, bool end)
{
	if (!str_eq(head->method, "CONNECT"))
		return 0;
	const char *protocol = http_fields_get(&head->fields, "upgrade");
	if (!protocol)
		return 501;
	if (end || head->length >= 0 || !http_is_token(protocol, strlen(protocol)) ||
	    str_ieq(protocol, "h2c"))
		return 400;
	head->upgrade = true;
	return mem_set_str(&head->method, "GET");
}

/* 0, or the status that refuses the request; or -ENOMEM. */
static int check_request(struct http_stream *st)
{
	struct http_head *head = &st->peer;
	const char *host = http_fields_get(&head->fields, "host");
	size_t hosts = http_fields_count(&head->fields, "host");
	if (st->oversize)
		return 431;
	if (!head->path || !head->scheme)
		return 501; /* plain CONNECT */
	if (hosts > 1 || (host && head->authority && !str_ieq(host, head->authority)))
		return 400;
	if (!head->authority && !(head->authority = mem_strdup(host ? host : "")))
		return -ENOMEM;
	http_fields_remove(&head->fields, "host");
	bool asterisk = str_eq(head->path, "*") && !str_eq(head->method, "OPTIONS");
	if (asterisk || !http_is_path(head->path) || !http_is_authority(head->authority) ||
	    http_parse_length(&head->fields, &head->length) < 0)
		return 400;
	return check_connect(head, st->head_ends);
}

static int request_head(struct h2_session *h, struct http_stream *st, bool end)
{
	int status = check_request(st);
	if (status == 431 && !h2_allow_reset(h)) {
		h2_fail(h, -EPROTO, NGHTTP2_ENHANCE_YOUR_CALM);
		return -EPROTO;
	}
	if (status > 0)
		status = http_stream_refuse(st, status);
	else if (status == 0) {
		if (end)
			http_fields_remove(&st->peer.fields, "expect"); /* nothing to wait for */
		http_stream_deliver_request(st);
		return 0;
	}
	if (status < 0)
		http_stream_reset(st, HTTP_RESET_INTERNAL);
	return 0;
}

/* The peer's message cannot be taken: the owner hears err. */
static void break_stream(struct http_stream *st, int err, uint32_t code)
{
	int32_t id = st->id;
	struct h2_session *h = h2_of(st->session);
	http_stream_closed(st, err);
	if (nghttp2_submit_rst_stream(h->ng, NGHTTP2_FLAG_NONE, id, code) == NGHTTP2_ERR_NOMEM)
		h2_fail(h, -ENOMEM, NGHTTP2_INTERNAL_ERROR);
}

/* The answer to an extended CONNECT: 0 or -ENOMEM. */
static int connect_answered(struct h2_session *h, struct http_stream *st)
{
	int r = 0;
	st->tunnel = st->peer.status / 100 == 2;
	if (st->tunnel) {
		st->peer.status = 101;
		st->peer.length = -1;
		r = http_fields_add(&st->peer.fields, "upgrade", st->protocol);
	} else {
		buf_fini(&st->queue);
		st->send = HTTP_SEND_STATE_LAST; /* the request was only its head */
	}
	st->protocol = mem_free(st->protocol);
	return r == 0 && nghttp2_session_resume_data(h->ng, st->id) == NGHTTP2_ERR_NOMEM ? -ENOMEM
											 : r;
}

static int response_head(struct h2_session *h, struct http_stream *st)
{
	if (st->oversize || http_parse_length(&st->peer.fields, &st->peer.length) < 0) {
		break_stream(st, -EPROTO, NGHTTP2_PROTOCOL_ERROR);
	} else if (st->peer.status >= 200) {
		if (!st->protocol || connect_answered(h, st) == 0)
			http_stream_deliver_head(st);
		else
			break_stream(st, -ENOMEM, NGHTTP2_INTERNAL_ERROR);
	} else if (h2_allow_control(h)) {
		http_head_fini(&st->peer); /* the final one follows */
	} else {
		h2_fail(h, -EPROTO, NGHTTP2_ENHANCE_YOUR_CALM);
		return -EPROTO;
	}
	return 0;
}

static int head_received(struct h2_session *h, struct http_stream *st, bool end)
{
	if (st->recv != HTTP_RECV_STATE_HEAD) {
		if (st->oversize)
			break_stream(st, -EPROTO, NGHTTP2_PROTOCOL_ERROR);
		return 0;
	}
	st->head_ends = end;
	return h->base.server ? request_head(h, st, end) : response_head(h, st);
}

/* ---- bodies ---- */

/* Of a stream that we let go: until its window, which nobody opens again, has no room for more. */
static int discard(struct h2_session *h, int32_t id, size_t n)
{
	int32_t had = nghttp2_session_get_stream_effective_recv_data_length(h->ng, id);
	int r = nghttp2_session_consume_connection(h->ng, n);
	if (r == 0 && had >= H2_DISCARD_MAX && had - (int32_t)n < H2_DISCARD_MAX)
		r = nghttp2_submit_rst_stream(h->ng, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
	return r == NGHTTP2_ERR_NOMEM ? r : 0;
}

static int on_data(
    nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *user)
{
	struct h2_session *h = user;
	struct http_stream *st = h2_stream(h, id);
	if (st && st->recv != HTTP_RECV_STATE_DONE) /* of a tunnel that was declined */
		http_stream_deliver_data(st, p, n);
	else if (!st)
		return discard(h, id, n);
	else if (nghttp2_session_consume(ng, id, n) == NGHTTP2_ERR_NOMEM)
		return NGHTTP2_ERR_NOMEM;
	return 0;
}

/* ---- frames ---- */

static bool allow_frame(struct h2_session *h, const nghttp2_frame_hd *hd)
{
	switch (hd->type) {
	case NGHTTP2_HEADERS:
		h->continuations = 0;
		return true;
	case NGHTTP2_CONTINUATION:
		return ++h->continuations <= H2_CONTINUATIONS_MAX;
	case NGHTTP2_DATA:
		return hd->length > 0 || hd->flags & NGHTTP2_FLAG_END_STREAM || h2_allow_control(h);
	case NGHTTP2_RST_STREAM:
		return h2_stream_let_go(h, hd->stream_id) || h2_allow_reset(h);
	case NGHTTP2_GOAWAY:
		return true;
	default:
		return h2_allow_control(h);
	}
}

/* Frames of types that nobody knows are counted like others, then ignored (RFC 9113 5.5). */
static int on_extension(nghttp2_session *ng, void **payload, const nghttp2_frame_hd *hd, void *user)
{
	return NGHTTP2_ERR_CANCEL;
}

void h2_count_extensions(nghttp2_option *opt)
{
	for (unsigned type = NGHTTP2_CONTINUATION + 1; type <= UINT8_MAX; type++)
		nghttp2_option_set_user_recv_extension_type(opt, (uint8_t)type);
}

static int on_begin_frame(nghttp2_session *ng, const nghttp2_frame_hd *hd, void *user)
{
	struct h2_session *h = user;
	if (!h->err && allow_frame(h, hd))
		return 0;
	h2_fail(h, -EPROTO, NGHTTP2_ENHANCE_YOUR_CALM);
	return NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* The peer has seen the notice, so every stream that it opened before has arrived. */
static int finish_drain(struct h2_session *h)
{
	int r = nghttp2_submit_goaway(h->ng, NGHTTP2_FLAG_NONE,
	    nghttp2_session_get_last_proc_stream_id(h->ng), NGHTTP2_NO_ERROR, NULL, 0);
	return r == NGHTTP2_ERR_NOMEM ? r : 0;
}

static int ping_answered(struct h2_session *h, const nghttp2_ping *ping)
{
	if (memcmp(ping->opaque_data, h2_drain_ping, sizeof(h2_drain_ping)) == 0)
		return finish_drain(h);
	h->ping_pending = false;
	return 0;
}

/* A client whose request is of no use any more says so: the server reads on until it hears it. */
static void stop_request(struct http_stream *st)
{
	bool is_sent = st->send == HTTP_SEND_STATE_DONE ||
		       (st->send == HTTP_SEND_STATE_LAST && buf_len(&st->queue) == 0);
	if (!st->closed && !st->tunnel && !is_sent)
		break_stream(st, 0, NGHTTP2_CANCEL);
}

static int message_frame(struct h2_session *h, const nghttp2_frame_hd *hd)
{
	bool end = hd->flags & NGHTTP2_FLAG_END_STREAM;
	struct http_stream *st = h2_stream(h, hd->stream_id);
	if (!st)
		return 0;
	if (hd->type == NGHTTP2_HEADERS && head_received(h, st, end) < 0)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	if (end && !st->closed && st->recv != HTTP_RECV_STATE_DONE)
		http_stream_deliver_end(st);
	if (end && !h->base.server)
		stop_request(st);
	return 0;
}

static int on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
	struct h2_session *h = user;
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
	case NGHTTP2_DATA:
		return message_frame(h, &frame->hd);
	case NGHTTP2_PING:
		return frame->hd.flags & NGHTTP2_FLAG_ACK ? ping_answered(h, &frame->ping) : 0;
	case NGHTTP2_SETTINGS:
		h->greeted = true;
		return 0;
	default:
		return 0;
	}
}

/* ---- ends ---- */

static int close_error(const struct h2_session *h, const struct http_stream *st, uint32_t code)
{
	bool received = st->recv == HTTP_RECV_STATE_DONE;
	bool sent = st->send == HTTP_SEND_STATE_DONE;
	switch (code) {
	case NGHTTP2_NO_ERROR:
		/* A server may stop a request that it has answered (RFC 9113 8.1). */
		return received && (sent || !h->base.server) ? 0 : -ECONNRESET;
	case NGHTTP2_REFUSED_STREAM:
		return -ECONNREFUSED;
	case NGHTTP2_PROTOCOL_ERROR:
	case NGHTTP2_FLOW_CONTROL_ERROR:
	case NGHTTP2_STREAM_CLOSED:
	case NGHTTP2_FRAME_SIZE_ERROR:
	case NGHTTP2_COMPRESSION_ERROR:
		return -EPROTO;
	default:
		return -ECONNRESET;
	}
}

static int on_stream_close(nghttp2_session *ng, int32_t id, uint32_t code, void *user)
{
	struct http_stream *st = h2_stream(user, id);
	if (!st)
		return 0;
	st->id = 0; /* nghttp2 forgets it now */
	http_stream_closed(st, close_error(user, st, code));
	return 0;
}

void h2_set_input_callbacks(nghttp2_session_callbacks *cb)
{
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback(cb, on_invalid_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
	nghttp2_session_callbacks_set_unpack_extension_callback(cb, on_extension);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
}
