/* SPDX-License-Identifier: Apache-2.0 */
#include "jupyter_tests.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "guest-kernel-agent/jupyter/text.h"

#define FFFD "\xef\xbf\xbd"

static const struct {
	const char *in, *out;
} repairs[] = {
	{ "", "" },
	{ "plain \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
	    "plain \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80" },
	{ "a\xff"
	  "b",
	    "a" FFFD "b" },
	{ "\xc3", FFFD }, { "\xe2\x82", FFFD FFFD }, { "\xc0\xaf", FFFD FFFD }, /* overlong */
	{ "\xed\xa0\x80", FFFD FFFD FFFD },					/* surrogate */
	{ "\xf4\x90\x80\x80", FFFD FFFD FFFD FFFD }, /* beyond U+10FFFF */
};

START_TEST(test_repair)
{
	CLEAN_BUF struct buf b = BUF_INIT;

	ck_assert_int_eq(text_repair(&b, repairs[_i].in, strlen(repairs[_i].in)), 0);
	ck_assert_str_eq(buf_cstr(&b), repairs[_i].out);
}
END_TEST

static json_t *parse(const char *text)
{
	struct err err = ERR_INIT;
	json_t *v = text_parse_object(text, strlen(text), &err);

	ck_assert((v != NULL) == (err.code == 0));
	return v;
}

START_TEST(test_lenient_objects)
{
	json_t *v = parse("{\"a\": \"x\xff\", \"n\": 123456789012345678901234567890}");

	ck_assert_str_eq(json_string_value(json_object_get(v, "a")), "x" FFFD);
	ck_assert(json_is_real(json_object_get(v, "n")));
	json_decref(v);
	v = parse("{\"a\": 1, \"a\": 2, \"z\": \"\\u0000\"}");
	ck_assert_int_eq(json_integer_value(json_object_get(v, "a")), 2);
	ck_assert_uint_eq(json_string_length(json_object_get(v, "z")), 1);
	json_decref(v);
	ck_assert_ptr_null(parse("[1]"));
	ck_assert_ptr_null(parse(""));
	ck_assert_ptr_null(parse("{\"a\": "));
	ck_assert_ptr_null(parse("{\"\xff"));
}
END_TEST

static const struct {
	const char *content;
	const char *text; /* NULL: refused */
	bool is_stderr;
} streams[] = {
	{ "{\"name\": \"stdout\", \"text\": \"hello\\n\"}", "hello\n", false },
	{ "{\"text\":\"x\",\"name\":\"stderr\"}", "x", true },
	{ " { \"name\" : \"stdout\" ,\n\t\"text\" : \"\" } ", "", false },
	{ "{\"name\":\"stdout\",\"text\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "\"\\/\b\f\n\r\t",
	    false },
	{ "{\"name\":\"stdout\",\"text\":\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\"}",
	    "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", false },
	{ "{\"name\":\"stdout\",\"text\":\"\\ud83d x\\ude00\\ud83d\\u0041\"}",
	    FFFD " x" FFFD FFFD "A", false },
	{ "{\"name\":\"stdout\",\"text\":\"a\xff\xe2\x82\"}", "a" FFFD FFFD FFFD, false },
	{ "{\"name\":\"stdout\",\"text\":\"\\q\\u12\\uzzzz\"}", FFFD FFFD "12" FFFD "zzzz", false },
	{ "{\"extra\":{\"a\":[1,\"]}\\\"\"]},\"name\":\"stdout\",\"n\":null,\"text\":\"t\",\"b\":"
	  "true}",
	    "t", false },
	{ "{\"name\":\"stdout\",\"text\":\"ends \\\\\"}", "ends \\", false },
	{ "", NULL, false },
	{ "{}", NULL, false },
	{ "{\"name\":\"stdout\"}", NULL, false },
	{ "{\"text\":\"x\"}", NULL, false },
	{ "{\"name\":\"stdout\",\"text\":5}", NULL, false },
	{ "{\"name\":\"stdout\",\"text\":\"x\"} x", NULL, false },
	{ "{\"name\":\"stdout\",\"text\":\"x\\\"}", NULL, false },
	{ "{\"name\":\"stdout\",\"text\":\"x\"", NULL, false },
	{ "{\"a\":[[[[,\"name\":\"stdout\",\"text\":\"x\"", NULL, false },
	{ "[\"name\"]", NULL, false },
};

START_TEST(test_streams)
{
	struct text_stream t;
	const char *in = streams[_i].content;
	bool ok = text_stream_open(&t, in, strlen(in));

	ck_assert_int_eq(ok, streams[_i].text != NULL);
	if (!ok)
		return;
	ck_assert_int_eq(t.is_stderr, streams[_i].is_stderr);
	/* Whatever the size of the pieces, they are whole characters and make the same text. */
	for (size_t cap = 16; cap < 40; cap++) {
		CLEAN_BUF struct buf all = BUF_INIT;
		char piece[40];
		size_t n;

		ck_assert(text_stream_open(&t, in, strlen(in)));
		while (!text_stream_at_end(&t)) {
			n = text_stream_read(&t, piece, cap);
			ck_assert_uint_gt(n, 0);
			ck_assert(str_utf8_valid(piece, n));
			ck_assert_int_eq(buf_append(&all, piece, n), 0);
		}
		ck_assert_uint_eq(text_stream_read(&t, piece, cap), 0);
		ck_assert_str_eq(buf_cstr(&all), streams[_i].text);
	}
}
END_TEST

void add_text_tests(Suite *s)
{
	TCase *tc = test_case(s, "text", 10);

	tcase_add_loop_test(tc, test_repair, 0, sizeof(repairs) / sizeof(repairs[0]));
	tcase_add_test(tc, test_lenient_objects);
	tcase_add_loop_test(tc, test_streams, 0, sizeof(streams) / sizeof(streams[0]));
}
