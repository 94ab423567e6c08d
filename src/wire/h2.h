/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The parts of an HTTP/2 session; see h2_session.c for how they work together. */
#include <nghttp2/nghttp2.h>

#include "wire/http_private.h"

#define H2_CONTINUATIONS_MAX 8 /* 16 KiB each: more than a whole head */
#define H2_DISCARD_MAX                                                            \
	(8 * 1024 * 1024) /* of a request that was answered early, as in HTTP/1.1 \
			   */

/* Tokens that come back with time; in thousandths, so that no rounding favours anybody. */
struct h2_bucket {
	uint64_t milli;
	uint32_t rate; /* a second */
	uint32_t burst;
};
void h2_bucket_init(struct h2_bucket *b, uint32_t burst, uint32_t rate);
void h2_bucket_refill(struct h2_bucket *b, uint64_t elapsed_ms);
bool h2_bucket_take(struct h2_bucket *b); /* false when it is empty */

struct h2_session {
	struct http_session base;
	nghttp2_session *ng;
	struct buf *out;   /* while it is asked for output */
	size_t out_enough; /* how long it may get */
	uint64_t now_ms;
	bool timed; /* now_ms is set */
	struct h2_bucket resets;
	struct h2_bucket controls;
	uint64_t credit;	/* control frames that answer what we sent */
	int err;		/* the connection has failed */
	unsigned continuations; /* of the head that is coming in */
	bool draining;
	bool greeted; /* the peer's SETTINGS came */
	bool ping_pending;
};

static inline struct h2_session *h2_of(const struct http_session *s)
{
	return container_of(s, struct h2_session, base);
}

/* ---- session ---- */
/* The connection is broken: GOAWAY with code is queued, every stream closes with err. */
void h2_fail(struct h2_session *h, int err, uint32_t code);
/* The stream of an id while somebody owns it, else NULL. */
struct http_stream *h2_stream(struct h2_session *h, int32_t id);
/* Whether it was we who let go of the stream: its owner reset it, or its exchange was over. */
bool h2_stream_let_go(struct h2_session *h, int32_t id);
extern const char h2_drain_ping[8];

/* ---- input: callbacks of nghttp2_session_mem_recv ---- */
void h2_set_input_callbacks(nghttp2_session_callbacks *cb);
/* Without this nghttp2 ignores frames of other types before anybody has seen them. */
void h2_count_extensions(nghttp2_option *opt);

/* ---- output: callbacks of nghttp2_session_mem_send, and what streams submit ---- */
void h2_set_output_callbacks(nghttp2_session_callbacks *cb);
int h2_open(struct http_stream *st, const struct http_head *head, bool end);
int h2_respond(struct http_stream *st, const struct http_head *head, bool end);

/* ---- floods ---- */
/* False: too much of it; the caller fails the connection. */
bool h2_allow_control(struct h2_session *h);
bool h2_allow_reset(struct h2_session *h);
void h2_earn_credit(struct h2_session *h, size_t sent);
void h2_set_time(struct h2_session *h, uint64_t now_ms);
