/* SPDX-License-Identifier: Apache-2.0 */
/* Which part of a representation, and whether at all: Range, conditions, dates. */
#include <errno.h>
#include <string.h>

#include <check.h>

#include "lib/test.h"
#include "unit/wire_http/harness.h"
#include "wire/http.h"
#include "wire/http_accept.h"
#include "wire/http_cond.h"
#include "wire/http_date.h"
#include "wire/http_range.h"

#define NOW INT64_C(1795237020)	  /* 21 Nov 2026 04:57:00 */
#define MTIME INT64_C(1795226744) /* 21 Nov 2026 02:05:44 */
#define MTIME_TEXT "Sat, 21 Nov 2026 02:05:44 GMT"
#define BEFORE "Sat, 21 Nov 2026 02:05:43 GMT"
#define AFTER "Sat, 21 Nov 2026 02:05:45 GMT"

START_TEST(test_range)
{
	static const struct {
		const char *value;
		uint64_t size;
		enum http_range kind;
		uint64_t first, length;
	} t[] = {
		{ NULL, 10, HTTP_RANGE_WHOLE, 0, 0 },
		{ "bytes=0-0", 10, HTTP_RANGE_PART, 0, 1 },
		{ "Bytes=2-5", 10, HTTP_RANGE_PART, 2, 4 },
		{ "bytes= 2-5 ", 10, HTTP_RANGE_PART, 2, 4 },
		{ "bytes=9-", 10, HTTP_RANGE_PART, 9, 1 },
		{ "bytes=5-99", 10, HTTP_RANGE_PART, 5, 5 },
		{ "bytes=0-18446744073709551615", 10, HTTP_RANGE_PART, 0, 10 },
		{ "bytes=0-99999999999999999999999", 10, HTTP_RANGE_PART, 0, 10 },
		{ "bytes=-3", 10, HTTP_RANGE_PART, 7, 3 },
		{ "bytes=-99", 10, HTTP_RANGE_PART, 0, 10 },
		{ "bytes=10-", 10, HTTP_RANGE_UNSATISFIABLE, 0, 0 },
		{ "bytes=99999999999999999999999-", 10, HTTP_RANGE_UNSATISFIABLE, 0, 0 },
		{ "bytes=-0", 10, HTTP_RANGE_UNSATISFIABLE, 0, 0 },
		{ "bytes=0-", 0, HTTP_RANGE_UNSATISFIABLE, 0, 0 },
		{ "bytes=-1", 0, HTTP_RANGE_UNSATISFIABLE, 0, 0 },
		{ "bytes=5-2", 10, HTTP_RANGE_WHOLE, 0, 0 },
		{ "bytes=-", 10, HTTP_RANGE_WHOLE, 0, 0 },
		{ "bytes=1", 10, HTTP_RANGE_WHOLE, 0, 0 },
		{ "bytes=a-b", 10, HTTP_RANGE_WHOLE, 0, 0 },
		{ "bytes=0-1,3-4", 10, HTTP_RANGE_WHOLE, 0, 0 },
		{ "bytes=+1-2", 10, HTTP_RANGE_WHOLE, 0, 0 },
		{ "lines=0-1", 10, HTTP_RANGE_WHOLE, 0, 0 },
		{ "", 10, HTTP_RANGE_WHOLE, 0, 0 },
	};
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		uint64_t first = 0, length = 0;
		enum http_range kind = http_range_parse(t[i].value, t[i].size, &first, &length);
		ck_assert_msg(kind == t[i].kind && first == t[i].first && length == t[i].length,
		    "%s: %d %lu+%lu", t[i].value, (int)kind, (unsigned long)first,
		    (unsigned long)length);
	}
}
END_TEST

START_TEST(test_date)
{
	char text[HTTP_DATE_MAX];
	int64_t at;
	static const char *const same[] = { "Sun, 06 Nov 1994 08:49:37 GMT",
		"Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994" };
	for (size_t i = 0; i < 3; i++) {
		ck_assert_int_eq(http_date_parse(same[i], NOW, &at), 0);
		ck_assert_int_eq(at, 784111777);
	}
	ck_assert_str_eq(http_date(784111777, text), same[0]);
	ck_assert_str_eq(http_date(MTIME, text), MTIME_TEXT);
	ck_assert_str_eq(http_date(-5, text), "Thu, 01 Jan 1970 00:00:00 GMT");
	ck_assert_str_eq(http_date(INT64_MAX, text), "Fri, 31 Dec 9999 23:59:59 GMT");
	ck_assert_int_eq(http_date_parse("Friday, 01-Jan-27 00:00:00 GMT", NOW, &at), 0);
	ck_assert_str_eq(http_date(at, text), "Fri, 01 Jan 2027 00:00:00 GMT");
	static const char *const bad[] = { "", "now", "Sun, 06 Nov 1994 08:49:37",
		"Sun, 06 Nov 1994 08:49:37 GMTx", "Sun, 06 Foo 1994 08:49:37 GMT",
		"Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT", "1795237020" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(http_date_parse(bad[i], NOW, &at) == -EINVAL, "%s", bad[i]);
}
END_TEST

START_TEST(test_conditions)
{
	static const struct {
		const char *name, *value;
		enum http_cond wanted;
	} t[] = {
		{ "x", "y", HTTP_COND_GO },
		{ "if-none-match", "\"e\"", HTTP_COND_NOT_MODIFIED },
		{ "if-none-match", "W/\"e\"", HTTP_COND_NOT_MODIFIED },
		{ "if-none-match", "\"a\", \"e,\" , \"e\"", HTTP_COND_NOT_MODIFIED },
		{ "if-none-match", "*", HTTP_COND_NOT_MODIFIED },
		{ "if-none-match", "\"f\"", HTTP_COND_GO },
		{ "if-none-match", "e", HTTP_COND_GO },
		{ "if-none-match", "\"e", HTTP_COND_GO },
		{ "if-modified-since", MTIME_TEXT, HTTP_COND_NOT_MODIFIED },
		{ "if-modified-since", AFTER, HTTP_COND_NOT_MODIFIED },
		{ "if-modified-since", BEFORE, HTTP_COND_GO },
		{ "if-modified-since", "yesterday", HTTP_COND_GO },
		{ "if-match", "\"e\"", HTTP_COND_GO },
		{ "if-match", "*", HTTP_COND_GO },
		{ "if-match", "W/\"e\"", HTTP_COND_FAILED },
		{ "if-match", "\"f\"", HTTP_COND_FAILED },
		{ "if-unmodified-since", BEFORE, HTTP_COND_FAILED },
		{ "if-unmodified-since", MTIME_TEXT, HTTP_COND_GO },
	};
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct http_fields f = { 0 };
		ck_assert_int_eq(http_fields_add(&f, t[i].name, t[i].value), 0);
		ck_assert_msg(http_cond_check(&f, "\"e\"", MTIME, NOW) == t[i].wanted, "%s: %s",
		    t[i].name, t[i].value);
		http_fields_fini(&f);
	}
	/* A tag that matches makes the date meaningless, either way. */
	struct http_fields f = { 0 };
	ck_assert_int_eq(http_fields_add(&f, "if-none-match", "\"f\""), 0);
	ck_assert_int_eq(http_fields_add(&f, "if-modified-since", AFTER), 0);
	ck_assert_int_eq(http_cond_check(&f, "\"e\"", MTIME, NOW), HTTP_COND_GO);
	/* A list may come in several lines. */
	ck_assert_int_eq(http_fields_add(&f, "if-none-match", "\"e\""), 0);
	ck_assert_int_eq(http_cond_check(&f, "\"e\"", MTIME, NOW), HTTP_COND_NOT_MODIFIED);
	http_fields_fini(&f);
}
END_TEST

START_TEST(test_if_range)
{
	static const struct {
		const char *value;
		int64_t now;
		bool wanted;
	} t[] = {
		{ "\"e\"", NOW, true },
		{ "W/\"e\"", NOW, false },
		{ "\"f\"", NOW, false },
		{ MTIME_TEXT, NOW, true },
		{ MTIME_TEXT, MTIME + 59, false },
		{ AFTER, NOW, false },
		{ BEFORE, NOW, false },
		{ "e", NOW, false },
	};
	struct http_fields none = { 0 };
	ck_assert(http_cond_range_counts(&none, "\"e\"", MTIME, NOW));
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct http_fields f = { 0 };
		ck_assert_int_eq(http_fields_add(&f, "if-range", t[i].value), 0);
		ck_assert_msg(http_cond_range_counts(&f, "\"e\"", MTIME, t[i].now) == t[i].wanted,
		    "%s", t[i].value);
		http_fields_fini(&f);
	}
}
END_TEST

START_TEST(test_accept)
{
	static const struct {
		const char *value;
		bool gzip, identity;
	} t[] = {
		{ NULL, false, true },
		{ "", false, true },
		{ "gzip", true, true },
		{ "br, GZIP;q=0.5 , deflate", true, true },
		{ "x-gzip", true, true },
		{ "gzip;q=0", false, true },
		{ "gzip; q=0.000", false, true },
		{ "gzip;q=0.001", true, true },
		{ "*", true, true },
		{ "*;q=0", false, false },
		{ "gzip, *;q=0", true, false },
		{ "identity, *;q=0", false, true },
		{ "identity;q=0", false, false },
		{ "gzipped", false, true },
	};
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct http_fields f = { 0 };
		if (t[i].value)
			ck_assert_int_eq(http_fields_add(&f, "accept-encoding", t[i].value), 0);
		struct http_accept a = http_accept_encoding(&f);
		ck_assert_msg(a.gzip == t[i].gzip && a.identity == t[i].identity, "%s", t[i].value);
		http_fields_fini(&f);
	}
}
END_TEST

void select_tests(Suite *s)
{
	TCase *tc = test_case(s, "select", 10);
	tcase_add_test(tc, test_range);
	tcase_add_test(tc, test_date);
	tcase_add_test(tc, test_conditions);
	tcase_add_test(tc, test_if_range);
	tcase_add_test(tc, test_accept);
}
