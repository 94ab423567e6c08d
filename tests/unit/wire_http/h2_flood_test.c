/* SPDX-License-Identifier: Apache-2.0 */
/* Peers that cost more than they pay: each ends with GOAWAY(ENHANCE_YOUR_CALM), none before its
 * limit. */
#include <errno.h>
#include <string.h>

#include "base/limits.h"
#include "frames.h"
#include "harness.h"

enum { FLOW_CONTROL = 3, FRAME_SIZE = 6, REFUSED = 7, CALM = 11 };

static struct peer p;
static struct buf in;

static void open_server(void)
{
	peer_init(&p, h2_server_new, 0, 0);
	in = (struct buf)BUF_INIT;
	frame_put_preface(&in);
}

static ssize_t feed(void)
{
	ssize_t r = peer_feed(&p, buf_data(&in), buf_len(&in), 0);
	buf_reset(&in);
	return r;
}

static void close_server(void)
{
	peer_fini(&p);
	buf_fini(&in);
}

static void expect_calm(void)
{
	ck_assert_int_eq(p.recv_err, -EPROTO);
	peer_flush(&p);
	ck_assert_int_eq(frame_error(&p.wire, F_GOAWAY, 0), CALM);
	ck_assert(http_session_done(p.s));
	ck_assert_uint_eq(http_session_streams(p.s), 0);
	frame_put_request(&in, 99999, END_STREAM | END_HEADERS, 0);
	size_t n = p.n;
	ck_assert_int_eq(feed(), -EPROTO);
	ck_assert_uint_eq(p.n, n);
}

/* Open and cancel: returns how many went through. */
static unsigned cancel_streams(unsigned n, uint32_t *id)
{
	unsigned done = 0;
	for (; done < n; done++, *id += 2) {
		frame_put_request(&in, *id, END_HEADERS, 0);
		frame_put_u32(&in, F_RST, *id, 8);
		if (feed() < 0)
			break;
		peer_flush(&p);
		p.wire.end = 0;
	}
	return done;
}

START_TEST(rapid_reset)
{
	uint32_t id = 1;
	open_server();
	ck_assert_uint_eq(cancel_streams(10000, &id), LIMIT_RESETS_BURST);
	expect_calm();
	close_server();
}
END_TEST

START_TEST(slow_resets_are_allowed)
{
	uint32_t id = 1;
	open_server();
	ck_assert_uint_eq(cancel_streams(LIMIT_RESETS_BURST, &id), LIMIT_RESETS_BURST);
	for (int s = 0; s < 10; s++) {
		p.now_ms += 1000;
		ck_assert_uint_eq(cancel_streams(LIMIT_RESETS_PER_S, &id), LIMIT_RESETS_PER_S);
	}
	ck_assert_uint_eq(cancel_streams(1, &id), 0);
	expect_calm();
	close_server();
}
END_TEST

/* CVE-2025-8671: the peer makes us reset its streams. */
START_TEST(made_resets)
{
	unsigned done = 0;
	open_server();
	for (uint32_t id = 1; done < 10000; done++, id += 2) {
		frame_put_request(&in, id, END_HEADERS, 0);
		frame_put_u32(&in, F_WINDOW, id, 0x7fffffff);
		if (feed() < 0)
			break;
		peer_flush(&p);
		if (http_session_done(p.s))
			break;
		ck_assert_int_eq(frame_error(&p.wire, F_RST, id), FLOW_CONTROL);
		p.wire.end = 0;
	}
	ck_assert_uint_eq(done, LIMIT_RESETS_BURST);
	p.recv_err = feed();
	p.recv_err = peer_feed_str(&p, "x", 0);
	expect_calm();
	close_server();
}
END_TEST

static void put_ping(void)
{
	frame_put(&in, F_PING, 0, 0, "12345678", 8);
}
static void put_settings(void)
{
	frame_put(&in, F_SETTINGS, 0, 0, NULL, 0);
}
static void put_priority(void)
{
	frame_put(&in, F_PRIORITY, 0, 3, "\0\0\0\0\20", 5);
}
static void put_window(void)
{
	frame_put_u32(&in, F_WINDOW, 0, 1);
}
static void put_empty_data(void)
{
	frame_put(&in, F_DATA, 0, 1, NULL, 0);
}
static void put_ping_ack(void)
{
	frame_put(&in, F_PING, ACK, 0, "12345678", 8);
}

static void put_unknown(void)
{
	frame_put(&in, 0xfa, 0, 0, "of no known type", 16);
}
static void put_altsvc(void)
{
	frame_put(&in, 0xa, 0, 0, "\0\1a\0", 4);
}

static void (*const control_frames[])(void) = { put_ping, put_settings, put_priority, put_window,
	put_empty_data, put_ping_ack, put_unknown, put_altsvc };

START_TEST(control_flood)
{
	open_server();
	frame_put_request(&in, 1, END_HEADERS, 0);
	ck_assert_int_gt(feed(), 0);
	unsigned done = 0;
	for (; done < 100000 && p.recv_err == 0; done++) {
		control_frames[_i]();
		feed();
		if (done % 100 == 0)
			peer_flush(&p);
	}
	ck_assert_uint_le(done, LIMIT_CTRL_FRAMES_PER_S + 20);
	ck_assert_uint_ge(done, LIMIT_CTRL_FRAMES_PER_S - 20);
	expect_calm();
	close_server();
}
END_TEST

START_TEST(control_frames_at_a_bearable_rate)
{
	open_server();
	frame_put_request(&in, 1, END_HEADERS, 0);
	ck_assert_int_gt(feed(), 0);
	for (unsigned i = 0; i < 5 * LIMIT_CTRL_FRAMES_PER_S; i++) {
		if (i % 100 == 0)
			p.now_ms += 101;
		control_frames[_i]();
		ck_assert_int_gt(feed(), 0);
		peer_flush(&p);
	}
	close_server();
}
END_TEST

START_TEST(unread_acks_are_bounded)
{
	open_server();
	for (int i = 0; i < 2000; i++)
		put_ping();
	feed(); /* in one piece, and nothing is sent between */
	expect_calm();
	ck_assert_uint_lt(buf_len(&p.wire), 10000);
	close_server();
}
END_TEST

START_TEST(reader_may_update_often)
{
	enum { TOTAL = 4 * 1000 * 1000 };
	open_server();
	frame_put_request(&in, 1, END_STREAM | END_HEADERS, 0);
	ck_assert_int_gt(feed(), 0);
	struct exchange *x = p.x[0];
	ck_assert_int_eq(exchange_respond(x, 200, -1, false), 0);
	ck_assert_int_eq(exchange_write(x, TOTAL), 0);
	for (size_t sent = 0; x->sent < TOTAL;) {
		peer_flush(&p);
		p.wire.end = 0;
		for (; sent < x->sent; sent += 1024) {
			frame_put_u32(&in, F_WINDOW, 0, 1024);
			frame_put_u32(&in, F_WINDOW, 1, 1024);
		}
		ck_assert_int_ge(feed(), 0);
	}
	close_server();
}
END_TEST

START_TEST(continuation_flood)
{
	struct buf part = BUF_INIT;
	hpack_put(&part, "x-a", "b", 1);
	open_server();
	frame_put_request(&in, 1, END_STREAM, 0);
	for (int i = 0; i < 9; i++)
		frame_put(&in, F_CONT, 0, 1, _i ? buf_data(&part) : NULL, _i ? buf_len(&part) : 0);
	feed();
	ck_assert_uint_eq(p.n, 0);
	expect_calm();
	buf_fini(&part);
	close_server();
}
END_TEST

START_TEST(continuations_may_come_in_pieces)
{
	struct buf part = BUF_INIT;
	hpack_put(&part, "x-a", "b", 1);
	open_server();
	frame_put_request(&in, 1, END_STREAM, 0);
	for (int i = 0; i < 8; i++)
		frame_put(
		    &in, F_CONT, i == 7 ? END_HEADERS : 0, 1, buf_data(&part), buf_len(&part));
	ck_assert_int_gt(peer_feed(&p, buf_data(&in), buf_len(&in), 1), 0);
	ck_assert_uint_eq(p.n, 1);
	buf_fini(&part);
	close_server();
}
END_TEST

START_TEST(interim_responses_are_rated)
{
	struct buf head = BUF_INIT;
	unsigned done = 0;
	hpack_put(&head, ":status", "103", 3);
	peer_init(&p, h2_client_new, 0, 0);
	in = (struct buf)BUF_INIT;
	struct exchange *x = peer_request(&p, "GET", "/", -1, true);
	peer_flush(&p);
	frame_put(&in, F_SETTINGS, 0, 0, NULL, 0);
	for (; done < 100000 && feed() >= 0; done++)
		frame_put(&in, F_HEADERS, END_HEADERS, 1, buf_data(&head), buf_len(&head));
	ck_assert_uint_le(done, LIMIT_CTRL_FRAMES_PER_S + 20);
	ck_assert_int_eq(x->err, -EPROTO);
	ck_assert_uint_eq(x->heads, 0);
	buf_fini(&head);
	close_server();
}
END_TEST

static bool refused_431(uint32_t id)
{
	size_t n;
	unsigned flags;
	peer_flush(&p);
	const unsigned char *head = frame_find(&p.wire, F_HEADERS, id, &n, &flags);
	return head && n >= 4 && (head[0] & 0x3f) == 8 &&
	       (flags & END_STREAM); /* :status literally */
}

START_TEST(large_heads_are_refused)
{
	open_server();
	frame_put_request(&in, 1, _i ? END_STREAM : 0, 16000);
	for (int i = 0; i < 5; i++) {
		struct buf part = BUF_INIT;
		char value[16000];
		memset(value, 'v', sizeof(value));
		hpack_put(&part, "x-more", value, sizeof(value));
		frame_put(
		    &in, F_CONT, i == 4 ? END_HEADERS : 0, 1, buf_data(&part), buf_len(&part));
		buf_fini(&part);
	}
	ck_assert_int_gt(feed(), 0);
	ck_assert_uint_eq(p.n, 0);
	ck_assert(refused_431(1));
	ck_assert_int_eq(frame_error(&p.wire, F_RST, 1), -1);
	ck_assert_uint_eq(http_session_streams(p.s), 0);
	frame_put_request(&in, 3, END_STREAM | END_HEADERS, 0);
	ck_assert_int_gt(feed(), 0);
	ck_assert_uint_eq(p.n, 1); /* the connection lives */
	close_server();
}
END_TEST

START_TEST(many_fields_are_refused)
{
	struct buf part = BUF_INIT;
	for (int i = 0; i <= LIMIT_HEAD_FIELDS; i++)
		hpack_put(&part, "x", "y", 1);
	open_server();
	frame_put_request(&in, 1, END_STREAM, 0);
	frame_put(&in, F_CONT, END_HEADERS, 1, buf_data(&part), buf_len(&part));
	ck_assert_int_gt(feed(), 0);
	ck_assert_uint_eq(p.n, 0);
	ck_assert(refused_431(1));
	buf_fini(&part);
	close_server();
}
END_TEST

START_TEST(too_many_streams)
{
	peer_init(&p, h2_server_new, 0, 10);
	in = (struct buf)BUF_INIT;
	frame_put_preface(&in);
	ck_assert_int_gt(feed(), 0);
	peer_flush(&p);
	frame_put(&in, F_SETTINGS, ACK, 0, NULL, 0);
	for (uint32_t i = 0; i < 11; i++)
		frame_put_request(&in, 2 * i + 1, END_HEADERS, 0);
	feed();
	peer_flush(&p);
	ck_assert_uint_eq(p.n, 10);
	ck_assert_int_ge(frame_error(&p.wire, F_GOAWAY, 0), 1);
	close_server();
}
END_TEST

START_TEST(early_surplus_streams_are_refused)
{
	peer_init(&p, h2_server_new, 0, 10);
	in = (struct buf)BUF_INIT;
	frame_put_preface(&in);
	for (uint32_t i = 0; i < 11; i++) /* our SETTINGS are not acknowledged yet */
		frame_put_request(&in, 2 * i + 1, END_HEADERS, 0);
	ck_assert_int_gt(feed(), 0);
	peer_flush(&p);
	ck_assert_uint_eq(p.n, 10);
	ck_assert_int_eq(frame_error(&p.wire, F_RST, 21), REFUSED);
	ck_assert(!http_session_done(p.s));
	close_server();
}
END_TEST

START_TEST(window_overrun)
{
	static char data[16384];
	peer_init(&p, h2_server_new, 65535, 0);
	p.hold = true;
	in = (struct buf)BUF_INIT;
	frame_put_preface(&in);
	frame_put_request(&in, 1, END_HEADERS, 0);
	for (int i = 0; i < 5; i++)
		frame_put(&in, F_DATA, 0, 1, data, sizeof(data));
	feed();
	peer_flush(&p);
	ck_assert_uint_le(buf_len(&p.x[0]->body), 65535 + sizeof(data));
	ck_assert_int_eq(frame_error(&p.wire, F_RST, 1), FLOW_CONTROL);
	close_server();
}
END_TEST

/* Frames that break the connection at once. */
static const struct fatal {
	const char *name;
	unsigned type, flags;
	uint32_t id;
	const char *payload;
	size_t n;
} fatal[] = {
	{ "window of 0", F_WINDOW, 0, 0, "\0\0\0\0", 4 },
	{ "window overflow", F_WINDOW, 0, 0, "\x7f\xff\xff\xff", 4 },
	{ "data on stream 0", F_DATA, 0, 0, "x", 1 },
	{ "headers on an even stream", F_HEADERS, END_HEADERS, 2, "\x82", 1 },
	{ "bad compression", F_HEADERS, END_HEADERS, 1, "\xff\xff\xff\xff\xff\xff", 6 },
	{ "ping of 7 bytes", F_PING, 0, 0, "1234567", 7 },
	{ "settings of 5 bytes", F_SETTINGS, 0, 0, "12345", 5 },
	{ "settings on a stream", F_SETTINGS, 0, 1, NULL, 0 },
	{ "acknowledged settings with payload", F_SETTINGS, ACK, 0, "\0\1\0\0\0\0", 6 },
	{ "initial window of 2^31", F_SETTINGS, 0, 0, "\0\4\x80\0\0\0", 6 },
	{ "reset of an idle stream", F_RST, 0, 1, "\0\0\0\0", 4 },
	{ "push from a client", F_PUSH, END_HEADERS, 1, "\0\0\0\2\x82", 5 },
	{ "continuation without headers", F_CONT, END_HEADERS, 1, "\x82", 1 },
	{ "data on an idle stream", F_DATA, 0, 1, "x", 1 },
};

START_TEST(fatal_frames)
{
	const struct fatal *f = &fatal[_i];
	open_server();
	frame_put(&in, f->type, f->flags, f->id, f->payload, f->n);
	feed();
	peer_flush(&p);
	ck_assert_msg(frame_error(&p.wire, F_GOAWAY, 0) > 0, "%s", f->name);
	ck_assert(http_session_done(p.s));
	ck_assert_uint_eq(p.n, 0);
	close_server();
}
END_TEST

START_TEST(wrong_preface)
{
	peer_init(&p, h2_server_new, 0, 0);
	ck_assert_int_eq(peer_feed_str(&p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0), -EPROTO);
	ck_assert(http_session_done(p.s));
	peer_fini(&p);
}
END_TEST

START_TEST(oversized_frame)
{
	static char data[LIMIT_FRAME + 1];
	open_server();
	frame_put_request(&in, 1, END_HEADERS, 0);
	ck_assert_int_gt(feed(), 0);
	peer_flush(&p);
	frame_put(&in, F_SETTINGS, ACK, 0, NULL, 0); /* the limit counts from here on */
	frame_put(&in, F_DATA, 0, 1, data, LIMIT_FRAME);
	ck_assert_int_gt(feed(), 0);
	ck_assert_uint_eq(buf_len(&p.x[0]->body), LIMIT_FRAME);
	frame_put(&in, F_DATA, 0, 1, data, sizeof(data));
	feed();
	peer_flush(&p);
	ck_assert_int_eq(frame_error(&p.wire, F_GOAWAY, 0), FRAME_SIZE);
	ck_assert(http_session_done(p.s));
	close_server();
}
END_TEST

void h2_flood_tests(Suite *s)
{
	TCase *tc = test_case(s, "h2 flood", 30);
	tcase_add_test(tc, rapid_reset);
	tcase_add_test(tc, slow_resets_are_allowed);
	tcase_add_test(tc, made_resets);
	tcase_add_loop_test(tc, control_flood, 0, 8);
	tcase_add_loop_test(tc, control_frames_at_a_bearable_rate, 0, 8);
	tcase_add_test(tc, unread_acks_are_bounded);
	tcase_add_test(tc, reader_may_update_often);
	tcase_add_loop_test(tc, continuation_flood, 0, 2);
	tcase_add_test(tc, continuations_may_come_in_pieces);
	tcase_add_test(tc, interim_responses_are_rated);
	tcase_add_loop_test(tc, large_heads_are_refused, 0, 2);
	tcase_add_test(tc, many_fields_are_refused);
	tcase_add_test(tc, too_many_streams);
	tcase_add_test(tc, early_surplus_streams_are_refused);
	tcase_add_test(tc, window_overrun);
	tcase_add_loop_test(tc, fatal_frames, 0, sizeof(fatal) / sizeof(fatal[0]));
	tcase_add_test(tc, wrong_preface);
	tcase_add_test(tc, oversized_frame);
}
