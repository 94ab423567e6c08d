/* SPDX-License-Identifier: Apache-2.0 */
/* Streams: the owner's side and the protocols' side of one exchange. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "wire/http_private.h"

struct http_stream *http_stream_new(struct http_session *s)
{
	struct http_stream *st = mem_zalloc(sizeof(*st));
	if (!st)
		return NULL;
	st->session = s;
	st->peer = (struct http_head)HTTP_HEAD_INIT;
	st->write_left = -1;
	link_init(&st->ready);
	list_push_back(&s->streams, &st->link);
	s->n_streams++;
	return st;
}

void http_stream_discard(struct http_stream *st)
{
	link_remove(&st->link);
	link_remove(&st->ready);
	st->session->n_streams--;
	http_head_fini(&st->peer);
	http_fields_fini(&st->peer_trailers);
	http_fields_fini(&st->trailers);
	buf_fini(&st->queue);
	mem_free(st->protocol);
	mem_free(st);
}

static void set_ready(struct http_stream *st)
{
	if (!link_is_linked(&st->ready))
		list_push_back(&st->session->ready, &st->ready);
}

/* ---- delivery ---- */

/* RFC 9110 10.1.1: the owner takes the body, so the client may send it. Without memory the client
 * sends it after its own wait. */
static void answer_expect(struct http_stream *st)
{
	if (!st->expects || st->closed || st->send != HTTP_SEND_STATE_HEAD ||
	    st->recv != HTTP_RECV_STATE_BODY)
		return;
	st->expects = false;
	const struct http_head go_on = { .status = 100, .length = -1 };
	(void)st->session->impl->respond(st, &go_on, false);
	http_session_wake(st->session);
}

void http_stream_deliver_request(struct http_stream *st)
{
	struct http_session *s = st->session;
	st->no_body = str_eq(st->peer.method, "HEAD");
	st->expects = http_head_take_expect(&st->peer);
	s->conf.ops->on_request(st, s->conf.arg);
	st->recv = HTTP_RECV_STATE_BODY; /* from now on Expect may be answered */
	if (st->handler && st->handler->on_data)
		answer_expect(st);
}

void http_stream_deliver_head(struct http_stream *st)
{
	st->recv = HTTP_RECV_STATE_BODY;
	if (!st->closed && st->handler->on_head)
		st->handler->on_head(st, st->user);
}

void http_stream_deliver_data(struct http_stream *st, const void *p, size_t n)
{
	st->expects = false;
	if (st->closed || !st->handler || !st->handler->on_data) {
		st->session->impl->consumed(st, n);
		return;
	}
	st->unread += n;
	st->handler->on_data(st, p, n, st->user);
}

void http_stream_deliver_end(struct http_stream *st)
{
	st->recv = HTTP_RECV_STATE_DONE;
	st->expects = false;
	if (!st->closed && st->handler && st->handler->on_end)
		st->handler->on_end(st, &st->peer_trailers, st->user);
}

void http_stream_note_sent(struct http_stream *st, size_t n)
{
	if (n == 0)
		return;
	st->sent += n;
	set_ready(st);
}

void http_stream_release_end(struct http_stream *st)
{
	st->recv = HTTP_RECV_STATE_DONE;
	st->end_due = true;
	set_ready(st);
}

void http_stream_closed(struct http_stream *st, int err)
{
	if (st->closed)
		return;
	st->closed = true;
	st->close_err = err;
	buf_fini(&st->queue);
	set_ready(st);
	http_session_wake(st->session);
}

int http_stream_refuse(struct http_stream *st, int status)
{
	const struct http_head head = { .status = status, .length = 0 };
	st->recv = HTTP_RECV_STATE_BODY;
	return http_stream_respond(st, &head, true);
}

/* ---- what the owner asks ---- */

void http_stream_set_handler(struct http_stream *st, const struct http_handler *h, void *user)
{
	st->handler = h;
	st->user = user;
	if (h && h->on_data)
		answer_expect(st);
}

void *http_stream_user(const struct http_stream *st)
{
	return st->user;
}

const struct http_head *http_stream_peer_head(const struct http_stream *st)
{
	return &st->peer;
}

struct http_session *http_stream_session(const struct http_stream *st)
{
	return st->session;
}

size_t http_stream_queued(const struct http_stream *st)
{
	return buf_len(&st->queue);
}

bool http_stream_head_sent(const struct http_stream *st)
{
	return st->send != HTTP_SEND_STATE_HEAD;
}

bool http_stream_peer_ended(const struct http_stream *st)
{
	return st->recv == HTTP_RECV_STATE_DONE || st->head_ends;
}

int http_stream_version(const struct http_stream *st)
{
	return st->session->impl->version;
}

/* ---- what the owner does ---- */

static bool is_final(int status)
{
	return status >= 200 || status == 101;
}

static bool status_forbids_body(const struct http_head *head)
{
	return head->status != 101 && is_final(head->status) && http_status_is_bare(head->status);
}

static bool may_respond(const struct http_stream *st, const struct http_head *head, bool end)
{
	if (!st->session->server || st->closed || st->send != HTTP_SEND_STATE_HEAD ||
	    !http_head_is_sendable(head, true))
		return false;
	if (head->status == 101)
		return st->peer.upgrade && !end;
	return !end || (is_final(head->status) &&
			   (head->length <= 0 || st->no_body || http_status_is_bare(head->status)));
}

int http_stream_respond(struct http_stream *st, const struct http_head *head, bool end)
{
	const struct http_session_impl *impl = st->session->impl;
	bool head_request = st->no_body;
	if (!may_respond(st, head, end))
		return -EINVAL;
	st->no_body = head_request || status_forbids_body(head);
	if (is_final(head->status) && st->no_body)
		end = true; /* whatever the owner writes is dropped */
	int r = impl->respond(st, head, end);
	if (r < 0) {
		st->no_body = head_request;
		return r;
	}
	if (is_final(head->status)) {
		st->write_left = head->status == 101 ? -1 : head->length;
		st->send = end ? HTTP_SEND_STATE_LAST : HTTP_SEND_STATE_BODY;
		impl->produced(st);
	} else if (head->status == 100) {
		st->expects = false;
	}
	http_session_wake(st->session);
	return 0;
}

/* The owner sends a body where the protocol has no place for one. */
static bool is_dropped(const struct http_stream *st)
{
	return st->no_body && !st->closed && st->send != HTTP_SEND_STATE_HEAD;
}

static bool may_write(const struct http_stream *st, size_t n)
{
	if (st->closed || st->send != HTTP_SEND_STATE_BODY)
		return false;
	return st->write_left < 0 || (uint64_t)st->write_left >= n; /* what the head declared */
}

static void queued(struct http_stream *st, size_t n)
{
	if (st->write_left >= 0)
		st->write_left -= (int64_t)n;
	if (n > 0) {
		st->session->impl->produced(st);
		http_session_wake(st->session);
	}
}

int http_stream_write(struct http_stream *st, const void *p, size_t n)
{
	if (is_dropped(st))
		return 0;
	if (!may_write(st, n))
		return -EPIPE;
	int r = buf_append(&st->queue, p, n);
	if (r == 0)
		queued(st, n);
	return r;
}

int http_stream_write_buf(struct http_stream *st, struct buf *b)
{
	size_t n = buf_len(b);
	int r = 0;
	if (n > 0 && !is_dropped(st) && may_write(st, n) && buf_len(&st->queue) == 0) {
		struct buf empty = st->queue;
		st->queue = *b;
		*b = empty;
		queued(st, n);
	} else {
		r = http_stream_write(st, buf_data(b), n);
	}
	if (r == 0)
		buf_consume(b, buf_len(b));
	return r;
}

int http_stream_end(struct http_stream *st, const struct http_fields *trailers)
{
	if (is_dropped(st))
		return 0;
	if (st->closed || st->send != HTTP_SEND_STATE_BODY)
		return -EPIPE;
	if (st->write_left > 0) {
		http_stream_reset(st, HTTP_RESET_INTERNAL); /* less than the head declared */
		return -EPIPE;
	}
	if (trailers && trailers->n > 0) {
		int r = http_fields_copy(&st->trailers, trailers);
		if (r < 0)
			return r;
	}
	st->send = HTTP_SEND_STATE_LAST;
	st->session->impl->produced(st);
	http_session_wake(st->session);
	return 0;
}

void http_stream_reset(struct http_stream *st, enum http_reset code)
{
	if (st->closed)
		return;
	st->sent = 0; /* of no interest any more */
	st->end_due = false;
	http_stream_closed(st, -ECANCELED);
	st->session->impl->reset(st, code);
	http_session_wake(st->session);
}

void http_stream_consume(struct http_stream *st, size_t n)
{
	answer_expect(st);
	if (n > st->unread)
		n = st->unread;
	st->unread -= n;
	if (n > 0)
		st->session->impl->consumed(st, n);
}
