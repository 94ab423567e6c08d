/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One HTTP connection, of the server or of the client: joins a byte stream and an HTTP session.
 * Embedded in its owner's object, which ends it by http_conn_fini() or hears on_gone from the loop.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop/loop.h"

struct http_conn;
struct http_session;
struct http_session_ops;
struct http_stream;
struct stream;
struct tls_ctx;

/* Longest HTTP/2 preface: what has to be seen to tell the versions apart. */
#define HTTP_CONN_SNIFF 24

struct http_conn_ops {
	/* Server: a request head arrived (from inside the session). */
	void (*on_request)(struct http_conn *c, struct http_stream *st);
	/* Client: connected, and the version is as expected (optional). */
	void (*on_up)(struct http_conn *c);
	/* Client: no connection came about. True when the owner has called http_conn_retry(): the
	 * streams wait on (optional; else, or with false, on_gone follows). */
	bool (*on_refused)(struct http_conn *c);
	/* Last call: the streams were told, the owner frees its object. err: 0 or -errno. */
	void (*on_gone)(struct http_conn *c, int err);
};

struct http_conn_conf {
	const struct http_conn_ops *ops;
	bool server;
	bool dialing;		  /* client: there is none yet, http_conn_dialed() gives it */
	bool connecting;	  /* the descriptor's connect(2) is in progress */
	struct tls_ctx *tls;	  /* may be NULL */
	const char *tls_host;	  /* client; may be NULL */
	int version;		  /* client: 1 or 2 */
	uint64_t open_timeout_ms; /* server: until the first head; client: until connected */
	uint64_t idle_timeout_ms;
	uint64_t stall_timeout_ms;
};

enum http_conn_state {
	HTTP_CONN_STATE_OPENING, /* connecting, TLS handshake, or first bytes awaited */
	HTTP_CONN_STATE_UP,
	HTTP_CONN_STATE_CLOSING, /* nothing new; on_gone will come */
	HTTP_CONN_STATE_GONE,
};

struct http_conn {
	const struct http_conn_ops *ops;
	struct stream *stream;
	struct http_session *session;
	enum http_conn_state state;
	int version; /* 1, 2; 0 = not known yet */
	int err;     /* of http_conn_abort(), or of a connection that could not be started */
	bool server, tls;
	bool greeted;	 /* open_timeout is met */
	bool in_session; /* the session's callbacks may be running */
	bool more;	 /* the session had more output than the stream was given */
	bool paused;	 /* reading, because the session is behind */
	bool pinged;
	uint16_t ended_tick_ms; /* not 0: the peer has ended its side */
	uint8_t n_first;
	unsigned char first[HTTP_CONN_SNIFF];
	uint64_t open_timeout_ms, idle_timeout_ms, stall_timeout_ms;
	uint64_t opened_ms;
	uint64_t in_ms;	 /* last bytes came */
	uint64_t out_ms; /* last bytes left, or output began to wait */
	struct loop_defer wake;
	struct loop_timer tick;
};

/* Takes over fd; a negative one is the -errno of a connection that could not even be started, of
 * which on_gone tells from the loop. 0 or -ENOMEM (fd is closed, c needs no fini). */
int http_conn_init(
    struct http_conn *c, struct loop *l, int fd_consume, const struct http_conn_conf *conf);
/* With conf->dialing: its descriptor, or -errno; what goes wrong is told by on_gone. From the loop.
 */
void http_conn_dialed(
    struct http_conn *c, struct loop *l, int fd_consume, const struct http_conn_conf *conf);
/* In on_refused: connect elsewhere. 0, or -errno (fd is closed). */
int http_conn_retry(
    struct http_conn *c, struct loop *l, int fd_consume, const struct http_conn_conf *conf);
/* Ends it now: streams get on_close(-ECONNRESET) before it returns, on_gone is not called. Not from
 * callbacks of the session. */
void http_conn_fini(struct http_conn *c);
/* Requests may be placed on its session (client), even before it is up. */
bool http_conn_is_usable(const struct http_conn *c);
/* Break it: reset on the wire now; streams are told err and on_gone comes from the loop. */
void http_conn_abort(struct http_conn *c, int err);
/* Let running streams finish, then close. */
void http_conn_drain(struct http_conn *c);
/* The connection that a stream came over; only for sessions made here. */
struct http_conn *http_conn_of(const struct http_stream *st);
