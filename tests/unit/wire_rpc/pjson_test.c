/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON against binary: each vector's bytes were made by protoc --encode from the text format, its
 * JSON written by hand after the mapping's specification. Canonical ones must match in both
 * directions.
 */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "proto/legacy.pb-c.h"
#include "proto/types.pb-c.h"
#include "wire/pbwire.h"
#include "wire/pjson.h"
#include "wire_rpc_tests.h"

#define SCALARS &sandglass__test__scalars__descriptor
#define LISTS &sandglass__test__lists__descriptor
#define MAPS &sandglass__test__maps__descriptor
#define CHOICE &sandglass__test__choice__descriptor
#define KNOWN &sandglass__test__known__descriptor
#define TREE &sandglass__test__tree__descriptor
#define LEGACY &sandglass__test__legacy__descriptor

struct vector {
	const ProtobufCMessageDescriptor *type;
	const char *json, *hex;
};

static const struct vector canonical[] = {
	{ SCALARS,
	    "{\"i32\":-1,\"s32\":-2,\"sf32\":-3,\"u32\":4294967295,\"f32\":5,"
	    "\"i64\":\"-9223372036854775808\",\"s64\":\"-7\",\"sf64\":\"-8\","
	    "\"u64\":\"18446744073709551615\",\"f64\":\"10\",\"flt\":1.5,\"dbl\":-0.1,"
	    "\"yes\":true,\"color\":\"COLOR_NEGATIVE\",\"textValue\":\"h\\\"\\\\\\n\xc3\xa9\","
	    "\"rawBytes\":\"AP8Q\"}",
	    "08ffffffffffffffffff0110031dfdffffff20ffffffff0f2d0500000030808080808080808080013"
	    "80d41f8ffffffffffffff48ffffffffffffffffff01510a000000000000005d0000c03f619a999999"
	    "9999b9bf680170fbffffffffffffffff017a0668225c0ac3a982010300ff10" },
	{ SCALARS, "{}", "" },
	{ LISTS,
	    "{\"i32\":[1,-1,2147483647],\"u64\":[\"0\",\"18446744073709551615\"],"
	    "\"flt\":[0.1,\"Infinity\"],\"dbl\":[1e+300,\"-Infinity\",\"NaN\",0.1],"
	    "\"yes\":[true,false],\"color\":[\"COLOR_RED\",\"COLOR_UNSPECIFIED\"],"
	    "\"text\":[\"\",\"a\"],\"raw\":[\"\",\"AQ==\"],\"items\":[{\"i32\":1},{}]}",
	    "0a1001ffffffffffffffffff01ffffffff07120b00ffffffffffffffffff011a08cdcccc3d0000807"
	    "f22209c7500883ce4377e000000000000f0ff000000000000f87f9a9999999999b93f2a0201003202"
	    "01003a003a016142004201014a0208014a00" },
	{ MAPS,
	    "{\"text\":{\"a\":\"1\"},\"byNumber\":{\"-3\":{\"i32\":1}},"
	    "\"byBool\":{\"true\":\"-1\"},\"byBig\":{\"18446744073709551615\":\"COLOR_RED\"},"
	    "\"values\":{\"n\":null},\"raw\":{\"r\":\"AA==\"},"
	    "\"times\":{\"t\":\"1970-01-01T00:00:00Z\"}}",
	    "0a060a0161120131120f08fdffffffffffffffff01120208011a0d080110ffffffffffffffffff012"
	    "20d08ffffffffffffffffff0110012a070a016e1202080032060a01721201003a050a01741200" },
	{ CHOICE, "{\"number\":0}", "0800" },
	{ CHOICE, "{\"text\":\"\"}", "1200" },
	{ CHOICE, "{\"raw\":\"\"}", "1a00" },
	{ CHOICE, "{\"scalars\":{}}", "2200" },
	{ CHOICE, "{\"flag\":false}", "2800" },
	{ CHOICE, "{\"nothing\":null}", "3000" },
	{ CHOICE, "{\"dynamic\":null}", "3a020800" },
	{ CHOICE, "{\"dynamic\":1.5}", "3a0911000000000000f83f" },
	{ CHOICE, "{\"dynamic\":-0.0}", "3a09110000000000000080" },
	{ CHOICE, "{\"flag\":true,\"after\":3}", "28014003" },
	{ KNOWN,
	    "{\"time\":\"2026-11-21T04:57:00.123Z\",\"duration\":\"-1.500s\","
	    "\"fields\":{\"a\":[1,true,\"x\",null,{}]},\"value\":\"v\",\"list\":[false],"
	    "\"empty\":{},\"text\":\"\",\"big\":\"-5\",\"flag\":true,\"number\":2.5,"
	    "\"raw\":\"AQI=\",\"times\":[\"1970-01-01T00:00:00Z\",\"1970-01-01T00:00:01Z\"]}",
	    "0a0b089cc984d80610c0a9d33a121608ffffffffffffffffff011080b6ca91feffffffff011a250a2"
	    "30a0161121e321c0a0911000000000000f03f0a0220010a031a01780a0208000a022a0022031a0176"
	    "2a040a02200032003a00420b08fbffffffffffffffff014a02080152090900000000000004405a040"
	    "a020102620062020801" },
	{ TREE,
	    "{\"name\":\"r\",\"children\":[{\"name\":\"c\",\"children\":[{}]},{}],"
	    "\"only\":{\"name\":\"o\"}}",
	    "0a017212050a0163120012001a030a016f" },
	{ LEGACY, "{\"must\":0,\"may\":0,\"text\":\"\",\"raw\":\"\",\"inner\":{\"must\":5}}",
	    "080010001a0022002a020805" },
	{ LEGACY, "{\"must\":7}", "0807" },
};
#define N_CANONICAL (sizeof(canonical) / sizeof(canonical[0]))

/* Other spellings that a reader must take. */
static const struct vector accepted[] = {
	{ SCALARS, " { \"text_value\" : \"\\u0041\\/\\ud83d\\ude00\" } ", "7a06412ff09f9880" },
	{ SCALARS, "{\"i32\":\"-1\",\"u32\":\"7\"}", "08ffffffffffffffffff012007" },
	{ SCALARS, "{\"i32\":1.0,\"u32\":1e2,\"i64\":\"2.5e1\"}", "080120643019" },
	{ SCALARS, "{\"i64\":9007199254740993,\"u64\":5}",
	    "308180808080808010"
	    "4805" },
	{ SCALARS, "{\"dbl\":\"1.5\",\"flt\":2}", "5d0000004061000000000000f83f" },
	{ SCALARS, "{\"color\":1}", "7001" },
	{ SCALARS, "{\"color\":77}", "704d" },
	{ SCALARS, "{\"rawBytes\":\"_-8\"}", "820102ffef" },
	{ SCALARS, "{\"i32\":null,\"textValue\":null,\"color\":null,\"rawBytes\":null}", "" },
	{ SCALARS, "{\"nobody\":{\"knows\":[1,2]},\"i32\":1}", "0801" },
	{ LISTS, "{\"i32\":null,\"items\":[]}", "" },
	{ MAPS, "{\"text\":null,\"by_number\":{}}", "" },
	{ CHOICE, "{\"number\":null,\"text\":\"x\",\"after\":null}", "120178" },
	{ KNOWN, "{\"value\":null,\"time\":null,\"list\":null}", "22020800" },
	{ KNOWN, "{\"text\":null,\"big\":-5}", "420b08fbffffffffffffffff01" },
	{ KNOWN, "{\"value\":{\"a\":[]}}", "220b2a090a070a016112023200" },
	{ TREE, "{\"only\":{\"only\":{\"name\":\"x\"}}}", "1a051a030a0178" },
};
#define N_ACCEPTED (sizeof(accepted) / sizeof(accepted[0]))

static size_t unhex(const char *hex, unsigned char *dst)
{
	size_t n = strlen(hex) / 2;
	ck_assert_int_eq(str_unhex(hex, dst, n), 0);
	return n;
}

static ProtobufCMessage *decode(const ProtobufCMessageDescriptor *type, const char *json)
{
	struct err err = ERR_INIT;
	ProtobufCMessage *m = pjson_decode(type, json, strlen(json), &err);
	ck_assert_msg(m != NULL, "%s: %s", json, err.text);
	return m;
}

static void check_decode(const struct vector *v)
{
	unsigned char want[1024];
	size_t n = unhex(v->hex, want);
	struct buf b = BUF_INIT;
	ProtobufCMessage *m = decode(v->type, v->json);
	ck_assert_int_eq(pb_pack(&b, m), 0);
	char hex[2048];
	str_hex(buf_data(&b), buf_len(&b), hex);
	ck_assert_str_eq(hex, v->hex);
	ck_assert_uint_eq(buf_len(&b), n);
	protobuf_c_message_free_unpacked(m, NULL);
	buf_fini(&b);
}

START_TEST(canonical_is_read)
{
	check_decode(&canonical[_i]);
}
END_TEST

START_TEST(other_spellings_are_read)
{
	check_decode(&accepted[_i]);
}
END_TEST

START_TEST(canonical_is_written)
{
	const struct vector *v = &canonical[_i];
	unsigned char bytes[1024];
	struct err err = ERR_INIT;
	struct buf b = BUF_INIT;
	size_t n = unhex(v->hex, bytes);
	ProtobufCMessage *m = pb_unpack(v->type, bytes, n, &err);
	ck_assert_msg(m != NULL, "%s", err.text);
	ck_assert_int_eq(pjson_encode(&b, m), 0);
	ck_assert_str_eq(buf_cstr(&b), v->json);
	protobuf_c_message_free_unpacked(m, NULL);
	buf_fini(&b);
}
END_TEST

START_TEST(any_allocation_may_fail)
{
	const struct vector *v = &canonical[_i];
	for (long n = 0;; n++) {
		struct err err = ERR_INIT;
		struct buf b = BUF_INIT;
		mem_fail_after(n);
		ProtobufCMessage *m = pjson_decode(v->type, v->json, strlen(v->json), &err);
		int r = m ? pjson_encode(&b, m) : 0;
		mem_fail_after(-1);
		ck_assert_msg(m || err.code == -ENOMEM, "%ld: %s", n, err.text);
		ck_assert(r == 0 || (r == -ENOMEM && buf_len(&b) == 0));
		bool whole = m && r == 0;
		if (m)
			protobuf_c_message_free_unpacked(m, NULL);
		buf_fini(&b);
		if (whole)
			return;
		ck_assert_int_lt(n, 1000);
	}
}
END_TEST

START_TEST(broken_text_is_replaced)
{
	Sandglass__Test__Scalars m = SANDGLASS__TEST__SCALARS__INIT;
	struct buf b = BUF_INIT;
	m.text_value = (char *)"a\xff\x80"
			       "b\xc3"
			       "\x01\x7f\xed\xa0\x80\xf0\x9f\x98\x80\xf0\x9f";
	ck_assert_int_eq(pjson_encode(&b, &m.base), 0);
	ck_assert_str_eq(buf_cstr(&b),
	    "{\"textValue\":\"a\\ufffd\\ufffdb\\ufffd\\u0001\\u007f\\ufffd\\ufffd\\ufffd"
	    "\xf0\x9f\x98\x80\\ufffd\\ufffd\"}");
	buf_fini(&b);
}
END_TEST

START_TEST(what_json_cannot_say)
{
	struct buf b = BUF_INIT;
	Google__Protobuf__Timestamp t = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	Google__Protobuf__Value v = GOOGLE__PROTOBUF__VALUE__INIT;
	Sandglass__Test__Known m = SANDGLASS__TEST__KNOWN__INIT;
	ck_assert_int_eq(buf_append_str(&b, "before"), 0);
	t.seconds = INT64_MAX;
	m.time = &t;
	ck_assert_int_eq(pjson_encode(&b, &m.base), -EINVAL);
	m.time = NULL;
	m.value = &v;
	v.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE;
	v.number_value = 1.0 / 0.0;
	ck_assert_int_eq(pjson_encode(&b, &m.base), -EINVAL);
	ck_assert_str_eq(buf_cstr(&b), "before");
	buf_fini(&b);
}
END_TEST

START_TEST(absent_map_value_is_written)
{
	/* As a sender without the value's field means it. */
	static const unsigned char bytes[] = "\x12\x02\x08\x01\x2a\x03\x0a\x01n\x3a\x03\x0a\x01t";
	struct err err = ERR_INIT;
	struct buf b = BUF_INIT;
	ProtobufCMessage *m = pb_unpack(MAPS, bytes, sizeof(bytes) - 1, &err);
	ck_assert_ptr_nonnull(m);
	ck_assert_int_eq(pjson_encode(&b, m), 0);
	ck_assert_str_eq(buf_cstr(&b), "{\"byNumber\":{\"1\":{}},\"values\":{\"n\":null},"
				       "\"times\":{\"t\":\"1970-01-01T00:00:00Z\"}}");
	protobuf_c_message_free_unpacked(m, NULL);
	buf_fini(&b);
}
END_TEST

/* Random messages: bytes -> message -> JSON -> message -> bytes must come back. */
static uint64_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 33;
}

static void put_random_tree(struct buf *b, uint64_t *rnd, int depth)
{
	struct buf inner = BUF_INIT;
	if (next_random(rnd) % 2) {
		size_t n = next_random(rnd) % 5;
		ck_assert_int_eq(
		    buf_append(b, (unsigned char[]){ 0x0a, (unsigned char)(n + 1) }, 2), 0);
		ck_assert_int_eq(buf_append_byte(b, 'x'), 0);
		for (size_t i = 0; i < n; i++)
			ck_assert_int_eq(
			    buf_append_byte(b, (unsigned char)(next_random(rnd) % 127 + 1)), 0);
	}
	for (uint64_t n = depth ? next_random(rnd) % 3 : 0; n > 0; n--) {
		buf_reset(&inner);
		put_random_tree(&inner, rnd, depth - 1);
		if (buf_len(&inner) > 127)
			continue;
		ck_assert_int_eq(
		    buf_append(b, (unsigned char[]){ 0x12, (unsigned char)buf_len(&inner) }, 2), 0);
		ck_assert_int_eq(buf_append(b, buf_data(&inner), buf_len(&inner)), 0);
	}
	buf_fini(&inner);
}

START_TEST(random_trees_survive)
{
	uint64_t rnd = 1;
	for (int i = 0; i < 500; i++) {
		struct err err = ERR_INIT;
		struct buf bytes = BUF_INIT, json = BUF_INIT, again = BUF_INIT;
		put_random_tree(&bytes, &rnd, 4);
		ProtobufCMessage *m = pb_unpack(TREE, buf_data(&bytes), buf_len(&bytes), &err);
		ck_assert_msg(m != NULL, "%s", err.text);
		ck_assert_int_eq(pjson_encode(&json, m), 0);
		protobuf_c_message_free_unpacked(m, NULL);
		m = decode(TREE, buf_cstr(&json));
		ck_assert_int_eq(pb_pack(&again, m), 0);
		protobuf_c_message_free_unpacked(m, NULL);
		ck_assert_uint_eq(buf_len(&again), buf_len(&bytes));
		if (buf_len(&bytes))
			ck_assert_mem_eq(buf_data(&again), buf_data(&bytes), buf_len(&bytes));
		buf_fini(&bytes);
		buf_fini(&json);
		buf_fini(&again);
	}
}
END_TEST

void pjson_tests(Suite *s)
{
	TCase *tc = test_case(s, "pjson", 20);
	tcase_add_loop_test(tc, canonical_is_read, 0, N_CANONICAL);
	tcase_add_loop_test(tc, canonical_is_written, 0, N_CANONICAL);
	tcase_add_loop_test(tc, other_spellings_are_read, 0, N_ACCEPTED);
	tcase_add_loop_test(tc, any_allocation_may_fail, 0, N_CANONICAL);
	tcase_add_test(tc, broken_text_is_replaced);
	tcase_add_test(tc, what_json_cannot_say);
	tcase_add_test(tc, absent_map_value_is_written);
	tcase_add_test(tc, random_trees_survive);
}
