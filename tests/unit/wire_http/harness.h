/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Two sessions that talk in memory, and owners that record every callback. A peer that has no
 * partner is fed with bytes by the test and its output is collected.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "lib/test.h"
#include "wire/http.h"

#define PEER_EXCHANGES 2048

struct peer;

enum peer_event { PEER_REQUEST, PEER_HEAD, PEER_DATA, PEER_END, PEER_SENT, PEER_CLOSE };

/* One stream as its owner saw it. */
struct exchange {
	struct peer *peer;
	struct http_stream *st; /* NULL after on_close */
	char method[16], path[128], authority[64];
	int status;
	struct buf body;
	size_t sent;	  /* sum of on_sent */
	size_t written;	  /* by the test */
	char trailer[64]; /* value of x-trailer */
	size_t n_trailers;
	unsigned heads, ends, closes;
	int err;
	bool upgrade;
	bool whole; /* with its head the peer had ended */
};

struct peer {
	struct http_session *s;
	struct exchange *x[PEER_EXCHANGES];
	size_t n;
	struct buf wire; /* output not yet taken by the partner */
	bool hold;	 /* do not consume body bytes */
	bool manual;	 /* server: no handler's own answer */
	bool bare;	 /* server: install no handler */
	unsigned wakes;
	ssize_t recv_err, send_err;
	uint64_t now_ms;
	/* Called after the event was recorded. */
	void (*script)(struct exchange *x, enum peer_event ev);
};

extern const struct http_handler peer_handler;

typedef struct http_session *peer_new_fn(const struct http_session_conf *c);
void peer_init(struct peer *p, peer_new_fn *new, uint32_t window, uint32_t max_streams);
void peer_fini(struct peer *p);
/* Feed bytes in pieces of at most step (0 = whole). Returns bytes taken or the error. */
ssize_t peer_feed(struct peer *p, const void *bytes, size_t n, size_t step);
ssize_t peer_feed_str(struct peer *p, const char *text, size_t step);
/* Move the session's output to p->wire until there is none. */
void peer_flush(struct peer *p);
/* p->wire as text since the last call. */
const char *peer_output(struct peer *p);
/* Exchange bytes until nothing moves; pieces of at most step bytes (0 = whole). */
void peers_run(struct peer *a, struct peer *b, size_t step);

struct exchange *peer_request(
    struct peer *p, const char *method, const char *path, int64_t length, bool end);
int exchange_respond(struct exchange *x, int status, int64_t length, bool end);
int exchange_write(struct exchange *x, size_t n);     /* n bytes of the pattern */
int exchange_write_buf(struct exchange *x, size_t n); /* the same, giving the memory away */
int exchange_end(struct exchange *x, const char *trailer);
/* The body is the first n bytes of the pattern. */
bool exchange_has_pattern(const struct exchange *x, size_t n);

void fields_tests(Suite *s);
void h1_input_tests(Suite *s);
void h1_session_tests(Suite *s);
void h2_session_tests(Suite *s);
void h2_flood_tests(Suite *s);
void pair_tests(Suite *s);
void reentry_tests(Suite *s);
void sweep_tests(Suite *s);
void multipart_tests(Suite *s);
void select_tests(Suite *s);
void tunnel_tests(Suite *s);
