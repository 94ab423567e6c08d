/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/meminfo.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"
#include "base_tests.h"

START_TEST(numbers)
{
	uint64_t u;
	int64_t i;
	ck_assert_int_eq(str_u64("18446744073709551615", UINT64_MAX, &u), 0);
	ck_assert(u == UINT64_MAX);
	ck_assert_int_eq(str_u64("18446744073709551616", UINT64_MAX, &u), -ERANGE);
	ck_assert_int_eq(str_u64("11", 10, &u), -ERANGE);
	static const char *const bad[] = { "", "-1", "+1", " 1", "1 ", "0x1", "1e3" };
	for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++)
		ck_assert_int_eq(str_u64(bad[k], UINT64_MAX, &u), -EINVAL);
	ck_assert_int_eq(str_i64("-9223372036854775808", INT64_MIN, INT64_MAX, &i), 0);
	ck_assert(i == INT64_MIN);
	ck_assert_int_eq(str_i64("9223372036854775808", INT64_MIN, INT64_MAX, &i), -ERANGE);
	ck_assert_int_eq(str_i64("--1", -5, 5, &i), -EINVAL);
}
END_TEST

START_TEST(base64_both_ways)
{
	static const struct {
		const char *plain, *padded;
	} vectors[] = { { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" } };
	for (size_t k = 0; k < sizeof(vectors) / sizeof(vectors[0]); k++) {
		CLEAN_BUF struct buf e = BUF_INIT, d = BUF_INIT;
		const char *plain = vectors[k].plain;
		ck_assert_int_eq(str_base64(&e, plain, strlen(plain), true), 0);
		ck_assert_str_eq(buf_cstr(&e), vectors[k].padded);
		ck_assert_int_eq(str_unbase64(&d, (char *)buf_data(&e), buf_len(&e)), 0);
		ck_assert_str_eq(buf_cstr(&d), plain);
		buf_fini(&d);
	}
	CLEAN_BUF struct buf b = BUF_INIT;
	ck_assert_int_eq(str_unbase64(&b, "-_-_", 4), 0);
	ck_assert_int_eq(str_unbase64(&b, "Zg=", 3), 0); /* padding may be short */
	ck_assert_int_eq(str_unbase64(&b, "Z", 1), -EINVAL);
	ck_assert_int_eq(str_unbase64(&b, "Z g=", 4), -EINVAL);
}
END_TEST

START_TEST(percent)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	ck_assert_int_eq(str_unpercent(&b, "a%20b+c%41", 10, true), 0);
	ck_assert_str_eq(buf_cstr(&b), "a b cA");
	ck_assert_int_eq(str_unpercent(&b, "%4", 2, false), -EINVAL);
	ck_assert_int_eq(str_unpercent(&b, "%zz", 3, false), -EINVAL);
	ck_assert_int_eq(str_unpercent(&b, "%00", 3, false), -EINVAL);
	buf_reset(&b);
	ck_assert_int_eq(str_percent(&b, "a b/\xc3\xa9", 6), 0);
	ck_assert_str_eq(buf_cstr(&b), "a%20b%2F%C3%A9");
}
END_TEST

START_TEST(utf8_whole)
{
	static const struct {
		const char *text;
		size_t n, whole, missing;
	} vectors[] = {
		{ "", 0, 0, 0 },
		{ "abc", 3, 3, 0 },
		{ "a\xc3\xa9", 3, 3, 0 },
		{ "a\xc3", 2, 1, 1 },
		{ "\xf0", 1, 0, 3 },
		{ "\xf0\x9f", 2, 0, 2 },
		{ "a\xf0\x9f\x98", 4, 1, 1 },
		{ "a\xf0\x9f\x98\x80", 5, 5, 0 },
		{ "\xe2\x82", 2, 0, 1 },
		/* no UTF-8 */
		{ "\x80\x80\x80\x80", 4, 4, 0 },
		{ "\x80", 1, 1, 0 },
		{ "\xff", 1, 1, 0 },
		{ "\xc3\xa9\xa9\xa9\xa9", 5, 5, 0 },
	};
	for (size_t k = 0; k < sizeof(vectors) / sizeof(*vectors); k++) {
		size_t missing = 9;
		ck_assert_msg(
		    str_utf8_whole(vectors[k].text, vectors[k].n, &missing) == vectors[k].whole,
		    "vector %zu", k);
		ck_assert_uint_eq(missing, vectors[k].missing);
	}
}
END_TEST

START_TEST(utf8)
{
	ck_assert(str_utf8_valid("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 10));
	static const char *const bad[] = { "\x80", "\xc0\xaf", "\xc3", "\xe0\x80\x80",
		"\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "a\xff" };
	for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++)
		ck_assert_msg(!str_utf8_valid(bad[k], strlen(bad[k])), "vector %zu", k);
}
END_TEST

START_TEST(hex_and_comparison)
{
	unsigned char raw[3];
	char hex[7];
	str_hex("\x00\xab\xff", 3, hex);
	ck_assert_str_eq(hex, "00abff");
	ck_assert_int_eq(str_unhex("00ABff", raw, 3), 0);
	ck_assert_mem_eq(raw, "\x00\xab\xff", 3);
	ck_assert_int_eq(str_unhex("00abf", raw, 3), -EINVAL);
	ck_assert_int_eq(str_unhex("00abfg", raw, 3), -EINVAL);
	ck_assert(str_ct_eq("abc", 3, "abc", 3));
	ck_assert(!str_ct_eq("abc", 3, "abd", 3));
	ck_assert(!str_ct_eq("abc", 3, "ab", 2));
	ck_assert(str_eq(NULL, NULL) && !str_eq(NULL, ""));
	ck_assert_str_eq(str_after("key=value", "key="), "value");
	ck_assert_ptr_null(str_after("ke", "key="));
}
END_TEST

START_TEST(times)
{
	char text[CLOCK_RFC3339_MAX];
	int64_t ns;
	ck_assert_int_eq(clock_parse_rfc3339("2026-11-21T04:57:00.123Z", &ns), 0);
	ck_assert_str_eq(clock_rfc3339(ns, text), "2026-11-21T04:57:00.123Z");
	ck_assert_int_eq(clock_parse_rfc3339("2026-11-21T06:57:00.123456789+02:00", &ns), 0);
	ck_assert_str_eq(clock_rfc3339(ns, text), "2026-11-21T04:57:00.123456789Z");
	ck_assert_int_eq(clock_parse_rfc3339("1969-12-31T23:59:59.500Z", &ns), 0);
	ck_assert(ns == -500000000);
	ck_assert_str_eq(clock_rfc3339(ns, text), "1969-12-31T23:59:59.500Z");
	static const char *const bad[] = { "", "2026", "2026-13-01T00:00:00Z",
		"2026-01-01T00:00:00", "2026-01-01T00:00:00.Z", "2026-01-01T24:00:00Z",
		"2026-01-01T00:00:00+0200", "9999-01-01T00:00:00Z", "2026-01-01T00:00:00Zx" };
	for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++)
		ck_assert_msg(clock_parse_rfc3339(bad[k], &ns) == -EINVAL, "%s", bad[k]);
	clock_fake_start(5);
	clock_fake_advance(3);
	ck_assert(clock_real_ns() == 3000005);
	clock_fake_stop();
}
END_TEST

START_TEST(identifiers)
{
	char a[ID_SANDBOX_LEN + 1], b[ID_SANDBOX_LEN + 1], uuid[37];
	id_sandbox(a);
	id_sandbox(b);
	ck_assert(id_sandbox_valid(a) && a[0] == 'i' && strlen(a) == 21);
	ck_assert_str_ne(a, b);
	ck_assert(!id_sandbox_valid("") && !id_sandbox_valid("a-b") && !id_sandbox_valid("A"));
	ck_assert(!id_sandbox_valid("i123456789012345678901"));
	id_uuid(uuid);
	ck_assert_uint_eq(strlen(uuid), 36);
	ck_assert(uuid[14] == '4' && strchr("89ab", uuid[19]));
}
END_TEST

START_TEST(memory_of_the_machine)
{
	struct meminfo m = { 0 };
	ck_assert_int_eq(
	    meminfo_parse("MemTotal:       24659112 kB\nMemFree: 1 kB\nMemAvailable:  7 kB\n", &m),
	    0);
	ck_assert_uint_eq(m.total, 24659112ull * 1024);
	ck_assert_uint_eq(m.available, 7 * 1024);
	ck_assert_int_eq(meminfo_parse("MemTotal: 5 kB\nXMemAvailable: 7 kB\n", &m), -EBADMSG);
	ck_assert_int_eq(meminfo_parse("", &m), -EBADMSG);
	ck_assert_int_eq(meminfo_read(&m), 0);
	ck_assert_uint_ge(m.total, m.available);
}
END_TEST

void text_tests(Suite *s)
{
	TCase *tc = test_case(s, "text", 10);
	tcase_add_test(tc, numbers);
	tcase_add_test(tc, base64_both_ways);
	tcase_add_test(tc, percent);
	tcase_add_test(tc, utf8);
	tcase_add_test(tc, utf8_whole);
	tcase_add_test(tc, hex_and_comparison);
	tcase_add_test(tc, times);
	tcase_add_test(tc, identifiers);
	tcase_add_test(tc, memory_of_the_machine);
}
