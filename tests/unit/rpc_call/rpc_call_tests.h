/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Whole calls in memory: the Echo service on a router, a client session, and answers of every
 * protocol read back into one form.
 */
#include <stdbool.h>
#include <stdio.h>

#include "lib/loopback.h"
#include "lib/test.h"
#include "loop/loop.h"
#include "rpc/call.h"

#define ANSWERS_MAX 64

/* What the Echo service saw. Texts that mean something to it: "hang" (no answer), "twice" (answers
 * twice), "silent" (finishes without an answer), "metadata" (header and trailers). */
struct echo {
	unsigned passed; /* calls that the gate let in */
	unsigned messages, half_closes, readies, dones;
	int last_err;
	struct call *hanging;
	enum rpc_code gate;
	struct rpc_service service;
};

struct world {
	struct loop *loop;
	struct rpc_router *router;
	struct loopback lb;
	struct echo echo;
	unsigned unhandled; /* requests that the router did not take */
};

void world_init(struct world *w, int version);
void world_fini(struct world *w);
/* Let bytes and deferred calls run until nothing moves. */
void world_settle(struct world *w);
void echo_init(struct echo *e);

/* A protocol and codec as a client speaks it. */
struct speech {
	const char *name;
	int version;
	const char *content_type;
	enum rpc_protocol protocol;
	enum rpc_codec codec;
	bool streams; /* for streaming methods (Connect has two content types) */
};
extern const struct speech speeches[];
extern const unsigned n_speeches;

struct answer {
	enum rpc_code code;
	bool has_status;
	char text[256];
	unsigned n;
	char messages[ANSWERS_MAX][64]; /* the text of each */
	unsigned index[ANSWERS_MAX];
	char trailer[64]; /* of "x-trailer", wherever the protocol puts it */
};

/* Append one EchoRequest as this client writes it. */
void speech_add(
    const struct speech *sp, struct buf *dst, const char *text, unsigned repeat, unsigned code);
/* What came back; fails the test when it is no answer of this protocol. */
void speech_read(const struct speech *sp, const struct exchange *x, struct answer *ret);
/* One whole call with one message. */
void speech_call(struct world *w, const struct speech *sp, const char *method, const char *text,
    unsigned repeat, unsigned code, struct exchange *x, struct answer *ret);

void call_tests(Suite *s);
void refuse_tests(Suite *s);
void flow_tests(Suite *s);
void storm_tests(Suite *s);
void health_tests(Suite *s);
void reflection_tests(Suite *s);
void client_call_tests(Suite *s);
