/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc_http_tests.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "io/listener.h"

struct world w;

/* ---- pattern: its period is prime, so that no frame or buffer size hides a shift ---- */

#define PERIOD 65521

static const unsigned char *pattern(void)
{
	static unsigned char table[PERIOD];
	if (table[1] == 0)
		for (size_t i = 0; i < PERIOD; i++)
			table[i] = (unsigned char)(i * 2654435761u >> 13);
	return table;
}

/* Length of the piece at position `at` that does not wrap. */
static size_t pattern_run(size_t n, size_t at)
{
	size_t left = PERIOD - at % PERIOD;
	return n < left ? n : left;
}

void pattern_fill(unsigned char *p, size_t n, size_t at)
{
	for (size_t k; n > 0; p += k, at += k, n -= k) {
		k = pattern_run(n, at);
		memcpy(p, pattern() + at % PERIOD, k);
	}
}

bool pattern_matches(const unsigned char *p, size_t n, size_t at)
{
	for (size_t k; n > 0; p += k, at += k, n -= k) {
		k = pattern_run(n, at);
		if (memcmp(p, pattern() + at % PERIOD, k) != 0)
			return false;
	}
	return true;
}

/* ---- origin: state of one stream ---- */

struct origin_stream {
	size_t left, at; /* of /big */
	size_t got;	 /* of /sink */
};

static void origin_closed(struct http_stream *st, int err, void *user)
{
	w.closes++;
	w.last_close = err;
	if (w.held == st)
		w.held = NULL;
	mem_free(user);
}

static struct origin_stream *origin_stream(struct http_stream *st, const struct http_handler *h)
{
	struct origin_stream *o = mem_zalloc(sizeof(*o));
	ck_assert_ptr_nonnull(o);
	http_stream_set_handler(st, h, o);
	return o;
}

static const struct http_handler plain_handler = { .on_close = origin_closed };

/* /echo: what comes goes back, with exact flow control */

static void echo_data(struct http_stream *st, const void *p, size_t n, void *user)
{
	ck_assert_int_eq(http_stream_write(st, p, n), 0);
}

static void echo_sent(struct http_stream *st, size_t n, void *user)
{
	http_stream_consume(st, n);
}

static void echo_end(struct http_stream *st, const struct http_fields *trailers, void *user)
{
	ck_assert_int_eq(http_stream_end(st, trailers), 0);
}

static const struct http_handler echo_handler = {
	.on_data = echo_data,
	.on_end = echo_end,
	.on_sent = echo_sent,
	.on_close = origin_closed,
};

static void respond(
    struct http_stream *st, int status, bool end, const char *name, const char *value)
{
	struct http_head head = HTTP_HEAD_INIT;
	head.status = status;
	head.upgrade = status == 101;
	if (name)
		ck_assert_int_eq(http_fields_add(&head.fields, name, value), 0);
	ck_assert_int_eq(http_stream_respond(st, &head, end), 0);
	http_head_fini(&head);
}

/* /big/N: N bytes of the pattern, produced while the queue is below its mark */

static void big_produce(struct http_stream *st, struct origin_stream *o)
{
	unsigned char p[16 * 1024];
	while (o->left > 0 && http_stream_queued(st) < LIMIT_STREAM_QUEUE) {
		size_t n = o->left < sizeof(p) ? o->left : sizeof(p);
		pattern_fill(p, n, o->at);
		ck_assert_int_eq(http_stream_write(st, p, n), 0);
		o->at += n;
		o->left -= n;
		if (o->left == 0)
			ck_assert_int_eq(http_stream_end(st, NULL), 0);
	}
	if (http_stream_queued(st) > w.most_queued)
		w.most_queued = http_stream_queued(st);
}

static void big_sent(struct http_stream *st, size_t n, void *user)
{
	big_produce(st, user);
}

static const struct http_handler big_handler = { .on_sent = big_sent, .on_close = origin_closed };

/* /sink: counts and checks the pattern, answers with the count */

static void sink_data(struct http_stream *st, const void *p, size_t n, void *user)
{
	struct origin_stream *o = user;
	ck_assert(pattern_matches(p, n, o->got));
	o->got += n;
	http_stream_consume(st, n);
}

static void sink_end(struct http_stream *st, const struct http_fields *trailers, void *user)
{
	struct origin_stream *o = user;
	ck_assert_int_eq(http_answer_text(st, 200, "%zu", o->got), 0);
}

static const struct http_handler sink_handler = {
	.on_data = sink_data,
	.on_end = sink_end,
	.on_close = origin_closed,
};

/* ---- origin: dispatch ---- */

static void do_hello(struct http_stream *st, const char *rest)
{
	(void)origin_stream(st, &plain_handler);
	ck_assert_int_eq(http_answer(st, 200, "text/plain", "hello", 5), 0);
}

static void do_echo(struct http_stream *st, const char *rest)
{
	(void)origin_stream(st, &echo_handler);
	respond(st, 200, false, "x-kind", "echo");
}

static void do_big(struct http_stream *st, const char *rest)
{
	struct origin_stream *o = origin_stream(st, &big_handler);
	o->left = strtoul(rest, NULL, 10);
	respond(st, 200, false, NULL, NULL);
	big_produce(st, o);
}

static void do_sink(struct http_stream *st, const char *rest)
{
	(void)origin_stream(st, &sink_handler);
}

/* Takes what comes and never gives it back, answers nothing. */
static void hold_data(struct http_stream *st, const void *p, size_t n, void *user)
{
	w.held_bytes += n;
}

static void swallow_data(struct http_stream *st, const void *p, size_t n, void *user)
{
	w.held_bytes += n;
	http_stream_consume(st, n);
}

static void do_hold(struct http_stream *st, const char *rest)
{
	static const struct http_handler hold_handler = {
		.on_data = hold_data,
		.on_close = origin_closed,
	};
	(void)origin_stream(st, &hold_handler);
	w.held = st;
}

static void do_reset_early(struct http_stream *st, const char *rest)
{
	(void)origin_stream(st, &plain_handler);
	http_stream_reset(st, HTTP_RESET_INTERNAL);
}

static void do_reset_late(struct http_stream *st, const char *rest)
{
	(void)origin_stream(st, &plain_handler);
	respond(st, 200, false, NULL, NULL);
	ck_assert_int_eq(http_stream_write(st, "part", 4), 0);
	w.held = st; /* the test resets it when the part has arrived */
}

static void do_trailers(struct http_stream *st, const char *rest)
{
	struct http_fields t = { 0 };
	(void)origin_stream(st, &plain_handler);
	respond(st, 200, false, "content-type", "application/grpc");
	ck_assert_int_eq(http_stream_write(st, "message", 7), 0);
	ck_assert_int_eq(http_fields_add(&t, "grpc-status", "0"), 0);
	ck_assert_int_eq(http_fields_add(&t, "x-trailer", "last"), 0);
	ck_assert_int_eq(http_stream_end(st, &t), 0);
	http_fields_fini(&t);
}

static void do_trailers_only(struct http_stream *st, const char *rest)
{
	(void)origin_stream(st, &plain_handler);
	respond(st, 200, true, "grpc-status", "5");
}

static void do_upgrade(struct http_stream *st, const char *rest)
{
	ck_assert(http_stream_peer_head(st)->upgrade);
	(void)origin_stream(st, &echo_handler);
	respond(st, 101, false, "upgrade", "echo");
}

/* Ends its own way at once and takes what comes. */
static void do_upgrade_end(struct http_stream *st, const char *rest)
{
	static const struct http_handler handler = {
		.on_data = swallow_data,
		.on_close = origin_closed,
	};
	(void)origin_stream(st, &handler);
	respond(st, 101, false, "upgrade", "echo");
	ck_assert_int_eq(http_stream_end(st, NULL), 0);
}

static void do_peer(struct http_stream *st, const char *rest)
{
	(void)origin_stream(st, &plain_handler);
	ck_assert_int_eq(http_answer_text(st, 200, "%s", http_server_peer(st)), 0);
}

static void do_fields(struct http_stream *st, const char *rest)
{
	const struct http_head *h = http_stream_peer_head(st);
	(void)origin_stream(st, &plain_handler);
	const char *te = http_fields_get(&h->fields, "te");
	const char *hop = http_fields_get(&h->fields, "x-hop");
	(void)str_copy(w.last_te, sizeof(w.last_te), te ? te : "");
	(void)str_copy(w.last_x_hop, sizeof(w.last_x_hop), hop ? hop : "");
	(void)str_copy(w.last_host, sizeof(w.last_host), h->authority);
	ck_assert_int_eq(http_answer(st, 204, NULL, NULL, 0), 0);
}

static void collected(struct http_stream *st, int err, const void *p, size_t n, void *arg)
{
	w.closes++;
	w.last_close = err;
	if (err == 0)
		ck_assert_int_eq(http_answer(st, 200, NULL, p, n), 0);
	else if (err == -EFBIG)
		ck_assert_int_eq(http_answer_text(st, 413, "too big"), 0);
}

static void do_collect(struct http_stream *st, const char *rest)
{
	ck_assert_int_eq(http_collect(st, 1000, collected, NULL), 0);
}

static void do_early(struct http_stream *st, const char *rest)
{
	(void)origin_stream(st, &plain_handler);
	ck_assert_int_eq(http_answer_text(st, 403, "not before I read that"), 0);
}

static const struct {
	const char *prefix;
	void (*fn)(struct http_stream *st, const char *rest);
} behaviours[] = {
	{ "/hello", do_hello },
	{ "/echo", do_echo },
	{ "/big/", do_big },
	{ "/sink", do_sink },
	{ "/hold", do_hold },
	{ "/reset-early", do_reset_early },
	{ "/reset-late", do_reset_late },
	{ "/trailers-only", do_trailers_only },
	{ "/trailers", do_trailers },
	{ "/upgrade-end", do_upgrade_end },
	{ "/upgrade", do_upgrade },
	{ "/peer", do_peer },
	{ "/fields", do_fields },
	{ "/collect", do_collect },
	{ "/early", do_early },
};

static void origin_request(struct http_stream *st, void *arg)
{
	const char *path = http_stream_peer_head(st)->path;
	w.requests++;
	for (size_t i = 0; i < sizeof(behaviours) / sizeof(*behaviours); i++) {
		const char *rest = str_after(path, behaviours[i].prefix);
		if (rest) {
			behaviours[i].fn(st, rest);
			return;
		}
	}
	(void)origin_stream(st, &plain_handler);
	ck_assert_int_eq(http_answer_text(st, 404, "nothing at %s", path), 0);
}

/* ---- front ---- */

static void proxy_failed(struct http_stream *st, int err, void *arg)
{
	w.failed++;
	ck_assert_int_lt(err, 0);
	ck_assert_int_eq(http_answer_text(st, 502, "failed"), 0);
}

static void proxy_done(void *arg)
{
	w.done++;
	w.proxy = NULL;
}

static void front_request(struct http_stream *st, void *arg)
{
	const struct proxy_conf c = {
		.upstream = w.upstream,
		.on_fail = proxy_failed,
		.on_done = proxy_done,
	};
	w.proxied++;
	ck_assert_int_eq(proxy_start(st, &c, &w.proxy), 0);
}

/* ---- world ---- */

unsigned server_port(struct http_server *s, struct tls_ctx *tls)
{
	struct err err = ERR_INIT;
	int fd = listener_open_tcp("127.0.0.1:0", &err);
	ck_assert_msg(fd >= 0, "%s", err_text(&err));
	struct sockaddr_in a;
	socklen_t n = sizeof(a);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	ck_assert_int_eq(http_server_listen(s, fd, tls), 0);
	return ntohs(a.sin_port);
}

struct http_client *client_to(unsigned port, int version, struct tls_ctx *tls)
{
	const struct http_client_conf conf = {
		.host = "127.0.0.1",
		.port = port,
		.version = version,
		.tls = tls,
		.tls_host = tls ? "sandglass.test" : NULL,
	};
	struct http_client *c = http_client_new(w.loop, &conf);
	ck_assert_ptr_nonnull(c);
	return c;
}

void world_start(int version, bool tls, const struct http_server_conf *limits)
{
	struct err err = ERR_INIT;
	struct http_server_conf conf = limits ? *limits : (struct http_server_conf){ 0 };
	w = (struct world){ .loop = loop_new() };
	if (tls) {
		test_cert_make(&w.cert, "sandglass.test");
		w.server_tls = tls_server_new(w.cert.cert_file, w.cert.key_file, &err);
		w.client_tls = tls_client_new(w.cert.cert_file, &err);
		ck_assert_msg(w.server_tls && w.client_tls, "%s", err_text(&err));
	}
	conf.on_request = origin_request;
	w.origin = http_server_new(w.loop, &conf);
	w.origin_port = server_port(w.origin, w.server_tls);
	w.client = client_to(w.origin_port, version, w.client_tls);
}

void world_start_proxy(int down_version, int up_version)
{
	world_start(up_version, false, NULL);
	w.upstream = w.client;
	const struct http_server_conf conf = { .on_request = front_request };
	w.front = http_server_new(w.loop, &conf);
	w.front_port = server_port(w.front, NULL);
	w.client = client_to(w.front_port, down_version, NULL);
}

void world_stop(void)
{
	http_client_free(w.client);
	http_server_free(w.front);
	http_client_free(w.upstream);
	http_server_free(w.origin);
	tls_free(w.server_tls);
	tls_free(w.client_tls);
	if (w.cert.dir[0])
		test_cert_remove(&w.cert);
	w.loop = loop_free(w.loop);
}

void run_idle(void)
{
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(loop_turn(w.loop, false), 0);
}

static void time_over(struct loop_timer *t, void *arg)
{
	*(bool *)arg = true;
}

void run_for(uint64_t ms)
{
	bool over = false;
	struct loop_timer t = { 0 };
	loop_timer_init(&t, w.loop, time_over, &over);
	loop_timer_set(&t, ms);
	RUN_UNTIL(over);
	loop_timer_fini(&t);
}
