/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the HTTP stack costs by itself: answers GET / with two bytes, anything else with its own
 * body. Usage: http_echo_server ADDR:PORT [CERT KEY], to be measured with h2load beside nghttpd.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/limits.h"
#include "base/mem.h"
#include "io/listener.h"
#include "io/tls.h"
#include "loop/loop.h"
#include "rpc/http_server.h"

/* ---- echo ---- */

static void echo_data(struct http_stream *st, const void *p, size_t n, void *user)
{
	if (http_stream_write(st, p, n) < 0)
		http_stream_reset(st, HTTP_RESET_INTERNAL);
}

static void echo_end(struct http_stream *st, const struct http_fields *trailers, void *user)
{
	(void)http_stream_end(st, NULL);
}

static void echo_sent(struct http_stream *st, size_t n, void *user)
{
	http_stream_consume(st, n);
}

static const struct http_handler echo_handler = {
	.on_data = echo_data,
	.on_end = echo_end,
	.on_sent = echo_sent,
};

/* ---- GET /N ---- */

struct bulk {
	size_t left;
};

static void bulk_produce(struct http_stream *st, struct bulk *b)
{
	static const char piece[16 * 1024];
	while (b->left > 0 && http_stream_queued(st) < LIMIT_STREAM_QUEUE) {
		size_t n = b->left < sizeof(piece) ? b->left : sizeof(piece);
		if (http_stream_write(st, piece, n) < 0) {
			http_stream_reset(st, HTTP_RESET_INTERNAL);
			return;
		}
		b->left -= n;
		if (b->left == 0)
			(void)http_stream_end(st, NULL);
	}
}

static void bulk_sent(struct http_stream *st, size_t n, void *user)
{
	bulk_produce(st, user);
}

static void bulk_close(struct http_stream *st, int err, void *user)
{
	mem_free(user);
}

static const struct http_handler bulk_handler = { .on_sent = bulk_sent, .on_close = bulk_close };

static void answer_bulk(struct http_stream *st, size_t n)
{
	const struct http_head head = { .status = 200, .length = (int64_t)n };
	struct bulk *b = mem_zalloc(sizeof(*b));
	if (!b || http_stream_respond(st, &head, false) < 0) {
		mem_free(b);
		http_stream_reset(st, HTTP_RESET_INTERNAL);
		return;
	}
	b->left = n;
	http_stream_set_handler(st, &bulk_handler, b);
	bulk_produce(st, b);
}

/* ---- dispatch ---- */

static void on_request(struct http_stream *st, void *arg)
{
	const struct http_head *request = http_stream_peer_head(st);
	bool get = strcmp(request->method, "GET") == 0;
	size_t n = get ? strtoul(request->path + 1, NULL, 10) : 0;
	if (n > 0) {
		answer_bulk(st, n);
		return;
	}
	if (get) {
		(void)http_answer(st, 200, "text/plain", "ok", 2);
		return;
	}
	const struct http_head head = { .status = 200, .length = request->length };
	http_stream_set_handler(st, &echo_handler, NULL);
	(void)http_stream_respond(st, &head, false);
}

static void on_stop(struct loop_signal *s, int signo, void *arg)
{
	loop_stop(arg);
}

static int fail(const char *what, const struct err *err)
{
	(void)fprintf(stderr, "http_echo_server: %s%s\n", what, err ? err_text(err) : "");
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	struct err err = ERR_INIT;
	const struct http_server_conf conf = { .on_request = on_request };
	struct loop_signal stop = { 0 };
	struct tls_ctx *tls = NULL;
	if (argc != 2 && argc != 4)
		return fail("usage: http_echo_server ADDR:PORT [CERT KEY]", NULL);
	int fd = listener_open_tcp(argv[1], &err);
	if (fd >= 0 && argc == 4)
		tls = tls_server_new(argv[2], argv[3], &err);
	if (fd < 0 || err.code)
		return fail("", &err);
	struct loop *loop = loop_new();
	struct http_server *server = loop ? http_server_new(loop, &conf) : NULL;
	if (!server || http_server_listen(server, fd, tls) < 0 ||
	    loop_signal_init(&stop, loop, SIGTERM, on_stop, loop) < 0)
		return fail("out of memory", NULL);
	int r = loop_run(loop);
	loop_signal_fini(&stop);
	http_server_free(server);
	loop_free(loop);
	tls_free(tls);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
