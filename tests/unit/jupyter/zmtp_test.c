/* SPDX-License-Identifier: Apache-2.0 */
#include "jupyter_tests.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "guest-kernel-agent/jupyter/zmtp.h"

#define BYTES(text) text, sizeof(text) - 1

static const unsigned char peer_greeting[64] = { 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1, 'N', 'U',
	'L', 'L' };
#define READY_ROUTER "\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06ROUTER"
#define READY_PUB "\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03PUB"

static struct zmtp z;
static struct err err;
static struct buf got; /* messages, frames in brackets */

static void note_message(void)
{
	for (size_t i = 0; i < zmtp_frames(&z); i++) {
		struct zmtp_span f = zmtp_frame(&z, i);
		size_t n = f.n < 16 ? f.n : 16;

		ck_assert_int_eq(buf_append_byte(&got, '['), 0);
		ck_assert_int_eq(buf_append(&got, f.p, n), 0);
		ck_assert_int_eq(buf_append_byte(&got, ']'), 0);
	}
	ck_assert_int_eq(buf_append_byte(&got, ';'), 0);
}

static int feed(const void *p, size_t n, size_t step)
{
	const char *bytes = p;

	while (n) {
		size_t used, part = n < step ? n : step;
		int r = zmtp_feed(&z, bytes, part, &used, &err);

		if (r < 0)
			return r;
		ck_assert_uint_le(used, part);
		if (r == ZMTP_E_MESSAGE)
			note_message();
		else
			ck_assert_uint_eq(used, part);
		bytes += used;
		n -= used;
	}
	return 0;
}

static void begin(enum zmtp_role role)
{
	zmtp_fini(&z);
	err_reset(&err);
	buf_reset(&got);
	ck_assert_int_eq(zmtp_init(&z, role), 0);
}

static void open_peer(enum zmtp_role role)
{
	begin(role);
	ck_assert_int_eq(feed(peer_greeting, sizeof(peer_greeting), 64), 0);
	ck_assert_int_eq(
	    role == ZMTP_SUB ? feed(BYTES(READY_PUB), 64) : feed(BYTES(READY_ROUTER), 64), 0);
	ck_assert(zmtp_is_open(&z));
	buf_reset(zmtp_out(&z));
}

static void teardown(void)
{
	zmtp_fini(&z);
	buf_fini(&got);
}

START_TEST(test_handshake)
{
	static const char ours[] = "\x04\x29\x05READY\x0bSocket-Type\x00\x00\x00\x06"
				   "DEALER\x08Identity\x00\x00\x00\x00";
	struct zmtp_span early = { "early", 5 };

	begin(ZMTP_DEALER);
	ck_assert_uint_eq(buf_len(zmtp_out(&z)), 64);
	ck_assert_uint_eq(buf_data(zmtp_out(&z))[10], 3);
	buf_consume(zmtp_out(&z), 64);
	ck_assert_int_eq(zmtp_send(&z, &early, 1), 0);
	ck_assert_uint_eq(buf_len(zmtp_out(&z)), 0); /* waits */
	ck_assert_int_eq(feed(peer_greeting, sizeof(peer_greeting), 7), 0);
	ck_assert_uint_eq(buf_len(zmtp_out(&z)), sizeof(ours) - 1);
	ck_assert_mem_eq(buf_data(zmtp_out(&z)), ours, sizeof(ours) - 1);
	buf_reset(zmtp_out(&z));
	ck_assert(!zmtp_is_open(&z));
	ck_assert_int_eq(feed(BYTES(READY_ROUTER), 3), 0);
	ck_assert(zmtp_is_open(&z));
	ck_assert_mem_eq(buf_data(zmtp_out(&z)), "\0\5early", 7);
}
END_TEST

START_TEST(test_subscription)
{
	begin(ZMTP_SUB);
	ck_assert_int_eq(feed(peer_greeting, sizeof(peer_greeting), 64), 0);
	buf_reset(zmtp_out(&z));
	ck_assert_int_eq(feed(BYTES(READY_PUB), 64), 0);
	ck_assert_uint_eq(buf_len(zmtp_out(&z)), 3);
	ck_assert_mem_eq(buf_data(zmtp_out(&z)), "\0\1\1", 3);
}
END_TEST

START_TEST(test_messages_in_any_pieces)
{
	static const char wire[] =
	    "\x01\x01"
	    "a\x01\x00\x02\x00\x00\x00\x00\x00\x00\x00\x03xyz\x00\x00\x00\x02hi";

	for (size_t step = 1; step < sizeof(wire); step++) {
		open_peer(ZMTP_DEALER);
		ck_assert_int_eq(feed(BYTES(wire), step), 0);
		ck_assert_str_eq(buf_cstr(&got), "[a][][xyz];[];[hi];");
	}
}
END_TEST

/* Nothing was ever allocated for it. */
START_TEST(test_message_of_empty_frames)
{
	size_t used;
	open_peer(ZMTP_DEALER);
	buf_fini(&z.message);
	ck_assert_int_eq(zmtp_feed(&z, "\x01\x00\x00\x00", 4, &used, &err), ZMTP_E_MESSAGE);
	ck_assert_uint_eq(zmtp_frames(&z), 2);
	for (size_t i = 0; i < 2; i++) {
		ck_assert_uint_eq(zmtp_frame(&z, i).n, 0);
		ck_assert_ptr_nonnull(zmtp_frame(&z, i).p);
	}
}
END_TEST

START_TEST(test_sending)
{
	char large[300];
	struct zmtp_span frames[] = { { "ab", 2 }, { "", 0 }, { large, sizeof(large) } };
	const unsigned char *out;

	memset(large, 'x', sizeof(large));
	open_peer(ZMTP_DEALER);
	ck_assert_int_eq(zmtp_send(&z, frames, 3), 0);
	out = buf_data(zmtp_out(&z));
	ck_assert_uint_eq(buf_len(zmtp_out(&z)), 4 + 2 + 9 + 300);
	ck_assert_mem_eq(out,
	    "\x01\x02"
	    "ab\x01\x00\x02\x00\x00\x00\x00\x00\x00\x01\x2cx",
	    16);
	mem_fail_after(0);
	buf_fini(zmtp_out(&z));
	ck_assert_int_lt(zmtp_send(&z, frames, 3), 0);
	mem_fail_after(-1);
	ck_assert_uint_eq(buf_len(zmtp_out(&z)), 0);
}
END_TEST

START_TEST(test_ping)
{
	open_peer(ZMTP_DEALER);
	ck_assert_int_eq(feed(BYTES("\x04\x0a\x04PING\x00\x64"
				    "ctx"),
			     100),
	    0);
	ck_assert_uint_eq(buf_len(zmtp_out(&z)), 10);
	ck_assert_mem_eq(buf_data(zmtp_out(&z)), "\x04\x08\x04PONGctx", 10);
	/* A flood that is not read does not pile up. */
	for (int i = 0; i < 100000; i++)
		ck_assert_int_eq(feed(BYTES("\x04\x07\x04PING\x00\x64"), 100), 0);
	ck_assert_uint_lt(buf_len(zmtp_out(&z)), 70000);
}
END_TEST

static const struct {
	const char *bytes;
	size_t n;
	int code;
} hostile[] = {
	{ BYTES("\x08\x00"), -EPROTO },				      /* unknown flag */
	{ BYTES("\x05\x00"), -EPROTO },				      /* command with more */
	{ BYTES("\x06\x00\x00\x00\x00\x00\x00\x10\x01"), -EPROTO },   /* long command */
	{ BYTES("\x04\x00"), -EPROTO },				      /* command without name */
	{ BYTES("\x04\x02\x05RE"), -EPROTO },			      /* name cut off */
	{ BYTES(READY_ROUTER), -EPROTO },			      /* a second time */
	{ BYTES("\x02\x00\x00\x00\x00\x20\x00\x00\x01"), -EMSGSIZE }, /* 512 MiB and one */
	{ BYTES("\x02\xff\xff\xff\xff\xff\xff\xff\xff"), -EMSGSIZE },
	{ BYTES("\x03\x80\x00\x00\x00\x00\x00\x00\x00"), -EMSGSIZE },
};

START_TEST(test_hostile_frames)
{
	open_peer(ZMTP_DEALER);
	ck_assert_int_eq(feed(hostile[_i].bytes, hostile[_i].n, 100), hostile[_i].code);
	ck_assert_int_eq(err.code, hostile[_i].code);
	ck_assert_uint_gt(strlen(err.text), 10);
}
END_TEST

START_TEST(test_too_many_frames)
{
	open_peer(ZMTP_DEALER);
	for (int i = 0; i < ZMTP_FRAMES_MAX; i++)
		ck_assert_int_eq(feed(BYTES("\x01\x00"), 2), 0);
	ck_assert_int_eq(feed(BYTES("\x00\x00"), 2), -EMSGSIZE);
}
END_TEST

/* The total counts, not each frame: and nothing is allocated for what was only announced. */
START_TEST(test_sum_of_frames)
{
	static char block[1 << 20];
	size_t used;

	open_peer(ZMTP_DEALER);
	ck_assert_int_eq(feed(BYTES("\x03\x00\x00\x00\x00\x00\x10\x00\x00"), 9), 0);
	ck_assert_int_eq(zmtp_feed(&z, block, sizeof(block), &used, &err), 0);
	ck_assert_int_eq(feed(BYTES("\x03\x00\x00\x00\x00\x20\x00\x00\x00"), 9), -EMSGSIZE);
	open_peer(ZMTP_DEALER);
	ck_assert_int_eq(feed(BYTES("\x02\x00\x00\x00\x00\x20\x00\x00\x00"), 9), 0);
	ck_assert_uint_lt(z.message.cap, 64 * 1024);
}
END_TEST

START_TEST(test_hostile_handshakes)
{
	unsigned char g[64];

	begin(ZMTP_DEALER);
	memcpy(g, peer_greeting, sizeof(g));
	g[10] = 1;
	ck_assert_int_eq(feed(g, sizeof(g), 64), -EPROTO);
	begin(ZMTP_DEALER);
	memcpy(g, peer_greeting, sizeof(g));
	memcpy(g + 12, "CURVE", 5);
	ck_assert_int_eq(feed(g, sizeof(g), 64), -EPROTO);
	begin(ZMTP_DEALER);
	ck_assert_int_eq(feed(BYTES("HTTP/1.1 400 Bad Request\r\nServer: x\r\nContent-Length: 0\r\n"
				    "Date: never\r\n\r\n"),
			     64),
	    -EPROTO);
	begin(ZMTP_SUB); /* a ROUTER is no peer of ours */
	ck_assert_int_eq(feed(peer_greeting, sizeof(g), 64), 0);
	ck_assert_int_eq(feed(BYTES(READY_ROUTER), 64), -EPROTO);
	begin(ZMTP_DEALER); /* a message before READY */
	ck_assert_int_eq(feed(peer_greeting, sizeof(g), 64), 0);
	ck_assert_int_eq(feed(BYTES("\x00\x01x"), 64), -EPROTO);
	begin(ZMTP_DEALER);
	ck_assert_int_eq(feed(peer_greeting, sizeof(g), 64), 0);
	ck_assert_int_eq(feed(BYTES("\x04\x0a\x05"
				    "ERROR\x03no!"),
			     64),
	    -EPROTO);
	ck_assert_ptr_nonnull(strstr(err.text, "no!"));
	begin(ZMTP_DEALER); /* a property that claims more than there is */
	ck_assert_int_eq(feed(peer_greeting, sizeof(g), 64), 0);
	ck_assert_int_eq(feed(BYTES("\x04\x0d\x05READY\x01X\xff\xff\xff\xffz"), 64), -EPROTO);
}
END_TEST

/* Each allocation fails once: an error, no crash, no leak. */
START_TEST(test_out_of_memory)
{
	static const char wire[] = READY_ROUTER "\x01\x01"
						"a\x00\x03xyz";

	for (long n = 0; n < 8; n++) {
		int r;

		zmtp_fini(&z);
		err_reset(&err);
		mem_fail_after(n);
		r = zmtp_init(&z, ZMTP_DEALER);
		for (size_t i = 0; r >= 0 && i < 64 + sizeof(wire) - 1; i++) {
			const void *p = i < 64 ? (const void *)(peer_greeting + i) : wire + i - 64;
			size_t used;

			r = zmtp_feed(&z, p, 1, &used, &err);
		}
		mem_fail_after(-1);
		ck_assert(r >= 0 || r == -ENOMEM);
	}
}
END_TEST

void add_zmtp_tests(Suite *s)
{
	TCase *tc = test_case(s, "zmtp", 10);

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, test_handshake);
	tcase_add_test(tc, test_subscription);
	tcase_add_test(tc, test_messages_in_any_pieces);
	tcase_add_test(tc, test_message_of_empty_frames);
	tcase_add_test(tc, test_sending);
	tcase_add_test(tc, test_ping);
	tcase_add_loop_test(tc, test_hostile_frames, 0, sizeof(hostile) / sizeof(hostile[0]));
	tcase_add_test(tc, test_too_many_frames);
	tcase_add_test(tc, test_sum_of_frames);
	tcase_add_test(tc, test_hostile_handshakes);
	tcase_add_test(tc, test_out_of_memory);
}
