/* SPDX-License-Identifier: Apache-2.0 */
/* Server and client together, over every version and TLS. */
#include "rpc_http_tests.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/str.h"

/* Versions by loop index: 0 = HTTP/1.1, 1 = HTTP/2, 2 = HTTP/2 over TLS. */
static void start(int i)
{
	world_start(i == 0 ? 1 : 2, i == 2, NULL);
}

START_TEST(small_answer)
{
	struct exchange x = { 0 };
	start(_i);
	exchange_get(&x, "/hello");
	RUN_UNTIL(x.closes == 1);
	ck_assert_int_eq(x.close_err, 0);
	ck_assert_int_eq(x.status, 200);
	ck_assert_int_eq(x.length, 5);
	ck_assert_str_eq(x.content_type, "text/plain");
	ck_assert(exchange_body_is(&x, "hello"));
	ck_assert_uint_eq(x.ends, 1);
	exchange_fini(&x);
	world_stop();
}
END_TEST

START_TEST(head_has_no_body)
{
	struct exchange x = { 0 };
	start(_i);
	exchange_start(&x, w.client, "HEAD", "/hello", true, NULL);
	RUN_UNTIL(x.closes == 1);
	ck_assert_int_eq(x.close_err, 0);
	ck_assert_int_eq(x.length, 5);
	ck_assert_uint_eq(x.total, 0);
	exchange_fini(&x);
	world_stop();
}
END_TEST

START_TEST(echo_both_ways_at_once)
{
	struct exchange x = { .patterned = true, .drop = true };
	size_t n = 3 * 1024 * 1024 + 5;
	start(_i);
	exchange_start(&x, w.client, "POST", "/echo", false, NULL);
	exchange_send_pattern(&x, n);
	RUN_UNTIL(x.closes == 1);
	ck_assert_int_eq(x.close_err, 0);
	ck_assert_uint_eq(x.total, n);
	ck_assert_uint_eq(x.sent, n);
	RUN_UNTIL(w.closes == 1);
	ck_assert_int_eq(w.last_close, 0);
	world_stop();
}
END_TEST

START_TEST(download_is_held_by_a_slow_reader)
{
	struct exchange x = { .patterned = true, .drop = true, .slow = true };
	size_t n = 8 * 1024 * 1024;
	start(_i);
	exchange_get(&x, "/big/8388608");
	RUN_UNTIL(x.total > 0);
	for (int i = 0; i < 50; i++)
		run_idle();
	ck_assert_uint_le(x.total, LIMIT_STREAM_WINDOW + 64 * 1024);
	while (x.closes == 0) {
		exchange_consume(&x, 100 * 1000);
		ck_assert_int_eq(loop_turn(w.loop, false), 0);
	}
	ck_assert_int_eq(x.close_err, 0);
	ck_assert_uint_eq(x.total, n);
	ck_assert_uint_le(w.most_queued, LIMIT_STREAM_QUEUE + 16 * 1024);
	world_stop();
}
END_TEST

START_TEST(upload)
{
	struct exchange x = { 0 };
	start(_i);
	exchange_start(&x, w.client, "POST", "/sink", false, NULL);
	exchange_send_pattern(&x, 2 * 1024 * 1024 + 1);
	RUN_UNTIL(x.closes == 1);
	ck_assert(exchange_body_is(&x, "2097153\n"));
	exchange_fini(&x);
	world_stop();
}
END_TEST

START_TEST(collect)
{
	struct exchange a = { 0 }, b = { 0 }, c = { 0 };
	start(_i);
	exchange_start(&a, w.client, "POST", "/collect", false, NULL);
	exchange_send(&a, "some ", false);
	exchange_send(&a, "body", true);
	RUN_UNTIL(a.closes == 1);
	ck_assert(exchange_body_is(&a, "some body"));
	exchange_start(&b, w.client, "POST", "/collect", true, NULL);
	RUN_UNTIL(b.closes == 1);
	ck_assert_int_eq(b.status, 200);
	ck_assert_uint_eq(b.total, 0);
	exchange_start(&c, w.client, "POST", "/collect", false, NULL);
	exchange_send_pattern(&c, 5000);
	RUN_UNTIL(c.closes == 1);
	ck_assert_int_eq(c.status, 413);
	ck_assert_uint_eq(w.closes, 3);
	exchange_fini(&a);
	exchange_fini(&b);
	exchange_fini(&c);
	world_stop();
}
END_TEST

START_TEST(collect_hears_of_a_lost_client)
{
	struct exchange x = { 0 };
	start(_i);
	exchange_start(&x, w.client, "POST", "/collect", false, NULL);
	exchange_send(&x, "some", false);
	RUN_UNTIL(w.requests == 1);
	http_stream_reset(x.st, HTTP_RESET_CANCEL);
	RUN_UNTIL(w.closes == 1 && x.closes == 1);
	ck_assert_int_lt(w.last_close, 0);
	world_stop();
}
END_TEST

START_TEST(peer_has_an_address)
{
	struct exchange x = { 0 };
	start(_i);
	exchange_get(&x, "/peer");
	RUN_UNTIL(x.closes == 1);
	ck_assert_ptr_nonnull(str_after(buf_cstr(&x.body), "127.0.0.1:"));
	exchange_fini(&x);
	world_stop();
}
END_TEST

START_TEST(reset_is_no_end)
{
	struct exchange x = { 0 };
	start(_i);
	exchange_get(&x, "/reset-late");
	RUN_UNTIL(x.total == 4);
	http_stream_reset(w.held, HTTP_RESET_INTERNAL);
	RUN_UNTIL(x.closes == 1);
	ck_assert_int_lt(x.close_err, 0);
	ck_assert_uint_eq(x.ends, 0);
	exchange_fini(&x);
	world_stop();
}
END_TEST

START_TEST(free_tells_every_stream)
{
	struct exchange x = { 0 }, y = { 0 };
	start(_i);
	exchange_get(&x, "/hold");
	exchange_get(&y, "/reset-late");
	RUN_UNTIL(y.total == 4 && w.requests == 2);
	w.origin = http_server_free(w.origin);
	ck_assert_uint_eq(w.closes, 2);
	ck_assert_int_eq(w.last_close, -ECONNRESET);
	RUN_UNTIL(x.closes == 1 && y.closes == 1);
	ck_assert_int_lt(x.close_err, 0);
	ck_assert_uint_eq(y.ends, 0);
	exchange_fini(&y);
	world_stop();
}
END_TEST

/* ---- bare HTTP/1.1 ---- */

START_TEST(keep_alive_and_pipelining)
{
	CLEAN_BUF struct buf got = BUF_INIT;
	world_start(1, false, NULL);
	int fd = raw_connect(w.origin_port);
	raw_send(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
		     "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
		     "GET /missing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	ck_assert_int_eq(raw_read_to_end(fd, &got), 0);
	const char *text = buf_cstr(&got);
	const char *first = strstr(text, "hello");
	ck_assert_ptr_nonnull(first);
	ck_assert_ptr_nonnull(strstr(first + 5, "hello"));
	ck_assert_ptr_nonnull(strstr(text, "nothing at /missing"));
	ck_assert_uint_eq(w.requests, 3);
	(void)close(fd);
	world_stop();
}
END_TEST

START_TEST(head_in_single_bytes)
{
	CLEAN_BUF struct buf got = BUF_INIT;
	const char *text = "POST /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	world_start(1, false, NULL);
	int fd = raw_connect(w.origin_port);
	for (const char *p = text; *p; p++) {
		raw_send(fd, (const char[]){ *p, '\0' });
		run_idle();
	}
	ck_assert_int_eq(raw_read_to_end(fd, &got), 0);
	ck_assert_ptr_nonnull(strstr(buf_cstr(&got), "hello"));
	(void)close(fd);
	world_stop();
}
END_TEST

START_TEST(garbage_is_answered_and_closed)
{
	CLEAN_BUF struct buf got = BUF_INIT;
	world_start(1, false, NULL);
	int fd = raw_connect(w.origin_port);
	raw_send(fd, "nonsense\r\n\r\n");
	ck_assert_int_eq(raw_read_to_end(fd, &got), 0);
	ck_assert_ptr_nonnull(strstr(buf_cstr(&got), " 400 "));
	(void)close(fd);
	RUN_UNTIL(http_server_connections(w.origin) == 0);
	world_stop();
}
END_TEST

START_TEST(broken_http2_is_closed)
{
	CLEAN_BUF struct buf got = BUF_INIT;
	world_start(1, false, NULL);
	int fd = raw_connect(w.origin_port);
	raw_send(fd, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	raw_send(fd, "this is no SETTINGS frame, however long it is made to be");
	ck_assert_int_eq(raw_read_to_end(fd, &got), 0); /* GOAWAY, then the end */
	ck_assert_uint_gt(buf_len(&got), 0);
	(void)close(fd);
	RUN_UNTIL(http_server_connections(w.origin) == 0);
	world_stop();
}
END_TEST

/* A cut message must be told from a whole one: RST, not FIN. */
START_TEST(reset_is_a_tcp_reset)
{
	CLEAN_BUF struct buf got = BUF_INIT;
	world_start(1, false, NULL);
	int fd = raw_connect(w.origin_port);
	raw_send(fd, "GET /reset-late HTTP/1.0\r\n\r\n");
	raw_read_until(fd, &got, "part");
	http_stream_reset(w.held, HTTP_RESET_INTERNAL);
	ck_assert_int_eq(raw_read_to_end(fd, &got), -ECONNRESET);
	(void)close(fd);
	world_stop();
}
END_TEST

START_TEST(refused_upload_still_gets_its_answer)
{
	CLEAN_BUF struct buf got = BUF_INIT;
	char chunk[1001];
	memset(chunk, 'x', 1000);
	chunk[1000] = '\0';
	world_start(1, false, NULL);
	int fd = raw_connect(w.origin_port);
	raw_send(fd, "POST /early HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
		     "Content-Length: 100000\r\n\r\n");
	for (int i = 0; i < 100; i++) {
		raw_send(fd, chunk);
		run_idle();
	}
	ck_assert_int_eq(raw_read_to_end(fd, &got), 0);
	ck_assert_ptr_nonnull(strstr(buf_cstr(&got), "not before I read that"));
	(void)close(fd);
	world_stop();
}
END_TEST

START_TEST(expect_continue_is_answered_when_the_body_is_wanted)
{
	CLEAN_BUF struct buf got = BUF_INIT;
	world_start(1, false, NULL);
	int fd = raw_connect(w.origin_port);
	raw_send(fd, "POST /collect HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
		     "Content-Length: 4\r\nConnection: close\r\n\r\n");
	raw_read_until(fd, &got, "HTTP/1.1 100 ");
	raw_send(fd, "body");
	ck_assert_int_eq(raw_read_to_end(fd, &got), 0);
	ck_assert_ptr_nonnull(strstr(buf_cstr(&got), "body"));
	(void)close(fd);
	world_stop();
}
END_TEST

START_TEST(client_that_leaves_is_noticed)
{
	world_start(1, false, NULL);
	int fd = raw_connect(w.origin_port);
	raw_send(fd, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
	RUN_UNTIL(w.requests == 1);
	(void)close(fd);
	RUN_UNTIL(w.closes == 1);
	ck_assert_int_eq(w.last_close, -ECONNRESET);
	RUN_UNTIL(http_server_connections(w.origin) == 0);
	world_stop();
}
END_TEST

void add_server_tests(Suite *s)
{
	TCase *tc = test_case(s, "server and client", 30);
	tcase_add_loop_test(tc, small_answer, 0, 3);
	tcase_add_loop_test(tc, head_has_no_body, 0, 3);
	tcase_add_loop_test(tc, echo_both_ways_at_once, 0, 3);
	tcase_add_loop_test(tc, download_is_held_by_a_slow_reader, 0, 3);
	tcase_add_loop_test(tc, upload, 0, 3);
	tcase_add_loop_test(tc, collect, 0, 3);
	tcase_add_loop_test(tc, collect_hears_of_a_lost_client, 0, 3);
	tcase_add_loop_test(tc, peer_has_an_address, 0, 3);
	tcase_add_loop_test(tc, reset_is_no_end, 0, 3);
	tcase_add_loop_test(tc, free_tells_every_stream, 0, 3);
	TCase *raw = test_case(s, "server and bare client", 20);
	tcase_add_test(raw, keep_alive_and_pipelining);
	tcase_add_test(raw, head_in_single_bytes);
	tcase_add_test(raw, garbage_is_answered_and_closed);
	tcase_add_test(raw, broken_http2_is_closed);
	tcase_add_test(raw, reset_is_a_tcp_reset);
	tcase_add_test(raw, refused_upload_still_gets_its_answer);
	tcase_add_test(raw, expect_continue_is_answered_when_the_body_is_wanted);
	tcase_add_test(raw, client_that_leaves_is_noticed);
}
