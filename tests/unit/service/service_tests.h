/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Cases of this program and the world they share: a whole service behind a real HTTP server on
 * loopback, sandboxes in memory, and a server that plays their agents.
 */
#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/buf.h"
#include "lib/fake_sandboxes.h"
#include "lib/test.h"
#include "loop/loop.h"
#include "rpc/http_client.h"
#include "service/auth.h"
#include "service/service.h"

void add_auth_tests(Suite *s);
void add_body_tests(Suite *s);
void add_gateway_tests(Suite *s);
void add_list_tests(Suite *s);
void add_memory_tests(Suite *s);
void add_part_tests(Suite *s);
void add_rest_tests(Suite *s);
void add_route_tests(Suite *s);
void add_rpc_tests(Suite *s);
void add_template_tests(Suite *s);
void add_watch_tests(Suite *s);
void add_web_tests(Suite *s);

#define TEAM_A "11111111-1111-4111-8111-111111111111"
#define TEAM_B "22222222-2222-4222-8222-222222222222"
#define DOMAIN "box.test"

struct world {
	struct loop *loop;
	struct templates *templates;
	struct sandboxes *sandboxes;
	struct images *images; /* fake */
	struct auth *auth;
	char key_a[AUTH_KEY_LEN + 1], key_b[AUTH_KEY_LEN + 1]; /* team B has a limit of 2 */
	struct service *service;
	struct http_server *front, *agent;
	struct http_client *h1, *h2, *data;
	/* From the next request on, until the turn is over, allocations fail after that many; -1:
	 * none. */
	long fail_after;
	struct loop_defer heal;
	/* what the agent saw last */
	struct {
		unsigned requests, closes;
		char method[16], path[256], host[128], port[16], headers[2048];
		struct http_stream *held; /* of /hold and /stream */
	} seen;
};
extern struct world w;

void world_start(void);
void world_stop(void);
/* The tests' own templates; free with templates_free(). */
struct templates *world_templates(void);

#define RUN_UNTIL(condition)                                          \
	do {                                                          \
		while (!(condition))                                  \
			ck_assert_int_eq(loop_turn(w.loop, true), 0); \
	} while (0)

/* ---- one request, as a client sees it ---- */
struct reply {
	struct http_stream *st; /* NULL once it closed */
	int status, close_err;
	struct http_fields head, trailers;
	struct buf body;
	bool closed, ended, slow;
	size_t unconsumed;
};

/* headers: name, value, ..., NULL; ":authority" is the host (default "localhost"). body may be
 * NULL. */
void reply_start(struct reply *r, struct http_client *c, const char *method, const char *path,
    const char *const *headers, const void *body, size_t n);
void reply_fini(struct reply *r);
const char *reply_text(struct reply *r);
const char *reply_header(const struct reply *r, const char *name); /* "" when absent */

/* A whole exchange with the key of team A. The reply is the world's own, valid until the next call.
 */
struct reply *call(const char *method, const char *path, const char *body);
struct reply *call_with(
    const char *method, const char *path, const char *const *headers, const char *body);
/* The body of the last reply as JSON, valid until the next call. */
json_t *call_json(void);

#define expect_reply(r, want_status, want_body)                \
	do {                                                   \
		struct reply *got_ = (r);                      \
		ck_assert_str_eq(reply_text(got_), want_body); \
		ck_assert_int_eq(got_->status, want_status);   \
	} while (0)
