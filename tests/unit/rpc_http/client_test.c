/* SPDX-License-Identifier: Apache-2.0 */
/* Which connections a client opens, keeps and gives up. */
#include "rpc_http_tests.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fdutil.h"
#include "io/listener.h"

#define MANY 40

START_TEST(streams_share_one_http2_connection)
{
	struct exchange x[MANY] = { 0 };
	world_start(2, false, NULL);
	for (int i = 0; i < MANY; i++)
		exchange_get(&x[i], "/hello"); /* before the connection is up */
	for (int i = 0; i < MANY; i++) {
		RUN_UNTIL(x[i].closes == 1);
		ck_assert_int_eq(x[i].status, 200);
		exchange_fini(&x[i]);
	}
	ck_assert_uint_eq(http_server_connections(w.origin), 1);
	world_stop();
}
END_TEST

START_TEST(http1_takes_a_connection_a_request_up_to_its_limit)
{
	struct exchange x[4] = { 0 }, y = { 0 };
	struct http_head head = HTTP_HEAD_INIT;
	static const struct http_handler nobody;
	int err = 0;
	world_start(1, false, NULL);
	for (int i = 0; i < 4; i++)
		exchange_get(&x[i], "/reset-late");
	ck_assert_int_eq(http_head_set_request(&head, "GET", "http", "x", "/hello"), 0);
	ck_assert_ptr_null(http_client_request(w.client, &head, true, &nobody, NULL, &err));
	ck_assert_int_eq(err, -EAGAIN);
	http_head_fini(&head);
	for (int i = 0; i < 4; i++)
		RUN_UNTIL(x[i].total == 4);
	ck_assert_uint_eq(http_server_connections(w.origin), 4);
	ck_assert_int_eq(http_stream_end(w.held, NULL), 0);
	RUN_UNTIL(x[0].closes + x[1].closes + x[2].closes + x[3].closes == 1);
	exchange_get(&y, "/hello"); /* over the connection that became free */
	RUN_UNTIL(y.closes == 1);
	ck_assert_int_eq(y.status, 200);
	ck_assert_uint_eq(http_server_connections(w.origin), 4);
	exchange_fini(&y);
	for (int i = 0; i < 4; i++)
		exchange_fini(&x[i]);
	world_stop();
}
END_TEST

START_TEST(keep_alive_reuses)
{
	world_start(1, false, NULL);
	for (int i = 0; i < 10; i++) {
		struct exchange x = { 0 };
		exchange_get(&x, "/hello");
		RUN_UNTIL(x.closes == 1);
		ck_assert(exchange_body_is(&x, "hello"));
		exchange_fini(&x);
		ck_assert_uint_eq(http_server_connections(w.origin), 1);
	}
	world_stop();
}
END_TEST

START_TEST(more_connections_when_streams_run_out)
{
	/* The origin allows 512 streams a connection. */
	static struct exchange x[600];
	memset(x, 0, sizeof(x));
	world_start(2, false, NULL);
	struct exchange first = { 0 };
	exchange_get(&first, "/hello");
	RUN_UNTIL(first.closes == 1); /* the limit is known from here on */
	for (int i = 0; i < 600; i++)
		exchange_get(&x[i], "/hold");
	RUN_UNTIL(w.requests == 601);
	ck_assert_uint_eq(http_server_connections(w.origin), 2);
	http_client_reset(w.client, -ECANCELED);
	ck_assert_uint_eq(x[0].closes, 0); /* from the loop only */
	for (int i = 0; i < 600; i++) {
		RUN_UNTIL(x[i].closes == 1);
		ck_assert_int_eq(x[i].close_err, -ECANCELED);
	}
	RUN_UNTIL(w.closes == 601);
	exchange_fini(&first);
	world_stop();
}
END_TEST

START_TEST(reset_does_not_hinder_the_next_request)
{
	struct exchange x = { 0 }, y = { 0 };
	world_start(_i, false, NULL);
	exchange_get(&x, "/hold");
	RUN_UNTIL(w.requests == 1);
	http_client_reset(w.client, -EPIPE);
	exchange_get(&y, "/hello");
	RUN_UNTIL(x.closes == 1 && y.closes == 1);
	ck_assert_int_eq(x.close_err, -EPIPE);
	ck_assert_int_eq(y.close_err, 0);
	exchange_fini(&y);
	world_stop();
}
END_TEST

START_TEST(nobody_listens)
{
	struct exchange x = { 0 }, y = { 0 };
	struct http_client *c;
	world_start(2, false, NULL);
	if (_i == 0) {
		c = client_to(1, 2, NULL);
	} else {
		const struct http_client_conf conf = { .unix_path = "/nonexistent/socket" };
		c = http_client_new(w.loop, &conf);
	}
	exchange_start(&x, c, "GET", "/", true, NULL);
	exchange_start(&y, c, "POST", "/", false, NULL);
	exchange_send(&y, "body", true);
	ck_assert_uint_eq(x.closes, 0);
	RUN_UNTIL(x.closes == 1 && y.closes == 1);
	ck_assert_int_eq(x.close_err, -ECONNREFUSED);
	ck_assert_int_eq(y.close_err, -ECONNREFUSED);
	http_client_free(c);
	world_stop();
}
END_TEST

/* What was placed on the connection meanwhile, bodies too, waits for the other address. */
START_TEST(second_address_is_tried)
{
	struct exchange x[2] = { 0 }, y = { 0 };
	world_start(2, false, NULL);
	for (int again = 0; again < 2; again++) {
		struct http_client_conf conf = { .host = again ? "127.0.0.1" : "127.0.0.9",
			.host2 = again ? "127.0.0.9" : "127.0.0.1",
			.port = w.origin_port,
			.version = _i };
		struct http_client *c = http_client_new(w.loop, &conf);
		for (int i = 0; i < 2; i++) {
			memset(&x[i], 0, sizeof(x[i]));
			exchange_start(&x[i], c, "POST", "/echo", false, NULL);
			exchange_send(&x[i], "body", true);
		}
		RUN_UNTIL(x[0].closes == 1 && x[1].closes == 1);
		for (int i = 0; i < 2; i++) {
			ck_assert_int_eq(x[i].status, 200);
			ck_assert(exchange_body_is(&x[i], "body"));
			exchange_fini(&x[i]);
		}
		http_client_free(c);
	}
	const struct http_client_conf nowhere = {
		.host = "127.0.0.9", .host2 = "127.0.0.8", .port = w.origin_port, .version = _i
	};
	struct http_client *c = http_client_new(w.loop, &nowhere);
	exchange_start(&y, c, "POST", "/echo", false, NULL);
	RUN_UNTIL(y.closes == 1);
	ck_assert_int_eq(y.close_err, -ECONNREFUSED);
	http_client_free(c);
	world_stop();
}
END_TEST

START_TEST(connection_that_is_not_accepted_times_out)
{
	struct exchange x = { 0 };
	struct err err = ERR_INIT;
	world_start(2, true, NULL);
	/* Accepts in the kernel only: TLS never answers. */
	int fd = listener_open_tcp("127.0.0.1:0", &err);
	struct listener *probe = listener_new(w.loop, fd, NULL, NULL);
	char text[LISTENER_ADDRESS_MAX];
	listener_pause(probe, true);
	ck_assert_int_eq(listener_address(probe, text, sizeof(text)), 0);
	const struct http_client_conf conf = {
		.host = "127.0.0.1",
		.port = (unsigned)atoi(strrchr(text, ':') + 1),
		.tls = w.client_tls,
		.connect_timeout_ms = 50,
	};
	struct http_client *c = http_client_new(w.loop, &conf);
	exchange_start(&x, c, "GET", "/", true, NULL);
	RUN_UNTIL(x.closes == 1);
	ck_assert_int_eq(x.close_err, -ECONNREFUSED);
	http_client_free(c);
	listener_free(probe);
	world_stop();
}
END_TEST

START_TEST(reconnects_after_the_server_came_back)
{
	char path[] = "/tmp/sandglass-client.XXXXXX";
	ck_assert_int_ge(mkstemp(path), 0);
	world_start(2, false, NULL);
	const struct http_client_conf conf = { .unix_path = path, .version = _i };
	struct http_client *c = http_client_new(w.loop, &conf);
	struct exchange x = { 0 };
	exchange_start(&x, c, "GET", "/hello", true, NULL);
	RUN_UNTIL(x.closes == 1);
	ck_assert_int_eq(x.close_err, -ECONNREFUSED);
	ck_assert_int_eq(http_server_listen(w.origin, fd_listen_unix(path, 0600, 8), NULL), 0);
	for (int i = 0; i < 2; i++) {
		memset(&x, 0, sizeof(x));
		exchange_start(&x, c, "GET", "/hello", true, NULL);
		RUN_UNTIL(x.closes == 1);
		ck_assert_int_eq(x.status, 200);
		exchange_fini(&x);
	}
	ck_assert_uint_eq(http_server_connections(w.origin), 1);
	http_client_free(c);
	(void)unlink(path);
	world_stop();
}
END_TEST

START_TEST(tls_server_without_http2_teaches_the_client)
{
	/* ALPN chooses h2 here, so a client that guessed 1 is told by its first request's end. */
	struct exchange x = { 0 };
	world_start(1, true, NULL);
	exchange_get(&x, "/hello");
	RUN_UNTIL(x.closes == 1);
	ck_assert_int_eq(x.close_err, -ECONNREFUSED);
	memset(&x, 0, sizeof(x));
	exchange_get(&x, "/hello");
	RUN_UNTIL(x.closes == 1);
	ck_assert_int_eq(x.status, 200);
	exchange_fini(&x);
	world_stop();
}
END_TEST

static void again(struct http_stream *st, int err, void *user)
{
	static const struct http_handler nobody = { .on_close = again };
	struct http_head head = HTTP_HEAD_INIT;
	int *left = user;
	if (--*left > 0) {
		ck_assert_int_eq(http_head_set_request(&head, "GET", "http", "x", "/hello"), 0);
		(void)http_client_request(w.client, &head, true, &nobody, left, NULL);
		http_head_fini(&head);
	}
}

START_TEST(callback_may_place_the_next_request)
{
	int left = 50;
	world_start(_i, false, NULL);
	again(NULL, 0, &left);
	RUN_UNTIL(left == 0);
	left = 1000; /* and goes on doing so while the client is freed */
	again(NULL, 0, &left);
	w.client = http_client_free(w.client);
	ck_assert_int_lt(left, 1000);
	world_stop();
}
END_TEST

START_TEST(free_tells_every_stream)
{
	struct exchange x = { 0 }, y = { 0 };
	world_start(_i, false, NULL);
	exchange_get(&x, "/hold");
	RUN_UNTIL(w.requests == 1);
	exchange_get(&y, "/hold"); /* not sent yet */
	w.client = http_client_free(w.client);
	ck_assert_uint_eq(x.closes, 1);
	ck_assert_uint_eq(y.closes, 1);
	ck_assert_int_eq(x.close_err, -ECONNRESET);
	RUN_UNTIL(w.closes == 1);
	world_stop();
}
END_TEST

void add_client_tests(Suite *s)
{
	TCase *tc = test_case(s, "client", 20);
	tcase_add_test(tc, streams_share_one_http2_connection);
	tcase_add_test(tc, http1_takes_a_connection_a_request_up_to_its_limit);
	tcase_add_test(tc, keep_alive_reuses);
	tcase_add_test(tc, more_connections_when_streams_run_out);
	tcase_add_loop_test(tc, reset_does_not_hinder_the_next_request, 1, 3);
	tcase_add_loop_test(tc, nobody_listens, 0, 2);
	tcase_add_loop_test(tc, second_address_is_tried, 1, 3);
	tcase_add_test(tc, connection_that_is_not_accepted_times_out);
	tcase_add_loop_test(tc, reconnects_after_the_server_came_back, 1, 3);
	tcase_add_test(tc, tls_server_without_http2_teaches_the_client);
	tcase_add_loop_test(tc, callback_may_place_the_next_request, 1, 3);
	tcase_add_loop_test(tc, free_tells_every_stream, 1, 3);
}
