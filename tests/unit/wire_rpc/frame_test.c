/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "wire/rpcwire.h"
#include "wire_rpc_tests.h"

static const char *const payloads[] = { "", "a", "ab", "abc", "abcd", "hello, world" };
#define N_PAYLOADS (sizeof(payloads) / sizeof(payloads[0]))

static void frame_all(struct buf *b, bool text)
{
	for (size_t i = 0; i < N_PAYLOADS; i++)
		ck_assert_int_eq(
		    rpc_frame(b, (uint8_t)i, payloads[i], strlen(payloads[i]), text), 0);
}

/* Every message comes out whole, wherever the bytes are cut. */
static void check_pieces(const struct buf *b, size_t piece, bool text)
{
	struct rpc_deframer d;
	const unsigned char *p = buf_data(b);
	size_t got = 0, n = 0;
	uint8_t flags = 0;
	const void *msg;
	rpc_deframer_init(&d, 64, text);
	for (size_t at = 0; at < buf_len(b); at += piece) {
		size_t left = buf_len(b) - at;
		ck_assert_int_eq(rpc_deframer_feed(&d, p + at, left < piece ? left : piece), 0);
		while (rpc_deframer_next(&d, &flags, &msg, &n) == 1) {
			ck_assert_uint_eq(flags, got);
			ck_assert_uint_eq(n, strlen(payloads[got]));
			ck_assert_mem_eq(msg, payloads[got], n);
			got++;
		}
	}
	ck_assert_uint_eq(got, N_PAYLOADS);
	ck_assert(!rpc_deframer_partial(&d));
	rpc_deframer_fini(&d);
}

START_TEST(any_cut)
{
	struct buf b = BUF_INIT;
	bool text = _i & 1;
	frame_all(&b, text);
	for (size_t piece = 1; piece <= buf_len(&b); piece++)
		check_pieces(&b, piece, text);
	buf_fini(&b);
}
END_TEST

START_TEST(layout)
{
	struct buf b = BUF_INIT;
	ck_assert_int_eq(rpc_frame(&b, RPC_FLAG_END_STREAM, "{}", 2, false), 0);
	ck_assert_uint_eq(buf_len(&b), 7);
	ck_assert_mem_eq(buf_data(&b), "\x02\0\0\0\x02{}", 7);
	buf_reset(&b);
	ck_assert_int_eq(rpc_frame(&b, RPC_FLAG_TRAILERS, "grpc-status:0\r\n", 15, true), 0);
	ck_assert_str_eq(buf_cstr(&b), "gAAAAA9ncnBjLXN0YXR1czowDQo=");
	buf_fini(&b);
}
END_TEST

START_TEST(padding_in_the_middle)
{
	/* Two pieces, each padded: the head and half of the payload, then the rest. */
	struct rpc_deframer d;
	uint8_t flags;
	const void *p;
	size_t n;
	rpc_deframer_init(&d, 64, true);
	ck_assert_int_eq(rpc_deframer_feed(&d, "AAAAAARhYg==", 12), 0);
	ck_assert_int_eq(rpc_deframer_next(&d, &flags, &p, &n), 0);
	ck_assert(rpc_deframer_partial(&d));
	ck_assert_int_eq(rpc_deframer_feed(&d, "Y2Q=", 4), 0);
	ck_assert_int_eq(rpc_deframer_next(&d, &flags, &p, &n), 1);
	ck_assert_uint_eq(n, 4);
	ck_assert_mem_eq(p, "abcd", 4);
	rpc_deframer_fini(&d);
}
END_TEST

START_TEST(bad_text)
{
	static const char *const bad[] = { "A===", "====", "A=AA", "AA=A", "AA!A", "AAA\n" };
	struct rpc_deframer d;
	rpc_deframer_init(&d, 64, true);
	ck_assert_int_eq(rpc_deframer_feed(&d, bad[_i], 4), -EINVAL);
	rpc_deframer_fini(&d);
}
END_TEST

START_TEST(too_large)
{
	struct rpc_deframer d;
	uint8_t flags;
	const void *p;
	size_t n;
	rpc_deframer_init(&d, 64, false);
	ck_assert_int_eq(rpc_deframer_feed(&d, "\0\0\0\0\x41", 5), 0);
	ck_assert_int_eq(rpc_deframer_next(&d, &flags, &p, &n), -EMSGSIZE);
	rpc_deframer_fini(&d);
	rpc_deframer_init(&d, 64, false);
	ck_assert_int_eq(rpc_deframer_feed(&d, "\0\xff\xff\xff\xff", 5), 0);
	ck_assert_int_eq(rpc_deframer_next(&d, &flags, &p, &n), -EMSGSIZE);
	rpc_deframer_fini(&d);
}
END_TEST

START_TEST(truncated)
{
	struct rpc_deframer d;
	uint8_t flags;
	const void *p;
	size_t n;
	rpc_deframer_init(&d, 64, false);
	ck_assert(!rpc_deframer_partial(&d));
	ck_assert_int_eq(rpc_deframer_feed(&d, "\0\0\0", 3), 0);
	ck_assert_int_eq(rpc_deframer_next(&d, &flags, &p, &n), 0);
	ck_assert(rpc_deframer_partial(&d));
	rpc_deframer_fini(&d);
	rpc_deframer_init(&d, 64, true);
	ck_assert_int_eq(rpc_deframer_feed(&d, "AA", 2), 0);
	ck_assert(rpc_deframer_partial(&d));
	rpc_deframer_fini(&d);
}
END_TEST

void frame_tests(Suite *s)
{
	TCase *tc = test_case(s, "frames", 10);
	tcase_add_loop_test(tc, any_cut, 0, 2);
	tcase_add_test(tc, layout);
	tcase_add_test(tc, padding_in_the_middle);
	tcase_add_loop_test(tc, bad_text, 0, 6);
	tcase_add_test(tc, too_large);
	tcase_add_test(tc, truncated);
}
