/* SPDX-License-Identifier: Apache-2.0 */
/* Verdict, JSON and text of a report. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/str.h"
#include "doctor/report.h"
#include "doctor/selftest.h"
#include "doctor_tests.h"
#include "lib/test.h"

static struct report report;

static struct report_driver *add(const char *name, const char *isolation, const char *why)
{
	struct report_driver *d = &report.drivers[report.n_drivers++];
	*d = (struct report_driver){ .works = isolation != NULL };
	(void)str_copy(d->name, sizeof(d->name), name);
	(void)str_copy(d->isolation, sizeof(d->isolation), isolation ? isolation : "");
	(void)str_copy(d->why, sizeof(d->why), why);
	return d;
}

static void begin(const char *driver, const char *min_isolation)
{
	memset(&report, 0, sizeof(report));
	(void)str_copy(report.verdict.wanted_driver, sizeof(report.verdict.wanted_driver), driver);
	(void)str_copy(
	    report.verdict.min_isolation, sizeof(report.verdict.min_isolation), min_isolation);
}

static const struct report_verdict *judge(void)
{
	report_judge(&report);
	return &report.verdict;
}

START_TEST(auto_takes_the_strongest_that_works)
{
	begin("auto", "namespace");
	(void)add("firecracker", NULL, "no jailer");
	(void)add("qemu", "microvm-emulated", "");
	(void)add("namespace", "namespace", "");
	const struct report_verdict *v = judge();
	ck_assert(v->ok);
	ck_assert_str_eq(v->driver, "qemu");
	ck_assert_str_eq(v->isolation, "microvm-emulated");
	ck_assert_str_eq(v->text, "This machine runs sandboxes as microvm-emulated (driver qemu); "
				  "driver firecracker does "
				  "not work: no jailer; driver namespace would give namespace");
}
END_TEST

START_TEST(min_isolation_refuses_the_weaker)
{
	begin("auto", "microvm");
	(void)add("qemu", "microvm-emulated", "");
	(void)add("namespace", "namespace", "");
	const struct report_verdict *v = judge();
	ck_assert(!v->ok);
	ck_assert_str_eq(v->driver, "");
	ck_assert(!report.drivers[0].allowed && !report.drivers[1].allowed);
	ck_assert_ptr_nonnull(strstr(v->text,
	    "runs no sandboxes with driver: auto and min_isolation: microvm; driver qemu is not "
	    "taken: its isolation microvm-emulated is less than min_isolation microvm"));
}
END_TEST

START_TEST(a_named_driver_is_taken_or_none)
{
	begin("namespace", "namespace");
	(void)add("qemu", "microvm", "");
	(void)add("namespace", "namespace", "");
	ck_assert_str_eq(judge()->driver, "namespace");
	ck_assert_str_eq(report.drivers[0].why, "the configuration names driver namespace");
	begin("qemu", "namespace");
	(void)add("qemu", NULL, "not installed");
	(void)add("namespace", "namespace", "");
	ck_assert(!judge()->ok);
	ck_assert_ptr_nonnull(
	    strstr(report.verdict.text, "driver qemu does not work: not installed"));
}
END_TEST

START_TEST(a_failed_self_test_is_no_success)
{
	begin("auto", "namespace");
	struct report_driver *d = add("namespace", "namespace", "");
	report_add_test(d, "random", REPORT_WARN, NULL, "%s", "x");
	ck_assert(judge()->ok);
	report_add_test(d, "clock", REPORT_FAIL, NULL, "%s", "an hour off");
	ck_assert(!judge()->ok);
	ck_assert_str_eq(report.verdict.driver, "namespace"); /* a server would take it */
	ck_assert_str_eq(report.verdict.text,
	    "This machine runs sandboxes as namespace (driver namespace: its self-test failed)");
}
END_TEST

static const struct report_check *kvm_after(const char *isolation, const char *note)
{
	begin("auto", "namespace");
	report_add(&report, "kvm", REPORT_OK, NULL, "/dev/kvm opens");
	if (isolation)
		(void)str_copy(add("qemu", isolation, "")->note, ERR_TEXT_MAX, note);
	(void)judge();
	return report_find(&report, "kvm");
}

START_TEST(kvm_is_what_the_test_boots_say)
{
	const struct report_check *kvm = kvm_after("microvm", "");
	ck_assert_int_eq(kvm->status, REPORT_OK);
	ck_assert_str_eq(kvm->detail, "/dev/kvm opens, and runs a guest of driver qemu");
	kvm = kvm_after("microvm-emulated", "QEMU with KVM: no guest");
	ck_assert_int_eq(kvm->status, REPORT_WARN);
	ck_assert_str_eq(kvm->detail,
	    "/dev/kvm opens, but runs no guest of driver qemu: QEMU with KVM: no guest");
	kvm = kvm_after(NULL, "");
	ck_assert_int_eq(kvm->status, REPORT_WARN);
	ck_assert_ptr_nonnull(strstr(kvm->detail, "no driver's test boot has shown"));
}
END_TEST

static void check_keys(const json_t *o, const char *const *keys, size_t n)
{
	ck_assert_uint_eq(json_object_size(o), n);
	for (size_t i = 0; i < n; i++)
		ck_assert_msg(json_object_get(o, keys[i]) != NULL, "no key %s", keys[i]);
}

START_TEST(json_has_the_documented_keys)
{
	static const char *const top[] = { "checks", "drivers", "verdict" };
	static const char *const check[] = { "name", "status", "detail", "fix" };
	static const char *const driver[] = { "name", "works", "isolation", "allowed", "why",
		"note", "fix", "self_test", "tests" };
	static const char *const verdict[] = { "ok", "driver", "isolation", "wanted_driver",
		"min_isolation", "min_isolation_met", "text" };
	begin("auto", "namespace");
	report_add(&report, "kernel", REPORT_FAIL, "boot another", "%s", "2.4 \"old\"");
	(void)add("qemu", NULL, "none");
	report_add_test(add("namespace", "namespace", ""), "clock", REPORT_OK, NULL, "right");
	(void)judge();
	CLEAN_JSON json_t *v = report_json(&report);
	check_keys(v, top, 3);
	const json_t *c = json_array_get(json_object_get(v, "checks"), 0);
	check_keys(c, check, 4);
	ck_assert_str_eq(json_string_value(json_object_get(c, "status")), "fail");
	ck_assert_str_eq(json_string_value(json_object_get(c, "detail")), "2.4 \"old\"");
	const json_t *d = json_object_get(v, "drivers");
	ck_assert_uint_eq(json_array_size(d), 2);
	check_keys(json_array_get(d, 0), driver, 9);
	ck_assert_str_eq(
	    json_string_value(json_object_get(json_array_get(d, 0), "self_test")), "skipped");
	ck_assert_str_eq(
	    json_string_value(json_object_get(json_array_get(d, 1), "self_test")), "ok");
	check_keys(json_array_get(json_object_get(json_array_get(d, 1), "tests"), 0), check, 4);
	check_keys(json_object_get(v, "verdict"), verdict, 7);
	ck_assert(json_is_true(json_object_get(json_object_get(v, "verdict"), "ok")));
}
END_TEST

START_TEST(tests_travel_as_json)
{
	struct report_driver from = { 0 }, to = { 0 };
	report_add_test(&from, "files", REPORT_WARN, "do that", "%s", "half");
	CLEAN_JSON json_t *v = report_tests_json(&from);
	ck_assert_int_eq(report_tests_read(&to, v), 0);
	ck_assert_uint_eq(to.n_tests, 1);
	ck_assert_str_eq(to.tests[0].name, "files");
	ck_assert_int_eq(to.tests[0].status, REPORT_WARN);
	ck_assert_str_eq(to.tests[0].fix, "do that");
	CLEAN_JSON json_t *odd = json_pack(
	    "[{s:s, s:s, s:s, s:s}]", "name", "n", "status", "good", "detail", "", "fix", "");
	ck_assert_int_eq(report_tests_read(&to, odd), -EPROTO);
	CLEAN_JSON json_t *part = json_pack("[{s:s}]", "name", "n");
	ck_assert_int_eq(report_tests_read(&to, part), -EPROTO);
	ck_assert_int_eq(report_tests_read(&to, NULL), -EPROTO);
	ck_assert_uint_eq(to.n_tests, 1);
}
END_TEST

static const char *fix_of(const char *name)
{
	struct report_driver d = { 0 };
	(void)str_copy(d.name, sizeof(d.name), name);
	report_fix_driver(&report, &d);
	static char fix[256];
	(void)str_copy(fix, sizeof(fix), d.fix);
	return fix;
}

START_TEST(what_to_do_about_a_driver)
{
	begin("auto", "namespace");
	report_add(&report, "swap", REPORT_WARN, "swapoff", "on");
	report_add(&report, "qemu-system-x86_64", REPORT_WARN, "install qemu", "absent");
	report_add(&report, "firecracker", REPORT_OK, NULL, "1.16.1");
	report_add(&report, "jailer", REPORT_WARN, "install jailer", "absent");
	ck_assert_str_eq(fix_of("qemu"), "install qemu");
	ck_assert_str_eq(fix_of("firecracker"), "install jailer");
	ck_assert_str_eq(fix_of("namespace"), "");
	report_add(&report, "cgroup", REPORT_FAIL, "switch on", "none");
	ck_assert_str_eq(fix_of("namespace"), "switch on");
	ck_assert_str_eq(fix_of("qemu"), "install qemu");
	begin("auto", "namespace");
	report_add(&report, "qemu-system-x86_64", REPORT_OK, NULL, "7.2");
	ck_assert_str_eq(fix_of("qemu"), "");
}
END_TEST

START_TEST(what_two_sandboxes_must_not_share)
{
	struct selftest_bytes a = { "00", "11", "t" }, b = { "01", "12", "u" };
	ck_assert_ptr_null(selftest_same(&a, &b));
	b = (struct selftest_bytes){ "00", "12", "u" };
	ck_assert_str_eq(selftest_same(&a, &b), "getrandom()");
	b = (struct selftest_bytes){ "01", "11", "u" };
	ck_assert_str_eq(selftest_same(&a, &b), "Python's random");
	b = (struct selftest_bytes){ "01", "12", "t" };
	ck_assert_str_eq(selftest_same(&a, &b), "access tokens");
}
END_TEST

START_TEST(clocks)
{
	const int64_t s = 1000000000;
	ck_assert_int_eq(selftest_clock_off_ms(10 * s, 11 * s, 12 * s), 0);
	ck_assert_int_eq(selftest_clock_off_ms(10 * s, 9 * s, 12 * s), -1000);
	ck_assert_int_eq(selftest_clock_off_ms(10 * s, 15 * s, 12 * s), 3000);
	ck_assert(selftest_clock_ok(0) && selftest_clock_ok(50) && selftest_clock_ok(-50));
	ck_assert(!selftest_clock_ok(51) && !selftest_clock_ok(-51));
}
END_TEST

START_TEST(tables_do_not_overflow)
{
	begin("auto", "namespace");
	struct report_driver *d = add("namespace", "namespace", "");
	for (int i = 0; i < 100; i++) {
		report_add(&report, "x", REPORT_OK, NULL, "%0500d", i);
		report_add_test(d, "y", REPORT_OK, NULL, "%0500d", i);
	}
	ck_assert_uint_eq(report.n_checks, REPORT_CHECKS_MAX);
	ck_assert_uint_eq(d->n_tests, REPORT_TESTS_MAX);
	ck_assert_uint_eq(strlen(d->tests[0].detail), sizeof(d->tests[0].detail) - 1);
}
END_TEST

START_TEST(text_has_a_line_for_each)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	begin("auto", "namespace");
	report_add(&report, "swap", REPORT_WARN, "swapoff -a", "%s", "on");
	report_add_test(add("namespace", "namespace", ""), "clock", REPORT_OK, NULL, "right");
	(void)judge();
	ck_assert_int_eq(report_text(&report, &b), 0);
	ck_assert_str_eq(buf_cstr(&b),
	    "Machine\n"
	    "  warn  swap                on\n"
	    "                              > swapoff -a\n"
	    "\n"
	    "Drivers, by a test boot of each\n"
	    "  ok    namespace           works, isolation namespace\n"
	    "\n"
	    "Self-test of driver namespace, two sandboxes\n"
	    "  ok    clock               right\n"
	    "\n"
	    "This machine runs sandboxes as namespace (driver namespace).\n");
}
END_TEST

TCase *doctor_report_case(Suite *s)
{
	TCase *tc = test_case(s, "report", 20);
	tcase_add_test(tc, auto_takes_the_strongest_that_works);
	tcase_add_test(tc, min_isolation_refuses_the_weaker);
	tcase_add_test(tc, a_named_driver_is_taken_or_none);
	tcase_add_test(tc, a_failed_self_test_is_no_success);
	tcase_add_test(tc, kvm_is_what_the_test_boots_say);
	tcase_add_test(tc, json_has_the_documented_keys);
	tcase_add_test(tc, tests_travel_as_json);
	tcase_add_test(tc, what_to_do_about_a_driver);
	tcase_add_test(tc, what_two_sandboxes_must_not_share);
	tcase_add_test(tc, clocks);
	tcase_add_test(tc, tables_do_not_overflow);
	tcase_add_test(tc, text_has_a_line_for_each);
	return tc;
}
