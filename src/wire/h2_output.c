/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nghttp2 writes. Body bytes go from the stream's queue straight behind their frame header in
 * the connection's output (NO_COPY), so they never pass through nghttp2's own frame buffer.
 */
#include <errno.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "wire/h2.h"

#define FRAME_HEADER 9
#define PSEUDO_MAX 5

/* ---- heads ---- */

struct block {
	nghttp2_nv nv[LIMIT_HEAD_FIELDS + PSEUDO_MAX + 2];
	size_t n;
	char number[HTTP_DIGITS];
	char status[HTTP_DIGITS];
};

static void block_add(struct block *b, const char *name, const char *value)
{
	b->nv[b->n++] = (nghttp2_nv){
		.name = (uint8_t *)name,
		.namelen = strlen(name),
		.value = (uint8_t *)value,
		.valuelen = strlen(value),
	};
}

static void block_add_fields(struct block *b, const struct http_fields *f)
{
	for (size_t i = 0; i < f->n && i < LIMIT_HEAD_FIELDS; i++) {
		const struct http_field *v = &f->v[i];
		bool trailers = str_eq(v->name, "te") && str_ieq(v->value, "trailers");
		if (trailers || !http_field_is_ours(v->name))
			block_add(b, v->name, v->value);
	}
}

/* protocol: of an extended CONNECT, else NULL. */
static void block_add_head(struct block *b, const struct http_head *head, const char *protocol)
{
	int64_t length = http_head_length(head);
	b->n = 0;
	if (head->status) {
		int status = head->status == 101 ? 200 : head->status; /* RFC 8441 5 */
		block_add(b, ":status", http_digits((uint64_t)status, b->status));
	} else {
		block_add(b, ":method", protocol ? "CONNECT" : head->method);
		if (protocol)
			block_add(b, ":protocol", protocol);
		block_add(b, ":scheme", head->scheme ? head->scheme : "http");
		if (head->authority[0])
			block_add(b, ":authority", head->authority);
		block_add(b, ":path", head->path);
	}
	block_add_fields(b, &head->fields);
	if (length >= 0) {
		block_add(b, "content-length", http_digits((uint64_t)length, b->number));
	}
}

/* ---- bodies ---- */

static int submit_trailers(struct h2_session *h, struct http_stream *st)
{
	struct block b = { .n = 0 };
	block_add_fields(&b, &st->trailers);
	return nghttp2_submit_trailer(h->ng, st->id, b.nv, b.n);
}

static ssize_t read_body(nghttp2_session *ng, int32_t id, uint8_t *space, size_t max,
    uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct h2_session *h = user;
	struct http_stream *st = h2_stream(h, id);
	size_t n = st ? buf_len(&st->queue) : 0;
	bool last = st && st->send == HTTP_SEND_STATE_LAST && n <= max;
	if (n > max)
		n = max;
	if ((n == 0 && !last) || (st && st->protocol))
		return NGHTTP2_ERR_DEFERRED;
	if (buf_reserve(h->out, n + FRAME_HEADER, NULL) < 0)
		return NGHTTP2_ERR_NOMEM;
	if (last) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (st->trailers.n > 0) {
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
			if (submit_trailers(h, st) != 0)
				return NGHTTP2_ERR_NOMEM;
		}
	}
	if (n > 0)
		*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	return (ssize_t)n;
}

/* Between peers that both allow them, long frames save calls and copies. */
static ssize_t frame_length(nghttp2_session *ng, uint8_t type, int32_t id, int32_t conn_window,
    int32_t stream_window, uint32_t max, void *user)
{
	int32_t n = conn_window < stream_window ? conn_window : stream_window;
	if (max > LIMIT_FRAME)
		max = LIMIT_FRAME;
	return n < (int32_t)max ? n : (int32_t)max;
}

static int send_body(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *header, size_t n,
    nghttp2_data_source *source, void *user)
{
	struct h2_session *h = user;
	struct http_stream *st = h2_stream(h, frame->hd.stream_id);
	if (!st || buf_append(h->out, header, FRAME_HEADER) < 0 ||
	    buf_append(h->out, buf_data(&st->queue), n) < 0)
		return NGHTTP2_ERR_CALLBACK_FAILURE; /* read_body() has seen to both */
	buf_consume(&st->queue, n);
	http_buf_trim(&st->queue, true);
	http_stream_note_sent(st, n);
	return buf_len(h->out) < h->out_enough ? 0 : NGHTTP2_ERR_PAUSE;
}

/* ---- after a frame has left ---- */

/* Our message is whole. A request that is still coming is of no use any more (RFC 9113 8.1): its
 * owner lets go of it, and the rest is read for nobody, because clients such as curl 7.88 take the
 * reset for a failure of the answer that they have. Only what is too long for that is reset. */
static int message_sent(struct h2_session *h, struct http_stream *st)
{
	st->send = HTTP_SEND_STATE_DONE;
	if (!h->base.server || st->tunnel ||
	    nghttp2_session_get_stream_remote_close(h->ng, st->id) == 1)
		return 0;
	int32_t id = st->id;
	/* A peer whose tunnel was declined has no request to end. */
	bool is_over = st->peer.upgrade || st->peer.length > H2_DISCARD_MAX || h->draining;
	http_stream_closed(st, 0);
	/* The window as wide as all that is read. */
	int r = is_over ? nghttp2_submit_rst_stream(h->ng, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR)
			: nghttp2_session_set_local_window_size(h->ng, NGHTTP2_FLAG_NONE, id,
			      H2_DISCARD_MAX + (int32_t)h->base.conf.stream_window);
	return r == NGHTTP2_ERR_NOMEM ? r : 0;
}

static int on_frame_send(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
	struct h2_session *h = user;
	struct http_stream *st = h2_stream(h, frame->hd.stream_id);
	switch (frame->hd.type) {
	case NGHTTP2_DATA:
		h2_earn_credit(h, frame->hd.length);
		break;
	case NGHTTP2_HEADERS:
		h2_earn_credit(h, 0);
		break;
	case NGHTTP2_RST_STREAM:
		if (h->base.server && !h2_stream_let_go(h, frame->hd.stream_id) &&
		    !h2_allow_reset(h))
			h2_fail(h, -EPROTO, NGHTTP2_ENHANCE_YOUR_CALM);
		return 0;
	case NGHTTP2_GOAWAY:
		if (frame->goaway.error_code != NGHTTP2_NO_ERROR)
			h2_fail(h, -EPROTO, frame->goaway.error_code);
		return 0;
	default:
		return 0;
	}
	if (st && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		return message_sent(h, st);
	return 0;
}

void h2_set_output_callbacks(nghttp2_session_callbacks *cb)
{
	nghttp2_session_callbacks_set_data_source_read_length_callback(cb, frame_length);
	nghttp2_session_callbacks_set_send_data_callback(cb, send_body);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
}

/* ---- what streams submit ---- */

/* An upgrade request becomes an extended CONNECT (RFC 8441), which has no place for a method and
 * for a choice of protocols: 0 and *ret (NULL without an upgrade), or -EINVAL. */
static int connect_protocol(const struct http_head *head, const char **ret)
{
	*ret = head->upgrade ? http_fields_get(&head->fields, "upgrade") : NULL;
	bool fits = *ret && str_eq(head->method, "GET") && http_is_token(*ret, strlen(*ret));
	return head->upgrade && !fits ? -EINVAL : 0;
}

int h2_open(struct http_stream *st, const struct http_head *head, bool end)
{
	struct h2_session *h = h2_of(st->session);
	const nghttp2_data_provider body = { .read_callback = read_body };
	struct block b;
	const char *protocol;
	int r = connect_protocol(head, &protocol);
	if (r == 0 && protocol)
		r = mem_set_str(&st->protocol, protocol);
	if (r < 0)
		return r;
	block_add_head(&b, head, protocol);
	int32_t id = nghttp2_submit_request(h->ng, NULL, b.nv, b.n, end ? NULL : &body, st);
	if (id < 0)
		return id == NGHTTP2_ERR_NOMEM ? -ENOMEM : -ESHUTDOWN;
	st->id = id;
	return 0;
}

int h2_respond(struct http_stream *st, const struct http_head *head, bool end)
{
	struct h2_session *h = h2_of(st->session);
	const nghttp2_data_provider body = { .read_callback = read_body };
	struct block b;
	int r;
	block_add_head(&b, head, NULL);
	st->tunnel = head->status == 101;
	if (head->status < 200 && !st->tunnel)
		r = nghttp2_submit_headers(h->ng, NGHTTP2_FLAG_NONE, st->id, NULL, b.nv, b.n, NULL);
	else
		r = nghttp2_submit_response(h->ng, st->id, b.nv, b.n, end ? NULL : &body);
	if (r < 0)
		return r == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EINVAL;
	if (head->status >= 200 && st->peer.upgrade && st->recv != HTTP_RECV_STATE_DONE)
		http_stream_release_end(st); /* declined: the request was only its head */
	return 0;
}
