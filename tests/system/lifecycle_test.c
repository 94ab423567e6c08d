/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "lib/test.h"
#include "rig.h"
#include "system_tests.h"

#define ROUNDS 50

START_TEST(creates_runs_destroys)
{
	struct rig r;
	struct rig_box b;
	struct err err = ERR_INIT;
	rig_open(&r, false);
	ck_assert_msg(rig_create(&r, &b, "ione", &err) == 0, "%s", err_text(&err));
	ck_assert(rig_answers(&r, &b));
	ck_assert_str_eq(rig_out(&r, &b, "id -u; hostname; pwd"), "0\nsandbox\n/\n");
	ck_assert_str_eq(rig_out(&r, &b, "echo $$ > /tmp/x; ls /tmp"), "x\n");
	ck_assert_str_eq(
	    rig_out(&r, &b, "python3 -c 'import json; print(json.dumps([1]))'"), "[1]\n");
	ck_assert_int_eq(rig_destroy(&r, &b), 0);
	rig_close(&r);
}
END_TEST

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static void print_percentiles(const char *what, uint64_t *us, int n)
{
	qsort(us, (size_t)n, sizeof(*us), by_value);
	(void)printf("%s: n %d, p50 %.2f ms, p90 %.2f ms, p99 %.2f ms, max %.2f ms\n", what, n,
	    (double)us[n / 2] / 1e3, (double)us[n * 9 / 10] / 1e3, (double)us[n * 99 / 100] / 1e3,
	    (double)us[n - 1] / 1e3);
}

START_TEST(fifty_leave_nothing)
{
	struct rig r;
	struct rig_box b;
	static uint64_t create_us[ROUNDS], destroy_us[ROUNDS];
	rig_open(&r, false);
	for (int i = 0; i < ROUNDS; i++) {
		char id[16];
		(void)snprintf(id, sizeof(id), "i%d", i);
		uint64_t t = clock_mono_us();
		ck_assert_int_eq(rig_create(&r, &b, id, NULL), 0);
		ck_assert(rig_answers(&r, &b));
		create_us[i] = clock_mono_us() - t;
		t = clock_mono_us();
		ck_assert_int_eq(rig_destroy(&r, &b), 0);
		destroy_us[i] = clock_mono_us() - t;
		rig_pause(&r, 50);
	}
	print_percentiles("create to first answer, spaced by 50 ms", create_us, ROUNDS);
	print_percentiles("destroy", destroy_us, ROUNDS);
	rig_close(&r);
}
END_TEST

struct parallel {
	int answers, failures;
};

static void on_parallel(const struct err *err, const struct proto_reply *reply, void *arg)
{
	struct parallel *p = arg;
	p->answers++;
	p->failures += err->code != 0;
}

static void wait_answers(struct rig *r, const struct parallel *p, int n)
{
	for (int ms = 0; p->answers < n && ms < 30000; ms += 5)
		rig_pause(r, 5);
	ck_assert_int_eq(p->answers, n);
	ck_assert_int_eq(p->failures, 0);
}

START_TEST(many_at_once)
{
	enum { N = 24 };
	struct rig r;
	struct parallel p = { 0 };
	char id[ID_SANDBOX_LEN + 1];
	rig_open(&r, false);
	uint64_t t = clock_mono_us();
	for (int i = 0; i < N; i++) {
		struct proto_create c;
		(void)snprintf(id, sizeof(id), "ip%d", i);
		rig_create_default(&c, id);
		ck_assert_int_eq(launcher_create(r.la, &c, on_parallel, &p), 0);
	}
	wait_answers(&r, &p, N);
	(void)printf(
	    "%d creates at once: %.1f ms each\n", N, (double)(clock_mono_us() - t) / 1e3 / N);
	ck_assert_uint_eq(rig_count(&r), N);
	p.answers = 0;
	for (int i = 0; i < N; i++) {
		(void)snprintf(id, sizeof(id), "ip%d", i);
		ck_assert_int_eq(launcher_destroy(r.la, id, on_parallel, &p), 0);
	}
	wait_answers(&r, &p, N);
	/* a destroy overtakes its create */
	p.answers = 0;
	struct parallel lost = { 0 };
	for (int i = 0; i < N; i++) {
		struct proto_create c;
		(void)snprintf(id, sizeof(id), "iq%d", i);
		rig_create_default(&c, id);
		ck_assert_int_eq(launcher_create(r.la, &c, on_parallel, &lost), 0);
		rig_pause(&r, (unsigned)i % 4);
		ck_assert_int_eq(launcher_destroy(r.la, id, on_parallel, &p), 0);
	}
	wait_answers(&r, &p, N);
	for (int ms = 0; lost.answers < N && ms < 5000; ms += 5)
		rig_pause(&r, 5);
	ck_assert_int_eq(lost.answers, N);
	rig_close(&r);
}
END_TEST

/* As with a /var of its own. */
START_TEST(state_may_be_on_another_file_system)
{
	struct rig r;
	struct rig_box b;
	rig_open_own_fs(&r);
	ck_assert_int_eq(rig_create(&r, &b, "ielse", NULL), 0);
	ck_assert_str_eq(rig_out(&r, &b,
			     "head -c 5 /etc/debian_version >/tmp/v && test -s /tmp/v "
			     "&& echo there"),
	    "there\n");
	ck_assert_int_eq(rig_destroy(&r, &b), 0);
	rig_close(&r);
}
END_TEST

void add_lifecycle_tests(Suite *s)
{
	TCase *tc = test_case(s, "lifecycle", 120);
	tcase_add_test(tc, creates_runs_destroys);
	tcase_add_test(tc, fifty_leave_nothing);
	tcase_add_test(tc, many_at_once);
	tcase_add_test(tc, state_may_be_on_another_file_system);
}
