/* SPDX-License-Identifier: Apache-2.0 */
/* Slow readers, lost clients, deadlines, a router that goes, and memory that runs out. */
#include <errno.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "rpc_call_tests.h"

#define DOWNLOAD "/sandglass.test.Echo/Download"

static void start_call(struct world *w, const struct speech *sp, const char *method,
    const char *text, unsigned repeat, const char *const *extra, struct exchange *x)
{
	const char *fields[8] = { "content-type", sp->content_type };
	char path[128];
	struct buf body = BUF_INIT;
	for (int i = 0; extra && extra[i]; i++)
		fields[2 + i] = extra[i];
	(void)snprintf(path, sizeof(path), "/sandglass.test.Echo/%s", method);
	speech_add(sp, &body, text, repeat, 0);
	exchange_send(&w->lb, x, "POST", path, fields, buf_data(&body), buf_len(&body));
	buf_fini(&body);
}

/* A reader that stops: what waits on the server stays near the mark; then everything arrives. */
START_TEST(slow_reader)
{
	const struct speech *sp = &speeches[_i];
	const unsigned total = 4000; /* of 1 KiB each */
	struct world w;
	struct exchange x;
	struct answer a;
	if (!sp->streams || sp->version == 1)
		return;
	world_init(&w, sp->version);
	start_call(&w, sp, "Download", "", total, NULL, &x);
	x.slow = true;
	world_settle(&w);
	ck_assert(!x.ended);
	ck_assert_uint_lt(buf_len(&x.body), LIMIT_CONN_WINDOW);
	ck_assert_uint_eq(w.echo.dones, 0);
	for (int i = 0; i < 1000 && !x.ended; i++) {
		exchange_resume(&x);
		world_settle(&w);
	}
	speech_read(sp, &x, &a);
	ck_assert_int_eq(a.code, RPC_OK);
	ck_assert_uint_eq(a.n, total);
	ck_assert_uint_gt(w.echo.readies, 0);
	exchange_fini(&x);
	world_fini(&w);
}
END_TEST

/* A client that talks without listening is stopped by its own window. */
START_TEST(flood_without_reading)
{
	const struct speech *sp = &speeches[0];
	const char *fields[] = { "content-type", sp->content_type, NULL };
	struct world w;
	struct exchange x;
	struct answer a;
	struct buf body = BUF_INIT;
	char text[2000];
	unsigned sent = 2000;
	memset(text, 'y', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	world_init(&w, 2);
	exchange_start(&w.lb, &x, "POST", "/sandglass.test.Echo/Chat", fields);
	x.slow = true;
	for (unsigned i = 0; i < sent; i++)
		speech_add(sp, &body, text, i, 0);
	ck_assert_int_eq(http_stream_write(x.st, buf_data(&body), buf_len(&body)), 0);
	ck_assert_int_eq(http_stream_end(x.st, NULL), 0);
	world_settle(&w);
	ck_assert_uint_lt(w.echo.messages, sent / 2);
	ck_assert_uint_gt(http_stream_queued(x.st), 0);
	for (int i = 0; i < 1000 && !x.ended; i++) {
		exchange_resume(&x);
		world_settle(&w);
	}
	speech_read(sp, &x, &a);
	ck_assert_int_eq(a.code, RPC_OK);
	ck_assert_uint_eq(a.n, sent);
	ck_assert_uint_eq(w.echo.messages, sent);
	exchange_fini(&x);
	buf_fini(&body);
	world_fini(&w);
}
END_TEST

START_TEST(client_disconnects)
{
	const struct speech *sp = &speeches[_i];
	struct world w;
	struct exchange x;
	world_init(&w, sp->version);
	start_call(&w, sp, sp->streams ? "Download" : "Unary", "hang", 0, NULL, &x);
	world_settle(&w);
	ck_assert_uint_eq(w.echo.messages, 1);
	struct call *c = w.echo.hanging;
	ck_assert_ptr_nonnull(c);
	loopback_drop_client(&w.lb);
	ck_assert_uint_eq(w.echo.dones, 0); /* only from the loop */
	ck_assert(call_is_ready(c) == false);
	ck_assert_ptr_null(call_header(c, "content-type"));
	world_settle(&w);
	ck_assert_uint_eq(w.echo.dones, 1);
	ck_assert_int_eq(w.echo.last_err, -ECONNRESET);
	exchange_fini(&x);
	world_fini(&w);
}
END_TEST

START_TEST(client_resets_one_stream)
{
	const struct speech *sp = &speeches[_i];
	struct world w;
	struct exchange x;
	if (sp->version == 1)
		return;
	world_init(&w, 2);
	start_call(&w, sp, sp->streams ? "Download" : "Unary", "hang", 0, NULL, &x);
	world_settle(&w);
	http_stream_reset(x.st, HTTP_RESET_CANCEL);
	world_settle(&w);
	ck_assert_uint_eq(w.echo.dones, 1);
	ck_assert_int_eq(w.echo.last_err, -ECONNRESET);
	exchange_fini(&x);
	world_fini(&w);
}
END_TEST

START_TEST(deadline)
{
	const struct speech *sp = &speeches[_i];
	bool connect = sp->protocol == RPC_CONNECT_UNARY || sp->protocol == RPC_CONNECT_STREAM;
	const char *extra[] = { connect ? "connect-timeout-ms" : "grpc-timeout",
		connect ? "20" : "20m", NULL };
	struct world w;
	struct exchange x;
	struct answer a;
	world_init(&w, sp->version);
	start_call(&w, sp, sp->streams ? "Download" : "Unary", "hang", 0, extra, &x);
	loopback_pump(&w.lb);
	ck_assert_ptr_nonnull(w.echo.hanging);
	ck_assert_uint_le(call_time_left(w.echo.hanging), 20);
	while (w.echo.dones == 0)
		ck_assert_int_ge(loop_turn(w.loop, true), 0);
	ck_assert_int_eq(w.echo.last_err, -ETIMEDOUT);
	world_settle(&w);
	speech_read(sp, &x, &a);
	ck_assert_int_eq(a.code, RPC_DEADLINE_EXCEEDED);
	exchange_fini(&x);
	world_fini(&w);
}
END_TEST

START_TEST(no_deadline)
{
	struct world w;
	struct exchange x;
	world_init(&w, 2);
	start_call(&w, &speeches[0], "Download", "hang", 0, NULL, &x);
	world_settle(&w);
	ck_assert_uint_eq(call_time_left(w.echo.hanging), UINT64_MAX);
	ck_assert_str_eq(call_method(w.echo.hanging), DOWNLOAD);
	ck_assert_str_eq(call_header(w.echo.hanging, "content-type"), "application/grpc");
	ck_assert_int_eq(x.status, 200); /* call_send_head() */
	exchange_fini(&x);
	world_settle(&w);
	world_fini(&w);
}
END_TEST

START_TEST(router_goes_first)
{
	const struct speech *sp = &speeches[_i];
	struct world w;
	struct exchange x;
	world_init(&w, sp->version);
	start_call(&w, sp, sp->streams ? "Download" : "Unary", "hang", 0, NULL, &x);
	world_settle(&w);
	w.router = rpc_router_free(w.router);
	ck_assert_uint_eq(w.echo.dones, 1);
	ck_assert_int_eq(w.echo.last_err, -ECONNRESET);
	world_settle(&w);
	ck_assert(!x.ended);
	exchange_fini(&x);
	world_fini(&w);
}
END_TEST

START_TEST(session_goes_before_the_loop_turns)
{
	struct world w;
	struct exchange x;
	world_init(&w, 2);
	start_call(&w, &speeches[0], "Unary", "x", 0, NULL, &x);
	loopback_pump(&w.lb);
	ck_assert_uint_eq(w.echo.messages, 1);
	loopback_drop_client(&w.lb);
	ck_assert_uint_eq(w.echo.dones, 0);
	w.router = rpc_router_free(w.router); /* tells what the loop would have told */
	ck_assert_uint_eq(w.echo.dones, 1);
	ck_assert_int_eq(w.echo.last_err, 0);
	exchange_fini(&x);
	world_fini(&w);
}
END_TEST

/* Whatever allocation fails on the server: a whole answer, an error or a reset, and one on_done at
 * most. */
START_TEST(server_without_memory)
{
	const struct speech *sp = &speeches[_i];
	for (long n = 0;; n++) {
		struct world w;
		struct exchange x;
		world_init(&w, sp->version);
		world_settle(&w); /* what sessions say at their start */
		w.lb.fail_in = n;
		start_call(&w, sp, sp->streams ? "Download" : "Unary", "x", 2, NULL, &x);
		world_settle(&w);
		ck_assert_uint_le(w.echo.dones, 1);
		ck_assert(w.echo.messages <= w.echo.dones);
		bool answered = x.ended && !x.closed ? true : x.ended && x.close_err == 0;
		bool spared = w.lb.fail_in > 0;
		if (spared)
			ck_assert(answered);
		exchange_fini(&x);
		world_fini(&w);
		if (spared)
			return;
		ck_assert_int_lt(n, 500);
	}
}
END_TEST

void flow_tests(Suite *s)
{
	TCase *tc = test_case(s, "flow", 60);
	tcase_add_loop_test(tc, slow_reader, 0, (int)n_speeches);
	tcase_add_test(tc, flood_without_reading);
	tcase_add_loop_test(tc, client_disconnects, 0, (int)n_speeches);
	tcase_add_loop_test(tc, client_resets_one_stream, 0, (int)n_speeches);
	tcase_add_loop_test(tc, deadline, 0, (int)n_speeches);
	tcase_add_test(tc, no_deadline);
	tcase_add_loop_test(tc, router_goes_first, 0, (int)n_speeches);
	tcase_add_test(tc, session_goes_before_the_loop_turns);
	tcase_add_loop_test(tc, server_without_memory, 0, (int)n_speeches);
}
