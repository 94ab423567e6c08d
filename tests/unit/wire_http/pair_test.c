/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold for both versions of the protocol: client and server talk in pieces of any size.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "harness.h"

static const struct version {
	peer_new_fn *server, *client;
	int number;
} versions[] = { { h1_server_new, h1_client_new, 1 }, { h2_server_new, h2_client_new, 2 } };
static const size_t steps[] = { 0, 1, 7, 1000 };
enum { VERSIONS = 2, STEPS = 4, CASES = VERSIONS * STEPS };

static struct peer client, server;

static size_t open_pair(int i, uint32_t window)
{
	const struct version *v = &versions[i / STEPS];
	peer_init(&server, v->server, window, 0);
	peer_init(&client, v->client, window, 0);
	return steps[i % STEPS];
}

/* Large bodies byte by byte only cost time. */
static size_t open_large_pair(int i, uint32_t window)
{
	size_t step = open_pair(i, window);
	return step == 1 ? 211 : step == 7 ? 3001 : step;
}

static void close_pair(void)
{
	ck_assert_int_eq(client.recv_err, 0);
	ck_assert_int_eq(server.recv_err, 0);
	peer_fini(&client);
	peer_fini(&server);
}

static struct exchange *last(struct peer *p)
{
	return p->x[p->n - 1];
}

/* Memory is handed over where nothing is queued, copied where something is; lengths are kept. */
START_TEST(bodies_by_buffers)
{
	for (int64_t length = -1; length <= 50006; length += 50007) {
		size_t step = open_large_pair(_i, 0);
		struct exchange *c = peer_request(&client, "GET", "/", -1, true);
		peers_run(&client, &server, step);
		struct exchange *s = last(&server);
		ck_assert_int_eq(exchange_respond(s, 200, length, false), 0);
		ck_assert_int_eq(exchange_write_buf(s, 5), 0);
		ck_assert_int_eq(exchange_write_buf(s, 0), 0);
		ck_assert_int_eq(exchange_write_buf(s, 20000), 0);
		peers_run(&client, &server, step);
		ck_assert_int_eq(exchange_write_buf(s, 30001), 0);
		ck_assert_int_eq(exchange_write_buf(s, 1), length < 0 ? 0 : -EPIPE);
		ck_assert_int_eq(exchange_end(s, NULL), 0);
		ck_assert_int_eq(exchange_write_buf(s, 1), -EPIPE);
		peers_run(&client, &server, step);
		ck_assert(exchange_has_pattern(c, s->written));
		ck_assert_uint_eq(s->written, length < 0 ? 50007 : 50006);
		ck_assert_uint_eq(s->sent, s->written);
		ck_assert_uint_eq(c->closes + s->closes, 2);
		close_pair();
	}
}
END_TEST

START_TEST(get_and_answer)
{
	size_t step = open_pair(_i, 0);
	for (int round = 0; round < 3; round++) {
		struct exchange *c = peer_request(&client, "GET", "/a?b=c", -1, true);
		ck_assert_ptr_nonnull(c->st);
		peers_run(&client, &server, step);
		struct exchange *s = last(&server);
		ck_assert_str_eq(s->method, "GET");
		ck_assert_str_eq(s->path, "/a?b=c");
		ck_assert_str_eq(s->authority, "example.test");
		ck_assert_uint_eq(s->ends, 1);
		ck_assert(s->whole);
		ck_assert_int_eq(http_stream_version(s->st), versions[_i / STEPS].number);
		ck_assert_int_eq(exchange_respond(s, 200, -1, false), 0);
		ck_assert_int_eq(exchange_write(s, 5000), 0);
		ck_assert_int_eq(exchange_end(s, "last"), 0);
		peers_run(&client, &server, step);
		ck_assert_int_eq(c->status, 200);
		ck_assert(!c->whole);
		ck_assert(exchange_has_pattern(c, 5000));
		ck_assert_str_eq(c->trailer, "last");
		ck_assert_uint_eq(c->closes + s->closes, 2);
		ck_assert_int_eq(c->err | s->err, 0);
		ck_assert_uint_eq(s->sent, 5000);
	}
	ck_assert_uint_eq(http_session_streams(client.s) + http_session_streams(server.s), 0);
	close_pair();
}
END_TEST

START_TEST(post_both_ways)
{
	size_t step = open_pair(_i, 0);
	for (int declared = 0; declared < 2; declared++) {
		struct exchange *c =
		    peer_request(&client, "POST", "/up", declared ? 30000 : -1, false);
		for (int k = 0; k < 3; k++) {
			ck_assert_int_eq(exchange_write(c, 10000), 0);
			peers_run(&client, &server, step);
		}
		struct exchange *s = last(&server);
		ck_assert_int_eq(exchange_end(c, declared ? NULL : "up"), 0);
		peers_run(&client, &server, step);
		ck_assert(exchange_has_pattern(s, 30000));
		ck_assert_str_eq(s->trailer, declared ? "" : "up");
		ck_assert_uint_eq(c->sent, 30000);
		ck_assert_int_eq(exchange_respond(s, 201, declared ? 777 : -1, false), 0);
		ck_assert_int_eq(exchange_write(s, 777), 0);
		ck_assert_int_eq(exchange_end(s, NULL), 0);
		peers_run(&client, &server, step);
		ck_assert_int_eq(c->status, 201);
		ck_assert(exchange_has_pattern(c, 777));
		ck_assert_int_eq(c->err | s->err, 0);
		ck_assert_uint_eq(c->closes + s->closes, 2);
	}
	close_pair();
}
END_TEST

START_TEST(bodies_that_must_not_be)
{
	static const struct {
		const char *method;
		int status;
	} cases[] = { { "HEAD", 200 }, { "GET", 204 }, { "GET", 304 }, { "HEAD", 404 } };
	size_t step = open_pair(_i, 0);
	for (size_t k = 0; k < 4; k++) {
		struct exchange *c = peer_request(&client, cases[k].method, "/", -1, true);
		peers_run(&client, &server, step);
		struct exchange *s = last(&server);
		ck_assert_int_eq(exchange_respond(s, cases[k].status, 1234, false), 0);
		ck_assert_int_eq(exchange_write(s, 10), 0);
		s->written = 0;
		ck_assert_int_eq(exchange_end(s, "x"), 0);
		peers_run(&client, &server, step);
		ck_assert_int_eq(c->status, cases[k].status);
		ck_assert_uint_eq(buf_len(&c->body), 0);
		ck_assert_uint_eq(c->ends, 1);
		ck_assert_int_eq(c->err | s->err, 0);
		ck_assert_uint_eq(c->closes + s->closes, 2);
	}
	close_pair();
}
END_TEST

START_TEST(writer_is_stopped_by_reader)
{
	enum { WINDOW = 70000, TOTAL = 300000 };
	size_t step = open_large_pair(_i, WINDOW);
	server.hold = true;
	struct exchange *c = peer_request(&client, "POST", "/", -1, false);
	ck_assert_int_eq(exchange_write(c, TOTAL), 0);
	ck_assert_int_eq(exchange_end(c, NULL), 0);
	peers_run(&client, &server, step);
	struct exchange *s = last(&server);
	size_t consumed = 0;
	for (unsigned turns = 0; s->ends == 0; turns++) {
		size_t have = buf_len(&s->body);
		ck_assert_uint_le(have - consumed, WINDOW);
		ck_assert_uint_gt(have, consumed);
		ck_assert_uint_lt(turns, 100);
		http_stream_consume(s->st, have - consumed);
		consumed = have;
		peers_run(&client, &server, step);
	}
	ck_assert(exchange_has_pattern(s, TOTAL));
	ck_assert_uint_eq(c->sent, TOTAL);
	ck_assert_uint_eq(http_stream_queued(c->st), 0);
	ck_assert_int_eq(exchange_respond(s, 200, -1, true), 0);
	peers_run(&client, &server, step);
	ck_assert_int_eq(c->err | s->err, 0);
	close_pair();
}
END_TEST

/* Each byte that leaves allows one more: the queue stays small and everything arrives. */
static size_t relay_left;
static void write_what_was_sent(struct exchange *x, enum peer_event ev)
{
	static size_t before;
	if (ev == PEER_REQUEST) {
		before = 0;
		ck_assert_int_eq(exchange_respond(x, 200, -1, false), 0);
		ck_assert_int_eq(exchange_write(x, 20000), 0);
	}
	if (ev != PEER_SENT)
		return;
	size_t n = x->sent - before;
	before = x->sent;
	if (n > relay_left)
		n = relay_left;
	relay_left -= n;
	if (n > 0)
		ck_assert_int_eq(exchange_write(x, n), 0);
	else if (http_stream_queued(x->st) == 0 && x->sent == x->written)
		ck_assert_int_eq(exchange_end(x, NULL), 0);
	ck_assert_uint_le(http_stream_queued(x->st), 20000);
}

START_TEST(sent_drives_writer)
{
	size_t step = open_large_pair(_i, 65536);
	relay_left = 500000;
	server.script = write_what_was_sent;
	struct exchange *c = peer_request(&client, "GET", "/", -1, true);
	peers_run(&client, &server, step);
	ck_assert(exchange_has_pattern(c, 520000));
	ck_assert_uint_eq(last(&server)->sent, 520000);
	ck_assert_int_eq(c->err | last(&server)->err, 0);
	close_pair();
}
END_TEST

START_TEST(length_is_kept)
{
	size_t step = open_pair(_i, 0);
	struct exchange *c = peer_request(&client, "GET", "/", -1, true);
	peers_run(&client, &server, step);
	struct exchange *s = last(&server);
	ck_assert_int_eq(exchange_respond(s, 200, 100, true), -EINVAL);
	ck_assert_int_eq(exchange_respond(s, 200, 100, false), 0);
	ck_assert_int_eq(exchange_respond(s, 200, 100, false), -EINVAL);
	ck_assert_int_eq(exchange_write(s, 101), -EPIPE);
	ck_assert_int_eq(exchange_write(s, 99), 0);
	ck_assert_int_eq(exchange_end(s, NULL), -EPIPE);
	peers_run(&client, &server, step);
	ck_assert_int_eq(s->err, -ECANCELED);
	ck_assert_uint_eq(c->ends, 0);
	if (versions[_i / STEPS].number == 1)
		ck_assert_int_eq(server.send_err, -ECONNABORTED);
	else
		ck_assert_int_eq(c->err, -ECONNRESET);
	close_pair();
}
END_TEST

START_TEST(early_answer)
{
	size_t step = open_pair(_i, 0);
	struct exchange *c = peer_request(&client, "POST", "/", -1, false);
	ck_assert_int_eq(exchange_write(c, 1000), 0);
	peers_run(&client, &server, step);
	struct exchange *s = last(&server);
	ck_assert(!s->whole);
	ck_assert_int_eq(exchange_respond(s, 413, -1, true), 0);
	peers_run(&client, &server, step);
	ck_assert(c->whole);
	ck_assert_int_eq(c->status, 413);
	ck_assert_uint_eq(c->ends, 1);
	ck_assert_uint_eq(c->closes + s->closes, 2);
	ck_assert_int_eq(c->err | s->err, 0);
	close_pair();
}
END_TEST

START_TEST(drain_ends_in_order)
{
	size_t step = open_pair(_i, 0);
	struct exchange *c = peer_request(&client, "GET", "/", -1, true);
	peers_run(&client, &server, step);
	http_session_drain(server.s);
	peers_run(&client, &server, step);
	ck_assert(!http_session_done(server.s));
	ck_assert_int_eq(exchange_respond(last(&server), 200, 10, false), 0);
	ck_assert_int_eq(exchange_write(last(&server), 10), 0);
	ck_assert_int_eq(exchange_end(last(&server), NULL), 0);
	peers_run(&client, &server, step);
	ck_assert(exchange_has_pattern(c, 10));
	ck_assert_int_eq(c->err, 0);
	ck_assert(http_session_done(server.s));
	ck_assert(http_session_done(client.s));
	ck_assert_int_eq(peer_request(&client, "GET", "/", -1, true)->err, -ESHUTDOWN);
	close_pair();
}
END_TEST

START_TEST(idle_drain_and_client_drain)
{
	size_t step = open_pair(_i, 0);
	peers_run(&client, &server, step);
	if (_i % 2) {
		http_session_drain(server.s);
		peers_run(&client, &server, step);
		ck_assert(http_session_done(server.s));
	} else {
		http_session_drain(client.s);
		peers_run(&client, &server, step);
		ck_assert(http_session_done(client.s));
		ck_assert_int_eq(http_session_recv_eof(server.s), 0);
		ck_assert(http_session_done(server.s));
	}
	close_pair();
}
END_TEST

START_TEST(eof_in_the_middle)
{
	size_t step = open_pair(_i, 0);
	struct exchange *c = peer_request(&client, "POST", "/", 100, false);
	ck_assert_int_eq(exchange_write(c, 50), 0);
	peers_run(&client, &server, step);
	ck_assert_int_eq(http_session_recv_eof(server.s), -ECONNRESET);
	ck_assert_int_eq(http_session_recv_eof(client.s), -ECONNRESET);
	ck_assert_int_eq(c->err, -ECONNRESET);
	ck_assert_int_eq(last(&server)->err, -ECONNRESET);
	ck_assert(http_session_done(server.s));
	close_pair();
}
END_TEST

START_TEST(interim_heads_are_dropped)
{
	size_t step = open_pair(_i, 0);
	struct exchange *c = peer_request(&client, "GET", "/", -1, true);
	peers_run(&client, &server, step);
	for (int k = 0; k < 3; k++)
		ck_assert_int_eq(exchange_respond(last(&server), 103, -1, false), 0);
	ck_assert_int_eq(exchange_respond(last(&server), 200, -1, true), 0);
	peers_run(&client, &server, step);
	ck_assert_int_eq(c->status, 200);
	ck_assert_uint_eq(c->heads, 1);
	ck_assert_int_eq(c->err, 0);
	close_pair();
}
END_TEST

START_TEST(wake_comes_from_outside_only)
{
	size_t step = open_large_pair(_i, 65535);
	peers_run(&client, &server, step);
	ck_assert_uint_eq(client.wakes + server.wakes, 0);
	struct exchange *c = peer_request(&client, "POST", "/", -1, false);
	ck_assert_uint_eq(client.wakes, 1);
	ck_assert_int_eq(exchange_write(c, 65535), 0);
	server.hold = true;
	peers_run(&client, &server, step);
	ck_assert_uint_eq(server.wakes, 0);
	ck_assert_uint_eq(buf_len(&last(&server)->body), 65535);
	unsigned before = client.wakes;
	ck_assert_int_eq(exchange_write(c, 1), 0);
	ck_assert_uint_eq(client.wakes, before + 1);
	peers_run(&client, &server, step);
	ck_assert_uint_eq(buf_len(&last(&server)->body), 65535);
	http_stream_consume(last(&server)->st, 65535);
	ck_assert_uint_eq(server.wakes, 1); /* a window to announce, or bytes to take */
	peers_run(&client, &server, step);
	ck_assert_uint_eq(buf_len(&last(&server)->body), 65536);
	close_pair();
}
END_TEST

void pair_tests(Suite *s)
{
	TCase *tc = test_case(s, "pair", 60);
	tcase_add_loop_test(tc, get_and_answer, 0, CASES);
	tcase_add_loop_test(tc, bodies_by_buffers, 0, CASES);
	tcase_add_loop_test(tc, post_both_ways, 0, CASES);
	tcase_add_loop_test(tc, bodies_that_must_not_be, 0, CASES);
	tcase_add_loop_test(tc, writer_is_stopped_by_reader, 0, CASES);
	tcase_add_loop_test(tc, sent_drives_writer, 0, CASES);
	tcase_add_loop_test(tc, length_is_kept, 0, CASES);
	tcase_add_loop_test(tc, early_answer, 0, CASES);
	tcase_add_loop_test(tc, drain_ends_in_order, 0, CASES);
	tcase_add_loop_test(tc, idle_drain_and_client_drain, 0, CASES);
	tcase_add_loop_test(tc, eof_in_the_middle, 0, CASES);
	tcase_add_loop_test(tc, interim_heads_are_dropped, 0, CASES);
	tcase_add_loop_test(tc, wake_comes_from_outside_only, 0, CASES);
}
