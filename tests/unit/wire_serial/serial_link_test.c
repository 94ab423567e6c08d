/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both ends of the link protocol, byte by byte: what one client left behind, cut anywhere, never
 * reaches the session of the next one.
 */
#include "wire/serial_link.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "lib/test.h"

static const unsigned char nonce_a[SERIAL_LINK_NONCE] = "nonce of client";
static const unsigned char nonce_b[SERIAL_LINK_NONCE] = "another client";

/* What an end made of what it was given. */
struct seen {
	unsigned opened;
	struct buf bytes; /* of the session that was opened last */
};

static void use(struct serial_link *l, struct seen *s)
{
	size_t n = serial_link_readable(l);
	ck_assert_int_eq(buf_append(&s->bytes, buf_data(&l->in), n), 0);
	serial_link_used(l, n);
}

/* In pieces; returns 0 or what the link said. */
static int feed(
    struct serial_link *l, struct seen *s, const unsigned char *p, size_t n, size_t piece)
{
	for (size_t at = 0; at < n;) {
		enum serial_link_event event;
		size_t k = n - at < piece ? n - at : piece;
		ssize_t r = serial_link_recv(l, p + at, k, &event);
		if (r < 0)
			return (int)r;
		ck_assert_uint_gt((size_t)r, 0);
		at += (size_t)r;
		if (event == SERIAL_LINK_OPENED) {
			s->opened++;
			buf_reset(&s->bytes);
		}
		use(l, s);
	}
	return 0;
}

static void seen_fini(struct seen *s)
{
	buf_fini(&s->bytes);
}

static void write_text(struct serial_link *l, const char *text)
{
	ck_assert_int_eq(serial_link_write(l, text, strlen(text)), 0);
}

/* A host in a session, its greeting still to be sent. */
static void open_host(struct serial_link *h, uint32_t session, const unsigned char *nonce)
{
	struct seen s = { 0 };
	ck_assert_int_eq(serial_link_init_host(h, session, nonce), 0);
	ck_assert_int_eq(feed(h, &s, h->ack, sizeof(h->ack), 3), 0);
	ck_assert_uint_eq(s.opened, 1);
	seen_fini(&s);
}

static void assert_bytes(const struct buf *b, const char *p, size_t n)
{
	ck_assert_uint_eq(buf_len(b), n);
	ck_assert_mem_eq(buf_data(b), p, n);
}

/* ---- bytes ---- */

START_TEST(frames_are_exact)
{
	static const unsigned char hello[] = "\x01\x00\x00\x10\x12\x34\x56\x78"
					     "nonce of client\x00\xa5";
	static const unsigned char ack[] = "\x02\x00\x00\x10\x12\x34\x56\x78"
					   "nonce of client\x00\xa5";
	static const unsigned char rest[] = "\x03\x00\x00\x02\x12\x34\x56\x78hi\xa5"
					    "\x04\x00\x00\x00\x12\x34\x56\x78\xa5";
	static const unsigned char zeros[SERIAL_LINK_FLUSH];
	struct serial_link h, g;
	struct seen s = { 0 };
	ck_assert_uint_eq(SERIAL_LINK_FLUSH, 16393);
	ck_assert_int_eq(serial_link_init_host(&h, 0x12345678, nonce_a), 0);
	ck_assert_uint_eq(buf_len(&h.out), sizeof(zeros) + sizeof(hello) - 1);
	ck_assert_mem_eq(buf_data(&h.out), zeros, sizeof(zeros));
	ck_assert_mem_eq(buf_data(&h.out) + sizeof(zeros), hello, sizeof(hello) - 1);
	ck_assert_uint_eq(serial_link_room(&h), 0);

	serial_link_init_guest(&g);
	ck_assert_int_eq(feed(&g, &s, buf_data(&h.out), buf_len(&h.out), 1000), 0);
	ck_assert_uint_eq(s.opened, 1);
	assert_bytes(&g.out, (const char *)ack, sizeof(ack) - 1);
	ck_assert(serial_link_is_open(&g));
	buf_reset(&g.out);
	write_text(&g, "hi");
	ck_assert_int_eq(serial_link_finish(&g), 0);
	ck_assert_int_eq(serial_link_finish(&g), 0); /* once */
	ck_assert_uint_eq(serial_link_room(&g), 0);
	assert_bytes(&g.out, (const char *)rest, sizeof(rest) - 1);

	ck_assert_int_eq(feed(&h, &s, ack, sizeof(ack) - 1, 1), 0);
	ck_assert_uint_eq(s.opened, 2);
	ck_assert_int_eq(feed(&h, &s, rest, sizeof(rest) - 1, 1), 0);
	assert_bytes(&s.bytes, "hi", 2);
	ck_assert(serial_link_is_at_end(&h));
	serial_link_fini(&h);
	serial_link_fini(&g);
	seen_fini(&s);
}
END_TEST

/* ---- a client that vanishes, and the next one ---- */

/* What a client says: greeting, a small frame, a full one of zeros, another full one. */
static void speak(struct buf *to, uint32_t session, const unsigned char *nonce, const char *text)
{
	static char full[SERIAL_LINK_PAYLOAD_MAX];
	struct serial_link h;
	open_host(&h, session, nonce);
	write_text(&h, text);
	ck_assert_int_eq(buf_append(to, buf_data(&h.out), buf_len(&h.out)), 0);
	buf_reset(&h.out);
	memset(full, 0, sizeof(full));
	ck_assert_int_eq(serial_link_write(&h, full, sizeof(full)), 0);
	memset(full, 'x', sizeof(full));
	ck_assert_int_eq(serial_link_write(&h, full, sizeof(full)), 0);
	write_text(&h, text);
	ck_assert_int_eq(serial_link_finish(&h), 0);
	ck_assert_int_eq(buf_append(to, buf_data(&h.out), buf_len(&h.out)), 0);
	serial_link_fini(&h);
}

/* Every cut near a frame's begin and end, some between. */
static bool is_worth_it(size_t cut, size_t total)
{
	const size_t full = SERIAL_LINK_PAYLOAD_MAX + SERIAL_LINK_HEAD + 1;
	size_t from_end = total - cut;
	for (size_t edge = SERIAL_LINK_FLUSH; edge <= SERIAL_LINK_FLUSH + 2 * full; edge += full)
		if (cut + 16 > edge && cut < edge + 64)
			return true;
	return cut < 8 || from_end < 64 || cut % 911 == 0;
}

START_TEST(next_client_never_meets_old_bytes)
{
	struct buf a = BUF_INIT, b = BUF_INIT;
	speak(&a, 7, nonce_a, "old");
	speak(&b, 0x100, nonce_b, "new");
	for (size_t cut = 0; cut <= buf_len(&a); cut++) {
		struct serial_link g;
		struct seen s = { 0 };
		if (!is_worth_it(cut, buf_len(&a)))
			continue;
		serial_link_init_guest(&g);
		ck_assert_int_eq(feed(&g, &s, buf_data(&a), cut, 4096), 0);
		unsigned before = s.opened;
		size_t n_before = buf_len(&s.bytes);
		/* Whole frames only: never a frame that the flush has filled up. */
		ck_assert(n_before == 0 || n_before == 3 ||
			  n_before == 3 + SERIAL_LINK_PAYLOAD_MAX ||
			  n_before == 3 + 2 * SERIAL_LINK_PAYLOAD_MAX ||
			  n_before == 6 + 2 * SERIAL_LINK_PAYLOAD_MAX);
		if (_i) /* the guest has noticed */
			serial_link_hang_up(&g);
		ck_assert_int_eq(feed(&g, &s, buf_data(&b), SERIAL_LINK_FLUSH, 4096), 0);
		ck_assert_uint_eq(buf_len(&s.bytes), n_before);
		ck_assert_uint_eq(s.opened, before);
		ck_assert_int_eq(feed(&g, &s, buf_data(&b) + SERIAL_LINK_FLUSH,
				     buf_len(&b) - SERIAL_LINK_FLUSH, 4096),
		    0);
		ck_assert_uint_eq(s.opened, before + 1);
		ck_assert_uint_eq(g.session, 0x100);
		ck_assert_uint_eq(buf_len(&s.bytes), 6 + 2 * SERIAL_LINK_PAYLOAD_MAX);
		ck_assert_mem_eq(buf_data(&s.bytes), "new", 3);
		ck_assert(serial_link_is_at_end(&g));
		serial_link_fini(&g);
		seen_fini(&s);
	}
	buf_fini(&a);
	buf_fini(&b);
}
END_TEST

START_TEST(cut_anywhere_it_reads_the_same)
{
	struct buf a = BUF_INIT;
	speak(&a, 7, nonce_a, "text");
	for (size_t piece = 1; piece < 40000; piece = piece * 3 + 1) {
		struct serial_link g;
		struct seen s = { 0 };
		serial_link_init_guest(&g);
		ck_assert_int_eq(feed(&g, &s, buf_data(&a), buf_len(&a), piece), 0);
		ck_assert_uint_eq(s.opened, 1);
		ck_assert_uint_eq(buf_len(&s.bytes), 8 + 2 * SERIAL_LINK_PAYLOAD_MAX);
		ck_assert_mem_eq(buf_data(&s.bytes), "text\0\0", 6);
		ck_assert_mem_eq(buf_data(&s.bytes) + buf_len(&s.bytes) - 6, "xxtext", 6);
		serial_link_fini(&g);
		seen_fini(&s);
	}
	buf_fini(&a);
}
END_TEST

/* The host's own stale bytes: answers of an old session, cut; greetings to somebody else. */
START_TEST(host_waits_for_its_own_answer)
{
	struct serial_link g, h;
	struct seen s = { 0 };
	struct buf old = BUF_INIT, a = BUF_INIT;
	speak(&a, 7, nonce_a, "old");
	serial_link_init_guest(&g);
	ck_assert_int_eq(feed(&g, &s, buf_data(&a), buf_len(&a), 4096), 0);
	write_text(&g, "answer to the old one");
	ck_assert_int_eq(buf_append(&old, buf_data(&g.out), buf_len(&g.out)), 0);
	for (size_t cut = 0; cut <= buf_len(&old); cut++) {
		ck_assert_int_eq(serial_link_init_host(&h, 7, nonce_b), 0);
		s.opened = 0;
		ck_assert_int_eq(feed(&h, &s, buf_data(&old), cut, 5), 0);
		ck_assert_uint_eq(s.opened, 0);
		ck_assert_uint_eq(serial_link_room(&h), 0);
		ck_assert_int_eq(feed(&h, &s, h.ack, sizeof(h.ack), 4), 0);
		ck_assert_uint_eq(s.opened, 1);
		ck_assert_int_eq(feed(&h, &s, (const void *)"\3\0\0\1\0\0\0\7!\xa5", 10, 10), 0);
		assert_bytes(&s.bytes, "!", 1);
		serial_link_fini(&h);
	}
	serial_link_fini(&g);
	buf_fini(&old);
	buf_fini(&a);
	seen_fini(&s);
}
END_TEST

/* ---- bad bytes ---- */

static const struct {
	const char *bytes;
	size_t n;
} lies[] = {
	{ "\3\0\0\1\0\0\0\x8!\xa5", 10 },		     /* another session */
	{ "\3\0\0\1\0\0\0\7!\xa4", 10 },		     /* tail */
	{ "\3\0\0\0\0\0\0\7\xa5", 9 },			     /* nothing in it */
	{ "\3\0\x40\1\0\0\0\7", 8 },			     /* too long */
	{ "\4\0\0\1\0\0\0\7!\xa5", 10 },		     /* FIN with content */
	{ "\5\0\0\0\0\0\0\7\xa5", 9 },			     /* no such type */
	{ "\1\0\0\0\0\0\0\7\xa5", 9 },			     /* a guest greets nobody */
	{ "\4\0\0\0\0\0\0\7\xa5\3\0\0\1\0\0\0\7!\xa5", 19 }, /* after its end */
};

START_TEST(host_trusts_no_guest)
{
	struct serial_link h;
	struct seen s = { 0 };
	open_host(&h, 7, nonce_a);
	ck_assert_int_eq(
	    feed(&h, &s, (const unsigned char *)lies[_i].bytes, lies[_i].n, 1), -EPROTO);
	ck_assert_uint_eq(buf_len(&s.bytes), 0);
	serial_link_fini(&h);
	seen_fini(&s);
}
END_TEST

/* What makes no sense is skipped, and the next client finds the guest in order. */
START_TEST(guest_survives_lies)
{
	static unsigned char garbage[50000];
	struct serial_link g;
	struct seen s = { 0 };
	struct buf b = BUF_INIT;
	speak(&b, 9, nonce_b, "new");
	serial_link_init_guest(&g);
	ck_assert_int_eq(feed(&g, &s, (const unsigned char *)lies[_i].bytes, lies[_i].n, 1), 0);
	for (size_t i = 0; i < sizeof(garbage); i++)
		garbage[i] = (unsigned char)(i * 7919 + i / 251 + (size_t)_i);
	ck_assert_int_eq(feed(&g, &s, garbage, sizeof(garbage), 4096), 0);
	ck_assert_uint_eq(s.opened, 0);
	ck_assert_int_eq(feed(&g, &s, buf_data(&b), buf_len(&b), 4096), 0);
	ck_assert_uint_eq(s.opened, 1);
	ck_assert_uint_eq(buf_len(&s.bytes), 6 + 2 * SERIAL_LINK_PAYLOAD_MAX);
	serial_link_fini(&g);
	buf_fini(&b);
	seen_fini(&s);
}
END_TEST

START_TEST(greeting_needs_session_and_nonce)
{
	static const char *const bad[] = {
		"\1\0\0\x10\0\0\0\0nonce of client\0\xa5", /* session 0 */
		"\1\0\0\x0f\0\0\0\1nonce of client\xa5",   /* short */
		"\1\0\0\x10\0\0\0\1nonce of client\0\x00", /* filled up by a flush */
	};
	static const size_t sizes[] = { 25, 24, 25 };
	struct serial_link g;
	struct seen s = { 0 };
	serial_link_init_guest(&g);
	ck_assert_int_eq(feed(&g, &s, (const unsigned char *)bad[_i], sizes[_i], 1), 0);
	ck_assert_uint_eq(s.opened, 0);
	ck_assert_uint_eq(buf_len(&g.out), 0);
	serial_link_fini(&g);
	seen_fini(&s);
}
END_TEST

/* ---- bounds and ends ---- */

START_TEST(buffers_are_bounded)
{
	static char full[SERIAL_LINK_PAYLOAD_MAX];
	struct serial_link h, g;
	struct seen s = { 0 };
	size_t given = 0;
	open_host(&h, 7, nonce_a);
	serial_link_init_guest(&g);
	ck_assert_int_eq(feed(&g, &s, buf_data(&h.out), buf_len(&h.out), 4096), 0);
	buf_reset(&h.out);
	for (size_t room; (room = serial_link_room(&h)) > 0; given += room)
		ck_assert_int_eq(serial_link_write(&h, full, room), 0);
	ck_assert_uint_eq(given, 3 * SERIAL_LINK_PAYLOAD_MAX);
	ck_assert_uint_le(buf_len(&h.out), SERIAL_LINK_BUFFER);
	for (unsigned round = 0; round < 3; round++) {
		enum serial_link_event event;
		(void)serial_link_recv(&g, buf_data(&h.out), buf_len(&h.out), &event);
	}
	ck_assert(!serial_link_wants(&g));
	ck_assert_uint_le(buf_len(&g.in), SERIAL_LINK_BUFFER);
	serial_link_used(&g, serial_link_readable(&g));
	ck_assert(serial_link_wants(&g));
	serial_link_fini(&h);
	serial_link_fini(&g);
	seen_fini(&s);
}
END_TEST

START_TEST(closed_session_drops_what_comes)
{
	struct serial_link g;
	struct seen s = { 0 };
	struct buf a = BUF_INIT;
	speak(&a, 7, nonce_a, "text");
	serial_link_init_guest(&g);
	ck_assert_int_eq(feed(&g, &s, buf_data(&a), SERIAL_LINK_FLUSH + 25 + 10, 100), 0);
	buf_reset(&g.out);
	ck_assert_int_eq(serial_link_close(&g), 0);
	assert_bytes(&g.out, "\4\0\0\0\0\0\0\7\xa5", 9);
	ck_assert_int_eq(feed(&g, &s, buf_data(&a) + SERIAL_LINK_FLUSH + 35,
			     buf_len(&a) - SERIAL_LINK_FLUSH - 35, 100),
	    0);
	ck_assert_uint_eq(buf_len(&s.bytes), 0);
	ck_assert_uint_eq(serial_link_room(&g), 0);
	serial_link_fini(&g);
	buf_fini(&a);
	seen_fini(&s);
}
END_TEST

START_TEST(every_allocation_may_fail)
{
	struct serial_link h, g;
	struct buf a = BUF_INIT;
	enum serial_link_event event;
	speak(&a, 7, nonce_a, "text");
	for (long n = 0, ok = 0; !ok; n++) {
		mem_fail_after(n);
		int r = serial_link_init_host(&h, 1, nonce_a);
		mem_fail_after(-1);
		ck_assert(r == 0 || r == -ENOMEM);
		ok = r == 0;
		serial_link_fini(&h);
	}
	for (long n = 0, ok = 0; !ok; n++) {
		ssize_t r = 1;
		serial_link_init_guest(&g);
		mem_fail_after(n);
		for (size_t at = 0; r > 0 && at < SERIAL_LINK_FLUSH + 100; at += (size_t)r)
			r = serial_link_recv(&g, buf_data(&a) + at, 100, &event);
		mem_fail_after(-1);
		ck_assert(r > 0 || r == -ENOMEM);
		ok = r > 0;
		serial_link_fini(&g);
	}
	buf_fini(&a);
}
END_TEST

static Suite *serial_link_suite(void)
{
	Suite *s = suite_create("serial_link");
	TCase *tc = test_case(s, "serial_link", 30);
	tcase_add_test(tc, frames_are_exact);
	tcase_add_loop_test(tc, next_client_never_meets_old_bytes, 0, 2);
	tcase_add_test(tc, cut_anywhere_it_reads_the_same);
	tcase_add_test(tc, host_waits_for_its_own_answer);
	tcase_add_loop_test(tc, host_trusts_no_guest, 0, sizeof(lies) / sizeof(lies[0]));
	tcase_add_loop_test(tc, guest_survives_lies, 0, sizeof(lies) / sizeof(lies[0]));
	tcase_add_loop_test(tc, greeting_needs_session_and_nonce, 0, 3);
	tcase_add_test(tc, buffers_are_bounded);
	tcase_add_test(tc, closed_session_drops_what_comes);
	tcase_add_test(tc, every_allocation_may_fail);
	return s;
}

TEST_MAIN(serial_link_suite)
