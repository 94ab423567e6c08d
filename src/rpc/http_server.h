/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * HTTP server: listeners, connections and their sessions. A cleartext listener tells HTTP/1.1 from
 * HTTP/2 by the first bytes; a TLS one by ALPN. Limits connections, time to the first head, idle
 * time.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/http.h"

struct http_server;
struct loop;
struct tls_ctx;

struct http_server_conf {
	/* A request head arrived: install a handler on st, or answer at once. */
	void (*on_request)(struct http_stream *st, void *arg);
	void *arg;
	unsigned max_connections;  /* 0 = LIMIT_CONNECTIONS */
	uint64_t head_timeout_ms;  /* 0 = 30 s: until a connection's first complete head; and TLS */
	uint64_t idle_timeout_ms;  /* 0 = 650 s without any stream */
	uint64_t stall_timeout_ms; /* 0 = 120 s: a peer that accepts no byte of pending output */
};

struct http_server *http_server_new(struct loop *l, const struct http_server_conf *c);
/* Closes listeners and connections; streams get on_close(-ECONNRESET) before it returns. Not from a
 * stream's callback. */
struct http_server *http_server_free(struct http_server *s);
/* Takes over a listening socket; tls may be NULL and must outlive the server. 0 or -errno. */
int http_server_listen(struct http_server *s, int fd_consume, struct tls_ctx *tls);
/* Take over one connected descriptor (the agent's side of a channel, tests). 0 or -errno. */
int http_server_adopt(struct http_server *s, int fd_consume);
/* Stop accepting, drain sessions; on_empty once no connection is left. */
void http_server_drain(struct http_server *s, void (*on_empty)(void *arg), void *arg);
/* Break every connection; it goes on listening. Not from a stream's callback of its own. */
void http_server_reset(struct http_server *s);
size_t http_server_connections(const struct http_server *s);
/* Printable address of a request's peer, "" when unknown; valid as long as the stream. */
const char *http_server_peer(const struct http_stream *st);

/* ---- small answers ---- */
/* Complete response with a body: 0, -EINVAL (a head was sent), -ENOMEM (the stream was reset). */
int http_answer(
    struct http_stream *st, int status, const char *content_type, const void *p, size_t n);
int http_answer_text(struct http_stream *st, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Collect a request body of at most max bytes, then call fn once: err 0, -EFBIG or -errno (the
 * stream is gone unless err is 0 or -EFBIG). The body is valid during fn. To be called in
 * on_request: a body that nobody takes is dropped. 0 or -ENOMEM. */
int http_collect(struct http_stream *st, size_t max,
    void (*fn)(struct http_stream *st, int err, const void *p, size_t n, void *arg), void *arg);
