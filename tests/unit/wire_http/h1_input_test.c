/* SPDX-License-Identifier: Apache-2.0 */
/* What a hostile HTTP/1.1 peer sends: refused with the right status and a closed connection. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "harness.h"

static struct peer p;

#define GET "GET / HTTP/1.1\r\nHost: a\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

struct refused {
	const char *bytes;
	int status;
};

static const struct refused refused[] = {
	/* framing that two recipients could read in two ways */
	{ POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
	{ POST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 400 },
	{ POST "Content-Length: 3\r\nContent-Length: 4\r\n\r\n", 400 },
	{ POST "Content-Length: 3\r\nContent-Length: 3\r\n\r\n", 400 },
	{ POST "Content-Length: 3, 3\r\n\r\n", 400 },
	{ POST "Content-Length: +3\r\n\r\n", 400 },
	{ POST "Content-Length: -3\r\n\r\n", 400 },
	{ POST "Content-Length: 0x3\r\n\r\n", 400 },
	{ POST "Content-Length: 3 3\r\n\r\n", 400 },
	{ POST "Content-Length:\r\n\r\n", 400 },
	{ POST "Content-Length: 9223372036854775808\r\n\r\n", 400 },
	{ POST "Content-Length: 99999999999999999999999\r\n\r\n", 400 },
	{ POST "Transfer-Encoding: xchunked\r\n\r\n", 400 },
	{ POST "Transfer-Encoding: chunked, identity\r\n\r\n", 400 },
	{ POST "Transfer-Encoding: gzip, chunked\r\n\r\n", 400 },
	{ POST "Transfer-Encoding: chunked, chunked\r\n\r\n", 400 },
	{ POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
	{ POST "Transfer-Encoding: \"chunked\"\r\n\r\n", 400 },
	{ POST "Transfer-Encoding: \vchunked\r\n\r\n", 400 },
	{ POST "Transfer-Encoding:\r\n chunked\r\n\r\n", 400 },
	{ POST "Transfer-Encoding: identity\r\n\r\n", 400 },
	{ POST "Transfer-Encoding :chunked\r\n\r\n", 400 },
	{ "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
	/* lines */
	{ "GET / HTTP/1.1\nHost: a\n\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: a\n\r\n", 400 },
	{ GET "X: a\rb\r\n\r\n", 400 },
	{ GET "X: a\r\r\n\r\n", 400 },
	{ GET "X: a\r\n b\r\n\r\n", 400 },
	{ GET "X: a\r\n\tb\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400 },
	{ GET "X : a\r\n\r\n", 400 },
	{ GET " X: a\r\n\r\n", 400 },
	{ GET ": a\r\n\r\n", 400 },
	{ GET "X\r\n\r\n", 400 },
	{ GET "X(y): a\r\n\r\n", 400 },
	{ GET "X\x80: a\r\n\r\n", 400 },
	{ GET "X: \x01\r\n\r\n", 400 },
	{ GET "X: \x7f\r\n\r\n", 400 },
	/* host */
	{ "GET / HTTP/1.1\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: a,b\r\nHost: c\r\n\r\n", 400 },
	{ "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400 },
	/* request line */
	{ "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
	{ "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400 },
	{ "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
	{ "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
	{ "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
	{ " GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
	{ "GET /\r\n\r\n", 400 },
	{ "GET\r\n\r\n", 400 },
	{ "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505 },
	{ "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505 },
	{ "GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505 },
	{ "GET / http/1.1\r\nHost: a\r\n\r\n", 400 },
	{ "GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400 },
	{ "SOURCE / ICE/1.0\r\nHost: a\r\n\r\n", 400 },
	{ "BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
	{ "get / HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
	{ "G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
	{ "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 501 },
	/* target */
	{ "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
	{ "GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
	{ "GET /#f HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
	{ "GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
	{ "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
	{ "GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
	{ "GET http://u@b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
	{ "GET ftp://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
	{ "GET //b HTTP/1.1\r\n\r\n", 400 },
	/* before a request */
	{ "\r\n\r\n\r\n\r\n\r\n\r\n", 400 },
	{ "\n", 400 },
	/* chunks: refused while the answer is still open */
	{ CHUNKED "\r\n", 400 },
	{ CHUNKED ";a\r\n", 400 },
	{ CHUNKED "g\r\n", 400 },
	{ CHUNKED "-1\r\n", 400 },
	{ CHUNKED "+1\r\n", 400 },
	{ CHUNKED "0x3\r\nabc\r\n", 400 },
	{ CHUNKED "3 \r\nabc\r\n", 400 },
	{ CHUNKED " 3\r\nabc\r\n", 400 },
	{ CHUNKED "3\nabc\r\n", 400 },
	{ CHUNKED "3\rabc\r\n", 400 },
	{ CHUNKED "3\r\nabcX\r\n", 400 },
	{ CHUNKED "3\r\nabc\n", 400 },
	{ CHUNKED "3\r\nabc\rX", 400 },
	{ CHUNKED "3;a=\"\n\"\r\nabc", 400 },
	{ CHUNKED "3;a\x01\r\nabc", 400 },
	{ CHUNKED "3;a\x80\r\nabc", 400 },
	{ CHUNKED "0000000000000003\r\nabc", 400 },
	{ CHUNKED "ffffffffffffffff\r\nabc", 400 },
	/* trailers */
	{ CHUNKED "0\r\nContent-Length: 3\r\n\r\n", 400 },
	{ CHUNKED "0\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
	{ CHUNKED "0\r\nHost: b\r\n\r\n", 400 },
	{ CHUNKED "0\r\nX: a\n\r\n", 400 },
	{ CHUNKED "0\r\nX : a\r\n\r\n", 400 },
	{ CHUNKED "0\r\n X: a\r\n\r\n", 400 },
	{ CHUNKED "0\r\nX\r\n\r\n", 400 },
};

static void expect_refusal(const char *bytes, int status, size_t step)
{
	char line[64];
	snprintf(line, sizeof(line), "HTTP/1.1 %d ", status);
	peer_init(&p, h1_server_new, 0, 0);
	ssize_t r = peer_feed_str(&p, bytes, step);
	ck_assert_msg(r == -EPROTO, "taken: %s", bytes);
	const char *out = peer_output(&p);
	ck_assert_msg(strncmp(out, line, strlen(line)) == 0, "%s answered with: %s", bytes, out);
	ck_assert_ptr_nonnull(strstr(out, "connection: close\r\n"));
	ck_assert(http_session_done(p.s));
	ck_assert_uint_eq(http_session_streams(p.s), 0);
	ck_assert(p.n == 0 || p.x[0]->err == -EPROTO);
	ck_assert(p.n == 0 || p.x[0]->ends == 0);
	ck_assert_int_eq(peer_feed_str(&p, GET "\r\n", 0), -EPROTO);
	peer_fini(&p);
}

START_TEST(shapes_are_refused)
{
	expect_refusal(refused[_i].bytes, refused[_i].status, 0);
	expect_refusal(refused[_i].bytes, refused[_i].status, 1);
}
END_TEST

/* bytes, and what the owner must see of the first request */
static const struct accepted {
	const char *bytes, *authority, *path;
} accepted[] = {
	{ GET "\r\n", "a", "/" },
	{ "\r\n" GET "\r\n", "a", "/" },
	{ "GET / HTTP/1.1\r\nHost:\r\n\r\n", "", "/" },
	{ "GET / HTTP/1.1\r\nhOsT: [::1]:80 \t\r\n\r\n", "[::1]:80", "/" },
	{ "GET http://b:8/x?y HTTP/1.1\r\nHost: a\r\n\r\n", "b:8", "/x?y" },
	{ "GET HTTPS://b?y HTTP/1.1\r\nHost: a\r\n\r\n", "b", "/?y" },
	{ "GET http://b HTTP/1.1\r\nHost: a\r\n\r\n", "b", "/" },
	{ "OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n", "b", "*" },
	{ "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "a", "*" },
	{ "GET //b HTTP/1.1\r\nHost: a\r\n\r\n", "a", "//b" },
	{ "GET / HTTP/1.0\r\n\r\n", "", "/" },
	{ GET "X:\r\nY: \x80\xff\r\n\r\n", "a", "/" },
	{ POST "Content-Length: 0\r\n\r\n", "a", "/" },
	{ POST "Content-Length: 003\r\n\r\nabc", "a", "/" },
	{ POST "Transfer-Encoding: Chunked\r\n\r\n3;x=\"y z\"\r\nabc\r\n0\r\n\r\n", "a", "/" },
	{ CHUNKED "00A\r\n0123456789\r\n000\r\nX: y\r\n\r\n", "a", "/" },
};

START_TEST(shapes_are_taken)
{
	for (size_t step = 0; step < 3; step++) {
		const struct accepted *a = &accepted[_i];
		peer_init(&p, h1_server_new, 0, 0);
		ck_assert_int_eq(peer_feed_str(&p, a->bytes, step), (ssize_t)strlen(a->bytes));
		ck_assert_uint_eq(p.n, 1);
		ck_assert_str_eq(p.x[0]->authority, a->authority);
		ck_assert_str_eq(p.x[0]->path, a->path);
		ck_assert_uint_eq(p.x[0]->ends, 1);
		peer_fini(&p);
	}
}
END_TEST

static char big[4 * LIMIT_HEAD_BYTES];

static void fill_big(const char *start, char with, size_t n, const char *end)
{
	char *at = stpcpy(big, start);
	memset(at, with, n);
	strcpy(at + n, end); /* NOLINT: the array is far larger */
}

START_TEST(sizes_are_bounded)
{
	size_t step = _i ? 1 : 0;
	fill_big("GET /", 'a', LIMIT_H1_LINE, " HTTP/1.1\r\nHost: a\r\n\r\n");
	expect_refusal(big, 414, step);
	fill_big("", 'A', LIMIT_H1_LINE + 1, "");
	expect_refusal(big, 414, step);
	fill_big(GET "X: ", 'a', LIMIT_HEAD_BYTES, "\r\n\r\n");
	expect_refusal(big, 431, step);
	fill_big(CHUNKED "0\r\nX: ", 'a', LIMIT_HEAD_BYTES, "\r\n\r\n");
	expect_refusal(big, 431, step);
	fill_big(CHUNKED "1;", 'a', 257, "\r\n");
	expect_refusal(big, 400, step);
	char *at = stpcpy(big, GET);
	for (int i = 0; i <= LIMIT_HEAD_FIELDS; i++)
		at = stpcpy(at, "X: a\r\n");
	stpcpy(at, "\r\n");
	expect_refusal(big, 431, step);
}
END_TEST

START_TEST(every_truncation_is_told)
{
	static const char whole[] =
	    "POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n"
	    "5;e=1\r\nhello\r\na\r\n0123456789\r\n0\r\nX-Trailer: t\r\n\r\n";
	for (size_t n = 0; n <= sizeof(whole) - 1; n++) {
		peer_init(&p, h1_server_new, 0, 0);
		ck_assert_int_eq(peer_feed(&p, whole, n, _i), (ssize_t)n);
		bool complete = n == sizeof(whole) - 1;
		ck_assert_uint_eq(p.n ? p.x[0]->ends : 0, complete);
		int r = http_session_recv_eof(p.s);
		ck_assert_int_eq(r, n == 0 || complete ? 0 : -ECONNRESET);
		ck_assert(http_session_done(p.s) != complete);
		ck_assert(p.n == 0 || complete || p.x[0]->err == -ECONNRESET);
		peer_fini(&p);
	}
}
END_TEST

/* A client against a hostile server. */
static const char *const bad_responses[] = {
	"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
	"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
	"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
	"HTTP/1.1 200 OK\r\nX : a\r\n\r\n",
	"HTTP/1.1 200 O\x01K\r\n\r\n",
	"HTTP/1.1 20 OK\r\n\r\n",
	"HTTP/1.1 2000 OK\r\n\r\n",
	"HTTP/1.1 099 OK\r\n\r\n",
	"HTTP/1.1 600 OK\r\n\r\n",
	"HTTP/1.1 2x0 OK\r\n\r\n",
	"HTTP/2.0 200 OK\r\n\r\n",
	"ICY 200 OK\r\n\r\n",
	"\r\n\r\n",
	"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
	"HTTP/1.1 100 a\r\n\r\nHTTP/1.1 100 a\r\n\r\nHTTP/1.1 100 a\r\n\r\nHTTP/1.1 100 a\r\n\r\n"
	"HTTP/1.1 100 a\r\n\r\nHTTP/1.1 100 a\r\n\r\nHTTP/1.1 100 a\r\n\r\nHTTP/1.1 100 a\r\n\r\n"
	"HTTP/1.1 100 a\r\n\r\nHTTP/1.1 200 a\r\nContent-Length: 0\r\n\r\n",
};

START_TEST(responses_are_refused)
{
	for (size_t step = 0; step < 2; step++) {
		peer_init(&p, h1_client_new, 0, 0);
		struct exchange *x = peer_request(&p, "GET", "/", -1, true);
		ck_assert_int_eq(peer_feed_str(&p, bad_responses[_i], step), -EPROTO);
		ck_assert_int_eq(x->err, -EPROTO);
		ck_assert_uint_eq(x->ends, 0);
		ck_assert(http_session_done(p.s));
		ck_assert_int_eq(peer_request(&p, "GET", "/", -1, true)->err, -ESHUTDOWN);
		peer_fini(&p);
	}
}
END_TEST

START_TEST(unasked_response_is_refused)
{
	peer_init(&p, h1_client_new, 0, 0);
	ck_assert_int_eq(peer_feed_str(&p, "HTTP/1.1 200 OK\r\n\r\n", 0), -EPROTO);
	ck_assert(http_session_done(p.s));
	peer_fini(&p);
}
END_TEST

START_TEST(nominated_fields_go)
{
	peer_init(&p, h1_server_new, 0, 0);
	p.bare = true;
	peer_feed_str(&p,
	    GET "Connection: X-One,close , x-two\r\nX-One: 1\r\nX-Two: 2\r\nX-Three: 3\r\n"
		"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n",
	    0);
	const struct http_head *head = http_stream_peer_head(p.x[0]->st);
	ck_assert_ptr_null(http_fields_get(&head->fields, "x-one"));
	ck_assert_ptr_null(http_fields_get(&head->fields, "x-two"));
	ck_assert_str_eq(http_fields_get(&head->fields, "x-three"), "3");
	ck_assert(!head->upgrade); /* never to h2c */
	peer_fini(&p);
}
END_TEST

void h1_input_tests(Suite *s)
{
	TCase *tc = test_case(s, "h1 input", 60);
	tcase_add_loop_test(tc, shapes_are_refused, 0, sizeof(refused) / sizeof(refused[0]));
	tcase_add_loop_test(tc, shapes_are_taken, 0, sizeof(accepted) / sizeof(accepted[0]));
	tcase_add_loop_test(tc, sizes_are_bounded, 0, 2);
	tcase_add_loop_test(tc, every_truncation_is_told, 0, 2);
	tcase_add_loop_test(
	    tc, responses_are_refused, 0, sizeof(bad_responses) / sizeof(bad_responses[0]));
	tcase_add_test(tc, unasked_response_is_refused);
	tcase_add_test(tc, nominated_fields_go);
}
