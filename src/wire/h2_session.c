/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/2 connection over nghttp2, both roles.
 *
 * nghttp2 keeps frames, HPACK, windows and stream states; we keep the streams' owners and their
 * queues. The two meet in nghttp2's stream user data: the http_stream while it has an owner, the
 * session itself once we have let go of it (its owner reset it, or it was answered early) and only
 * nghttp2 still waits for frames to leave. A closed http_stream is thus never looked up again, and
 * its on_close does not wait for a peer that reads slowly.
 *
 * Windows open by nghttp2_session_consume() alone: what an owner has not consumed stays charged to
 * its stream and to the connection. What is left when a stream goes is given back to the
 * connection.
 *
 * A request that is answered before it has come is let go of, too: the rest of it is read for
 * nobody up to H2_DISCARD_MAX, then the stream is reset. A client of ours does not make use of
 * that; it resets the stream itself.
 *
 * A broken connection has h->err: GOAWAY is queued, all streams are closed, input is ignored,
 * output is still to be flushed.
 */
#include <errno.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "wire/h2.h"

#define ACKS_MAX 256	      /* unsent answers to PING and SETTINGS */
#define STREAMS_UNGREETED 100 /* before the peer has told its limit */
#define FRAME_BLOCK (16 * 1024)
#define PAGE 4096
#define ALLOCATION_HEADER 8

const char h2_drain_ping[8] = "draining";

/* ---- memory ---- */

/* nghttp2 packs frames into a block of more than 16 KiB, of which most connections only ever use
 * the first bytes. It ends with its page, so that what is allocated next does not make its last
 * page resident, too. */
static void *alloc_frame_block(size_t n)
{
	unsigned char *p = mem_alloc(n + PAGE + ALLOCATION_HEADER);
	if (!p)
		return NULL;
	size_t past = ((uintptr_t)p + n) % PAGE;
	void *cut = mem_realloc(p, n + (PAGE - past) + ALLOCATION_HEADER);
	return cut ? cut : p;
}

static void *ng_malloc(size_t n, void *user)
{
	return mem_alloc(n);
}
static void ng_free(void *p, void *user)
{
	mem_free(p);
}
static void *ng_calloc(size_t n, size_t size, void *user)
{
	return mem_calloc(n, size);
}
static void *ng_realloc(void *p, size_t n, void *user)
{
	return !p && n >= FRAME_BLOCK ? alloc_frame_block(n) : mem_realloc(p, n);
}

/* ---- streams ---- */

static void *stream_data(struct h2_session *h, int32_t id)
{
	return id > 0 ? nghttp2_session_get_stream_user_data(h->ng, id) : NULL;
}

struct http_stream *h2_stream(struct h2_session *h, int32_t id)
{
	void *p = stream_data(h, id);
	struct http_stream *st = p == h ? NULL : p;
	return st && !st->closed ? st : NULL;
}

bool h2_stream_let_go(struct h2_session *h, int32_t id)
{
	void *p = stream_data(h, id);
	return p && !h2_stream(h, id);
}

void h2_fail(struct h2_session *h, int err, uint32_t code)
{
	if (h->err)
		return;
	h->err = err;
	(void)nghttp2_session_terminate_session(h->ng, code); /* without memory it just closes */
	http_session_fail_streams(&h->base, err);
	http_session_wake(&h->base);
}

static void check(struct h2_session *h, int r)
{
	if (r == NGHTTP2_ERR_NOMEM)
		h2_fail(h, -ENOMEM, NGHTTP2_INTERNAL_ERROR);
}

static void h2_produced(struct http_stream *st)
{
	struct h2_session *h = h2_of(st->session);
	check(h, nghttp2_session_resume_data(h->ng, st->id));
}

static void h2_reset(struct http_stream *st, enum http_reset code)
{
	struct h2_session *h = h2_of(st->session);
	if (st->id)
		check(h, nghttp2_submit_rst_stream(h->ng, NGHTTP2_FLAG_NONE, st->id, code));
}

static void give_back(struct h2_session *h, int32_t id, size_t n)
{
	check(h, id ? nghttp2_session_consume(h->ng, id, n)
		    : nghttp2_session_consume_connection(h->ng, n));
}

static void h2_consumed(struct http_stream *st, size_t n)
{
	struct h2_session *h = h2_of(st->session);
	give_back(h, st->closed ? 0 : st->id, n);
	if (nghttp2_session_want_write(h->ng))
		http_session_wake(st->session);
}

static void h2_release(struct http_stream *st)
{
	struct h2_session *h = h2_of(st->session);
	if (st->id)
		(void)nghttp2_session_set_stream_user_data(h->ng, st->id, h);
	if (st->unread)
		give_back(h, 0, st->unread);
}

static int h2_may_open(const struct http_session *s)
{
	struct h2_session *h = h2_of(s);
	if (h->err || h->draining || !nghttp2_session_check_request_allowed(h->ng))
		return -ESHUTDOWN;
	uint32_t max = h->greeted ? nghttp2_session_get_remote_settings(
					h->ng, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS)
				  : STREAMS_UNGREETED;
	if (max > s->conf.max_streams)
		max = s->conf.max_streams;
	return s->n_streams >= max ? -EAGAIN : 0;
}

/* ---- input and output ---- */

static ssize_t h2_recv(struct http_session *s, const unsigned char *p, size_t n, uint64_t now_ms)
{
	struct h2_session *h = h2_of(s);
	if (!h->err) {
		h2_set_time(h, now_ms);
		ssize_t r = nghttp2_session_mem_recv(h->ng, p, n);
		if (r == NGHTTP2_ERR_NOMEM)
			h2_fail(h, -ENOMEM, NGHTTP2_INTERNAL_ERROR);
		else if (r == NGHTTP2_ERR_FLOODED)
			h2_fail(h, -EPROTO, NGHTTP2_ENHANCE_YOUR_CALM);
		else if (r < 0)
			h2_fail(h, -EPROTO, NGHTTP2_PROTOCOL_ERROR);
	}
	return h->err ? h->err : (ssize_t)n;
}

static int h2_recv_eof(struct http_session *s)
{
	struct h2_session *h = h2_of(s);
	bool unfinished = s->n_streams > 0;
	if (!h->err)
		h->err = -ECONNRESET;
	http_session_fail_streams(s, -ECONNRESET);
	return unfinished ? -ECONNRESET : 0;
}

static ssize_t h2_send(struct http_session *s, struct buf *dst)
{
	struct h2_session *h = h2_of(s);
	size_t before = buf_len(dst);
	h->out = dst;
	h->out_enough = before + HTTP_OUT_TARGET;
	while (buf_len(dst) < h->out_enough) {
		const uint8_t *p;
		ssize_t n = nghttp2_session_mem_send(h->ng, &p);
		if (n == 0)
			break;
		if (n < 0 || buf_append(dst, p, (size_t)n) < 0) {
			h2_fail(h, -ENOMEM, NGHTTP2_INTERNAL_ERROR);
			return -ENOMEM;
		}
	}
	return (ssize_t)(buf_len(dst) - before);
}

static bool h2_want_read(const struct http_session *s)
{
	return !h2_of(s)->err;
}

static bool h2_done(const struct http_session *s)
{
	const struct h2_session *h = h2_of(s);
	if (h->err || (h->draining && !s->server && s->n_streams == 0))
		return true;
	return !nghttp2_session_want_read(h->ng) && !nghttp2_session_want_write(h->ng);
}

/* ---- session ---- */

/* A server first says that it will stop, and names its last stream when the peer has heard that. */
static void h2_drain(struct http_session *s)
{
	struct h2_session *h = h2_of(s);
	if (h->draining || h->err)
		return;
	h->draining = true;
	if (!s->server)
		return;
	check(h, nghttp2_submit_shutdown_notice(h->ng));
	check(h, nghttp2_submit_ping(h->ng, NGHTTP2_FLAG_NONE, (const uint8_t *)h2_drain_ping));
}

static void h2_ping(struct http_session *s)
{
	struct h2_session *h = h2_of(s);
	h->ping_pending = true;
	check(h, nghttp2_submit_ping(h->ng, NGHTTP2_FLAG_NONE, NULL));
}

static bool h2_ping_answered(const struct http_session *s)
{
	return !h2_of(s)->ping_pending;
}

static void h2_fini(struct http_session *s)
{
	struct h2_session *h = h2_of(s);
	nghttp2_session_del(h->ng);
}

static const struct http_session_impl h2_impl = {
	.version = 2,
	.recv = h2_recv,
	.recv_eof = h2_recv_eof,
	.send = h2_send,
	.want_read = h2_want_read,
	.done = h2_done,
	.drain = h2_drain,
	.ping = h2_ping,
	.ping_answered = h2_ping_answered,
	.fini = h2_fini,
	.may_open = h2_may_open,
	.open = h2_open,
	.respond = h2_respond,
	.produced = h2_produced,
	.reset = h2_reset,
	.consumed = h2_consumed,
	.release = h2_release,
};

/* ---- construction ---- */

static int open_library(struct h2_session *h, nghttp2_session_callbacks *cb, nghttp2_option *opt)
{
	nghttp2_mem mem = {
		.malloc = ng_malloc, .free = ng_free, .calloc = ng_calloc, .realloc = ng_realloc
	};
	h2_set_input_callbacks(cb);
	h2_set_output_callbacks(cb);
	nghttp2_option_set_no_auto_window_update(opt, 1);
	nghttp2_option_set_no_closed_streams(opt, 1);
	nghttp2_option_set_max_outbound_ack(opt, ACKS_MAX);
	/* nghttp2 counts a frame again for each piece in which its header arrives. */
	nghttp2_option_set_max_continuations(opt, H2_CONTINUATIONS_MAX * 9);
	h2_count_extensions(opt);
	nghttp2_option_set_max_send_header_block_length(opt, 2 * LIMIT_HEAD_BYTES);
	/* Ours counts first and runs on the caller's clock. */
	nghttp2_option_set_stream_reset_rate_limit(
	    opt, 10 * LIMIT_RESETS_BURST, 10 * LIMIT_RESETS_PER_S);
	return h->base.server ? nghttp2_session_server_new3(&h->ng, cb, h, opt, &mem)
			      : nghttp2_session_client_new3(&h->ng, cb, h, opt, &mem);
}

static int submit_preface(struct h2_session *h)
{
	bool server = h->base.server;
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, h->base.conf.stream_window },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, LIMIT_HEAD_BYTES },
		{ NGHTTP2_SETTINGS_MAX_FRAME_SIZE, LIMIT_FRAME },
		{ server ? NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS : NGHTTP2_SETTINGS_ENABLE_PUSH,
		    server ? h->base.conf.max_streams : 0 },
		{ NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1 }, /* servers only */
	};
	size_t n = sizeof(settings) / sizeof(settings[0]) - !server;
	int r = nghttp2_submit_settings(h->ng, NGHTTP2_FLAG_NONE, settings, n);
	return r ? r
		 : nghttp2_session_set_local_window_size(
		       h->ng, NGHTTP2_FLAG_NONE, 0, LIMIT_CONN_WINDOW);
}

static struct http_session *h2_new(bool server, const struct http_session_conf *c)
{
	nghttp2_session_callbacks *cb = NULL;
	nghttp2_option *opt = NULL;
	struct h2_session *h = mem_zalloc(sizeof(*h));
	if (!h)
		return NULL;
	http_session_init(&h->base, &h2_impl, server, c);
	h2_bucket_init(&h->resets, LIMIT_RESETS_BURST, LIMIT_RESETS_PER_S);
	h2_bucket_init(&h->controls, LIMIT_CTRL_FRAMES_PER_S, LIMIT_CTRL_FRAMES_PER_S);
	bool ready = nghttp2_session_callbacks_new(&cb) == 0 && nghttp2_option_new(&opt) == 0 &&
		     open_library(h, cb, opt) == 0 && submit_preface(h) == 0;
	nghttp2_session_callbacks_del(cb);
	nghttp2_option_del(opt);
	if (ready)
		return &h->base;
	nghttp2_session_del(h->ng);
	return mem_free(h);
}

struct http_session *h2_server_new(const struct http_session_conf *c)
{
	return h2_new(true, c);
}

struct http_session *h2_client_new(const struct http_session_conf *c)
{
	return h2_new(false, c);
}
