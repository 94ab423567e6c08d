/* SPDX-License-Identifier: Apache-2.0 */
/* Breaks on one side of a proxy, at every stage, as the other side sees them. */
#include "rpc_http_tests.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void start(int i)
{
	world_start_proxy(1 + i / 2, 1 + i % 2);
}

START_TEST(origin_fails_before_its_head)
{
	struct exchange x = { 0 };
	start(_i);
	exchange_get(&x, "/reset-early");
	RUN_UNTIL(x.closes == 1 && w.done == 1);
	ck_assert_int_eq(x.status, 502);
	ck_assert(exchange_body_is(&x, "failed\n"));
	ck_assert_uint_eq(w.failed, 1);
	exchange_fini(&x);
	world_stop();
}
END_TEST

START_TEST(origin_cannot_be_reached)
{
	struct exchange x = { 0 };
	start(_i);
	http_client_free(w.upstream);
	w.upstream = client_to(1, 1 + _i % 2, NULL);
	exchange_start(&x, w.client, "POST", "/echo", false, NULL);
	exchange_send_pattern(&x, 100 * 1000);
	RUN_UNTIL(x.closes == 1 && w.done == 1);
	ck_assert_int_eq(x.status, 502);
	ck_assert_uint_eq(w.failed, 1);
	exchange_fini(&x);
	world_stop();
}
END_TEST

START_TEST(origin_fails_after_its_head)
{
	struct exchange x = { 0 };
	start(_i);
	exchange_get(&x, "/reset-late");
	RUN_UNTIL(x.total == 4);
	http_stream_reset(w.held, HTTP_RESET_INTERNAL);
	RUN_UNTIL(x.closes == 1 && w.done == 1);
	ck_assert_int_lt(x.close_err, 0);
	ck_assert_uint_eq(x.ends, 0);
	ck_assert_uint_eq(w.failed, 0);
	exchange_fini(&x);
	world_stop();
}
END_TEST

START_TEST(origin_dies)
{
	struct exchange x = { 0 }, y = { 0 };
	start(_i);
	exchange_get(&x, "/reset-late");
	exchange_get(&y, "/hold");
	RUN_UNTIL(x.total == 4 && w.requests == 2);
	w.origin = http_server_free(w.origin);
	RUN_UNTIL(x.closes == 1 && y.closes == 1 && w.done == 2);
	ck_assert_int_lt(x.close_err, 0);
	ck_assert_uint_eq(x.ends, 0);
	ck_assert_int_eq(y.status, 502);
	exchange_fini(&x);
	exchange_fini(&y);
	world_stop();
}
END_TEST

/* HTTP/1.0 ends its message by the end of the connection: a cut one must end in RST. */
START_TEST(cut_answer_is_a_tcp_reset)
{
	CLEAN_BUF struct buf got = BUF_INIT;
	world_start_proxy(1, 1 + _i);
	int fd = raw_connect(w.front_port);
	raw_send(fd, "GET /reset-late HTTP/1.0\r\nHost: x\r\n\r\n");
	raw_read_until(fd, &got, "part");
	http_stream_reset(w.held, HTTP_RESET_INTERNAL);
	ck_assert_int_eq(raw_read_to_end(fd, &got), -ECONNRESET);
	(void)close(fd);
	world_stop();
}
END_TEST

START_TEST(client_cancels)
{
	struct exchange x = { 0 };
	start(_i);
	exchange_get(&x, "/hold");
	RUN_UNTIL(w.requests == 1);
	http_stream_reset(x.st, HTTP_RESET_CANCEL);
	RUN_UNTIL(x.closes == 1 && w.closes == 1 && w.done == 1);
	ck_assert_int_lt(w.last_close, 0);
	ck_assert_uint_eq(w.failed, 0);
	world_stop();
}
END_TEST

START_TEST(client_cancels_amid_the_answer)
{
	struct exchange x = { .drop = true };
	start(_i);
	exchange_get(&x, "/big/1000000000");
	RUN_UNTIL(x.total > 1000 * 1000);
	http_stream_reset(x.st, HTTP_RESET_CANCEL);
	RUN_UNTIL(x.closes == 1 && w.closes == 1 && w.done == 1);
	ck_assert_int_lt(w.last_close, 0);
	world_stop();
}
END_TEST

START_TEST(client_dies)
{
	struct exchange x = { 0 };
	start(_i);
	exchange_get(&x, "/reset-late");
	RUN_UNTIL(x.total == 4);
	w.client = http_client_free(w.client);
	ck_assert_uint_eq(x.closes, 1);
	RUN_UNTIL(w.closes == 1 && w.done == 1);
	exchange_fini(&x);
	world_stop();
}
END_TEST

START_TEST(abort_breaks_both_sides)
{
	struct exchange x = { 0 };
	start(_i);
	exchange_get(&x, "/reset-late");
	RUN_UNTIL(x.total == 4);
	proxy_abort(w.proxy);
	ck_assert_uint_eq(w.done, 0); /* from the loop only */
	RUN_UNTIL(x.closes == 1 && w.closes == 1 && w.done == 1);
	ck_assert_int_lt(x.close_err, 0);
	exchange_fini(&x);
	world_stop();
}
END_TEST

START_TEST(abort_before_the_head)
{
	struct exchange x = { 0 };
	start(_i);
	exchange_get(&x, "/hold");
	RUN_UNTIL(w.requests == 1);
	proxy_abort(w.proxy);
	RUN_UNTIL(x.closes == 1 && w.closes == 1 && w.done == 1);
	ck_assert_uint_eq(w.failed, 1); /* who set on_fail has answered */
	ck_assert_int_eq(x.close_err, 0);
	ck_assert_int_lt(w.last_close, 0);
	exchange_fini(&x);
	world_stop();
}
END_TEST

START_TEST(front_is_freed)
{
	struct exchange x = { 0 };
	start(_i);
	exchange_get(&x, "/reset-late");
	RUN_UNTIL(x.total == 4);
	w.front = http_server_free(w.front);
	RUN_UNTIL(x.closes == 1 && w.closes == 1 && w.done == 1);
	exchange_fini(&x);
	world_stop();
}
END_TEST

START_TEST(upstream_is_freed)
{
	struct exchange x = { 0 };
	start(_i);
	exchange_get(&x, "/reset-late");
	RUN_UNTIL(x.total == 4);
	w.upstream = http_client_free(w.upstream);
	RUN_UNTIL(x.closes == 1 && w.closes == 1 && w.done == 1);
	ck_assert_uint_eq(x.ends, 0);
	exchange_fini(&x);
	world_stop();
}
END_TEST

void add_proxy_reset_tests(Suite *s)
{
	TCase *tc = test_case(s, "proxy resets", 30);
	tcase_add_loop_test(tc, origin_fails_before_its_head, 0, 4);
	tcase_add_loop_test(tc, origin_cannot_be_reached, 0, 4);
	tcase_add_loop_test(tc, origin_fails_after_its_head, 0, 4);
	tcase_add_loop_test(tc, origin_dies, 0, 4);
	tcase_add_loop_test(tc, cut_answer_is_a_tcp_reset, 0, 2);
	tcase_add_loop_test(tc, client_cancels, 0, 4);
	tcase_add_loop_test(tc, client_cancels_amid_the_answer, 0, 4);
	tcase_add_loop_test(tc, client_dies, 0, 4);
	tcase_add_loop_test(tc, abort_breaks_both_sides, 0, 4);
	tcase_add_loop_test(tc, abort_before_the_head, 0, 4);
	tcase_add_loop_test(tc, front_is_freed, 0, 4);
	tcase_add_loop_test(tc, upstream_is_freed, 0, 4);
}
