/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/backoff.h"
#include "daemon_tests.h"
#include "lib/test.h"

START_TEST(first_restart_is_soon)
{
	struct backoff b = { 0 };
	ck_assert_int_eq(backoff_wait_ms(&b, 7), -1);
	ck_assert(!backoff_is_due(&b, 7));
	backoff_started(&b, 1000);
	backoff_ended(&b, 1500);
	ck_assert_int_eq(backoff_wait_ms(&b, 1500), BACKOFF_FIRST_MS);
	ck_assert(!backoff_is_due(&b, 1500 + BACKOFF_FIRST_MS - 1));
	ck_assert(backoff_is_due(&b, 1500 + BACKOFF_FIRST_MS));
	ck_assert_int_eq(backoff_wait_ms(&b, 9000), 0);
	backoff_started(&b, 9000);
	ck_assert(!backoff_is_due(&b, 90000));
}
END_TEST

START_TEST(ends_together_count_once)
{
	struct backoff b = { 0 };
	backoff_started(&b, 1000);
	backoff_ended(&b, 1001);
	backoff_ended(&b, 1002);
	backoff_ended(&b, 1015);
	ck_assert_uint_eq(b.due_ms, 1001 + BACKOFF_FIRST_MS);
	ck_assert_uint_eq(b.delay_ms, BACKOFF_FIRST_MS);
}
END_TEST

START_TEST(early_ends_wait_longer_but_not_for_ever)
{
	struct backoff b = { 0 };
	uint64_t now = 1;
	unsigned before = 0;
	for (int i = 0; i < 10000; i++) {
		backoff_started(&b, now);
		backoff_ended(&b, now + BACKOFF_STABLE_MS - 1);
		ck_assert(b.due_ms > now);
		ck_assert_uint_ge(b.delay_ms, before);
		ck_assert_uint_le(b.delay_ms, BACKOFF_LAST_MS);
		before = b.delay_ms;
		now = b.due_ms;
	}
	ck_assert_uint_eq(before, BACKOFF_LAST_MS);
	backoff_started(&b, now);
	backoff_ended(&b, now + BACKOFF_STABLE_MS);
	ck_assert_uint_eq(b.delay_ms, BACKOFF_FIRST_MS);
}
END_TEST

static Suite *daemon_suite(void)
{
	Suite *s = suite_create("daemon");
	TCase *tc = test_case(s, "backoff", 10);
	tcase_add_test(tc, first_restart_is_soon);
	tcase_add_test(tc, ends_together_count_once);
	tcase_add_test(tc, early_ends_wait_longer_but_not_for_ever);
	args_tests(s);
	return s;
}

TEST_MAIN(daemon_suite)
