/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 connection, both roles: one exchange at a time.
 *
 * What is read next is the phase:
 *
 *   HEAD     a message head (a client without an exchange expects nothing)
 *   BODY     body of the current message; raw bytes after 101
 *   WAIT     nothing until our message has left: pipelined bytes stay with the caller
 *   DISCARD  rest of a request that was answered early; at most DISCARD_MAX bytes
 *   CLOSED   nothing: the connection ends when its output is flushed
 *
 *   server: HEAD -> BODY -> WAIT -> HEAD | CLOSED      an early answer: BODY -> DISCARD -> HEAD |
 * CLOSED client: HEAD -> BODY -> HEAD | CLOSED              101: HEAD -> BODY -> WAIT -> CLOSED
 *
 * Our message is written by h1_send(): heads wait in `out`, body bytes in the stream's queue, and
 * these are framed when the owner of the connection asks for output, so a burst of small writes
 * becomes one chunk.
 *
 * A message that is broken off has no mark on the wire but a reset connection: h1_send() says so
 * with -ECONNABORTED.
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "wire/h1.h"
#include "wire/http_private.h"

#define DISCARD_MAX (8 * 1024 * 1024) /* more than a message of an RPC that is too long */
#define BLANK_LINES_MAX 4	      /* before a request */
#define INFORMATIONAL_MAX 8	      /* 1xx heads before a response */

enum h1_phase {
	H1_PHASE_HEAD,
	H1_PHASE_BODY,
	H1_PHASE_WAIT,
	H1_PHASE_DISCARD,
	H1_PHASE_CLOSED,
};

struct h1_session {
	struct http_session base;
	enum h1_phase phase;
	int err; /* why it is CLOSED: 0 in order, -EPROTO, -ENOMEM, -ECONNABORTED, -ECONNRESET */
	struct http_stream *current;
	struct h1_scan scan;
	struct buf in; /* a head or trailer section that came in pieces */
	struct h1_body body;
	struct buf out;
	enum h1_framing out_framing;
	size_t discarded;
	unsigned skipped; /* blank lines or 1xx heads so far */
	bool reuse;	  /* the connection may carry another exchange */
	bool draining;
	bool old;     /* the peer's request is HTTP/1.0 */
	bool shut;    /* our way of a tunnel has ended */
	bool asked;   /* client: the request asks for a switch, no answer yet */
	bool blocked; /* the last recv left bytes with the caller */
};

static struct h1_session *h1_of(const struct http_session *s)
{
	return container_of(s, struct h1_session, base);
}

/* ---- ends ---- */

static void close_connection(struct h1_session *h, int err)
{
	if (h->phase == H1_PHASE_CLOSED)
		return;
	h->phase = H1_PHASE_CLOSED;
	h->err = err;
	h->current = NULL;
	buf_fini(&h->in);
	http_session_fail_streams(&h->base, err ? err : -ECONNRESET);
}

static int fail(struct h1_session *h, int err)
{
	close_connection(h, err);
	return err;
}

/* Both messages are whole. */
static void finish_exchange(struct h1_session *h)
{
	struct http_stream *st = h->current;
	h->current = NULL;
	h->skipped = 0;
	http_stream_closed(st, 0);
	if (h->reuse && !h->draining)
		h->phase = H1_PHASE_HEAD;
	else
		close_connection(h, 0);
}

/* Server: the answer has left before the request came whole. */
static void answered_early(struct h1_session *h)
{
	struct http_stream *st = h->current;
	bool body_unsent = st->expects; /* the client still waits for 100 */
	h->current = NULL;
	http_stream_closed(st, 0);
	if (body_unsent) {
		close_connection(h, 0);
		return;
	}
	h->phase = H1_PHASE_DISCARD;
	h->discarded = 0;
}

static void message_sent(struct h1_session *h)
{
	struct http_stream *st = h->current;
	st->send = HTTP_SEND_STATE_DONE;
	if (h->out_framing == H1_FRAMING_UNTIL_CLOSE)
		h->reuse = false;
	if (!h->base.server && !st->tunnel)
		return; /* the response ends the exchange */
	if (st->recv == HTTP_RECV_STATE_DONE)
		finish_exchange(h);
	else if (st->tunnel)
		h->shut = true;
	else
		answered_early(h);
}

static void message_received(struct h1_session *h)
{
	struct http_stream *st = h->current;
	h->phase = H1_PHASE_WAIT;
	http_stream_deliver_end(st);
	if (h->current != st)
		return;
	if (!h->base.server && !st->tunnel) {
		/* Nobody wants the rest of a request that is answered. */
		h->reuse = h->reuse && st->send == HTTP_SEND_STATE_DONE;
		finish_exchange(h);
	} else if (st->send == HTTP_SEND_STATE_DONE) {
		finish_exchange(h);
	}
}

/* Server: answer what cannot be a request, or a body that cannot be one, then close. */
static int refuse(struct h1_session *h, int status)
{
	const struct http_head head = { .status = status };
	bool headless =
	    h->current ? h->current->send == HTTP_SEND_STATE_HEAD : h->phase == H1_PHASE_HEAD;
	if (h->base.server && headless)
		(void)h1_write_response(&h->out, &head, H1_FRAMING_LENGTH, 0, H1_CONNECTION_CLOSE);
	return fail(h, -EPROTO);
}

/* ---- input ---- */

/* Collect a head or trailer section. Returns bytes taken; *ret_n stays 0 until the section is
 * whole. -ENOMEM, or the negative status that it deserves. */
static ssize_t gather(
    struct h1_session *h, const unsigned char *p, size_t n, const char **ret_p, size_t *ret_n)
{
	ssize_t end = h1_scan(&h->scan, p, n);
	*ret_n = 0;
	if (end < 0)
		return end;
	bool whole = end > 0, pieces = buf_len(&h->in) > 0;
	size_t take = whole ? (size_t)end : n;
	if ((pieces || !whole) && buf_append(&h->in, p, take) < 0)
		return -ENOMEM;
	if (whole) {
		*ret_p = pieces ? (const char *)buf_data(&h->in) : (const char *)p;
		*ret_n = pieces ? buf_len(&h->in) : take;
		h->scan = (struct h1_scan){ 0 };
	}
	return (ssize_t)take;
}

static int begin_request(struct h1_session *h, const char *p, size_t n)
{
	struct h1_message m;
	struct http_stream *st = http_stream_new(&h->base);
	if (!st)
		return fail(h, -ENOMEM);
	int r = h1_parse_request(&st->peer, &m, p, n, h->base.conf.tls);
	if (r != 0) {
		http_stream_discard(st);
		return r < 0 ? fail(h, r) : refuse(h, r);
	}
	buf_fini(&h->in);
	h->current = st;
	h->reuse = m.keep_alive;
	h->old = m.old;
	h->out_framing = H1_FRAMING_NONE;
	h1_body_init(&h->body, m.framing, m.length);
	h->phase = m.framing == H1_FRAMING_NONE ? H1_PHASE_WAIT : H1_PHASE_BODY;
	if (m.framing == H1_FRAMING_NONE || m.old)
		http_fields_remove(&st->peer.fields, "expect"); /* nothing to wait for */
	st->head_ends = m.framing == H1_FRAMING_NONE && !st->peer.upgrade;
	http_stream_deliver_request(st);
	if (h->current == st && st->head_ends)
		message_received(h);
	return 0;
}

/* Client: 0, or -errno after the connection has failed. */
static int begin_response(struct h1_session *h, const char *p, size_t n)
{
	struct http_stream *st = h->current;
	struct h1_message m;
	http_head_fini(&st->peer);
	int r = h1_parse_response(&st->peer, &m, p, n, st->peer_bare);
	if (r < 0)
		return fail(h, r);
	buf_fini(&h->in);
	st->tunnel = st->peer.status == 101;
	if (st->tunnel && !h->asked)
		return fail(h, -EPROTO);
	if (st->peer.status < 200 && !st->tunnel)
		return ++h->skipped > INFORMATIONAL_MAX ? fail(h, -EPROTO) : 0;
	if (h->asked && !st->tunnel) {
		buf_fini(&st->queue);
		st->send = HTTP_SEND_STATE_DONE; /* the request was only its head */
	}
	h->asked = false;
	h->reuse = m.keep_alive && !st->tunnel;
	if (st->tunnel)
		m.framing = h->out_framing = H1_FRAMING_UNTIL_CLOSE;
	h1_body_init(&h->body, m.framing, m.length);
	h->phase = H1_PHASE_BODY;
	st->head_ends = m.framing == H1_FRAMING_NONE;
	http_stream_deliver_head(st);
	if (h->current == st && m.framing == H1_FRAMING_NONE)
		message_received(h);
	return 0;
}

static ssize_t recv_head(struct h1_session *h, const unsigned char *p, size_t n)
{
	const char *head;
	size_t len;
	bool server = h->base.server;
	if (!server && !h->current)
		return fail(h, -EPROTO); /* nothing was asked */
	ssize_t taken = gather(h, p, n, &head, &len);
	if (taken == -ENOMEM)
		return fail(h, -ENOMEM);
	if (taken < 0)
		return refuse(h, (int)-taken);
	if (len == 0)
		return taken;
	if (len == 2) {
		buf_fini(&h->in);
		return server && ++h->skipped <= BLANK_LINES_MAX ? taken : refuse(h, 400);
	}
	int r = server ? begin_request(h, head, len) : begin_response(h, head, len);
	return r < 0 ? r : taken;
}

static ssize_t recv_trailers(struct h1_session *h, const unsigned char *p, size_t n)
{
	const char *section;
	size_t len;
	ssize_t taken = gather(h, p, n, &section, &len);
	if (taken == -ENOMEM)
		return fail(h, -ENOMEM);
	if (taken < 0)
		return refuse(h, taken == -400 ? 400 : 431);
	if (len == 0)
		return taken;
	struct http_fields unwanted = { 0 };
	int r =
	    h1_parse_trailers(h->current ? &h->current->peer_trailers : &unwanted, section, len);
	http_fields_fini(&unwanted);
	if (r < 0)
		return r == -ENOMEM ? fail(h, r) : refuse(h, 400);
	buf_fini(&h->in);
	h->body.state = H1_BODY_STATE_DONE;
	return taken;
}

static size_t room_of(const struct h1_session *h)
{
	size_t window = h->base.conf.stream_window;
	size_t unread = h->current ? h->current->unread : 0;
	return unread < window ? window - unread : 0;
}

static ssize_t recv_body(struct h1_session *h, const unsigned char *p, size_t n)
{
	struct http_stream *st = h->current;
	const unsigned char *data = NULL;
	size_t len = 0;
	ssize_t taken;
	if (h->body.state == H1_BODY_STATE_TRAILERS)
		taken = recv_trailers(h, p, n);
	else
		taken = h1_body_step(&h->body, p, n, room_of(h), &data, &len);
	if (taken < 0)
		return h->phase == H1_PHASE_CLOSED ? taken : refuse(h, 400);
	if (len > 0)
		http_stream_deliver_data(st, data, len);
	if (h->current == st && h->body.state == H1_BODY_STATE_DONE)
		message_received(h);
	return taken;
}

static ssize_t recv_discard(struct h1_session *h, const unsigned char *p, size_t n)
{
	const unsigned char *data = NULL;
	size_t len = 0;
	ssize_t taken;
	if (h->body.state == H1_BODY_STATE_TRAILERS)
		taken = recv_trailers(h, p, n);
	else
		taken = h1_body_step(&h->body, p, n, n, &data, &len);
	if (taken < 0)
		return fail(h, (int)taken);
	h->discarded += (size_t)taken;
	bool ended = h->body.state == H1_BODY_STATE_DONE;
	if (ended && h->reuse && !h->draining)
		h->phase = H1_PHASE_HEAD;
	else if (ended || h->discarded > DISCARD_MAX)
		close_connection(h, 0);
	return taken;
}

static ssize_t recv_step(struct h1_session *h, const unsigned char *p, size_t n)
{
	switch (h->phase) {
	case H1_PHASE_HEAD:
		return recv_head(h, p, n);
	case H1_PHASE_BODY:
		return recv_body(h, p, n);
	case H1_PHASE_WAIT:
		return 0;
	case H1_PHASE_DISCARD:
		return recv_discard(h, p, n);
	case H1_PHASE_CLOSED:
		break;
	}
	return h->err ? h->err : (ssize_t)n;
}

static ssize_t h1_recv(struct http_session *s, const unsigned char *p, size_t n, uint64_t now_ms)
{
	struct h1_session *h = h1_of(s);
	size_t done = 0;
	h->blocked = false;
	while (done < n) {
		ssize_t r = recv_step(h, p + done, n - done);
		if (r < 0)
			return r == -ENOMEM ? r : -EPROTO;
		if (r == 0) {
			h->blocked = true;
			break;
		}
		done += (size_t)r;
	}
	return (ssize_t)done;
}

/* What a peer that is gone answers with a reset, and what says nothing to one that has only ended
 * its side: a 100, or a zero in front of the next chunk's size. Other bodies have no place for it.
 */
static int probe(struct h1_session *h)
{
	static const struct http_head go_on = { .status = 100, .length = -1 };
	if (h->old)
		return 0;
	if (h->current->send == HTTP_SEND_STATE_HEAD)
		return h1_write_response(
		    &h->out, &go_on, H1_FRAMING_NONE, -1, H1_CONNECTION_DEFAULT);
	return h->out_framing == H1_FRAMING_CHUNKED ? buf_append(&h->out, "0", 1) : 0;
}

/* The end of the stream is the end of the message only where the message says so. */
static int h1_recv_eof(struct http_session *s)
{
	struct h1_session *h = h1_of(s);
	struct http_stream *st = h->current;
	bool body_ends = h->phase == H1_PHASE_BODY && h->body.framing == H1_FRAMING_UNTIL_CLOSE;
	bool idle = h->phase == H1_PHASE_HEAD && !st && h->scan.total == 0;
	h->reuse = false;
	if (body_ends) {
		message_received(h);
		return 0;
	}
	if (h->phase == H1_PHASE_WAIT) /* our message goes on */
		return st->tunnel || st->send >= HTTP_SEND_STATE_LAST ? 0 : probe(h);
	if (idle || h->phase == H1_PHASE_DISCARD)
		close_connection(h, 0);
	return h->phase == H1_PHASE_CLOSED ? (h->err ? -ECONNRESET : 0) : fail(h, -ECONNRESET);
}

static bool h1_want_read(const struct http_session *s)
{
	const struct h1_session *h = h1_of(s);
	if (!h->blocked)
		return true;
	if (h->phase == H1_PHASE_BODY)
		return room_of(h) > 0;
	return h->phase != H1_PHASE_WAIT;
}

/* ---- output ---- */

/* The whole queue becomes the output. */
static void exchange(struct http_stream *st, struct buf *dst)
{
	struct buf empty = *dst;
	*dst = st->queue;
	st->queue = empty;
	http_buf_trim(&st->queue, true);
	http_stream_note_sent(st, buf_len(dst));
}

/* Move body bytes from the queue to the output, framed: 0 or -ENOMEM with nothing moved. */
static int frame_body(struct h1_session *h, struct http_stream *st, struct buf *dst)
{
	size_t n = buf_len(&st->queue);
	if (n == 0)
		return 0;
	if (n >= HTTP_OUT_TARGET / 4 && buf_len(dst) == 0 && h->out_framing != H1_FRAMING_CHUNKED) {
		exchange(st, dst);
		return 0;
	}
	if (n > HTTP_OUT_TARGET)
		n = HTTP_OUT_TARGET;
	int r = h->out_framing == H1_FRAMING_CHUNKED ? h1_write_chunk(dst, buf_data(&st->queue), n)
						     : buf_append(dst, buf_data(&st->queue), n);
	if (r < 0)
		return r;
	buf_consume(&st->queue, n);
	http_buf_trim(&st->queue, true);
	http_stream_note_sent(st, n);
	return 0;
}

static int fill(struct h1_session *h, struct buf *dst)
{
	struct http_stream *st = h->current;
	if (!st || st->send == HTTP_SEND_STATE_HEAD || st->send == HTTP_SEND_STATE_DONE || h->asked)
		return 0;
	int r = frame_body(h, st, dst);
	if (r < 0 || st->send != HTTP_SEND_STATE_LAST || buf_len(&st->queue) > 0)
		return r;
	if (h->out_framing == H1_FRAMING_CHUNKED)
		r = h1_write_last_chunk(dst, &st->trailers);
	if (r == 0)
		message_sent(h);
	return r;
}

/* Heads go first, and with their memory where there is none yet: 0 or -ENOMEM. */
static int move_heads(struct h1_session *h, struct buf *dst)
{
	if (buf_len(&h->out) == 0)
		return 0;
	if (!dst->mem) {
		*dst = h->out;
		h->out = (struct buf)BUF_INIT;
		return 0;
	}
	int r = buf_append(dst, buf_data(&h->out), buf_len(&h->out));
	if (r == 0)
		buf_fini(&h->out);
	return r;
}

static ssize_t h1_send(struct http_session *s, struct buf *dst)
{
	struct h1_session *h = h1_of(s);
	size_t before = buf_len(dst);
	if (h->err == -ECONNABORTED)
		return h->err;
	if (move_heads(h, dst) < 0 || fill(h, dst) < 0)
		return fail(h, -ENOMEM);
	return (ssize_t)(buf_len(dst) - before);
}

static bool h1_done(const struct http_session *s)
{
	return h1_of(s)->phase == H1_PHASE_CLOSED;
}

/* A head stands in the output whole or not at all. */
static int put_head(struct h1_session *h, const struct http_head *head, enum h1_framing framing,
    int64_t length, enum h1_connection connection)
{
	CLEAN_BUF struct buf text = BUF_INIT;
	int r = head->status ? h1_write_response(&text, head, framing, length, connection)
			     : h1_write_request(&text, head, framing, length, connection);
	if (r < 0 || buf_len(&h->out) > 0)
		return r < 0 ? r : buf_append(&h->out, buf_data(&text), buf_len(&text));
	struct buf old = h->out;
	h->out = text;
	text = old;
	return 0;
}

/* ---- server streams ---- */

static enum h1_framing response_framing(const struct h1_session *h, const struct http_stream *st,
    const struct http_head *head, bool end)
{
	if (st->no_body)
		return H1_FRAMING_NONE;
	if (head->length >= 0 || end)
		return H1_FRAMING_LENGTH;
	return h->old ? H1_FRAMING_UNTIL_CLOSE : H1_FRAMING_CHUNKED;
}

/* The rest of a request that is answered early is read. When it is known to be too long for that,
 * the client must hear of it: once the rest is in its own buffers, it takes the connection for
 * free. */
static bool will_be_read(const struct h1_session *h, const struct http_stream *st)
{
	return !h->base.server || st->recv == HTTP_RECV_STATE_DONE ||
	       h->body.framing != H1_FRAMING_LENGTH || h->body.left <= DISCARD_MAX;
}

/* Whether the connection can go on after this response. */
static bool survives(const struct h1_session *h, const struct http_stream *st,
    const struct http_head *head, enum h1_framing framing)
{
	const char *wish = http_fields_get(&head->fields, "connection");
	return h->reuse && !h->draining && framing != H1_FRAMING_UNTIL_CLOSE && !st->expects &&
	       will_be_read(h, st) && !http_list_has(wish, "close");
}

static bool h1_output_ended(const struct http_session *s)
{
	return h1_of(s)->shut;
}

static int switch_protocol(
    struct h1_session *h, struct http_stream *st, const struct http_head *head)
{
	int r = put_head(h, head, H1_FRAMING_NONE, -1, H1_CONNECTION_UPGRADE);
	if (r < 0)
		return r;
	st->tunnel = true;
	h->reuse = false;
	h->out_framing = H1_FRAMING_UNTIL_CLOSE;
	h1_body_init(&h->body, H1_FRAMING_UNTIL_CLOSE, -1);
	h->phase = H1_PHASE_BODY;
	return 0;
}

static int h1_respond(struct http_stream *st, const struct http_head *head, bool end)
{
	struct h1_session *h = h1_of(st->session);
	if (head->status == 101)
		return switch_protocol(h, st, head);
	if (head->status < 200) /* HTTP/1.0 does not know them */
		return h->old ? 0 : put_head(h, head, H1_FRAMING_NONE, -1, H1_CONNECTION_DEFAULT);
	enum h1_framing framing = response_framing(h, st, head, end);
	int64_t length = http_head_length(head);
	if (length < 0 && framing == H1_FRAMING_LENGTH)
		length = 0;
	bool reuse = survives(h, st, head, framing);
	int r = put_head(h, head, framing, length,
	    !reuse   ? H1_CONNECTION_CLOSE
	    : h->old ? H1_CONNECTION_KEEP
		     : H1_CONNECTION_DEFAULT);
	if (r < 0)
		return r;
	h->reuse = reuse;
	h->out_framing = framing;
	if (st->peer.upgrade && st->recv != HTTP_RECV_STATE_DONE)
		http_stream_release_end(st); /* declined: the request was only its head */
	return 0;
}

/* ---- client streams ---- */

static int h1_may_open(const struct http_session *s)
{
	const struct h1_session *h = h1_of(s);
	if (h->phase == H1_PHASE_CLOSED || h->draining)
		return -ESHUTDOWN;
	return h->current || h->phase != H1_PHASE_HEAD ? -EAGAIN : 0;
}

static bool usually_has_body(const char *method)
{
	return str_eq(method, "POST") || str_eq(method, "PUT") || str_eq(method, "PATCH");
}

static int h1_open(struct http_stream *st, const struct http_head *head, bool end)
{
	struct h1_session *h = h1_of(st->session);
	enum h1_framing framing = head->length >= 0	 ? H1_FRAMING_LENGTH
				  : head->upgrade || end ? H1_FRAMING_NONE
							 : H1_FRAMING_CHUNKED;
	int64_t length = head->length;
	if (length < 0 && end && usually_has_body(head->method))
		length = 0;
	int r = put_head(h, head, framing, length,
	    head->upgrade ? H1_CONNECTION_UPGRADE : H1_CONNECTION_DEFAULT);
	if (r < 0)
		return r;
	h->current = st;
	h->out_framing = framing;
	h->asked = head->upgrade;
	h->reuse = true;
	h->skipped = 0;
	return 0;
}

/* ---- streams of both roles ---- */

static void h1_produced(struct http_stream *st)
{
	/* h1_send() looks at the current stream */
}

static void h1_reset(struct http_stream *st, enum http_reset code)
{
	struct h1_session *h = h1_of(st->session);
	if (st == h->current)
		close_connection(h, -ECONNABORTED);
}

static void h1_consumed(struct http_stream *st, size_t n)
{
	struct h1_session *h = h1_of(st->session);
	if (st == h->current && h->blocked && h1_want_read(st->session))
		http_session_wake(st->session);
}

static void h1_release(struct http_stream *st)
{
	struct h1_session *h = h1_of(st->session);
	if (h->current == st) /* the session is being freed */
		h->current = NULL;
}

/* ---- session ---- */

static void h1_drain(struct http_session *s)
{
	struct h1_session *h = h1_of(s);
	h->draining = true;
	if (h->phase == H1_PHASE_HEAD && !h->current && h->scan.total == 0)
		close_connection(h, 0);
}

static void h1_ping(struct http_session *s)
{
	/* HTTP/1.1 has none */
}

static bool h1_ping_answered(const struct http_session *s)
{
	return true;
}

static void h1_fini(struct http_session *s)
{
	struct h1_session *h = h1_of(s);
	buf_fini(&h->in);
	buf_fini(&h->out);
}

static const struct http_session_impl h1_impl = {
	.version = 1,
	.recv = h1_recv,
	.recv_eof = h1_recv_eof,
	.send = h1_send,
	.want_read = h1_want_read,
	.done = h1_done,
	.output_ended = h1_output_ended,
	.drain = h1_drain,
	.ping = h1_ping,
	.ping_answered = h1_ping_answered,
	.fini = h1_fini,
	.may_open = h1_may_open,
	.open = h1_open,
	.respond = h1_respond,
	.produced = h1_produced,
	.reset = h1_reset,
	.consumed = h1_consumed,
	.release = h1_release,
};

static struct http_session *h1_new(bool server, const struct http_session_conf *c)
{
	struct h1_session *h = mem_zalloc(sizeof(*h));
	if (!h)
		return NULL;
	http_session_init(&h->base, &h1_impl, server, c);
	h->reuse = true;
	return &h->base;
}

struct http_session *h1_server_new(const struct http_session_conf *c)
{
	return h1_new(true, c);
}

struct http_session *h1_client_new(const struct http_session_conf *c)
{
	return h1_new(false, c);
}
