/* SPDX-License-Identifier: Apache-2.0 */
/* What is refused, and that the sentence names the place and what was expected. */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "proto/types.pb-c.h"
#include "wire/pjson.h"
#include "wire_rpc_tests.h"

#define EVERYTHING &sandglass__test__everything__descriptor

static const struct {
	const char *json, *text;
} refused[] = {
	{ "", "invalid JSON" },
	{ "{", "invalid JSON" },
	{ "{}x", "invalid JSON" },
	{ "{\"scalars\":{\"textValue\":\"\\u0000\"}}", "invalid JSON" },
	{ "{\"scalars\":{\"textValue\":\"\xff\"}}", "invalid JSON" },
	{ "{\"scalars\":{\"textValue\":\"\\ud800\"}}", "invalid JSON" },
	{ "{\"scalars\":{},\"scalars\":{}}", "duplicate" },
	{ "[]", "expected an object" },
	{ "null", "expected an object" },
	{ "{\"scalars\":5}", "scalars: expected an object" },
	{ "{\"scalars\":{\"i32\":2147483648}}",
	    "scalars.i32: expected an integer from -2147483648 to 2147483647" },
	{ "{\"scalars\":{\"i32\":1.5}}", "scalars.i32: expected an integer" },
	{ "{\"scalars\":{\"i32\":\"\"}}", "scalars.i32: expected an integer" },
	{ "{\"scalars\":{\"i32\":\" 1\"}}", "scalars.i32: expected an integer" },
	{ "{\"scalars\":{\"i32\":\"0x10\"}}", "scalars.i32: expected an integer" },
	{ "{\"scalars\":{\"i32\":\"01\"}}", "scalars.i32: expected an integer" },
	{ "{\"scalars\":{\"i32\":true}}", "scalars.i32: expected an integer" },
	{ "{\"scalars\":{\"u32\":-1}}", "scalars.u32: expected an integer from 0 to 4294967295" },
	{ "{\"scalars\":{\"u64\":\"18446744073709551616\"}}",
	    "scalars.u64: expected an integer from 0 to 18446744073709551615" },
	{ "{\"scalars\":{\"u64\":\"-1\"}}", "scalars.u64: expected an integer" },
	{ "{\"scalars\":{\"i64\":1e300}}", "scalars.i64: expected an integer" },
	{ "{\"scalars\":{\"i64\":\"NaN\"}}", "scalars.i64: expected an integer" },
	{ "{\"scalars\":{\"dbl\":\"inf\"}}", "scalars.dbl: expected a number" },
	{ "{\"scalars\":{\"dbl\":\"1e999\"}}", "scalars.dbl: expected a number" },
	{ "{\"scalars\":{\"dbl\":\"0x1p3\"}}", "scalars.dbl: expected a number" },
	{ "{\"scalars\":{\"dbl\":\"\"}}", "scalars.dbl: expected a number" },
	{ "{\"scalars\":{\"flt\":1e39}}", "scalars.flt: number out of range" },
	{ "{\"scalars\":{\"yes\":\"true\"}}", "scalars.yes: expected true or false" },
	{ "{\"scalars\":{\"yes\":1}}", "scalars.yes: expected true or false" },
	{ "{\"scalars\":{\"color\":\"PINK\"}}",
	    "scalars.color: \"PINK\" is no value of sandglass.test.Color" },
	{ "{\"scalars\":{\"color\":4294967296}}", "scalars.color: expected a name or number" },
	{ "{\"scalars\":{\"color\":1.5}}", "scalars.color: expected a name or number" },
	{ "{\"scalars\":{\"textValue\":5}}", "scalars.textValue: expected a string" },
	{ "{\"scalars\":{\"rawBytes\":5}}", "scalars.rawBytes: expected a base64 string" },
	{ "{\"scalars\":{\"rawBytes\":\"a\"}}", "scalars.rawBytes: not base64" },
	{ "{\"scalars\":{\"textValue\":\"a\",\"text_value\":\"b\"}}",
	    "scalars.textValue: also given as \"text_value\"" },
	{ "{\"scalars\":{\"text_value\":\"a\",\"textValue\":\"b\"}}", "also given as" },
	{ "{\"lists\":{\"text\":\"a\"}}", "lists.text: expected an array" },
	{ "{\"lists\":{\"text\":[\"a\",null]}}", "lists.text[1]: null is not allowed" },
	{ "{\"lists\":{\"items\":[{},{\"i32\":\"x\"}]}}",
	    "lists.items[1].i32: expected an integer" },
	{ "{\"maps\":{\"text\":[]}}", "maps.text: expected an object" },
	{ "{\"maps\":{\"text\":{\"a b\":null}}}", "maps.text[\"a b\"]: null is not allowed" },
	{ "{\"maps\":{\"byNumber\":{\"x\":{}}}}", "maps.byNumber[\"x\"]: expected an integer" },
	{ "{\"maps\":{\"byNumber\":{\"1.0\":{}}}}", "maps.byNumber[\"1.0\"]: expected an integer" },
	{ "{\"maps\":{\"byNumber\":{\"-0\":{}}}}", "maps.byNumber[\"-0\"]: expected an integer" },
	{ "{\"maps\":{\"byNumber\":{\"1\":{\"u32\":-1}}}}",
	    "maps.byNumber[\"1\"].u32: expected an integer" },
	{ "{\"maps\":{\"byBool\":{\"1\":\"1\"}}}",
	    "maps.byBool[\"1\"]: expected the key true or false" },
	{ "{\"choice\":{\"number\":1,\"text\":\"x\"}}",
	    "choice.text: only one field of its oneof may be set" },
	{ "{\"known\":{\"time\":\"yesterday\"}}", "known.time: expected a time such as" },
	{ "{\"known\":{\"time\":5}}", "known.time: expected a time such as" },
	{ "{\"known\":{\"duration\":\"5\"}}", "known.duration: expected a duration such as" },
	{ "{\"known\":{\"fields\":[]}}", "known.fields: expected an object" },
	{ "{\"known\":{\"list\":{}}}", "known.list: expected an array" },
	{ "{\"known\":{\"big\":\"x\"}}", "known.big: expected an integer" },
	{ "{\"known\":{\"times\":[\"1970-01-01T00:00:00Z\",5]}}",
	    "known.times[1]: expected a time" },
};

START_TEST(refused_with_a_sentence)
{
	struct err err = ERR_INIT;
	const char *json = refused[_i].json;
	ProtobufCMessage *m = pjson_decode(EVERYTHING, json, strlen(json), &err);
	ck_assert_msg(m == NULL, "%s was accepted", json);
	ck_assert_int_eq(err.code, -EINVAL);
	ck_assert_msg(strstr(err.text, refused[_i].text), "%s: \"%s\"", json, err.text);
}
END_TEST

START_TEST(every_prefix_is_refused)
{
	static const char json[] =
	    "{\"maps\":{\"text\":{\"a\":\"b\"}},\"lists\":{\"i32\":[1,2]},"
	    "\"known\":{\"value\":[1,{\"x\":null}]},\"choice\":{\"raw\":\"AQ==\"}}";
	for (size_t n = 0; n < sizeof(json) - 1; n++) {
		struct err err = ERR_INIT;
		ck_assert_ptr_null(pjson_decode(EVERYTHING, json, n, &err));
		ck_assert_int_eq(err.code, -EINVAL);
	}
}
END_TEST

static void repeat(struct buf *b, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(buf_append_str(b, s), 0);
}

START_TEST(depth_is_bounded)
{
	for (size_t n = 20; n < 100000; n *= 5) {
		struct err err = ERR_INIT;
		struct buf b = BUF_INIT;
		repeat(&b, "{\"tree\":", 1);
		repeat(&b, "{\"only\":", n);
		repeat(&b, "{}", 1);
		repeat(&b, "}", n + 1);
		ProtobufCMessage *m = pjson_decode(EVERYTHING, buf_data(&b), buf_len(&b), &err);
		ck_assert_int_eq(m != NULL, n < 60);
		if (m)
			protobuf_c_message_free_unpacked(m, NULL);
		buf_fini(&b);
	}
}
END_TEST

START_TEST(count_is_bounded)
{
	struct err err = ERR_INIT;
	struct buf b = BUF_INIT;
	repeat(&b, "{\"known\":{\"value\":[{}", 1);
	repeat(&b, ",{}", PJSON_VALUES_MAX);
	repeat(&b, "]}}", 1);
	ck_assert_ptr_null(pjson_decode(EVERYTHING, buf_data(&b), buf_len(&b), &err));
	ck_assert_int_eq(err.code, -EMSGSIZE);
	buf_fini(&b);
}
END_TEST

START_TEST(long_paths_are_cut)
{
	struct err err = ERR_INIT;
	struct buf b = BUF_INIT;
	repeat(&b, "{\"maps\":{\"byNumber\":{\"", 1);
	repeat(&b, "9", 5000);
	repeat(&b, "\":{}}}}", 1);
	ck_assert_ptr_null(pjson_decode(EVERYTHING, buf_data(&b), buf_len(&b), &err));
	ck_assert_ptr_nonnull(strstr(err.text, "expected an integer"));
	buf_fini(&b);
}
END_TEST

void pjson_refuse_tests(Suite *s)
{
	TCase *tc = test_case(s, "pjson refusals", 20);
	tcase_add_loop_test(tc, refused_with_a_sentence, 0, sizeof(refused) / sizeof(refused[0]));
	tcase_add_test(tc, every_prefix_is_refused);
	tcase_add_test(tc, depth_is_bounded);
	tcase_add_test(tc, count_is_bounded);
	tcase_add_test(tc, long_paths_are_cut);
}
