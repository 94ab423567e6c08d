/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "wire/pjson_internal.h"
#include "wire_rpc_tests.h"

static const struct {
	const char *text;
	int64_t seconds;
	int32_t nanos;
} times[] = {
	{ "1970-01-01T00:00:00Z", 0, 0 },
	{ "2026-11-21T04:57:00.123Z", 1795237020, 123000000 },
	{ "1969-12-31T23:59:59.999999999Z", -1, 999999999 },
	{ "2000-02-29T12:00:00.000001Z", 951825600, 1000 },
	{ "1900-03-01T00:00:00Z", -2203891200, 0 },
	{ "0001-01-01T00:00:00Z", -62135596800, 0 },
	{ "9999-12-31T23:59:59.999999999Z", 253402300799, 999999999 },
};

START_TEST(timestamps_go_both_ways)
{
	char text[PJSON_TIME_MAX];
	int64_t seconds;
	int32_t nanos;
	ck_assert_int_eq(pjson_format_timestamp(times[_i].seconds, times[_i].nanos, text), 0);
	ck_assert_str_eq(text, times[_i].text);
	ck_assert_int_eq(pjson_parse_timestamp(times[_i].text, &seconds, &nanos), 0);
	ck_assert_int_eq(seconds, times[_i].seconds);
	ck_assert_int_eq(nanos, times[_i].nanos);
}
END_TEST

START_TEST(every_day_goes_both_ways)
{
	char text[PJSON_TIME_MAX];
	for (int64_t day = -719162; day <= 2932896; day += 13) {
		int64_t seconds;
		int32_t nanos;
		ck_assert_int_eq(pjson_format_timestamp(day * 86400, 0, text), 0);
		ck_assert_int_eq(pjson_parse_timestamp(text, &seconds, &nanos), 0);
		ck_assert_int_eq(seconds, day * 86400);
	}
}
END_TEST

START_TEST(timestamp_offsets)
{
	int64_t seconds;
	int32_t nanos;
	ck_assert_int_eq(pjson_parse_timestamp("1970-01-01T01:30:00.5+01:30", &seconds, &nanos), 0);
	ck_assert_int_eq(seconds, 0);
	ck_assert_int_eq(nanos, 500000000);
	ck_assert_int_eq(pjson_parse_timestamp("1969-12-31T23:00:00-01:00", &seconds, &nanos), 0);
	ck_assert_int_eq(seconds, 0);
}
END_TEST

START_TEST(bad_timestamps)
{
	static const char *const bad[] = { "", "2026-11-21", "2026-11-21T04:57:00",
		"2026-11-21t04:57:00Z", "2026-11-21T04:57:00z", "2026-13-01T00:00:00Z",
		"2026-02-29T00:00:00Z", "2026-11-21T24:00:00Z", "2026-11-21T23:59:60Z",
		"2026-11-21T04:57:00.Z", "2026-11-21T04:57:00.1234567890Z",
		"2026-11-21T04:57:00+0100", "2026-11-21T04:57:00+24:00", "2026-11-21T04:57:00Z ",
		"0000-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00",
		"+2026-11-21T04:57:00Z" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int64_t seconds;
		int32_t nanos;
		ck_assert_msg(pjson_parse_timestamp(bad[i], &seconds, &nanos) == -EINVAL,
		    "%s accepted", bad[i]);
	}
	char text[PJSON_TIME_MAX];
	ck_assert_int_eq(pjson_format_timestamp(INT64_MAX, 0, text), -EINVAL);
	ck_assert_int_eq(pjson_format_timestamp(INT64_MIN, 0, text), -EINVAL);
	ck_assert_int_eq(pjson_format_timestamp(0, -1, text), -EINVAL);
	ck_assert_int_eq(pjson_format_timestamp(0, 1000000000, text), -EINVAL);
}
END_TEST

START_TEST(durations)
{
	static const struct {
		const char *text;
		int64_t seconds;
		int32_t nanos;
	} good[] = {
		{ "0s", 0, 0 },
		{ "1.500s", 1, 500000000 },
		{ "-0.000001s", 0, -1000 },
		{ "-3.000000001s", -3, -1 },
		{ "315576000000s", 315576000000, 0 },
	};
	char text[PJSON_TIME_MAX];
	int64_t seconds;
	int32_t nanos;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		ck_assert_int_eq(pjson_format_duration(good[i].seconds, good[i].nanos, text), 0);
		ck_assert_str_eq(text, good[i].text);
		ck_assert_int_eq(pjson_parse_duration(text, &seconds, &nanos), 0);
		ck_assert_int_eq(seconds, good[i].seconds);
		ck_assert_int_eq(nanos, good[i].nanos);
	}
	static const char *const bad[] = { "", "s", "1", "1.s", ".5s", "--1s", "+1s", "1.5", "1 s",
		"1.0000000000s", "315576000001s", "99999999999999999999s" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(pjson_parse_duration(bad[i], &seconds, &nanos) == -EINVAL,
		    "%s accepted", bad[i]);
	ck_assert_int_eq(pjson_format_duration(1, -1, text), -EINVAL);
	ck_assert_int_eq(pjson_format_duration(INT64_MIN, 0, text), -EINVAL);
}
END_TEST

void pjson_time_tests(Suite *s)
{
	TCase *tc = test_case(s, "pjson times", 10);
	tcase_add_loop_test(tc, timestamps_go_both_ways, 0, sizeof(times) / sizeof(times[0]));
	tcase_add_test(tc, every_day_goes_both_ways);
	tcase_add_test(tc, timestamp_offsets);
	tcase_add_test(tc, bad_timestamps);
	tcase_add_test(tc, durations);
}
