/* SPDX-License-Identifier: Apache-2.0 */
/* Switched protocols: Upgrade of HTTP/1.1 and extended CONNECT of HTTP/2 (RFC 8441). */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "frames.h"
#include "harness.h"

static struct peer p, q;

/* Loop index: version of HTTP, and size of the pieces. */
static size_t start(int i)
{
	peer_init(&p, i / 3 ? h2_server_new : h1_server_new, 0, 0);
	peer_init(&q, i / 3 ? h2_client_new : h1_client_new, 0, 0);
	peers_run(&q, &p, 0);
	return (size_t)i % 3;
}

static void stop(void)
{
	peer_fini(&q);
	peer_fini(&p);
}

static struct exchange *ask(struct peer *c, const char *method, const char *protocol, int *ret_err)
{
	struct http_field fields[] = { { (char *)"upgrade", (char *)protocol } };
	struct http_head head = { .method = (char *)method,
		.authority = (char *)"a",
		.path = (char *)"/ws",
		.length = -1,
		.upgrade = true,
		.fields = { fields, 1, 1, 0 } };
	struct exchange *x = peer_request(c, "GET", "bad path", -1, true); /* only its record */
	ck_assert_int_eq(x->err, -EINVAL);
	x->closes = x->err = 0;
	x->st = http_session_request(c->s, &head, false, &peer_handler, x, ret_err);
	return x;
}

static struct exchange *ask_upgrade(struct peer *c)
{
	int err;
	struct exchange *x = ask(c, "GET", "x", &err);
	ck_assert_ptr_nonnull(x->st);
	return x;
}

static int switch_now(struct exchange *x)
{
	struct http_field fields[] = { { (char *)"upgrade", (char *)"x" } };
	const struct http_head head = {
		.status = 101, .length = -1, .fields = { fields, 1, 1, 0 }
	};
	return http_stream_respond(x->st, &head, false);
}

/* What the connection's owner does when one side's output has ended. */
static void pass_end(struct peer *from, struct peer *to)
{
	ck_assert(http_session_output_ended(from->s) || http_session_done(from->s));
	ck_assert_int_eq(http_session_recv_eof(to->s), 0);
}

static void end_way(struct exchange *x, struct peer *from, struct peer *to, int i)
{
	ck_assert_int_eq(exchange_end(x, NULL), 0);
	peers_run(&q, &p, (size_t)i % 3);
	if (i / 3 == 0)
		pass_end(from, to);
	peers_run(&q, &p, (size_t)i % 3);
}

START_TEST(each_way_ends_by_itself)
{
	size_t step = start(_i);
	struct exchange *c = ask_upgrade(&q);
	ck_assert_int_eq(exchange_write(c, 100), 0); /* waits for the answer */
	peers_run(&q, &p, step);
	struct exchange *s = p.x[0];
	ck_assert(s->upgrade);
	ck_assert_str_eq(s->method, "GET");
	ck_assert_str_eq(http_fields_get(&http_stream_peer_head(s->st)->fields, "upgrade"), "x");
	ck_assert_uint_eq(s->ends + buf_len(&s->body), 0);
	ck_assert_int_eq(switch_now(s), 0);
	ck_assert_int_eq(exchange_write(s, 5000), 0);
	peers_run(&q, &p, step);
	ck_assert_int_eq(c->status, 101);
	ck_assert_str_eq(http_fields_get(&http_stream_peer_head(c->st)->fields, "upgrade"), "x");
	ck_assert(exchange_has_pattern(c, 5000));
	ck_assert(exchange_has_pattern(s, 100));
	end_way(c, &q, &p, _i);
	ck_assert_uint_eq(s->ends, 1);
	ck_assert_uint_eq(c->closes + s->closes, 0);
	ck_assert_int_eq(exchange_write(s, 10), 0);
	peers_run(&q, &p, step);
	ck_assert_uint_eq(buf_len(&c->body), 5010);
	end_way(s, &p, &q, _i);
	ck_assert_uint_eq(c->ends, 1);
	ck_assert_int_eq(c->err | s->err, 0);
	ck_assert_uint_eq(c->closes + s->closes, 2);
	ck_assert(_i / 3 || (http_session_done(p.s) && http_session_done(q.s)));
	stop();
}
END_TEST

START_TEST(server_may_end_first)
{
	size_t step = start(_i);
	struct exchange *c = ask_upgrade(&q);
	peers_run(&q, &p, step);
	struct exchange *s = p.x[0];
	ck_assert_int_eq(switch_now(s), 0);
	ck_assert_int_eq(exchange_write(s, 10), 0);
	end_way(s, &p, &q, _i);
	ck_assert_uint_eq(c->ends, 1);
	ck_assert_uint_eq(c->closes + s->closes, 0);
	ck_assert_int_eq(exchange_write(c, 5000), 0);
	end_way(c, &q, &p, _i);
	ck_assert(exchange_has_pattern(s, 5000));
	ck_assert_int_eq(c->err | s->err, 0);
	ck_assert_uint_eq(c->closes + s->closes, 2);
	stop();
}
END_TEST

START_TEST(declined_keeps_the_connection)
{
	size_t step = start(_i);
	struct exchange *c = ask_upgrade(&q);
	ck_assert_int_eq(exchange_write(c, 100), 0);
	peers_run(&q, &p, step);
	struct exchange *s = p.x[0];
	ck_assert_int_eq(exchange_respond(s, 404, 4, false), 0);
	peers_run(&q, &p, step);
	ck_assert_uint_eq(s->ends, 1); /* before our own end: a proxy passes it on */
	ck_assert_int_eq(exchange_write(s, 4), 0);
	ck_assert_int_eq(exchange_end(s, NULL), 0);
	peers_run(&q, &p, step);
	ck_assert_int_eq(c->status, 404);
	ck_assert_uint_eq(s->ends, 1);
	ck_assert_uint_eq(buf_len(&s->body), 0);
	ck_assert(exchange_has_pattern(c, 4));
	ck_assert_int_eq(c->err | s->err, 0);
	ck_assert_uint_eq(c->closes + s->closes, 2);
	c = peer_request(&q, "GET", "/", -1, true);
	peers_run(&q, &p, step);
	ck_assert_int_eq(exchange_respond(p.x[1], 200, -1, true), 0);
	peers_run(&q, &p, step);
	ck_assert_int_eq(c->status, 200);
	stop();
}
END_TEST

START_TEST(reset_of_a_tunnel)
{
	size_t step = start(3);
	struct exchange *c = ask_upgrade(&q);
	peers_run(&q, &p, step);
	ck_assert_int_eq(switch_now(p.x[0]), 0);
	peers_run(&q, &p, step);
	http_stream_reset(_i ? c->st : p.x[0]->st, HTTP_RESET_CANCEL);
	peers_run(&q, &p, step);
	ck_assert_int_lt(_i ? p.x[0]->err : c->err, 0);
	ck_assert_uint_eq(c->ends + p.x[0]->ends, 0);
	stop();
}
END_TEST

START_TEST(no_switch_without_asking)
{
	start(3 * _i);
	(void)peer_request(&q, "GET", "/", -1, true);
	peers_run(&q, &p, 0);
	ck_assert_int_eq(switch_now(p.x[0]), -EINVAL);
	stop();
}
END_TEST

/* HTTP/2 has a place for neither. */
START_TEST(what_connect_cannot_say)
{
	int err = 0;
	start(3);
	ck_assert_ptr_null(ask(&q, _i ? "POST" : "GET", _i ? "x" : "x, y", &err)->st);
	ck_assert_int_eq(err, -EINVAL);
	q.x[0]->closes = 1; /* there was no stream */
	stop();
}
END_TEST

/* ---- HTTP/1.1 ---- */

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define UPGRADE \
	"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: x\r\n\r\n"

START_TEST(bytes_behind_an_upgrade_are_no_request)
{
	peer_init(&p, h1_server_new, 0, 0);
	ssize_t taken = peer_feed_str(&p, UPGRADE GET("/smuggled"), 0);
	ck_assert_int_eq(taken, (ssize_t)strlen(UPGRADE));
	ck_assert(!http_session_want_read(p.s));
	ck_assert_int_eq(switch_now(p.x[0]), 0);
	ck_assert_uint_eq(p.wakes, 1);
	ck_assert(http_session_want_read(p.s));
	peer_feed_str(&p, GET("/smuggled"), 0);
	ck_assert_uint_eq(p.n, 1);
	ck_assert_uint_eq(buf_len(&p.x[0]->body), strlen(GET("/smuggled")));
	peer_fini(&p);
}
END_TEST

static const char *const plain_requests[] = {
	"POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x, y\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\n\r\n",
	"GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
};

START_TEST(upgrade_is_ignored)
{
	peer_init(&p, h1_server_new, 0, 0);
	peer_feed_str(&p, plain_requests[_i], 0);
	ck_assert_uint_eq(p.n, 1);
	ck_assert(!p.x[0]->upgrade);
	ck_assert_uint_eq(p.x[0]->ends, 1);
	peer_fini(&p);
}
END_TEST

/* ---- HTTP/2 by hand ---- */

static void put_connect(struct buf *b, const char *method, const char *protocol, const char *length)
{
	struct buf head = BUF_INIT;
	hpack_put(&head, ":method", method, strlen(method));
	hpack_put(&head, ":protocol", protocol, strlen(protocol));
	hpack_put(&head, ":scheme", "https", 5);
	hpack_put(&head, ":path", "/chat", 5);
	hpack_put(&head, ":authority", "a", 1);
	if (length)
		hpack_put(&head, "content-length", length, strlen(length));
	frame_put(b, F_HEADERS, END_HEADERS, 1, buf_data(&head), buf_len(&head));
	buf_fini(&head);
}

static const struct {
	const char *method, *protocol, *length;
} connects[] = {
	{ "CONNECT", "websocket", NULL },
	{ "CONNECT", "h2c", NULL },
	{ "CONNECT", "a, b", NULL },
	{ "CONNECT", "websocket", "5" },
	{ "GET", "websocket", NULL },
};

START_TEST(extended_connect)
{
	CLEAN_BUF struct buf in = BUF_INIT;
	size_t n;
	unsigned flags;
	peer_init(&p, h2_server_new, 0, 0);
	frame_put_preface(&in);
	put_connect(&in, connects[_i].method, connects[_i].protocol, connects[_i].length);
	ck_assert_int_gt(peer_feed(&p, buf_data(&in), buf_len(&in), 0), 0);
	peer_flush(&p);
	if (_i > 0) {
		ck_assert_uint_eq(p.n, 0);
		ck_assert(frame_find(&p.wire, F_HEADERS, 1, &n, &flags) ||
			  frame_error(&p.wire, F_RST, 1) > 0);
	} else {
		ck_assert_uint_eq(p.n, 1);
		ck_assert(p.x[0]->upgrade);
		ck_assert_str_eq(p.x[0]->path, "/chat");
	}
	/* The client may only ask because of this setting. */
	const unsigned char *s = frame_find(&p.wire, F_SETTINGS, 0, &n, &flags);
	bool told = false;
	for (size_t i = 0; s && i + 6 <= n; i += 6)
		told = told || memcmp(s + i, "\0\10\0\0\0\1", 6) == 0;
	ck_assert(told);
	peer_fini(&p);
}
END_TEST

void tunnel_tests(Suite *s)
{
	TCase *tc = test_case(s, "tunnels", 30);
	tcase_add_loop_test(tc, each_way_ends_by_itself, 0, 6);
	tcase_add_loop_test(tc, server_may_end_first, 0, 6);
	tcase_add_loop_test(tc, declined_keeps_the_connection, 0, 6);
	tcase_add_loop_test(tc, reset_of_a_tunnel, 0, 2);
	tcase_add_loop_test(tc, no_switch_without_asking, 0, 2);
	tcase_add_loop_test(tc, what_connect_cannot_say, 0, 2);
	tcase_add_test(tc, bytes_behind_an_upgrade_are_no_request);
	tcase_add_loop_test(tc, upgrade_is_ignored, 0, 4);
	tcase_add_loop_test(tc, extended_connect, 0, 5);
}
