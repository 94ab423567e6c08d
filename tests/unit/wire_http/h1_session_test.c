/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 connections: keep-alive, pipelining, Expect, old peers, early answers. */
#include <errno.h>
#include <string.h>

#include "harness.h"

static struct peer p;

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static void answer_ok(struct exchange *x, enum peer_event ev)
{
	if (ev == PEER_END)
		ck_assert_int_eq(exchange_respond(x, 200, -1, true), 0);
}

START_TEST(pipeline_is_served_in_turn)
{
	static const char all[] = GET("/1") GET("/2") "\r\n" GET("/3");
	size_t done = 0;
	peer_init(&p, h1_server_new, 0, 0);
	p.script = answer_ok;
	for (unsigned turn = 1; turn <= 3; turn++) {
		ssize_t r = peer_feed(&p, all + done, sizeof(all) - 1 - done, _i);
		ck_assert_int_gt(r, 0);
		done += (size_t)r;
		ck_assert_uint_eq(p.n, turn);
		ck_assert_uint_eq(http_session_streams(p.s), 1);
		ck_assert(turn == 3 || !http_session_want_read(p.s));
		ck_assert_str_eq(
		    peer_output(&p), "HTTP/1.1 200 OK\r\nx-test: yes\r\ncontent-length: 0\r\n\r\n");
		ck_assert(http_session_want_read(p.s));
	}
	ck_assert_uint_eq(done, sizeof(all) - 1);
	ck_assert_str_eq(p.x[2]->path, "/3");
	peer_fini(&p);
}
END_TEST

START_TEST(connection_close_is_obeyed)
{
	static const struct {
		const char *request, *end;
	} cases[] = {
		{ "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
		    "connection: close\r\n\r\n" },
		{ "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n",
		    "connection: close\r\n\r\n" },
		{ "GET / HTTP/1.0\r\n\r\n", "connection: close\r\n\r\n" },
		{ "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
		    "connection: keep-alive\r\n\r\n" },
	};
	peer_init(&p, h1_server_new, 0, 0);
	p.script = answer_ok;
	peer_feed_str(&p, cases[_i].request, 0);
	ck_assert_ptr_nonnull(strstr(peer_output(&p), cases[_i].end));
	ck_assert_int_eq(http_session_done(p.s), _i < 3);
	ck_assert_int_eq(p.x[0]->err, 0);
	peer_fini(&p);
}
END_TEST

START_TEST(owner_may_ask_to_close)
{
	struct http_field close[] = { { (char *)"connection", (char *)"close" } };
	const struct http_head head = { .status = 200, .length = 0, .fields = { close, 1, 1, 0 } };
	peer_init(&p, h1_server_new, 0, 0);
	peer_feed_str(&p, GET("/"), 0);
	ck_assert_int_eq(http_stream_respond(p.x[0]->st, &head, true), 0);
	ck_assert_str_eq(
	    peer_output(&p), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
	ck_assert(http_session_done(p.s));
	peer_fini(&p);
}
END_TEST

START_TEST(old_peer_gets_no_chunks)
{
	peer_init(&p, h1_server_new, 0, 0);
	peer_feed_str(&p, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 0);
	struct exchange *x = p.x[0];
	ck_assert_int_eq(exchange_respond(x, 103, -1, false), 0);
	ck_assert_str_eq(peer_output(&p), ""); /* nor interim heads */
	ck_assert_int_eq(exchange_respond(x, 200, -1, false), 0);
	ck_assert_int_eq(exchange_write(x, 1), 0);
	ck_assert_int_eq(exchange_end(x, "dropped"), 0);
	const char *out = peer_output(&p);
	ck_assert_ptr_nonnull(strstr(out, "connection: close\r\n\r\n"));
	ck_assert_ptr_null(strstr(out, "chunked"));
	ck_assert_ptr_null(strstr(out, "dropped"));
	ck_assert(http_session_done(p.s));
	peer_fini(&p);
}
END_TEST

START_TEST(burst_of_writes_is_one_chunk)
{
	peer_init(&p, h1_server_new, 0, 0);
	peer_feed_str(&p, GET("/"), 0);
	struct exchange *x = p.x[0];
	ck_assert_int_eq(exchange_respond(x, 200, -1, false), 0);
	for (int i = 0; i < 16; i++)
		ck_assert_int_eq(http_stream_write(x->st, "a", 1), 0);
	x->written = 16;
	ck_assert_int_eq(exchange_end(x, "t"), 0);
	ck_assert_str_eq(peer_output(&p),
	    "HTTP/1.1 200 OK\r\nx-test: yes\r\ntransfer-encoding: chunked\r\n\r\n"
	    "10\r\naaaaaaaaaaaaaaaa\r\n0\r\nx-trailer: t\r\n\r\n");
	ck_assert_uint_eq(x->sent, 16);
	peer_fini(&p);
}
END_TEST

/* ---- Expect ---- */

#define EXPECT "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"

START_TEST(expect_is_answered_when_owner_reads)
{
	peer_init(&p, h1_server_new, 0, 0);
	peer_feed_str(&p, EXPECT, _i);
	ck_assert_str_eq(peer_output(&p), "HTTP/1.1 100 Continue\r\n\r\n");
	ck_assert_ptr_null(http_fields_get(&http_stream_peer_head(p.x[0]->st)->fields, "expect"));
	p.script = answer_ok;
	peer_feed_str(&p, "abc", _i);
	ck_assert_ptr_nonnull(strstr(peer_output(&p), "HTTP/1.1 200 OK"));
	ck_assert(!http_session_done(p.s));
	peer_fini(&p);
}
END_TEST

static void refuse_at_once(struct exchange *x, enum peer_event ev)
{
	if (ev == PEER_REQUEST)
		ck_assert_int_eq(exchange_respond(x, 403, -1, true), 0);
}

START_TEST(expect_refused_closes)
{
	peer_init(&p, h1_server_new, 0, 0);
	p.script = refuse_at_once;
	peer_feed_str(&p, EXPECT, _i);
	const char *out = peer_output(&p);
	ck_assert(strncmp(out, "HTTP/1.1 403 ", 13) == 0);
	ck_assert_ptr_nonnull(strstr(out, "connection: close\r\n"));
	ck_assert(http_session_done(p.s));
	ck_assert_int_eq(p.x[0]->err, 0);
	peer_fini(&p);
}
END_TEST

START_TEST(expect_waits_for_a_reader)
{
	peer_init(&p, h1_server_new, 0, 0);
	p.bare = true;
	peer_feed_str(&p, EXPECT, 0);
	ck_assert_str_eq(peer_output(&p), "");
	if (_i == 0)
		http_stream_consume(p.x[0]->st, 0);
	else
		http_stream_set_handler(p.x[0]->st, &peer_handler, p.x[0]);
	ck_assert_uint_eq(p.wakes, 1);
	ck_assert_str_eq(peer_output(&p), "HTTP/1.1 100 Continue\r\n\r\n");
	peer_fini(&p);
}
END_TEST

START_TEST(expect_without_body_is_ignored)
{
	peer_init(&p, h1_server_new, 0, 0);
	peer_feed_str(&p, "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", 0);
	ck_assert_str_eq(peer_output(&p), "");
	peer_fini(&p);
}
END_TEST

/* ---- early answers, resets, ends ---- */

START_TEST(rest_of_an_answered_request_is_skipped)
{
	peer_init(&p, h1_server_new, 0, 0);
	peer_feed_str(&p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc", 0);
	ck_assert_int_eq(exchange_respond(p.x[0], 404, -1, true), 0);
	peer_flush(&p);
	ck_assert_ptr_null(strstr(buf_cstr(&p.wire), "connection: close"));
	ck_assert_uint_eq(p.x[0]->closes, 1);
	char rest[997];
	memset(rest, 'x', sizeof(rest));
	ck_assert_int_eq(peer_feed(&p, rest, sizeof(rest), _i), 997);
	ck_assert_int_eq(peer_feed_str(&p, GET("/next"), _i), (ssize_t)strlen(GET("/next")));
	ck_assert_uint_eq(p.n, 2);
	peer_fini(&p);
}
END_TEST

START_TEST(skipping_is_bounded)
{
	static char rest[8 * 1024 * 1024 + 1];
	peer_init(&p, h1_server_new, 0, 0);
	peer_feed_str(&p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n", 0);
	ck_assert_int_eq(exchange_respond(p.x[0], 404, -1, true), 0);
	peer_flush(&p);
	ck_assert_ptr_nonnull(strstr(buf_cstr(&p.wire), "connection: close\r\n")); /* told before */
	ck_assert(!http_session_done(p.s));
	ck_assert_int_eq(peer_feed(&p, rest, sizeof(rest), 65536), (ssize_t)sizeof(rest));
	ck_assert(http_session_done(p.s));
	peer_fini(&p);
}
END_TEST

START_TEST(reset_breaks_the_connection)
{
	peer_init(&p, h1_server_new, 0, 0);
	peer_feed_str(&p, GET("/"), 0);
	ck_assert_int_eq(exchange_respond(p.x[0], 200, -1, false), 0);
	ck_assert_int_eq(exchange_write(p.x[0], 10), 0);
	http_stream_reset(p.x[0]->st, HTTP_RESET_INTERNAL);
	ck_assert_uint_eq(p.x[0]->closes, 0); /* not from inside the call */
	peer_flush(&p);
	ck_assert_int_eq(p.send_err, -ECONNABORTED);
	ck_assert_uint_eq(buf_len(&p.wire), 0);
	ck_assert_int_eq(p.x[0]->err, -ECANCELED);
	ck_assert(http_session_done(p.s));
	peer_fini(&p);
}
END_TEST

/* A client that shuts its writing side behind its request waits for the answer. It is sent what a
 * client that is gone would answer with a reset, where there is a place for it. */
START_TEST(half_closed_client_gets_its_answer)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nx-test: yes\r\n";
	peer_init(&p, h1_server_new, 0, 0);
	peer_feed_str(&p, _i == 3 ? "GET / HTTP/1.0\r\n\r\n" : GET("/"), 0);
	if (_i > 0 && _i < 3)
		ck_assert_int_eq(exchange_respond(p.x[0], 200, _i == 2 ? 20 : -1, false), 0);
	if (_i > 0)
		peer_output(&p);
	ck_assert_int_eq(http_session_recv_eof(p.s), 0);
	ck_assert_str_eq(peer_output(&p), _i == 0   ? "HTTP/1.1 100 Continue\r\n\r\n"
					  : _i == 1 ? "0"
						    : "");
	ck_assert(!http_session_done(p.s));
	if (_i == 0 || _i == 3)
		ck_assert_int_eq(exchange_respond(p.x[0], 200, 20, false), 0);
	ck_assert_int_eq(exchange_write(p.x[0], 20), 0);
	ck_assert_int_eq(exchange_end(p.x[0], NULL), 0);
	const char *rest = peer_output(&p);
	if (_i == 0)
		ck_assert_ptr_eq(strstr(rest, head), rest);
	if (_i == 1)
		ck_assert_ptr_eq(strstr(rest, "14\r\n"), rest);
	ck_assert_int_eq(p.x[0]->err, 0);
	ck_assert_uint_eq(p.x[0]->closes, 1);
	ck_assert(http_session_done(p.s));
	peer_fini(&p);
}
END_TEST

START_TEST(body_until_close)
{
	peer_init(&p, h1_client_new, 0, 0);
	struct exchange *x = peer_request(&p, "GET", "/", -1, true);
	peer_flush(&p);
	peer_feed_str(&p, "HTTP/1.0 200 OK\r\nX: y\r\n\r\nsome bytes", _i);
	ck_assert_uint_eq(x->ends, 0);
	ck_assert_int_eq(http_session_recv_eof(p.s), 0);
	ck_assert_uint_eq(x->ends, 1);
	ck_assert_int_eq(x->err, 0);
	ck_assert_uint_eq(buf_len(&x->body), 10);
	ck_assert(http_session_done(p.s));
	peer_fini(&p);
}
END_TEST

START_TEST(client_keeps_one_exchange)
{
	peer_init(&p, h1_client_new, 0, 0);
	struct exchange *x = peer_request(&p, "POST", "/", -1, true);
	ck_assert_int_eq(peer_request(&p, "GET", "/", -1, true)->err, -EAGAIN);
	ck_assert_ptr_nonnull(strstr(peer_output(&p), "content-length: 0\r\n"));
	peer_feed_str(&p, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", _i);
	ck_assert_int_eq(x->err, 0);
	ck_assert_int_eq(peer_request(&p, "GET", "/", -1, true)->err, -ESHUTDOWN);
	ck_assert(http_session_done(p.s));
	peer_fini(&p);
}
END_TEST

START_TEST(cookies_are_joined)
{
	struct http_field fields[] = { { (char *)"cookie", (char *)"a=1" },
		{ (char *)"x", (char *)"y" }, { (char *)"cookie", (char *)"b=2" },
		{ (char *)"transfer-encoding", (char *)"chunked" },
		{ (char *)"te", (char *)"trailers" } };
	struct http_head head = { .method = (char *)"GET",
		.authority = (char *)"a",
		.path = (char *)"/",
		.length = -1,
		.fields = { fields, 5, 5, 0 } };
	int err;
	peer_init(&p, h1_client_new, 0, 0);
	struct exchange *x = peer_request(&p, "GET", "bad path", -1, true);
	x->closes = 0;
	x->st = http_session_request(p.s, &head, true, &peer_handler, x, &err);
	ck_assert_str_eq(
	    peer_output(&p), "GET / HTTP/1.1\r\nhost: a\r\ncookie: a=1; b=2\r\nx: y\r\n\r\n");
	peer_fini(&p);
}
END_TEST

START_TEST(heads_that_cannot_be_sent)
{
	static const char *const paths[] = { "", "x", "/ HTTP/1.1\r\nX: y", "/\n", "/#", "* " };
	peer_init(&p, _i ? h2_client_new : h1_client_new, 0, 0);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		ck_assert_int_eq(peer_request(&p, "GET", paths[i], -1, true)->err, -EINVAL);
	ck_assert_int_eq(peer_request(&p, "GE T", "/", -1, true)->err, -EINVAL);
	ck_assert_int_eq(peer_request(&p, "GET", "/", 5, true)->err, -EINVAL);
	peer_fini(&p);
}
END_TEST

START_TEST(chunked_end_passes_a_full_window)
{
	peer_init(&p, h1_server_new, 16, 0);
	p.hold = true;
	peer_feed_str(&p,
	    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
	    "chunked\r\n\r\n10\r\n0123456789abcdef\r\n"
	    "0\r\n\r\n",
	    _i);
	ck_assert_uint_eq(p.x[0]->ends, 1);
	peer_fini(&p);
}
END_TEST

void h1_session_tests(Suite *s)
{
	TCase *tc = test_case(s, "h1 session", 30);
	tcase_add_loop_test(tc, pipeline_is_served_in_turn, 0, 3);
	tcase_add_loop_test(tc, connection_close_is_obeyed, 0, 4);
	tcase_add_test(tc, owner_may_ask_to_close);
	tcase_add_test(tc, old_peer_gets_no_chunks);
	tcase_add_test(tc, burst_of_writes_is_one_chunk);
	tcase_add_loop_test(tc, expect_is_answered_when_owner_reads, 0, 3);
	tcase_add_loop_test(tc, expect_refused_closes, 0, 3);
	tcase_add_loop_test(tc, expect_waits_for_a_reader, 0, 2);
	tcase_add_test(tc, expect_without_body_is_ignored);
	tcase_add_loop_test(tc, rest_of_an_answered_request_is_skipped, 0, 3);
	tcase_add_test(tc, skipping_is_bounded);
	tcase_add_test(tc, reset_breaks_the_connection);
	tcase_add_loop_test(tc, half_closed_client_gets_its_answer, 0, 4);
	tcase_add_loop_test(tc, body_until_close, 0, 3);
	tcase_add_loop_test(tc, client_keeps_one_exchange, 0, 2);
	tcase_add_test(tc, cookies_are_joined);
	tcase_add_loop_test(tc, heads_that_cannot_be_sent, 0, 2);
	tcase_add_loop_test(tc, chunked_end_passes_a_full_window, 0, 3);
}
