/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of connections and of time, and draining. */
#include "rpc_http_tests.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fdutil.h"

static unsigned emptied;

static void on_empty(void *arg)
{
	emptied++;
}

START_TEST(too_many_connections_are_told_503)
{
	CLEAN_BUF struct buf got = BUF_INIT;
	const struct http_server_conf limits = { .max_connections = 2 };
	struct exchange x = { 0 };
	world_start(2, false, &limits);
	int a = raw_connect(w.origin_port), b = raw_connect(w.origin_port);
	RUN_UNTIL(http_server_connections(w.origin) == 2);
	int c = raw_connect(w.origin_port);
	raw_send(c, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	ck_assert_int_eq(raw_read_to_end(c, &got), 0);
	ck_assert_ptr_nonnull(strstr(buf_cstr(&got), " 503 "));
	exchange_get(&x, "/hello"); /* HTTP/2 is told so in HTTP/2 */
	RUN_UNTIL(x.closes == 1);
	ck_assert_int_eq(x.status, 503);
	ck_assert_uint_eq(w.requests, 0);
	/* Who leaves makes room. */
	(void)close(a);
	(void)close(c);
	RUN_UNTIL(http_server_connections(w.origin) <= 1);
	buf_reset(&got);
	raw_send(b, "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	ck_assert_int_eq(raw_read_to_end(b, &got), 0);
	ck_assert_ptr_nonnull(strstr(buf_cstr(&got), " 200 "));
	(void)close(b);
	exchange_fini(&x);
	world_stop();
}
END_TEST

START_TEST(head_has_a_limit_of_time)
{
	CLEAN_BUF struct buf got = BUF_INIT;
	const struct http_server_conf limits = { .head_timeout_ms = 50 };
	world_start(1, false, &limits);
	int fd = raw_connect(w.origin_port);
	raw_send(fd, "GET /hello HTTP/1.1\r\nHo");
	ck_assert_int_ne(raw_read_to_end(fd, &got), -EAGAIN);
	RUN_UNTIL(http_server_connections(w.origin) == 0);
	(void)close(fd);
	world_stop();
}
END_TEST

START_TEST(silent_tls_client_is_closed)
{
	const struct http_server_conf limits = { .head_timeout_ms = 50 };
	world_start(2, true, &limits);
	int fd = raw_connect(w.origin_port);
	RUN_UNTIL(http_server_connections(w.origin) == 1);
	RUN_UNTIL(http_server_connections(w.origin) == 0);
	(void)close(fd);
	world_stop();
}
END_TEST

START_TEST(idle_connection_is_closed_in_order)
{
	CLEAN_BUF struct buf got = BUF_INIT;
	const struct http_server_conf limits = { .idle_timeout_ms = 50, .stall_timeout_ms = 60 };
	struct exchange x = { 0 };
	world_start(2, false, &limits);
	exchange_get(&x, "/hello");
	RUN_UNTIL(x.closes == 1);
	int fd = raw_connect(w.origin_port);
	raw_send(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	ck_assert_int_eq(raw_read_to_end(fd, &got), 0);
	(void)close(fd);
	RUN_UNTIL(http_server_connections(w.origin) == 0);
	exchange_fini(&x);
	memset(&x, 0, sizeof(x));
	exchange_get(&x, "/hello"); /* over a new connection */
	RUN_UNTIL(x.closes == 1);
	ck_assert_int_eq(x.status, 200);
	exchange_fini(&x);
	world_stop();
}
END_TEST

START_TEST(busy_connection_is_not_idle)
{
	const struct http_server_conf limits = { .idle_timeout_ms = 30, .stall_timeout_ms = 20 };
	struct exchange x = { 0 };
	world_start(2, false, &limits);
	exchange_get(&x, "/reset-late");
	RUN_UNTIL(x.total == 4);
	/* Pings find the client alive for ten times the limits. */
	run_for(300);
	ck_assert_uint_eq(x.closes, 0);
	ck_assert_int_eq(http_stream_end(w.held, NULL), 0);
	RUN_UNTIL(x.closes == 1);
	ck_assert_int_eq(x.close_err, 0);
	exchange_fini(&x);
	world_stop();
}
END_TEST

START_TEST(reader_that_stalls_is_cut_off)
{
	CLEAN_BUF struct buf got = BUF_INIT;
	const struct http_server_conf limits = { .stall_timeout_ms = 60 };
	world_start(1, false, &limits);
	int fd = raw_connect(w.origin_port);
	raw_send(fd, "GET /big/1000000000 HTTP/1.1\r\nHost: x\r\n\r\n");
	RUN_UNTIL(w.closes == 1); /* nobody reads */
	ck_assert_int_eq(w.last_close, -ETIMEDOUT);
	ck_assert_int_eq(raw_read_to_end(fd, &got), -ECONNRESET);
	(void)close(fd);
	world_stop();
}
END_TEST

START_TEST(drain_finishes_what_runs)
{
	struct exchange x = { 0 }, y = { 0 };
	world_start(_i, false, NULL);
	exchange_get(&x, "/reset-late");
	RUN_UNTIL(x.total == 4);
	int idle = raw_connect(w.origin_port);
	int opened = raw_connect(w.origin_port);
	raw_send(opened, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	RUN_UNTIL(w.requests == 2);
	emptied = 0;
	http_server_drain(w.origin, on_empty, NULL);
	ck_assert_uint_eq(emptied, 0);
	run_idle();
	/* Nobody listens any more, nor takes more over that connection. */
	exchange_get(&y, "/hello");
	RUN_UNTIL(y.closes == 1);
	ck_assert_int_lt(y.close_err, 0);
	ck_assert_uint_eq(w.requests, 2);
	ck_assert_uint_eq(emptied, 0);
	(void)close(opened);
	ck_assert_int_eq(http_stream_write(w.held, " rest", 5), 0);
	ck_assert_int_eq(http_stream_end(w.held, NULL), 0);
	RUN_UNTIL(x.closes == 1);
	ck_assert_int_eq(x.close_err, 0);
	ck_assert(exchange_body_is(&x, "part rest"));
	RUN_UNTIL(emptied == 1);
	ck_assert_uint_eq(http_server_connections(w.origin), 0);
	(void)close(idle);
	exchange_fini(&x);
	world_stop();
}
END_TEST

START_TEST(drain_of_nothing)
{
	world_start(1, false, NULL);
	emptied = 0;
	http_server_drain(w.origin, on_empty, NULL);
	ck_assert_uint_eq(emptied, 0); /* never from inside the call */
	RUN_UNTIL(emptied == 1);
	world_stop();
}
END_TEST

START_TEST(adopted_descriptor)
{
	CLEAN_BUF struct buf got = BUF_INIT;
	int fds[2];
	world_start(1, false, NULL);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	ck_assert_int_eq(http_server_adopt(w.origin, fds[0]), 0);
	raw_send(fds[1], "GET /peer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	ck_assert_int_eq(raw_read_to_end(fds[1], &got), 0);
	ck_assert_ptr_nonnull(strstr(buf_cstr(&got), " 200 "));
	(void)close(fds[1]);
	world_stop();
}
END_TEST

void add_server_limit_tests(Suite *s)
{
	TCase *tc = test_case(s, "server limits", 20);
	tcase_add_test(tc, too_many_connections_are_told_503);
	tcase_add_test(tc, head_has_a_limit_of_time);
	tcase_add_test(tc, silent_tls_client_is_closed);
	tcase_add_test(tc, idle_connection_is_closed_in_order);
	tcase_add_test(tc, busy_connection_is_not_idle);
	tcase_add_test(tc, reader_that_stalls_is_cut_off);
	tcase_add_loop_test(tc, drain_finishes_what_runs, 1, 3);
	tcase_add_test(tc, drain_of_nothing);
	tcase_add_test(tc, adopted_descriptor);
}
