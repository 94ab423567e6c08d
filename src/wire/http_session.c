/* SPDX-License-Identifier: Apache-2.0 */
/* Entry and exit of every session call; the protocol work is behind the table. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "wire/http_private.h"

#define IDLE_BUF_MAX 1024
#define BUSY_BUF_MAX (128 * 1024)

static const char h2_preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

int http_sniff(const void *p, size_t n)
{
	size_t whole = sizeof(h2_preface) - 1;
	if (memcmp(p, h2_preface, n < whole ? n : whole) != 0)
		return 1;
	return n < whole ? 0 : 2;
}

void http_session_init(struct http_session *s, const struct http_session_impl *impl, bool server,
    const struct http_session_conf *c)
{
	s->impl = impl;
	s->server = server;
	s->conf = *c;
	if (s->conf.stream_window == 0)
		s->conf.stream_window = LIMIT_STREAM_WINDOW;
	if (s->conf.max_streams == 0)
		s->conf.max_streams = LIMIT_STREAMS_PER_CONN;
	link_init(&s->streams);
	link_init(&s->ready);
}

static void session_enter(struct http_session *s)
{
	assert(!s->busy);
	s->busy = true;
}

static void free_stream(struct http_stream *st)
{
	st->session->impl->release(st);
	http_stream_discard(st);
}

static void deliver_stream(struct http_stream *st)
{
	size_t sent = st->sent;
	bool end_due = st->end_due;
	st->sent = 0;
	st->end_due = false;
	if (sent && st->handler && st->handler->on_sent)
		st->handler->on_sent(st, sent, st->user);
	if (end_due && st->handler && st->handler->on_end)
		st->handler->on_end(st, &st->peer_trailers, st->user);
	if (!st->closed)
		return;
	link_remove(&st->ready);
	if (st->handler && st->handler->on_close)
		st->handler->on_close(st, st->close_err, st->user);
	free_stream(st);
}

/* Deliver what waited: no parser is on the stack any more, so streams may go. True when there was
 * any. */
static bool session_leave(struct http_session *s)
{
	bool any = false;
	struct link *l;
	while ((l = list_pop_front(&s->ready))) {
		deliver_stream(container_of(l, struct http_stream, ready));
		any = true;
	}
	s->busy = false;
	return any;
}

ssize_t http_session_recv(struct http_session *s, const void *p, size_t n, uint64_t now_ms)
{
	session_enter(s);
	ssize_t r = s->impl->recv(s, p, n, now_ms);
	(void)session_leave(s);
	return r;
}

int http_session_recv_eof(struct http_session *s)
{
	session_enter(s);
	int r = s->impl->recv_eof(s);
	(void)session_leave(s);
	return r;
}

ssize_t http_session_send(struct http_session *s, struct buf *dst)
{
	ssize_t r;
	bool again;
	do {
		session_enter(s);
		r = s->impl->send(s, dst);
		again = session_leave(s); /* a callback may have made output */
	} while (r == 0 && again);
	return r;
}

void http_session_fail_streams(struct http_session *s, int err)
{
	LIST_EACH(l, &s->streams)
	http_stream_closed(container_of(l, struct http_stream, link), err);
}

struct http_session *http_session_free(struct http_session *s, int err)
{
	if (!s)
		return NULL;
	session_enter(s);
	s->freeing = true;
	http_session_fail_streams(s, err ? err : -ECONNRESET);
	(void)session_leave(s);
	assert(list_is_empty(&s->streams) && s->n_streams == 0);
	s->impl->fini(s);
	return mem_free(s);
}

void http_buf_trim(struct buf *b, bool busy)
{
	if (buf_len(b) == 0 && b->cap > (busy ? BUSY_BUF_MAX : IDLE_BUF_MAX))
		buf_fini(b);
}

void http_session_wake(struct http_session *s)
{
	if (s->busy)
		return;
	s->conf.ops->wake(s, s->conf.arg);
}

struct http_stream *http_session_request(struct http_session *s, const struct http_head *head,
    bool end, const struct http_handler *h, void *user, int *ret_err)
{
	bool refused = s->server || !http_head_is_sendable(head, false) ||
		       (end && (head->length > 0 || head->upgrade));
	int r = refused ? -EINVAL : 0;
	if (r == 0)
		r = s->freeing ? -ESHUTDOWN : s->impl->may_open(s);
	struct http_stream *st = r == 0 ? http_stream_new(s) : NULL;
	if (r == 0 && !st)
		r = -ENOMEM;
	if (r < 0) {
		*ret_err = r;
		return NULL;
	}
	http_stream_set_handler(st, h, user);
	st->peer_bare = strcmp(head->method, "HEAD") == 0;
	st->write_left = head->length;
	st->send = end ? HTTP_SEND_STATE_LAST : HTTP_SEND_STATE_BODY;
	r = s->impl->open(st, head, end);
	if (r < 0) {
		http_stream_discard(st);
		*ret_err = r;
		return NULL;
	}
	http_session_wake(s);
	return st;
}

bool http_session_want_read(const struct http_session *s)
{
	return s->impl->want_read(s);
}

bool http_session_done(const struct http_session *s)
{
	return s->impl->done(s);
}

bool http_session_output_ended(const struct http_session *s)
{
	return s->impl->output_ended && s->impl->output_ended(s);
}

void http_session_drain(struct http_session *s)
{
	s->impl->drain(s);
	http_session_wake(s);
}

size_t http_session_streams(const struct http_session *s)
{
	return s->n_streams;
}

void *http_session_arg(const struct http_session *s)
{
	return s->conf.arg;
}

void http_session_ping(struct http_session *s)
{
	s->impl->ping(s);
	http_session_wake(s);
}

bool http_session_ping_answered(const struct http_session *s)
{
	return s->impl->ping_answered(s);
}
