/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "guest-kernel-agent/journal/economy.h"
#include "lib/test.h"
#include "unit/agent/agent_tests.h"

/* What a client of the capped stream gets. */
struct outcome {
	struct buf head, tail;
	struct economy_rest rest;
	uint64_t tail_at;
};

static void outcome_fini(struct outcome *o)
{
	buf_fini(&o->head);
	buf_fini(&o->tail);
}

/* Characters of one to four bytes, in no simple period. */
static size_t make_text(char *dst, size_t cap)
{
	static const char *const chars[] = { "a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
		"\n", "z", "\xe4\xb8\xad" };
	unsigned seed = 7;
	size_t n = 0;
	while (n + 4 <= cap) {
		const char *c = chars[(unsigned)rand_r(&seed) % 7];
		memcpy(dst + n, c, strlen(c));
		n += strlen(c);
	}
	return n;
}

static void take(struct economy *e, struct outcome *o, uint64_t at, const char *p, size_t n)
{
	size_t now = SIZE_MAX;
	ck_assert_int_eq(economy_take(e, at, p, n, &now), 0);
	ck_assert_uint_le(now, n);
	ck_assert_int_eq(buf_append(&o->head, p, now), 0);
}

static void end(struct economy *e, struct outcome *o, bool is_text, size_t piece)
{
	char dst[4096];
	uint64_t at, next = 0;
	size_t n;
	economy_end(e, &o->rest);
	while ((n = economy_next(e, dst, piece, &at)) > 0) {
		ck_assert(buf_len(&o->tail) == 0 || at == next);
		if (buf_len(&o->tail) == 0)
			o->tail_at = at;
		ck_assert_int_eq(buf_append(&o->tail, dst, n), 0);
		ck_assert(!is_text || str_utf8_valid(dst, n));
		next = at + n;
	}
	economy_fini(e);
}

/* A stream in records of up to most bytes, cut anywhere. */
static void run(
    struct outcome *o, uint64_t max, const char *text, size_t n, size_t most, unsigned seed)
{
	struct economy e;
	bool is_text = str_utf8_valid(text, n);
	*o = (struct outcome){ 0 };
	economy_init(&e, max);
	for (size_t at = 0, part; at < n; at += part) {
		part = 1 + (size_t)rand_r(&seed) % most;
		part = part < n - at ? part : n - at;
		take(&e, o, at, text + at, part);
		if (max)
			ck_assert_uint_le(e.size, max / 2 + 4);
	}
	end(&e, o, is_text, 4 + (size_t)rand_r(&seed) % 60);
}

/* b may have no memory when n is 0. */
static void expect_bytes(const struct buf *b, const char *want, size_t n)
{
	ck_assert_uint_eq(buf_len(b), n);
	if (n)
		ck_assert_mem_eq(buf_data(b), want, n);
}

static void check(const struct outcome *o, uint64_t max, const char *text, size_t n)
{
	size_t head = buf_len(&o->head), tail = buf_len(&o->tail);
	ck_assert_uint_eq(head + o->rest.omitted + tail, n);
	expect_bytes(&o->head, text, head);
	expect_bytes(&o->tail, text + n - tail, tail);
	ck_assert(str_utf8_valid(buf_data(&o->head), head));
	ck_assert(str_utf8_valid(buf_data(&o->tail), tail));
	if (max == 0 || n <= max) {
		ck_assert_uint_eq(o->rest.omitted, 0);
		return;
	}
	ck_assert_uint_eq(o->rest.at, head);
	ck_assert_uint_eq(o->tail_at, head + o->rest.omitted);
	ck_assert_uint_le(head + tail, max);
	ck_assert_uint_ge(head + tail, max - 6);
	ck_assert_uint_ge(head, max / 2 - 3);
	ck_assert_uint_ge(tail, max / 2 - 3);
}

/* Every cap from the smallest to beyond the stream's end: the same outcome however it is cut. */
START_TEST(test_caps)
{
	char text[700];
	size_t n = make_text(text, sizeof(text));
	for (uint64_t max = ECONOMY_MIN; max < n + 20; max++) {
		struct outcome whole, cut;
		run(&whole, max, text, n, SIZE_MAX / 2, (unsigned)max);
		check(&whole, max, text, n);
		for (unsigned seed = 0; seed < 8; seed++) {
			run(&cut, max, text, n, 1 + seed * seed * 3, seed);
			check(&cut, max, text, n);
			ck_assert_uint_eq(buf_len(&cut.head), buf_len(&whole.head));
			ck_assert_uint_eq(buf_len(&cut.tail), buf_len(&whole.tail));
			outcome_fini(&cut);
		}
		outcome_fini(&whole);
	}
}
END_TEST

START_TEST(test_no_cap)
{
	char text[700];
	struct outcome o;
	size_t n = make_text(text, sizeof(text));
	run(&o, 0, text, n, 50, 1);
	check(&o, 0, text, n);
	ck_assert_uint_eq(buf_len(&o.head), n);
	outcome_fini(&o);
	ck_assert(economy_is_cap(0) && economy_is_cap(ECONOMY_MIN));
	ck_assert(!economy_is_cap(1) && !economy_is_cap(ECONOMY_MIN - 1));
}
END_TEST

/* Bytes that are no text: the counts are right all the same. */
START_TEST(test_binary)
{
	unsigned char bytes[1000];
	for (unsigned seed = 1; seed < 300; seed++) {
		struct outcome o;
		unsigned s = seed;
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (unsigned char)(rand_r(&s) % 5 ? rand_r(&s) | 0x80 : rand_r(&s));
		run(&o, 64 + seed, (char *)bytes, sizeof(bytes), 30, seed);
		size_t head = buf_len(&o.head), tail = buf_len(&o.tail);
		ck_assert_uint_eq(head + o.rest.omitted + tail, sizeof(bytes));
		ck_assert_mem_eq(buf_data(&o.head), bytes, head);
		ck_assert_mem_eq(buf_data(&o.tail), bytes + sizeof(bytes) - tail, tail);
		ck_assert_uint_le(head + tail, 64 + seed);
		outcome_fini(&o);
	}
}
END_TEST

/* A gigabyte under a large cap costs no more than the kept part. */
START_TEST(test_memory_is_bounded)
{
	enum { PIECE = 1 << 20 };
	struct economy e;
	struct economy_rest rest;
	char *piece = calloc(1, PIECE), last[16];
	uint64_t passed = 0, at = 0, max = 100u << 20;
	size_t now, n, tail = 0;
	economy_init(&e, max);
	for (int i = 0; i < 1024; i++) {
		ck_assert_int_eq(economy_take(&e, (uint64_t)i * PIECE, piece, PIECE, &now), 0);
		ck_assert_uint_le(e.size, ECONOMY_TAIL_MAX + 3);
		passed += now;
	}
	economy_end(&e, &rest);
	while ((n = economy_next(&e, last, sizeof(last), &at)) > 0)
		tail += n;
	ck_assert_uint_eq(passed, max - ECONOMY_TAIL_MAX);
	ck_assert_uint_eq(tail, ECONOMY_TAIL_MAX);
	ck_assert_uint_eq(rest.omitted, (1u << 30) - max);
	economy_fini(&e);
	free(piece);
}
END_TEST

/* Part of the stream is not there any more: in front of everything, in the head, in the rest. */
START_TEST(test_gaps)
{
	char text[1000];
	memset(text, 'x', sizeof(text));
	static const struct {
		size_t to, from;
	} gaps[] = { { 0, 100 }, { 20, 300 }, { 150, 400 }, { 500, 990 }, { 500, 1000 } };
	for (size_t i = 0; i < sizeof(gaps) / sizeof(*gaps); i++) {
		struct economy e;
		struct outcome o = { 0 };
		economy_init(&e, 200);
		take(&e, &o, 0, text, gaps[i].to);
		take(&e, &o, gaps[i].from, text + gaps[i].from, sizeof(text) - gaps[i].from);
		end(&e, &o, true, 100);
		size_t head = buf_len(&o.head), tail = buf_len(&o.tail);
		size_t left = sizeof(text) - gaps[i].from;
		ck_assert_uint_eq(head, gaps[i].to < 100 ? gaps[i].to : 100);
		ck_assert_uint_eq(tail, left < 200 - head ? left : 200 - head);
		ck_assert_uint_eq(o.rest.at, head);
		ck_assert_uint_eq(o.rest.omitted, sizeof(text) - head - tail);
		outcome_fini(&o);
	}
}
END_TEST

void add_economy_tests(Suite *s)
{
	TCase *tc = test_case(s, "economy", 30);
	tcase_add_test(tc, test_caps);
	tcase_add_test(tc, test_no_cap);
	tcase_add_test(tc, test_binary);
	tcase_add_test(tc, test_memory_is_bounded);
	tcase_add_test(tc, test_gaps);
}
