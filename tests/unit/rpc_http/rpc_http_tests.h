/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Cases of this program and the world they share: an origin server with one behaviour a path, a
 * front server that proxies to it, and clients, all on one loop over loopback sockets.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "io/tls.h"
#include "loop/loop.h"
#include "rpc/http_client.h"
#include "rpc/http_server.h"
#include "rpc/proxy.h"
#include "lib/cert.h"
#include "lib/test.h"

void add_server_tests(Suite *s);
void add_server_limit_tests(Suite *s);
void add_client_tests(Suite *s);
void add_fetch_tests(Suite *s);
void add_proxy_tests(Suite *s);
void add_proxy_reset_tests(Suite *s);
void add_sweep_tests(Suite *s);

/* ---- the world ---- */

struct world {
	struct loop *loop;
	struct http_server *origin, *front;
	struct http_client *client;   /* to the front when there is one, else to the origin */
	struct http_client *upstream; /* front to origin */
	unsigned origin_port, front_port;
	struct test_cert cert;
	struct tls_ctx *server_tls, *client_tls;
	/* what the origin saw */
	struct http_stream *held; /* of /hold; NULL once it closed */
	size_t held_bytes;
	unsigned requests, closes;
	int last_close;	    /* err of the last stream's on_close */
	size_t most_queued; /* largest queue of a /big stream */
	char last_te[32], last_host[64], last_x_hop[32];
	/* what the front saw */
	unsigned proxied, done, failed;
	struct proxy *proxy; /* the newest */
};
extern struct world w;

/* Origin alone, client of that version to it; tls for both. */
void world_start(int version, bool tls, const struct http_server_conf *limits);
/* Origin, front and client: versions of client to front and of front to origin. */
void world_start_proxy(int down_version, int up_version);
void world_stop(void);
unsigned server_port(struct http_server *s, struct tls_ctx *tls);
struct http_client *client_to(unsigned port, int version, struct tls_ctx *tls);

#define RUN_UNTIL(condition)                                          \
	do {                                                          \
		while (!(condition))                                  \
			ck_assert_int_eq(loop_turn(w.loop, true), 0); \
	} while (0)
void run_idle(void);
void run_for(uint64_t ms);

/* ---- one request, as a client sees it ---- */

struct exchange {
	struct http_stream *st; /* NULL once it closed */
	struct buf body;
	size_t total;
	size_t unconsumed; /* bytes held back while slow is set */
	bool slow, drop;
	int status, close_err;
	unsigned heads, ends, closes;
	size_t sent;
	size_t to_send; /* of a pattern, by exchange_send_pattern() */
	size_t sent_at; /* position in the pattern */
	bool patterned; /* the body must be the pattern */
	char content_type[64], trailer[64], grpc_status[16];
	int64_t length;
};

/* Fields are "name", "value", ..., NULL. The exchange must be zeroed. */
void exchange_start(struct exchange *x, struct http_client *c, const char *method, const char *path,
    bool end, const char *const *fields);
void exchange_get(struct exchange *x, const char *path);
void exchange_send(struct exchange *x, const char *text, bool end);
/* Send n bytes of the pattern, as fast as queue allows, then end. */
void exchange_send_pattern(struct exchange *x, size_t n);
void exchange_consume(struct exchange *x, size_t n);
void exchange_fini(struct exchange *x);
bool exchange_body_is(const struct exchange *x, const char *text);

/* Bytes that depend on their position. */
void pattern_fill(unsigned char *p, size_t n, size_t at);
bool pattern_matches(const unsigned char *p, size_t n, size_t at);

/* ---- a bare TCP client ---- */

int raw_connect(unsigned port);
void raw_send(int fd, const char *text);
/* Until the peer's end or reset: 0 or -errno. What came is appended. */
int raw_read_to_end(int fd, struct buf *dst);
/* Until text occurs in what came. */
void raw_read_until(int fd, struct buf *dst, const char *text);
