/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/2 connections: heads, resets, GOAWAY, ping, many streams. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "frames.h"
#include "harness.h"

static struct peer p, q;
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
	peer_flush(&p);
	return r;
}

static void close_server(void)
{
	peer_fini(&p);
	buf_fini(&in);
}

static void open_pair(void)
{
	peer_init(&p, h2_server_new, 0, 0);
	peer_init(&q, h2_client_new, 0, 0);
	peers_run(&q, &p, 0);
}

static void close_pair(void)
{
	peer_fini(&q);
	peer_fini(&p);
}

/* ---- request heads ---- */

struct field {
	const char *name, *value;
};

static void put_fields(const struct field *f, unsigned flags)
{
	struct buf head = BUF_INIT;
	for (; f->name; f++)
		hpack_put(&head, f->name, f->value, strlen(f->value));
	frame_put(&in, F_HEADERS, flags | END_HEADERS, 1, buf_data(&head), buf_len(&head));
	buf_fini(&head);
}

#define PSEUDO                                       \
	{ ":method", "GET" }, { ":scheme", "http" }, \
	{                                            \
		":path", "/"                         \
	}

static const struct field bad_heads[][8] = {
	{ { ":method", "GET" }, { ":scheme", "http" }, { ":authority", "a" } },
	{ { ":method", "GET" }, { ":path", "/" }, { ":authority", "a" } },
	{ { ":scheme", "http" }, { ":path", "/" }, { ":authority", "a" } },
	{ PSEUDO }, /* no authority at all */
	{ PSEUDO, { ":authority", "a" }, { ":path", "/" } },
	{ PSEUDO, { ":authority", "a" }, { ":other", "x" } },
	{ PSEUDO, { ":authority", "a" }, { "x", "y" }, { ":status", "200" } },
	{ { "x", "y" }, PSEUDO }, { PSEUDO, { ":authority", "a" }, { "X", "y" } },
	{ PSEUDO, { ":authority", "a" }, { "x y", "z" } },
	{ PSEUDO, { ":authority", "a" }, { "x", "a\nb" } },
	{ PSEUDO, { ":authority", "a" }, { "x", "a\rb" } },
	{ PSEUDO, { ":authority", "a" }, { "connection", "close" } },
	{ PSEUDO, { ":authority", "a" }, { "transfer-encoding", "chunked" } },
	{ PSEUDO, { ":authority", "a" }, { "upgrade", "x" } },
	{ PSEUDO, { ":authority", "a" }, { "te", "gzip" } },
	{ PSEUDO, { ":authority", "a" }, { "content-length", "x" } },
	{ PSEUDO, { ":authority", "a" }, { "content-length", "1" }, { "content-length", "1" } },
	{ PSEUDO, { ":authority", "a" }, { "host", "b" } },
	{ PSEUDO, { "host", "a" }, { "host", "a" } }, { PSEUDO, { ":authority", "u@a" } },
	{ PSEUDO, { ":authority", "a/b" } },
	{ { ":method", "GET" }, { ":scheme", "http" }, { ":path", "*" }, { ":authority", "a" } },
	{ { ":method", "GET" }, { ":scheme", "http" }, { ":path", "x" }, { ":authority", "a" } },
	{ { ":method", "GET" }, { ":scheme", "http" }, { ":path", "" }, { ":authority", "a" } },
	{ { ":method", "GET" }, { ":scheme", "http" }, { ":path", "/#f" }, { ":authority", "a" } },
	{ { ":method", "GET" }, { ":scheme", "http" }, { ":path", "/\x80" },
	    { ":authority", "a" } },
	{ { ":method", "G T" }, { ":scheme", "http" }, { ":path", "/" }, { ":authority", "a" } },
	{ { ":method", "CONNECT" }, { ":authority", "a:1" } },
	{ PSEUDO, { ":authority", "a" }, { "content-length", "3" } }, /* and no body */
};

START_TEST(bad_heads_are_refused)
{
	size_t n;
	unsigned flags;
	open_server();
	put_fields(bad_heads[_i], END_STREAM);
	ck_assert_int_gt(feed(), 0);
	const unsigned char *head = frame_find(&p.wire, F_HEADERS, 1, &n, &flags);
	ck_assert(head || frame_error(&p.wire, F_RST, 1) > 0);
	ck_assert_uint_eq(p.n ? p.x[0]->ends : 0, 0);
	ck_assert_uint_eq(http_session_streams(p.s), 0);
	frame_put_request(&in, 3, END_STREAM | END_HEADERS, 0);
	ck_assert_int_gt(feed(), 0);
	ck_assert_uint_eq(p.x[p.n - 1]->ends, 1); /* the connection lives */
	close_server();
}
END_TEST

static const struct {
	struct field fields[8];
	const char *authority;
} good_heads[] = {
	{ { PSEUDO, { ":authority", "a" }, { "host", "A" } }, "a" },
	{ { PSEUDO, { "host", "b:1" } }, "b:1" },
	{ { PSEUDO, { ":authority", "[::1]" }, { "te", "trailers" }, { "x", "\xff" } }, "[::1]" },
	{ { { ":method", "OPTIONS" }, { ":scheme", "https" }, { ":path", "*" },
	      { ":authority", "a" } },
	    "a" },
};

START_TEST(good_heads_are_taken)
{
	open_server();
	put_fields(good_heads[_i].fields, END_STREAM);
	ck_assert_int_gt(feed(), 0);
	ck_assert_uint_eq(p.n, 1);
	ck_assert_str_eq(p.x[0]->authority, good_heads[_i].authority);
	ck_assert_uint_eq(p.x[0]->ends, 1);
	close_server();
}
END_TEST

START_TEST(body_of_another_length_than_declared)
{
	static const struct field head[] = { PSEUDO, { ":authority", "a" },
		{ "content-length", "3" }, { NULL, NULL } };
	open_server();
	put_fields(head, 0);
	frame_put(&in, F_DATA, END_STREAM, 1, "abcd", _i ? 4 : 2);
	ck_assert_int_gt(feed(), 0);
	ck_assert_uint_eq(p.x[0]->ends, 0);
	ck_assert_int_eq(p.x[0]->err, -EPROTO);
	close_server();
}
END_TEST

START_TEST(expect_is_answered)
{
	static const struct field head[] = { PSEUDO, { ":authority", "a" },
		{ "expect", "100-continue" }, { NULL, NULL } };
	size_t n;
	unsigned flags;
	open_server();
	put_fields(head, _i ? END_STREAM : 0);
	ck_assert_int_gt(feed(), 0);
	bool answered = frame_find(&p.wire, F_HEADERS, 1, &n, &flags);
	ck_assert_int_eq(answered, !_i);
	close_server();
}
END_TEST

START_TEST(padding_is_given_back)
{
	static char padded[10001];
	padded[0] = (char)200;
	open_server();
	frame_put_request(&in, 1, END_HEADERS, 0);
	for (int i = 0; i < 2000; i++) { /* 20 MB through a window of 4 MB */
		frame_put(&in, F_DATA, 8, 1, padded, sizeof(padded));
		ck_assert_int_gt(feed(), 0);
		p.wire.end = 0;
	}
	ck_assert_uint_eq(buf_len(&p.x[0]->body), 2000 * 9800);
	ck_assert(!http_session_done(p.s));
	close_server();
}
END_TEST

START_TEST(unconsumed_bytes_of_gone_streams_are_given_back)
{
	static char data[10000];
	open_server();
	p.hold = true;
	for (uint32_t i = 0; i < 1000; i++) { /* 10 MB through a window of 4 MB */
		frame_put_request(&in, 2 * i + 1, END_HEADERS, 0);
		frame_put(&in, F_DATA, _i ? END_STREAM : 0, 2 * i + 1, data, sizeof(data));
		ck_assert_int_gt(feed(), 0);
		if (_i)
			ck_assert_int_eq(exchange_respond(p.x[i], 200, -1, true), 0);
		else
			http_stream_reset(p.x[i]->st, HTTP_RESET_CANCEL);
		peer_flush(&p);
		ck_assert_uint_eq(p.x[i]->closes, 1);
		ck_assert_int_eq(p.x[i]->err, _i ? 0 : -ECANCELED);
		p.wire.end = 0;
	}
	close_server();
}
END_TEST

/* ---- ends ---- */

START_TEST(resets_reach_the_other_side)
{
	static const struct {
		enum http_reset code;
		int err;
	} cases[] = { { HTTP_RESET_CANCEL, -ECONNRESET }, { HTTP_RESET_REFUSED, -ECONNREFUSED },
		{ HTTP_RESET_INTERNAL, -ECONNRESET }, { HTTP_RESET_PROTOCOL, -EPROTO },
		{ HTTP_RESET_CALM, -ECONNRESET }, { HTTP_RESET_NONE, -ECONNRESET } };
	open_pair();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct exchange *c = peer_request(&q, "POST", "/", -1, false);
		peers_run(&q, &p, 0);
		struct exchange *s = p.x[p.n - 1];
		struct exchange *from = _i ? c : s, *to = _i ? s : c;
		http_stream_reset(from->st, cases[i].code);
		http_stream_reset(from->st, cases[i].code);
		ck_assert_int_eq(http_stream_write(from->st, "x", 1), -EPIPE);
		ck_assert_uint_eq(from->closes, 0);
		peers_run(&q, &p, 0);
		ck_assert_int_eq(from->err, -ECANCELED);
		ck_assert_int_eq(to->err, cases[i].err);
		ck_assert_uint_eq(to->closes, 1);
	}
	ck_assert_uint_eq(http_session_streams(p.s) + http_session_streams(q.s), 0);
	close_pair();
}
END_TEST

START_TEST(cancelled_before_it_left)
{
	open_pair();
	struct exchange *c = peer_request(&q, "GET", "/", -1, true);
	http_stream_reset(c->st, HTTP_RESET_CANCEL);
	peers_run(&q, &p, 0);
	ck_assert_int_eq(c->err, -ECANCELED);
	ck_assert_uint_eq(p.n, 0);
	c = peer_request(&q, "GET", "/", -1, true);
	peers_run(&q, &p, 0);
	ck_assert_uint_eq(p.n, 1);
	close_pair();
}
END_TEST

START_TEST(goaway_refuses_later_streams)
{
	unsigned char goaway[8] = { 0, 0, 0, 1, 0, 0, 0, 0 };
	peer_init(&p, h2_client_new, 0, 0);
	in = (struct buf)BUF_INIT;
	struct exchange *a = peer_request(&p, "GET", "/a", -1, true);
	struct exchange *b = peer_request(&p, "GET", "/b", -1, true);
	peer_flush(&p);
	frame_put(&in, F_SETTINGS, 0, 0, NULL, 0);
	frame_put(&in, F_GOAWAY, 0, 0, goaway, sizeof(goaway));
	ck_assert_int_gt(feed(), 0);
	ck_assert_int_eq(b->err, -ECONNREFUSED);
	ck_assert_uint_eq(a->closes, 0);
	ck_assert_int_eq(peer_request(&p, "GET", "/", -1, true)->err, -ESHUTDOWN);
	frame_put(&in, F_HEADERS, END_HEADERS | END_STREAM, 1, "\x88", 1);
	ck_assert_int_gt(feed(), 0);
	ck_assert_int_eq(a->status, 200);
	ck_assert_int_eq(a->err, 0);
	ck_assert(http_session_done(p.s));
	close_server();
}
END_TEST

START_TEST(requests_in_flight_survive_a_drain)
{
	open_pair();
	http_session_drain(p.s);
	peer_flush(&p); /* the notice is on its way while the client opens one more */
	struct exchange *c = peer_request(&q, "GET", "/", -1, true);
	peers_run(&q, &p, 0);
	ck_assert_uint_eq(p.n, 1);
	ck_assert_int_eq(exchange_respond(p.x[0], 200, -1, true), 0);
	peers_run(&q, &p, 0);
	ck_assert_int_eq(c->err, 0);
	ck_assert_int_eq(c->status, 200);
	ck_assert(http_session_done(p.s));
	ck_assert(http_session_done(q.s));
	close_pair();
}
END_TEST

START_TEST(ping_comes_back)
{
	open_pair();
	ck_assert(http_session_ping_answered(q.s));
	http_session_ping(q.s);
	ck_assert(!http_session_ping_answered(q.s));
	peers_run(&q, &p, 1);
	ck_assert(http_session_ping_answered(q.s));
	close_pair();
}
END_TEST

START_TEST(streams_run_out)
{
	peer_init(&p, h2_server_new, 0, 3);
	peer_init(&q, h2_client_new, 0, 0);
	peers_run(&q, &p, 0);
	for (int i = 0; i < 3; i++)
		ck_assert_ptr_nonnull(peer_request(&q, "GET", "/", -1, true)->st);
	ck_assert_int_eq(peer_request(&q, "GET", "/", -1, true)->err, -EAGAIN);
	peers_run(&q, &p, 0);
	ck_assert_int_eq(exchange_respond(p.x[1], 200, -1, true), 0);
	peers_run(&q, &p, 0);
	ck_assert_ptr_nonnull(peer_request(&q, "GET", "/", -1, true)->st);
	peers_run(&q, &p, 0);
	ck_assert_uint_eq(p.n, 4);
	close_pair();
}
END_TEST

START_TEST(streams_share_the_connection)
{
	enum { STREAMS = 40, BYTES = 200000 };
	open_pair();
	for (int i = 0; i < STREAMS; i++)
		(void)peer_request(&q, "GET", "/", -1, true);
	peers_run(&q, &p, 0);
	for (int i = 0; i < STREAMS; i++) {
		ck_assert_int_eq(exchange_respond(p.x[i], 200, -1, false), 0);
		ck_assert_int_eq(exchange_write(p.x[i], BYTES), 0);
		ck_assert_int_eq(exchange_end(p.x[i], "t"), 0);
	}
	/* Nobody waits for another's whole body. */
	for (int i = 0; i < STREAMS; i++) {
		CLEAN_BUF struct buf out = BUF_INIT;
		ssize_t n = http_session_send(p.s, &out);
		ck_assert_int_gt(n, 0);
		ck_assert_int_lt(n, 128 * 1024);
		ck_assert_uint_eq(buf_len(&out), (size_t)n);
		ck_assert_int_eq(peer_feed(&q, buf_data(&out), (size_t)n, 0), n);
	}
	for (int i = 0; i < STREAMS; i++)
		ck_assert_uint_gt(buf_len(&q.x[i]->body), 0);
	peers_run(&q, &p, 5000);
	for (int i = 0; i < STREAMS; i++) {
		ck_assert(exchange_has_pattern(q.x[i], BYTES));
		ck_assert_str_eq(q.x[i]->trailer, "t");
		ck_assert_uint_eq(p.x[i]->sent, BYTES);
	}
	close_pair();
}
END_TEST

/* Every prefix of a conversation, then the end. */
START_TEST(every_truncation_is_told)
{
	struct buf all = BUF_INIT;
	peer_init(&q, h2_client_new, 0, 0);
	struct exchange *c = peer_request(&q, "POST", "/", -1, false);
	ck_assert_int_eq(exchange_write(c, 40), 0);
	ck_assert_int_eq(exchange_end(c, "t"), 0);
	peer_flush(&q);
	ck_assert_int_eq(buf_append(&all, buf_data(&q.wire), buf_len(&q.wire)), 0);
	peer_fini(&q);
	for (size_t n = 0; n <= buf_len(&all); n++) {
		peer_init(&p, h2_server_new, 0, 0);
		ck_assert_int_eq(peer_feed(&p, buf_data(&all), n, _i), (ssize_t)n);
		ck_assert_uint_eq(p.n ? p.x[0]->ends : 0, n == buf_len(&all));
		bool open = http_session_streams(p.s) > 0;
		ck_assert_int_eq(http_session_recv_eof(p.s), open ? -ECONNRESET : 0);
		ck_assert(http_session_done(p.s));
		ck_assert(p.n == 0 || p.x[0]->err == -ECONNRESET);
		peer_fini(&p);
	}
	buf_fini(&all);
}
END_TEST

START_TEST(sniffing)
{
	static const char preface[] = H2_PREFACE;
	for (size_t n = 0; n < sizeof(preface) - 1; n++)
		ck_assert_int_eq(http_sniff(preface, n), 0);
	ck_assert_int_eq(http_sniff(preface, sizeof(preface) - 1), 2);
	ck_assert_int_eq(http_sniff("GET", 3), 1);
	ck_assert_int_eq(http_sniff("PRI * HTTP/1.1\r\n", 16), 1);
	ck_assert_int_eq(http_sniff("P", 1), 0);
	ck_assert_int_eq(http_sniff("PO", 2), 1);
}
END_TEST

START_TEST(fields)
{
	struct http_fields f = { 0 };
	ck_assert_int_eq(http_fields_add(&f, "Content-Type", "a"), 0);
	ck_assert_int_eq(http_fields_addf(&f, "x-n", "%d", 7), 0);
	ck_assert_int_eq(http_fields_addf(&f, "x-empty", "%s", ""), 0);
	ck_assert_int_eq(http_fields_add(&f, "x-n", "8"), 0);
	ck_assert_str_eq(http_fields_get(&f, "content-type"), "a");
	ck_assert_str_eq(http_fields_get(&f, "x-n"), "7");
	ck_assert_str_eq(http_fields_get(&f, "x-empty"), "");
	ck_assert_uint_eq(http_fields_count(&f, "x-n"), 2);
	ck_assert_int_eq(http_fields_add(&f, "x y", "8"), -EINVAL);
	ck_assert_int_eq(http_fields_add(&f, "", "8"), -EINVAL);
	ck_assert_int_eq(http_fields_add(&f, "x", "a\r\nb: c"), -EINVAL);
	http_fields_remove(&f, "x-n");
	ck_assert_uint_eq(f.n, 2);
	ck_assert_uint_eq(f.bytes, strlen("content-typeax-empty") + 64);
	for (int i = 2; i < LIMIT_HEAD_FIELDS; i++)
		ck_assert_int_eq(http_fields_add(&f, "x", "y"), 0);
	ck_assert_int_eq(http_fields_add(&f, "x", "y"), -E2BIG);
	http_fields_fini(&f);
	http_fields_fini(&f);
	ck_assert(http_field_is_hop("te") && http_field_is_hop("connection"));
	ck_assert(!http_field_is_hop("trailer") && !http_field_is_hop("x"));
	ck_assert_str_eq(http_status_text(404), "Not Found");
	ck_assert_str_eq(http_status_text(599), "Unknown");
}
END_TEST

/* ---- requests that are answered before they have come ---- */

#define KIB 1024
#define DISCARD_MIB 8

static void begin_early_answer(uint32_t id)
{
	frame_put_request(&in, id, END_HEADERS, 0);
	ck_assert_int_gt(feed(), 0);
	ck_assert_int_eq(exchange_respond(p.x[p.n - 1], 413, -1, true), 0);
	peer_flush(&p);
	ck_assert_uint_eq(p.x[p.n - 1]->closes, 1);
	ck_assert_int_eq(p.x[p.n - 1]->err, 0);
}

static void still_served(uint32_t id)
{
	size_t n;
	unsigned flags;
	p.wire.end = p.wire.start = 0;
	frame_put_request(&in, id, END_STREAM | END_HEADERS, 0);
	ck_assert_int_gt(feed(), 0);
	ck_assert_int_eq(exchange_respond(p.x[p.n - 1], 200, 0, true), 0);
	peer_flush(&p);
	ck_assert_ptr_nonnull(frame_find(&p.wire, F_HEADERS, id, &n, &flags));
	ck_assert_uint_eq(http_session_streams(p.s), 0);
}

/* Clients such as curl 7.88 take a reset for a failure: the rest of a request gets none. */
START_TEST(rest_of_a_request_is_read)
{
	static const char data[16 * KIB];
	open_server();
	p.manual = true;
	begin_early_answer(1);
	for (int i = 0; i < DISCARD_MIB * 64 - 1; i++) {
		frame_put(&in, F_DATA, 0, 1, data, sizeof(data));
		ck_assert_int_gt(feed(), 0);
	}
	frame_put(&in, F_DATA, END_STREAM, 1, data, 100);
	ck_assert_int_gt(feed(), 0);
	ck_assert_int_eq(frame_error(&p.wire, F_RST, 1), -1);
	still_served(3);
	close_server();
}
END_TEST

START_TEST(rest_that_does_not_end_is_reset)
{
	static const char data[16 * KIB];
	open_server();
	p.manual = true;
	begin_early_answer(1);
	int frames = 0;
	while (frames < DISCARD_MIB * 64 + 5 && frame_error(&p.wire, F_RST, 1) < 0) {
		frame_put(&in, F_DATA, 0, 1, data, sizeof(data));
		ck_assert_int_gt(feed(), 0);
		frames++;
	}
	ck_assert_int_eq(frames, DISCARD_MIB * 64);
	ck_assert_int_eq(frame_error(&p.wire, F_RST, 1), 0);
	frame_put(&in, F_DATA, 0, 1, data, sizeof(data)); /* was on its way */
	ck_assert_int_gt(feed(), 0);
	still_served(3);
	close_server();
}
END_TEST

START_TEST(rest_that_is_known_to_be_long_is_reset)
{
	static const struct field head[] = { PSEUDO, { ":authority", "a" },
		{ "content-length", "8388609" }, { NULL, NULL } };
	open_server();
	p.manual = true;
	put_fields(head, 0);
	ck_assert_int_gt(feed(), 0);
	ck_assert_int_eq(exchange_respond(p.x[0], 413, -1, true), 0);
	peer_flush(&p);
	ck_assert_int_eq(frame_error(&p.wire, F_RST, 1), 0);
	still_served(3);
	close_server();
}
END_TEST

/* Its client would wait for an end of the tunnel that it did not get. */
START_TEST(declined_tunnel_is_reset)
{
	static const struct field head[] = { { ":method", "CONNECT" }, { ":protocol", "websocket" },
		{ ":scheme", "http" }, { ":path", "/" }, { ":authority", "a" }, { NULL, NULL } };
	open_server();
	p.manual = true;
	put_fields(head, 0);
	ck_assert_int_gt(feed(), 0);
	ck_assert_int_eq(exchange_respond(p.x[0], 404, -1, true), 0);
	peer_flush(&p);
	ck_assert_int_eq(frame_error(&p.wire, F_RST, 1), 0);
	still_served(3);
	close_server();
}
END_TEST

/* As our own clients do when they have the answer: no flood, however often. */
START_TEST(client_stops_what_was_answered)
{
	open_server();
	p.manual = true;
	uint32_t id = 1;
	for (unsigned i = 0; i < 3 * LIMIT_RESETS_BURST; i++, id += 2) {
		begin_early_answer(id);
		frame_put_u32(&in, F_RST, id, 8);
		ck_assert_int_gt(feed(), 0);
	}
	still_served(id);
	close_server();
}
END_TEST

/* Its request ends with the answer, for its owner and on the wire. */
START_TEST(our_client_stops_its_request)
{
	open_pair();
	p.manual = true;
	struct exchange *c = peer_request(&q, "POST", "/", -1, false);
	ck_assert_int_eq(exchange_write(c, 100), 0);
	peers_run(&q, &p, 0);
	ck_assert_int_eq(exchange_respond(p.x[0], 401, -1, true), 0);
	peer_flush(&p);
	ck_assert_int_eq(frame_error(&p.wire, F_RST, 1), -1);
	ck_assert_int_gt(peer_feed(&q, buf_data(&p.wire), buf_len(&p.wire), 0), 0);
	p.wire.end = p.wire.start = 0;
	ck_assert_uint_eq(c->ends, 1);
	ck_assert_uint_eq(c->closes, 1);
	ck_assert_int_eq(c->err, 0);
	peer_flush(&q);
	ck_assert_int_eq(frame_error(&q.wire, F_RST, 1), 8);
	close_pair();
}
END_TEST

void h2_session_tests(Suite *s)
{
	TCase *tc = test_case(s, "h2 session", 30);
	tcase_add_loop_test(tc, bad_heads_are_refused, 0, sizeof(bad_heads) / sizeof(bad_heads[0]));
	tcase_add_loop_test(
	    tc, good_heads_are_taken, 0, sizeof(good_heads) / sizeof(good_heads[0]));
	tcase_add_loop_test(tc, body_of_another_length_than_declared, 0, 2);
	tcase_add_loop_test(tc, expect_is_answered, 0, 2);
	tcase_add_test(tc, padding_is_given_back);
	tcase_add_loop_test(tc, unconsumed_bytes_of_gone_streams_are_given_back, 0, 2);
	tcase_add_loop_test(tc, resets_reach_the_other_side, 0, 2);
	tcase_add_test(tc, cancelled_before_it_left);
	tcase_add_test(tc, goaway_refuses_later_streams);
	tcase_add_test(tc, requests_in_flight_survive_a_drain);
	tcase_add_test(tc, ping_comes_back);
	tcase_add_test(tc, streams_run_out);
	tcase_add_test(tc, streams_share_the_connection);
	tcase_add_loop_test(tc, every_truncation_is_told, 0, 2);
	tcase_add_test(tc, rest_of_a_request_is_read);
	tcase_add_test(tc, rest_that_does_not_end_is_reset);
	tcase_add_test(tc, rest_that_is_known_to_be_long_is_reset);
	tcase_add_test(tc, declined_tunnel_is_reset);
	tcase_add_test(tc, client_stops_what_was_answered);
	tcase_add_test(tc, our_client_stops_its_request);
	tcase_add_test(tc, sniffing);
	tcase_add_test(tc, fields);
}
