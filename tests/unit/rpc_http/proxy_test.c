/* SPDX-License-Identifier: Apache-2.0 */
/* What passes through a proxy, for each pair of versions. */
#include "rpc_http_tests.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"

/* Loop index to versions: client to front, front to origin. */
static int down_version(int i)
{
	return 1 + i / 2;
}
static int up_version(int i)
{
	return 1 + i % 2;
}
static void start(int i)
{
	world_start_proxy(down_version(i), up_version(i));
}

START_TEST(small_answer)
{
	struct exchange x = { 0 };
	start(_i);
	exchange_get(&x, "/hello");
	RUN_UNTIL(x.closes == 1 && w.done == 1);
	ck_assert_int_eq(x.close_err, 0);
	ck_assert_int_eq(x.status, 200);
	ck_assert_int_eq(x.length, 5);
	ck_assert_str_eq(x.content_type, "text/plain");
	ck_assert(exchange_body_is(&x, "hello"));
	exchange_fini(&x);
	world_stop();
}
END_TEST

START_TEST(head_request)
{
	struct exchange x = { 0 };
	start(_i);
	exchange_start(&x, w.client, "HEAD", "/hello", true, NULL);
	RUN_UNTIL(x.closes == 1);
	ck_assert_int_eq(x.close_err, 0);
	ck_assert_int_eq(x.length, 5);
	ck_assert_uint_eq(x.total, 0);
	/* The connection is still good for another one. */
	memset(&x, 0, sizeof(x));
	exchange_get(&x, "/fields");
	RUN_UNTIL(x.closes == 1);
	ck_assert_int_eq(x.status, 204);
	world_stop();
}
END_TEST

START_TEST(fields_of_one_hop_stay)
{
	static const char *const fields[] = { "te", "trailers", "x-hop", "1", "keep-alive", "9",
		"proxy-connection", "close", "accept", "*/*", NULL };
	struct exchange x = { 0 };
	start(_i);
	/* Not every one of these may be sent in HTTP/2. */
	exchange_start(&x, w.client, "GET", "/fields", true,
	    down_version(_i) == 1 ? fields : (const char *const[]){ "te", "trailers", NULL });
	RUN_UNTIL(x.closes == 1);
	ck_assert_int_eq(x.status, 204);
	ck_assert_str_eq(w.last_host, "sandglass.test");
	world_stop();
}
END_TEST

START_TEST(fields_named_by_connection_stay)
{
	CLEAN_BUF struct buf got = BUF_INIT;
	world_start_proxy(1, 1);
	int fd = raw_connect(w.front_port);
	raw_send(fd, "GET /fields HTTP/1.1\r\nHost: x\r\nConnection: close, X-Hop\r\n"
		     "X-Hop: secret\r\n\r\n");
	ck_assert_int_eq(raw_read_to_end(fd, &got), 0);
	ck_assert_ptr_nonnull(strstr(buf_cstr(&got), " 204 "));
	ck_assert_str_eq(w.last_x_hop, "");
	(void)close(fd);
	world_stop();
}
END_TEST

START_TEST(echo_both_ways_at_once)
{
	struct exchange x = { .patterned = true, .drop = true };
	size_t n = 2 * 1024 * 1024 + 5;
	start(_i);
	exchange_start(&x, w.client, "POST", "/echo", false, NULL);
	exchange_send_pattern(&x, n);
	RUN_UNTIL(x.closes == 1);
	ck_assert_int_eq(x.close_err, 0);
	ck_assert_uint_eq(x.total, n);
	RUN_UNTIL(w.done == 1);
	world_stop();
}
END_TEST

START_TEST(answer_flows_before_the_request_ends)
{
	struct exchange x = { 0 };
	start(_i);
	exchange_start(&x, w.client, "POST", "/echo", false, NULL);
	RUN_UNTIL(x.heads == 1); /* no byte of a body was sent yet */
	exchange_send(&x, "ping", false);
	RUN_UNTIL(exchange_body_is(&x, "ping"));
	exchange_send(&x, "pong", true);
	RUN_UNTIL(x.closes == 1);
	ck_assert(exchange_body_is(&x, "pingpong"));
	exchange_fini(&x);
	world_stop();
}
END_TEST

/* 64 MiB past a reader that takes little at a time: nobody may hold much. */
START_TEST(slow_reader_bounds_everybody)
{
	struct exchange x = { .patterned = true, .drop = true, .slow = true };
	size_t n = 64 * 1024 * 1024;
	start(_i);
	exchange_get(&x, "/big/67108864");
	RUN_UNTIL(x.total > 0);
	for (int i = 0; i < 100; i++)
		run_idle();
	ck_assert_uint_le(x.total, LIMIT_STREAM_WINDOW + 64 * 1024);
	unsigned turns = 0;
	while (x.closes == 0) {
		exchange_consume(&x, 200 * 1000);
		ck_assert_int_eq(loop_turn(w.loop, false), 0);
		turns++;
	}
	ck_assert_int_eq(x.close_err, 0);
	ck_assert_uint_eq(x.total, n);
	ck_assert_uint_le(w.most_queued, LIMIT_STREAM_QUEUE + 16 * 1024);
	ck_assert_uint_gt(turns, n / (LIMIT_STREAM_WINDOW + 64 * 1024));
	world_stop();
}
END_TEST

START_TEST(upload)
{
	struct exchange x = { 0 };
	start(_i);
	exchange_start(&x, w.client, "POST", "/sink", false, NULL);
	exchange_send_pattern(&x, 3 * 1024 * 1024 + 7);
	RUN_UNTIL(x.closes == 1);
	ck_assert_int_eq(x.close_err, 0);
	ck_assert(exchange_body_is(&x, "3145735\n"));
	exchange_fini(&x);
	world_stop();
}
END_TEST

START_TEST(upload_is_held_by_an_origin_that_does_not_read)
{
	struct exchange x = { 0 };
	start(_i);
	exchange_start(&x, w.client, "POST", "/hold", false, NULL);
	exchange_send_pattern(&x, 64 * 1024 * 1024);
	RUN_UNTIL(w.requests == 1);
	for (int i = 0; i < 200; i++)
		run_idle();
	/* Three hops: window and queue of each, and what the sockets between them take. */
	ck_assert_uint_lt(x.sent, 32 * 1024 * 1024);
	ck_assert_uint_gt(x.to_send, 0);
	ck_assert_uint_gt(w.held_bytes, 0);
	ck_assert_uint_le(w.held_bytes, LIMIT_STREAM_WINDOW + 64 * 1024);
	http_stream_reset(x.st, HTTP_RESET_CANCEL);
	RUN_UNTIL(x.closes == 1 && w.closes == 1 && w.done == 1);
	world_stop();
}
END_TEST

START_TEST(early_answer_ends_the_exchange)
{
	struct exchange x = { 0 };
	start(_i);
	exchange_start(&x, w.client, "POST", "/early", false, NULL);
	RUN_UNTIL(x.ends == 1);
	ck_assert_int_eq(x.status, 403);
	if (x.st)
		exchange_send(&x, "late", true);
	RUN_UNTIL(x.closes == 1 && w.done == 1);
	exchange_fini(&x);
	world_stop();
}
END_TEST

START_TEST(trailers_pass)
{
	struct exchange x = { 0 };
	start(_i);
	exchange_start(&x, w.client, "POST", "/trailers", true,
	    (const char *const[]){ "te", "trailers", NULL });
	RUN_UNTIL(x.closes == 1);
	ck_assert_int_eq(x.close_err, 0);
	ck_assert_str_eq(x.content_type, "application/grpc");
	ck_assert(exchange_body_is(&x, "message"));
	if (down_version(_i) == 2 && up_version(_i) == 2) {
		ck_assert_str_eq(x.grpc_status, "0");
		ck_assert_str_eq(x.trailer, "last");
	}
	exchange_fini(&x);
	world_stop();
}
END_TEST

/* gRPC tells an error in a head that is also the end; a later empty end would be an error to
 * clients. */
START_TEST(head_that_is_the_end_stays_so)
{
	struct exchange x = { 0 };
	start(_i);
	exchange_start(&x, w.client, "POST", "/trailers-only", true, NULL);
	RUN_UNTIL(x.closes == 1);
	ck_assert_int_eq(x.close_err, 0);
	ck_assert_str_eq(x.grpc_status, "5");
	ck_assert_uint_eq(x.total, 0);
	exchange_fini(&x);
	world_stop();
}
END_TEST

static int raw_upgrade(const char *path, int up_version, struct buf *got)
{
	char request[256];
	world_start_proxy(1, up_version);
	int fd = raw_connect(w.front_port);
	(void)snprintf(request, sizeof(request),
	    "GET %s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n", path);
	raw_send(fd, request);
	raw_read_until(fd, got, "\r\n\r\n");
	ck_assert_ptr_nonnull(strstr(buf_cstr(got), "HTTP/1.1 101 "));
	ck_assert_ptr_nonnull(strstr(buf_cstr(got), "upgrade: echo\r\n"));
	return fd;
}

START_TEST(upgrade_is_a_tunnel)
{
	CLEAN_BUF struct buf got = BUF_INIT;
	int fd = raw_upgrade("/upgrade", 1 + _i, &got);
	raw_send(fd, "first ");
	raw_read_until(fd, &got, "first ");
	raw_send(fd, "second");
	raw_read_until(fd, &got, "second");
	(void)close(fd);
	RUN_UNTIL(w.done == 1 && w.closes == 1);
	world_stop();
}
END_TEST

/* The client ends its way while all of its bytes are still to come back. */
START_TEST(tunnel_ended_by_the_client)
{
	CLEAN_BUF struct buf got = BUF_INIT;
	static char block[64 * 1024];
	int fd = raw_upgrade("/upgrade", 1 + _i, &got);
	memset(block, 'b', sizeof(block) - 1);
	for (int i = 0; i < 3; i++)
		raw_send(fd, block);
	raw_send(fd, "last");
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	ck_assert_int_eq(raw_read_to_end(fd, &got), 0);
	const char *body = strstr(buf_cstr(&got), "\r\n\r\n") + 4;
	ck_assert_uint_eq(strlen(body), 3 * (sizeof(block) - 1) + 4);
	ck_assert_str_eq(body + 3 * (sizeof(block) - 1), "last");
	(void)close(fd);
	RUN_UNTIL(w.done == 1 && w.closes == 1);
	ck_assert_int_eq(w.last_close, 0);
	world_stop();
}
END_TEST

START_TEST(tunnel_ended_by_the_origin)
{
	CLEAN_BUF struct buf got = BUF_INIT;
	int fd = raw_upgrade("/upgrade-end", 1 + _i, &got);
	ck_assert_int_eq(raw_read_to_end(fd, &got), 0);
	run_idle();
	ck_assert_uint_eq(w.closes + w.done, 0);
	raw_send(fd, "still heard");
	RUN_UNTIL(w.held_bytes == 11);
	ck_assert_uint_eq(w.closes + w.done, 0);
	(void)close(fd);
	RUN_UNTIL(w.done == 1 && w.closes == 1);
	ck_assert_int_eq(w.last_close, 0);
	world_stop();
}
END_TEST

START_TEST(half_closed_client_gets_its_answer)
{
	CLEAN_BUF struct buf got = BUF_INIT;
	world_start_proxy(1, 1 + _i % 2);
	int fd = raw_connect(w.front_port);
	raw_send(fd, "GET /reset-late HTTP/1.1\r\nHost: x\r\n\r\n");
	if (_i / 2)
		raw_read_until(fd, &got, "part");
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	RUN_UNTIL(w.held);
	run_for(50);
	ck_assert_int_eq(http_stream_end(w.held, NULL), 0);
	ck_assert_int_eq(raw_read_to_end(fd, &got), 0);
	ck_assert_ptr_nonnull(strstr(buf_cstr(&got), "part\r\n"));
	const char *all = buf_cstr(&got);
	ck_assert_str_eq(all + strlen(all) - 5, "0\r\n\r\n");
	(void)close(fd);
	RUN_UNTIL(w.done == 1);
	ck_assert_int_eq(w.last_close, 0);
	world_stop();
}
END_TEST

/* One that has closed is told from it within moments, whatever state its answer is in. */
START_TEST(closed_client_is_noticed)
{
	CLEAN_BUF struct buf got = BUF_INIT;
	world_start_proxy(1, 1 + _i % 2);
	int fd = raw_connect(w.front_port);
	raw_send(fd, _i / 2 ? "GET /reset-late HTTP/1.1\r\nHost: x\r\n\r\n"
			    : "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
	if (_i / 2)
		raw_read_until(fd, &got, "part");
	RUN_UNTIL(w.held);
	(void)close(fd);
	RUN_UNTIL(w.done == 1 && w.closes == 1);
	ck_assert_int_lt(w.last_close, 0);
	world_stop();
}
END_TEST

START_TEST(many_at_once)
{
	struct exchange x[30] = { 0 };
	start(3);
	for (int i = 0; i < 30; i++) {
		x[i].patterned = x[i].drop = true;
		exchange_get(&x[i], "/big/300000");
	}
	for (int i = 0; i < 30; i++) {
		RUN_UNTIL(x[i].closes == 1);
		ck_assert_int_eq(x[i].close_err, 0);
		ck_assert_uint_eq(x[i].total, 300000);
	}
	RUN_UNTIL(w.done == 30);
	ck_assert_uint_eq(http_server_connections(w.origin), 1);
	world_stop();
}
END_TEST

void add_proxy_tests(Suite *s)
{
	TCase *tc = test_case(s, "proxy", 60);
	tcase_add_loop_test(tc, small_answer, 0, 4);
	tcase_add_loop_test(tc, head_request, 0, 4);
	tcase_add_loop_test(tc, fields_of_one_hop_stay, 0, 4);
	tcase_add_test(tc, fields_named_by_connection_stay);
	tcase_add_loop_test(tc, echo_both_ways_at_once, 0, 4);
	tcase_add_loop_test(tc, answer_flows_before_the_request_ends, 0, 4);
	tcase_add_loop_test(tc, slow_reader_bounds_everybody, 0, 4);
	tcase_add_loop_test(tc, upload, 0, 4);
	tcase_add_loop_test(tc, upload_is_held_by_an_origin_that_does_not_read, 0, 4);
	tcase_add_loop_test(tc, early_answer_ends_the_exchange, 0, 4);
	tcase_add_loop_test(tc, trailers_pass, 0, 4);
	tcase_add_loop_test(tc, head_that_is_the_end_stays_so, 0, 4);
	tcase_add_loop_test(tc, upgrade_is_a_tunnel, 0, 2);
	tcase_add_loop_test(tc, tunnel_ended_by_the_client, 0, 2);
	tcase_add_loop_test(tc, tunnel_ended_by_the_origin, 0, 2);
	tcase_add_loop_test(tc, half_closed_client_gets_its_answer, 0, 4);
	tcase_add_loop_test(tc, closed_client_is_noticed, 0, 4);
	tcase_add_test(tc, many_at_once);
}
