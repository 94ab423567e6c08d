/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Reverse proxy of one request: server stream in, client stream out, bodies as bytes both ways with
 * exact flow control, trailers passed on, hop-by-hop fields removed, resets carried across.
 */
#include <stdbool.h>

#include "wire/http.h"

struct http_client;
struct proxy;

struct proxy_conf {
	struct http_client *upstream;
	/* Head to send upstream; NULL = the request's own without hop-by-hop fields. */
	const struct http_head *head;
	/* Upstream failed before its head came, or proxy_abort(): answer on st yourself (it has no
	 * handler then). Default: 502 text. */
	void (*on_fail)(struct http_stream *st, int err, void *arg);
	/* The same after the head: end st as its protocol knows to, or reset it (it
	 * has no handler then). Default: reset. */
	void (*on_break)(struct http_stream *st, void *arg);
	/* The exchange is over (optional). */
	void (*on_done)(void *arg);
	void *arg;
};

/* The request's head as it goes upstream by default: without what is for one hop only. dst is empty
 * before; finish it in any case. 0 or -errno. */
int proxy_request_head(struct http_head *dst, const struct http_head *src);

/* Takes over st's handler. 0 or -errno (then st is untouched). */
int proxy_start(struct http_stream *st, const struct proxy_conf *c, struct proxy **ret_optional);
/* Break it now: on_fail, on_break, or a reset, and a reset upstream (connection reset on HTTP/1.1).
 * on_done follows. */
void proxy_abort(struct proxy *p);
