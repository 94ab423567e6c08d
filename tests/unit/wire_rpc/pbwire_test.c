/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "proto/types.pb-c.h"
#include "wire/pbwire.h"
#include "wire_rpc_tests.h"

#define ECHO_REQUEST &sandglass__test__echo_request__descriptor
#define TREE &sandglass__test__tree__descriptor

static int refuse(const ProtobufCMessageDescriptor *d, const void *p, size_t n, const char *text)
{
	struct err err = ERR_INIT;
	ProtobufCMessage *m = pb_unpack(d, p, n, &err);
	ck_assert_msg(m == NULL, "accepted");
	ck_assert_msg(strstr(err.text, text), "\"%s\" does not contain \"%s\"", err.text, text);
	return err.code;
}

START_TEST(round_trip)
{
	Sandglass__Test__EchoRequest in = SANDGLASS__TEST__ECHO_REQUEST__INIT;
	struct err err = ERR_INIT;
	struct buf b = BUF_INIT;
	in.text = (char *)"caf\xc3\xa9";
	in.repeat = 300;
	ck_assert_int_eq(pb_pack(&b, &in.base), 0);
	Sandglass__Test__EchoRequest *out =
	    (void *)pb_unpack(ECHO_REQUEST, buf_data(&b), buf_len(&b), &err);
	ck_assert_ptr_nonnull(out);
	ck_assert_str_eq(out->text, in.text);
	ck_assert_uint_eq(out->repeat, 300);
	protobuf_c_message_free_unpacked(&out->base, NULL);
	out = (void *)pb_unpack(ECHO_REQUEST, NULL, 0, &err);
	ck_assert_ptr_nonnull(out);
	protobuf_c_message_free_unpacked(&out->base, NULL);
	buf_fini(&b);
}
END_TEST

START_TEST(malformed)
{
	ck_assert_int_eq(refuse(ECHO_REQUEST,
			     "\x0a\x05"
			     "ab",
			     4, "malformed"),
	    -EINVAL);
	ck_assert_int_eq(refuse(ECHO_REQUEST, "\x0a", 1, "malformed"), -EINVAL);
	ck_assert_int_eq(refuse(ECHO_REQUEST, "\xff", 1, "malformed"), -EINVAL);
	ck_assert_int_eq(refuse(ECHO_REQUEST, "\x00", 1, "malformed"), -EINVAL);
	ck_assert_int_eq(refuse(ECHO_REQUEST, "\x0b", 1, "malformed"), -EINVAL); /* group */
	ck_assert_int_eq(refuse(ECHO_REQUEST,
			     "\x09"
			     "1234567",
			     8, "malformed"),
	    -EINVAL);
	ck_assert_int_eq(refuse(ECHO_REQUEST, "\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
			     12, "malformed"),
	    -EINVAL);
	ck_assert_int_eq(refuse(ECHO_REQUEST, "\x0a\x02\xff\xff", 4, "not UTF-8"), -EINVAL);
	ck_assert_int_eq(refuse(ECHO_REQUEST,
			     "\x0a\x02"
			     "a\0",
			     4, "NUL"),
	    -EINVAL);
}
END_TEST

START_TEST(nesting_is_bounded)
{
	struct buf b = BUF_INIT, outer = BUF_INIT;
	for (int i = 0; i < PB_DEPTH_MAX + 20; i++) {
		struct err err = ERR_INIT;
		unsigned char head[] = { 0x1a, 0, 0 };
		size_t n = buf_len(&b), hn = n < 128 ? 2 : 3;
		head[1] = (unsigned char)(n < 128 ? n : (n & 0x7f) | 0x80);
		head[2] = (unsigned char)(n >> 7);
		buf_reset(&outer);
		ck_assert_int_eq(buf_append(&outer, head, hn), 0);
		ck_assert_int_eq(buf_append(&outer, buf_data(&b), n), 0);
		struct buf swap = b;
		b = outer;
		outer = swap;
		ProtobufCMessage *m = pb_unpack(TREE, buf_data(&b), buf_len(&b), &err);
		ck_assert_int_eq(m != NULL, i + 2 <= PB_DEPTH_MAX);
		if (m)
			protobuf_c_message_free_unpacked(m, NULL);
		else
			ck_assert_ptr_nonnull(strstr(err.text, "nested deeper"));
	}
	buf_fini(&b);
	buf_fini(&outer);
}
END_TEST

START_TEST(memory_is_bounded)
{
	/* Two bytes a child, each of which becomes a structure. */
	size_t n = 2 * 1024 * 1024;
	unsigned char *p = malloc(n);
	ck_assert_ptr_nonnull(p);
	for (size_t i = 0; i < n; i += 2) {
		p[i] = 0x12;
		p[i + 1] = 0;
	}
	ck_assert_int_eq(refuse(TREE, p, n, "too many fields"), -EMSGSIZE);
	free(p);
}
END_TEST

START_TEST(every_allocation_may_fail)
{
	static const unsigned char p[] = "\x0a\x01"
					 "a"
					 "\x12\x05\x0a\x03"
					 "abc"
					 "\x12\x00\x1a\x00";
	for (long n = 0; n < 100; n++) {
		struct err err = ERR_INIT;
		mem_fail_after(n);
		ProtobufCMessage *m = pb_unpack(TREE, p, sizeof(p) - 1, &err);
		mem_fail_after(-1);
		if (m) {
			protobuf_c_message_free_unpacked(m, NULL);
			ck_assert_int_gt(n, 3);
			return;
		}
		ck_assert_int_eq(err.code, -ENOMEM);
	}
	ck_abort_msg("never succeeded");
}
END_TEST

void pbwire_tests(Suite *s)
{
	TCase *tc = test_case(s, "pbwire", 10);
	tcase_add_test(tc, round_trip);
	tcase_add_test(tc, malformed);
	tcase_add_test(tc, nesting_is_bounded);
	tcase_add_test(tc, memory_is_bounded);
	tcase_add_test(tc, every_allocation_may_fail);
}
