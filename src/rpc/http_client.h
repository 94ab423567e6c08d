/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * HTTP client to one origin: opens connections when needed, keeps them, opens new ones after
 * failures. HTTP/2 carries many streams over one connection; more are opened when its streams run
 * out.
 */
#include <stdbool.h>
#include <stdint.h>

#include "wire/http.h"

struct http_client;
struct loop;
struct tls_ctx;

/* Makes connections in a way of its own. */
typedef void http_dialed_fn(int fd_consume, void *user); /* a connected descriptor, or -errno */
struct http_dialer_ops {
	/* dialed is called once, from the loop, unless the dial is cancelled before. NULL on
	 * -ENOMEM. */
	void *(*start)(void *arg, http_dialed_fn *dialed, void *user);
	void (*cancel)(void *dial);
};
struct http_dialer {
	const struct http_dialer_ops *ops;
	void *arg;
};

struct http_client_conf {
	const char *unix_path;		  /* either this */
	const struct http_dialer *dialer; /* or this, copied; its arg outlives the client */
	const char *host;		  /* or a numeric address and a port */
	const char *host2;		  /* tried where nobody listens at the other; may be NULL */
	unsigned port;
	struct tls_ctx *tls; /* ALPN decides the version then */
	const char *tls_host;
	int version;		     /* 1, or 2 by prior knowledge (0 = 2); TLS: first guess */
	unsigned max_connections;    /* 0 = 4 */
	uint64_t connect_timeout_ms; /* 0 = 5 s */
};

struct http_client *http_client_new(struct loop *l, const struct http_client_conf *c);
/* Streams get on_close(-ECONNRESET) before it returns. Not from a stream's callback. */
struct http_client *http_client_free(struct http_client *c);
/* Start an exchange, even before a connection is up; body and end follow with http_stream_*. Never
 * fails because of the connection: that is told by on_close. NULL on -ENOMEM or when *ret_err says
 * -EAGAIN (all connections full). With TLS a connection whose ALPN is not the version guessed
 * refuses its streams (-ECONNREFUSED), and the next request knows better. */
struct http_stream *http_client_request(struct http_client *c, const struct http_head *head,
    bool end, const struct http_handler *h, void *user, int *ret_err);
/* Reset every stream and close connections now, e.g. when the peer is known to be dead. */
void http_client_reset(struct http_client *c, int err);

struct loop *http_client_loop(const struct http_client *c);

/* Whole small exchange: JSON or text in, at most max bytes out. done is called exactly once from
 * the loop, never from inside http_fetch_start(), and may do anything: err 0 and status, or err < 0
 * (-ETIMEDOUT after timeout_ms, -EFBIG, what on_close or http_client_request() tell). The body is
 * followed by a NUL that n does not count. NULL on -ENOMEM, then done is not called. */
struct http_fetch;
typedef void http_fetch_fn(int err, int status, const void *body, size_t n, void *arg);
struct http_fetch *http_fetch_start(struct http_client *c, const struct http_head *head,
    const void *body, size_t n, size_t max, uint64_t timeout_ms, http_fetch_fn *done, void *arg);
/* done is not called any more. */
void http_fetch_cancel(struct http_fetch *f);
