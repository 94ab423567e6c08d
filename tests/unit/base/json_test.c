/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base_tests.h"

static void expect_error(const char *text, const char *part)
{
	struct err err = ERR_INIT;
	json_t *v = json_parse_object(text, strlen(text), 1000, false, &err);
	ck_assert_ptr_null(v);
	ck_assert_msg(strstr(err.text, part) != NULL, "%s -> %s", text, err.text);
}

START_TEST(bad_texts)
{
	char deep[200];
	expect_error("", "invalid JSON");
	expect_error("[1]", "expected a JSON object");
	expect_error("{\"a\":1,\"a\":2}", "duplicate");
	expect_error("{\"a\":1} x", "end of file expected");
	expect_error("{\"a\":\"\\u0000\"}", "\\u0000");
	memset(deep, '[', 80);
	memset(deep + 80, ']', 80);
	deep[160] = '\0';
	struct err err = ERR_INIT;
	ck_assert_ptr_null(json_parse(deep, 160, 1000, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "deeper than 64"));
	err_reset(&err);
	ck_assert_ptr_null(json_parse("12345", 5, 4, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "at most 4"));
}
END_TEST

START_TEST(getters)
{
	static const char text[] = "{\"s\":\"text\",\"n\":5,\"b\":true,\"o\":{\"k\":\"v\"},\"bad\":"
				   "{\"k\":1},\"z\":null,\"a\":[1,2]}";
	struct err err = ERR_INIT;
	CLEAN_JSON json_t *o = json_parse_object(text, strlen(text), 1000, false, &err);
	const char *s = NULL;
	int64_t n = 0;
	bool b = false;
	json_t *sub = NULL;
	ck_assert_ptr_nonnull(o);
	ck_assert_int_eq(json_get_str(o, "s", 10, &s, &err), 0);
	ck_assert_str_eq(s, "text");
	ck_assert_int_eq(json_get_int(o, "n", 1, 9, &n, &err), 0);
	ck_assert_int_eq(json_get_bool(o, "b", &b, &err), 0);
	ck_assert(n == 5 && b);
	ck_assert_int_eq(json_get_str(o, "absent", 10, &s, &err), 1);
	ck_assert_int_eq(json_get_str(o, "z", 10, &s, &err), 1);
	ck_assert_int_eq(json_get_str_map(o, "o", 5, 100, &sub, &err), 0);
	ck_assert_int_eq(err.code, 0);
	ck_assert_int_lt(json_get_int(o, "n", 6, 9, &n, &err), 0);
	ck_assert_str_eq(err.text, "n: expected an integer from 6 to 9");
	err_reset(&err);
	ck_assert_int_lt(json_get_str_map(o, "bad", 5, 100, &sub, &err), 0);
	ck_assert_str_eq(err.text, "bad.k: expected a string");
	err_reset(&err);
	ck_assert_int_lt(json_get_str(o, "s", 3, &s, &err), 0);
	ck_assert_str_eq(err.text, "s: expected at most 3 bytes, got 4");
	err_reset(&err);
	ck_assert_int_lt(json_get_array(o, "a", 1, &sub, &err), 0);
	ck_assert_str_eq(err.text, "a: expected at most 1 items");
}
END_TEST

START_TEST(writing)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	CLEAN_JSON json_t *v = json_pack("{s:s}", "k", "\xc3\xa9");
	ck_assert_int_eq(json_write(&b, v, true), 0);
	ck_assert_str_eq(buf_cstr(&b), "{\"k\":\"\\u00E9\"}");
}
END_TEST

void json_tests(Suite *s)
{
	TCase *tc = test_case(s, "json", 10);
	tcase_add_test(tc, bad_texts);
	tcase_add_test(tc, getters);
	tcase_add_test(tc, writing);
}
