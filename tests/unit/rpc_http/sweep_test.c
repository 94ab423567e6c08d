/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation of a proxied exchange fails once, and from then on all of them for some turns:
 * the client always hears an end, never a whole-looking part, and nothing leaks.
 */
#include "rpc_http_tests.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

/* An origin that needs no memory of its own: echoes the body, with a trailer. */
static void echo_data(struct http_stream *st, const void *p, size_t n, void *user)
{
	if (http_stream_write(st, p, n) < 0)
		http_stream_reset(st, HTTP_RESET_INTERNAL);
}

static void echo_sent(struct http_stream *st, size_t n, void *user)
{
	http_stream_consume(st, n);
}

static void echo_end(struct http_stream *st, const struct http_fields *trailers, void *user)
{
	struct http_field last = { (char *)"x-trailer", (char *)"last" };
	const struct http_fields t = { .v = &last, .n = 1 };
	if (http_stream_end(st, &t) == -ENOMEM)
		http_stream_reset(st, HTTP_RESET_INTERNAL);
}

static void sweep_request(struct http_stream *st, void *arg)
{
	static const struct http_handler echo = {
		.on_data = echo_data,
		.on_sent = echo_sent,
		.on_end = echo_end,
	};
	const struct http_head head = { .status = 200, .length = -1 };
	http_stream_set_handler(st, &echo, NULL);
	if (http_stream_respond(st, &head, false) < 0)
		http_stream_reset(st, HTTP_RESET_INTERNAL);
}

static void front_request(struct http_stream *st, void *arg)
{
	const struct proxy_conf c = { .upstream = w.upstream };
	if (proxy_start(st, &c, NULL) < 0)
		(void)http_answer_text(st, 503, "no memory");
}

/* ---- the client ---- */

struct outcome {
	struct http_stream *st;
	size_t got;
	int status, err;
	bool ended, closed;
};

static void on_head(struct http_stream *st, void *user)
{
	((struct outcome *)user)->status = http_stream_peer_head(st)->status;
}

static void on_data(struct http_stream *st, const void *p, size_t n, void *user)
{
	((struct outcome *)user)->got += n;
	http_stream_consume(st, n);
}

static void on_end(struct http_stream *st, const struct http_fields *trailers, void *user)
{
	((struct outcome *)user)->ended = true;
}

static void on_close(struct http_stream *st, int err, void *user)
{
	struct outcome *o = user;
	o->st = NULL;
	o->err = err;
	o->closed = true;
}

static const struct http_handler outcome_handler = { on_head, on_data, on_end, NULL, on_close };

#define BODY 5000

/* One exchange over fresh connections; the n-th allocation and those after it fail. True when that
 * changed nothing any more. */
static bool one_run(unsigned front_port, unsigned origin_port, int i, long n)
{
	static const char body[BODY];
	const struct http_head head = {
		.method = (char *)"POST",
		.scheme = (char *)"http",
		.authority = (char *)"x",
		.path = (char *)"/",
		.length = -1,
	};
	struct outcome o = { 0 };
	w.client = client_to(front_port, 1 + i / 2, NULL);
	w.upstream = client_to(origin_port, 1 + i % 2, NULL);
	mem_fail_after(n);
	o.st = http_client_request(w.client, &head, false, &outcome_handler, &o, NULL);
	bool begun = o.st;
	if (o.st && (http_stream_write(o.st, body, BODY) < 0 || http_stream_end(o.st, NULL) < 0))
		http_stream_reset(o.st, HTTP_RESET_CANCEL);
	long before = mem_alloc_count();
	for (int k = 0; k < 30 && begun && !o.closed; k++)
		(void)loop_turn(w.loop, false);
	bool spared = mem_alloc_count() - before < n;
	mem_fail_after(-1);
	if (begun)
		RUN_UNTIL(o.closed);
	if (o.ended && o.status == 200)
		ck_assert_uint_eq(o.got, BODY);
	bool whole = begun && o.closed && o.err == 0 && o.status == 200;
	w.client = http_client_free(w.client);
	w.upstream = http_client_free(w.upstream);
	return whole && spared;
}

START_TEST(allocation_sweep)
{
	const struct http_server_conf origin = { .on_request = sweep_request };
	const struct http_server_conf front = { .on_request = front_request };
	w = (struct world){ .loop = loop_new() };
	w.origin = http_server_new(w.loop, &origin);
	w.front = http_server_new(w.loop, &front);
	unsigned origin_port = server_port(w.origin, NULL);
	unsigned front_port = server_port(w.front, NULL);
	long n = 0;
	while (!one_run(front_port, origin_port, _i, n))
		ck_assert_int_lt(n++, 2000);
	ck_assert_int_gt(n, 20);
	world_stop();
}
END_TEST

void add_sweep_tests(Suite *s)
{
	TCase *tc = test_case(s, "allocation sweep", 60);
	tcase_add_loop_test(tc, allocation_sweep, 0, 4);
}
