/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two streams, "down" to the client and "up" to the origin, each with a handler of ours.
 *
 *   request   down on_data -> up write       up on_sent -> down consume
 *   response  up on_data -> down write       down on_sent -> up consume
 *
 * A byte is consumed on the side it came from when it left on the other, so what we hold is bounded
 * by the two windows. Bytes that can no longer leave (the other side is gone) are consumed at once.
 *
 * Ends: an end with its trailers is passed on as it comes; of a tunnel, each side's by itself. Up
 * failing before its head hands down over to on_fail; later to on_break, or resets it, which on
 * HTTP/1.1 is a reset of the connection. Down failing cancels up. The proxy ends when it holds
 * neither stream any more.
 */
#include "rpc/proxy.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "rpc/http_client.h"
#include "rpc/http_server.h"

struct proxy {
	struct http_stream *down, *up;
	size_t down_held,
	    up_held; /* bytes that came from there and have not left on the other side */
	bool head_passed;
	bool tunnel;  /* up has switched protocols */
	bool upgrade; /* down asked for it */
	void (*on_fail)(struct http_stream *st, int err, void *arg);
	void (*on_break)(struct http_stream *st, void *arg);
	void (*on_done)(void *arg);
	void *arg;
};

static const struct http_handler no_handler;

/* ---- heads ---- */

/* gRPC servers insist on this one, and HTTP/2 allows it (RFC 9113 8.2.2). */
static bool is_te_trailers(const struct http_field *f)
{
	return str_eq(f->name, "te") && strcasestr(f->value, "trailers");
}

static int copy_end_to_end(struct http_fields *dst, const struct http_fields *src, bool upgrade)
{
	int r = 0;
	for (size_t i = 0; i < src->n && r == 0; i++) {
		const struct http_field *f = &src->v[i];
		if (is_te_trailers(f))
			r = http_fields_add(dst, "te", "trailers");
		else if (upgrade && str_eq(f->name, "upgrade"))
			r = http_fields_add(dst, f->name, f->value);
		else if (!http_field_is_hop(f->name))
			r = http_fields_add(dst, f->name, f->value);
	}
	return r;
}

int proxy_request_head(struct http_head *dst, const struct http_head *src)
{
	int r = http_head_set_request(dst, src->method, src->scheme, src->authority, src->path);
	if (r == 0)
		r = copy_end_to_end(&dst->fields, &src->fields, src->upgrade);
	dst->length = src->length;
	dst->upgrade = src->upgrade;
	return r;
}

/* ---- ends ---- */

static void finish_if_over(struct proxy *p)
{
	if (p->down || p->up)
		return;
	if (p->on_done)
		p->on_done(p->arg);
	mem_free(p);
}

static void consume_held(struct http_stream *st, size_t *held)
{
	size_t n = *held;
	*held = 0;
	if (n > 0)
		http_stream_consume(st, n);
}

/* What comes after us on down is somebody else's. */
static struct http_stream *give_up_down(struct proxy *p)
{
	struct http_stream *st = TAKE(p->down);
	consume_held(st, &p->down_held);
	http_stream_set_handler(st, &no_handler, NULL);
	return st;
}

/* Up gave no head. */
static void fail(struct proxy *p, int err)
{
	struct http_stream *st = give_up_down(p);
	if (p->on_fail)
		p->on_fail(st, err, p->arg);
	else
		(void)http_answer_text(st, 502, "the upstream server failed");
}

/* Down has a part of the answer. */
static void break_down(struct proxy *p)
{
	if (p->on_break)
		p->on_break(give_up_down(p), p->arg);
	else
		http_stream_reset(p->down, HTTP_RESET_INTERNAL);
}

void proxy_abort(struct proxy *p)
{
	if (p->down && p->head_passed && p->up)
		break_down(p); /* the end of up finishes */
	else if (p->down && p->on_fail && p->up)
		fail(p, -ECONNABORTED); /* so it does here */
	else if (p->down)
		http_stream_reset(p->down, HTTP_RESET_INTERNAL);
	if (p->up)
		http_stream_reset(p->up, HTTP_RESET_CANCEL);
}

/* ---- either way ---- */

/* Bytes that have nowhere to go (any more) are given back at once. */
static void pass_data(struct proxy *p, struct http_stream *to, const void *data, size_t n,
    size_t *held, struct http_stream *from)
{
	int r = to ? http_stream_write(to, data, n) : -EPIPE;
	if (r == 0) {
		*held += n;
		return;
	}
	http_stream_consume(from, n);
	if (r != -EPIPE)
		proxy_abort(p); /* a gap must not look like a whole message */
}

static void pass_end(struct proxy *p, struct http_stream *to, const struct http_fields *trailers)
{
	int r = to ? http_stream_end(to, trailers) : 0;
	if (r < 0 && r != -EPIPE)
		proxy_abort(p);
}

/* ---- request: down to up ---- */

static void down_data(struct http_stream *st, const void *data, size_t n, void *user)
{
	struct proxy *p = user;
	pass_data(p, p->up, data, n, &p->down_held, st);
}

static void down_end(struct http_stream *st, const struct http_fields *trailers, void *user)
{
	struct proxy *p = user;
	pass_end(p, p->up, trailers);
}

static void down_sent(struct http_stream *st, size_t n, void *user)
{
	struct proxy *p = user;
	if (!p->up)
		return;
	p->up_held -= n;
	http_stream_consume(p->up, n);
}

static void down_close(struct http_stream *st, int err, void *user)
{
	struct proxy *p = user;
	p->down = NULL;
	if (p->up) {
		consume_held(p->up, &p->up_held);
		/* Nobody wants the rest of a request that is answered; a tunnel has no answer. */
		if (err || (!p->tunnel && http_stream_queued(p->up) > 0))
			http_stream_reset(p->up, HTTP_RESET_CANCEL);
	}
	finish_if_over(p);
}

static const struct http_handler down_handler = {
	.on_data = down_data,
	.on_end = down_end,
	.on_sent = down_sent,
	.on_close = down_close,
};

/* ---- response: up to down ---- */

static int pass_head(struct proxy *p, const struct http_head *src)
{
	bool switching = src->status == 101;
	if (switching && !p->upgrade)
		return -EPROTO;
	struct http_head head = HTTP_HEAD_INIT;
	head.status = src->status;
	head.length = src->length;
	head.upgrade = switching;
	int r = copy_end_to_end(&head.fields, &src->fields, switching);
	if (r == 0)
		r = http_stream_respond(p->down, &head, http_stream_peer_ended(p->up));
	http_head_fini(&head);
	return r;
}

static void up_head(struct http_stream *st, void *user)
{
	struct proxy *p = user;
	if (!p->down)
		return;
	p->tunnel = http_stream_peer_head(st)->status == 101;
	if (pass_head(p, http_stream_peer_head(st)) == 0)
		p->head_passed = true;
	else
		http_stream_reset(st, HTTP_RESET_CANCEL); /* up_close goes on from there */
}

static void up_data(struct http_stream *st, const void *data, size_t n, void *user)
{
	struct proxy *p = user;
	pass_data(p, p->down, data, n, &p->up_held, st);
}

static void up_end(struct http_stream *st, const struct http_fields *trailers, void *user)
{
	struct proxy *p = user;
	if (p->head_passed)
		pass_end(p, p->down, trailers);
}

static void up_sent(struct http_stream *st, size_t n, void *user)
{
	struct proxy *p = user;
	if (!p->down)
		return;
	p->down_held -= n;
	http_stream_consume(p->down, n);
}

static void up_close(struct http_stream *st, int err, void *user)
{
	struct proxy *p = user;
	p->up = NULL;
	if (p->down && !p->head_passed) {
		fail(p, err ? err : -EPROTO);
	} else if (p->down && err) {
		break_down(p);
	} else if (p->down) {
		consume_held(p->down, &p->down_held);
	}
	finish_if_over(p);
}

static const struct http_handler up_handler = {
	.on_head = up_head,
	.on_data = up_data,
	.on_end = up_end,
	.on_sent = up_sent,
	.on_close = up_close,
};

/* ---- start ---- */

static int request_up(struct proxy *p, const struct proxy_conf *c, bool end)
{
	struct http_head own = HTTP_HEAD_INIT;
	const struct http_head *head = c->head;
	int r = 0;
	if (!head) {
		r = proxy_request_head(&own, http_stream_peer_head(p->down));
		head = &own;
	}
	p->upgrade = head->upgrade;
	if (r == 0)
		p->up = http_client_request(c->upstream, head, end, &up_handler, p, &r);
	http_head_fini(&own);
	return r;
}

int proxy_start(struct http_stream *st, const struct proxy_conf *c, struct proxy **ret_optional)
{
	struct proxy *p = mem_zalloc(sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->down = st;
	p->on_fail = c->on_fail;
	p->on_break = c->on_break;
	p->on_done = c->on_done;
	p->arg = c->arg;
	int r = request_up(p, c, http_stream_peer_ended(st));
	if (!p->up) {
		mem_free(p);
		return r;
	}
	http_stream_set_handler(st, &down_handler, p);
	if (ret_optional)
		*ret_optional = p;
	return 0;
}
