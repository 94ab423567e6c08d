/* SPDX-License-Identifier: Apache-2.0 */
/* VMs for real: booted, cloned, stopped, kept, restored, ended in every way; nothing is left. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "lib/test.h"
#include "qemu_rig.h"
#include "qemu_system_tests.h"

static const struct vmm_driver *const drv = &vmm_qemu_driver;

static void expect_ok(int r, const struct qemu_seen *s)
{
	ck_assert_msg(r == 0, "%s", err_text(&s->err));
}

static void on_probed(const struct err *err, void *arg)
{
	struct qemu_seen *s = arg;
	s->err = *err;
	s->there = 1;
}

/* This machine may have no KVM that works: the driver finds out, within its limits. */
START_TEST(the_probe_tells_what_works)
{
	struct qemu_rig q;
	struct qemu_seen s = { 0 };
	qemu_rig_open(&q, false, false);
	drv->probe(q.v, on_probed, &s);
	ck_assert(rig_wait(&q.r, &s.there, 90000));
	ck_assert_msg(s.err.code == 0, "%s", err_text(&s.err));
	ck_assert(strncmp(drv->isolation(q.v), "microvm", 7) == 0);
	(void)printf("QEMU here: %s\n", drv->isolation(q.v));
	qemu_rig_close(&q);
}
END_TEST

START_TEST(clones_are_alike_and_apart)
{
	struct qemu_rig q;
	struct qemu_seen a, b;
	char first[64];
	qemu_rig_open(&q, false, false);
	qemu_rig_make_warm(&q);
	struct vmm_spec spec = qemu_rig_spec(&q, "ia", VMM_START_BEST);
	uint64_t t = clock_mono_us();
	expect_ok(qemu_rig_create(&q, &a, &spec), &a);
	qemu_rig_expect(&q, &a, "echo hello", "hello");
	(void)printf("clone to its first answer: %.1f ms\n", (double)(clock_mono_us() - t) / 1e3);
	spec = qemu_rig_spec(&q, "ib", VMM_START_BEST);
	expect_ok(qemu_rig_create(&q, &b, &spec), &b);
	ck_assert(drv->is_warm(a.inst) && drv->is_warm(b.inst));
	qemu_rig_check_sealed(&q, "ia");
	/* clones share what the kernel's generator knew: why the agent must be woken */
	(void)str_copy(first, sizeof(first), qemu_rig_ask(&q, &a, "random"));
	ck_assert_uint_eq(strlen(first), 32);
	qemu_rig_expect(&q, &a, "read", "warm");
	qemu_rig_expect(&q, &a, "write mine", "ok");
	qemu_rig_expect(&q, &a, "dirty 20", "ok");
	qemu_rig_expect(&q, &b, "read", "warm");
	qemu_rig_expect(&q, &b, "sum", "0");
	qemu_rig_expect(&q, &a, "read", "mine");
	/* a client that vanishes leaves room for the next one */
	for (int i = 0; i < 5; i++)
		qemu_rig_expect(&q, &b, "echo again", "again");
	qemu_rig_destroy(&q, &a);
	qemu_rig_expect(&q, &b, "echo alive", "alive");
	qemu_rig_destroy(&q, &b);
	qemu_rig_close(&q);
}
END_TEST

static bool is_stopped(struct qemu_rig *q, const char *id)
{
	struct proto_usage before, after;
	ck_assert_int_eq(rig_usage(&q->r, id, &before), 0);
	rig_pause(&q->r, 300);
	ck_assert_int_eq(rig_usage(&q->r, id, &after), 0);
	return after.cpu_usec - before.cpu_usec < 20000;
}

START_TEST(snapshots_hold_memory_and_disk)
{
	struct qemu_rig q;
	struct qemu_seen a, b, c;
	char sum[64];
	qemu_rig_open(&q, false, false);
	qemu_rig_make_warm(&q);
	struct vmm_spec spec = qemu_rig_spec(&q, "ia", VMM_START_BEST);
	expect_ok(qemu_rig_create(&q, &a, &spec), &a);
	qemu_rig_expect(&q, &a, "dirty 24", "ok");
	qemu_rig_expect(&q, &a, "write one", "ok");
	(void)str_copy(sum, sizeof(sum), qemu_rig_ask(&q, &a, "sum"));
	rig_pause(&q.r, 100);
	expect_ok(qemu_rig_do(&q, &a, drv->pause), &a);
	expect_ok(qemu_rig_do(&q, &a, drv->pause), &a); /* idempotent */
	ck_assert(is_stopped(&q, "ia"));
	uint64_t t = clock_mono_us();
	expect_ok(qemu_rig_snapshot(&q, &a, "isnap"), &a);
	(void)printf("snapshot: %.1f ms\n", (double)(clock_mono_us() - t) / 1e3);
	ck_assert_int_eq(qemu_rig_snapshot(&q, &a, "isnap"), -EEXIST);
	/* it goes on, and what it does then is not in the snapshot */
	expect_ok(qemu_rig_do(&q, &a, drv->resume), &a);
	qemu_rig_expect(&q, &a, "write two", "ok");
	qemu_rig_expect(&q, &a, "sum", sum);
	qemu_rig_expect(&q, &a, "dirty 3", "ok");
	/* two of one snapshot, while the first lives */
	spec = qemu_rig_spec(&q, "ib", VMM_START_SNAPSHOT);
	(void)str_copy(spec.snapshot, sizeof(spec.snapshot), "isnap");
	t = clock_mono_us();
	expect_ok(qemu_rig_create(&q, &b, &spec), &b);
	qemu_rig_expect(&q, &b, "sum", sum);
	(void)printf(
	    "restored to its first answer: %.1f ms\n", (double)(clock_mono_us() - t) / 1e3);
	(void)str_copy(spec.id, sizeof(spec.id), "ic");
	expect_ok(qemu_rig_create(&q, &c, &spec), &c);
	qemu_rig_expect(&q, &b, "read", "one");
	qemu_rig_expect(&q, &b, "write three", "ok");
	qemu_rig_expect(&q, &c, "read", "one");
	qemu_rig_expect(&q, &c, "sum", sum);
	qemu_rig_expect(&q, &a, "read", "two");
	qemu_rig_destroy(&q, &a);
	qemu_rig_destroy(&q, &c);
	/* a snapshot of what came from a snapshot stands alone */
	rig_pause(&q.r, 100);
	expect_ok(qemu_rig_do(&q, &b, drv->pause), &b);
	expect_ok(qemu_rig_snapshot(&q, &b, "isnap2"), &b);
	qemu_rig_destroy(&q, &b);
	ck_assert_int_eq(qemu_rig_forget(&q, "isnap"), 0);
	ck_assert_int_eq(qemu_rig_forget(&q, "isnap"), 0);
	(void)str_copy(spec.snapshot, sizeof(spec.snapshot), "isnap2");
	expect_ok(qemu_rig_create(&q, &b, &spec), &b);
	qemu_rig_expect(&q, &b, "read", "three");
	qemu_rig_expect(&q, &b, "sum", sum);
	qemu_rig_destroy(&q, &b);
	ck_assert_int_eq(qemu_rig_forget(&q, "isnap2"), 0);
	qemu_rig_close(&q);
}
END_TEST

/* In sectors, as the guest's kernel has heard it. */
static void expect_size(struct qemu_rig *q, const struct qemu_seen *s, uint64_t bytes)
{
	uint64_t end = clock_mono_ms() + 20000;
	while (strtoull(qemu_rig_ask(q, s, "size"), NULL, 10) != bytes / 512) {
		ck_assert_msg(clock_mono_ms() < end, "the guest's disk does not grow");
		rig_pause(&q->r, 20);
	}
}

/* Of a clone that runs; it stays so when it is kept and comes back. */
START_TEST(a_disk_grows)
{
	struct qemu_rig q;
	struct qemu_seen a;
	struct proto_usage u;
	qemu_rig_open(&q, false, false);
	qemu_rig_make_warm(&q);
	struct vmm_spec spec = qemu_rig_spec(&q, "ia", VMM_START_BEST);
	const uint64_t disk = spec.disk_bytes;
	expect_ok(qemu_rig_create(&q, &a, &spec), &a);
	ck_assert(drv->is_warm(a.inst));
	expect_size(&q, &a, disk);
	qemu_rig_expect(&q, &a, "write mine", "ok");
	const struct vmm_sizes to = { spec.memory_bytes, 8 * disk, 1000 };
	expect_ok(qemu_rig_resize(&q, &a, &to), &a);
	expect_size(&q, &a, 8 * disk);
	qemu_rig_expect(&q, &a, "read", "mine");
	ck_assert_int_eq(rig_usage(&q.r, "ia", &u), 0);
	ck_assert_uint_eq(u.disk_limit, 8 * disk);
	ck_assert_int_eq(rig_grow_disk(&q.r, "ia", disk), -EINVAL); /* none shrinks */

	rig_pause(&q.r, 100);
	expect_ok(qemu_rig_do(&q, &a, drv->pause), &a);
	expect_ok(qemu_rig_snapshot(&q, &a, "isnap"), &a);
	qemu_rig_destroy(&q, &a);
	spec = qemu_rig_spec(&q, "ib", VMM_START_SNAPSHOT);
	(void)str_copy(spec.snapshot, sizeof(spec.snapshot), "isnap");
	ck_assert_int_eq(qemu_rig_create(&q, &a, &spec), -EINVAL); /* it has another size */
	spec.disk_bytes = 8 * disk;
	expect_ok(qemu_rig_create(&q, &a, &spec), &a);
	expect_size(&q, &a, 8 * disk);
	qemu_rig_expect(&q, &a, "read", "mine");
	qemu_rig_destroy(&q, &a);
	ck_assert_int_eq(qemu_rig_forget(&q, "isnap"), 0);
	qemu_rig_close(&q);
}
END_TEST

/* What leaves a guest is bounded by its slot, and can be switched. */
START_TEST(guests_have_the_network_of_their_slot)
{
	struct qemu_rig q;
	struct qemu_seen a, b;
	qemu_rig_open(&q, true, false);
	qemu_rig_make_warm(&q); /* without a network; clones have one */
	q.tmpl.internet = true;
	struct vmm_spec spec = qemu_rig_spec(&q, "ia", VMM_START_BEST);
	expect_ok(qemu_rig_create(&q, &a, &spec), &a);
	ck_assert(drv->is_warm(a.inst));
	/* the gateway answers, refusing; so do hosts that nobody may reach */
	char refused[16];
	(void)snprintf(refused, sizeof(refused), "%d", ECONNREFUSED);
	qemu_rig_expect(&q, &a, "tcp 169.254.0.22 22", refused);
	ck_assert_str_ne(qemu_rig_ask(&q, &a, "tcp 10.1.2.3 80"), "0");
	drv->set_internet(a.inst, false, on_probed, &a);
	ck_assert(rig_wait(&q.r, &a.there, 5000));
	a.there = 0;
	char unreachable[16];
	(void)snprintf(unreachable, sizeof(unreachable), "%d", ENETUNREACH);
	qemu_rig_expect(&q, &a, "tcp 10.1.2.3 80", unreachable);
	/* at once and each time, so that no name is waited for */
	for (int i = 0; i < 5; i++)
		qemu_rig_expect(&q, &a, "udp 10.1.2.3 53", unreachable);
	spec.internet = false;
	(void)str_copy(spec.id, sizeof(spec.id), "ib");
	expect_ok(qemu_rig_create(&q, &b, &spec), &b);
	ck_assert_str_ne(qemu_rig_ask(&q, &b, "tcp 169.254.0.22 22"), refused);
	qemu_rig_destroy(&q, &a);
	qemu_rig_destroy(&q, &b);
	qemu_rig_close(&q);
}
END_TEST

static Suite *qemu_suite(void)
{
	Suite *s = suite_create("qemu");
	if (!qemu_rig_possible())
		return s;
	TCase *tc = test_case(s, "vms", 180);
	tcase_add_test(tc, the_probe_tells_what_works);
	tcase_add_test(tc, clones_are_alike_and_apart);
	tcase_add_test(tc, a_disk_grows);
	tcase_add_test(tc, guests_have_the_network_of_their_slot);
	tcase_add_test(tc, snapshots_hold_memory_and_disk);
	add_qemu_end_tests(s);
	return s;
}

TEST_MAIN(qemu_suite)
