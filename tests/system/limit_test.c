/* SPDX-License-Identifier: Apache-2.0 */
/* Limits hold, the daemon hears of it, and the host is unaffected. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "lib/test.h"
#include "rig.h"
#include "system_tests.h"

static struct rig rig;
static struct rig_box box;

static void set_up(void)
{
	struct err err = ERR_INIT;
	rig_open(&rig, false);
	ck_assert_msg(rig_create(&rig, &box, "ilimit", &err) == 0, "%s", err_text(&err));
}

static void tear_down(void)
{
	ck_assert_int_eq(rig_destroy(&rig, &box), 0);
	rig_close(&rig);
}

START_TEST(fork_bomb_is_contained)
{
	char out[RIG_OUT];
	struct proto_usage u;
	(void)rig_run(&rig, &box, 1000, "f() { f | f & }; f; sleep 1", out, sizeof(out), 3);
	ck_assert(rig_wait(&rig, &box.pids, 5000));
	ck_assert_int_gt(box.refused, 0);
	ck_assert_int_eq(rig_usage(&rig, "ilimit", &u), 0);
	ck_assert_uint_le(u.pids, RIG_PIDS);
	ck_assert_uint_gt(u.pids, 1);
	uint64_t t = clock_mono_ms();
	struct rig_box again = box;
	ck_assert_int_eq(rig_destroy(&rig, &box), 0);
	ck_assert_uint_lt(clock_mono_ms() - t, 2000);
	ck_assert_int_eq(rig_create(&rig, &box, again.watch.id, NULL), 0);
}
END_TEST

START_TEST(memory_bomb_is_contained)
{
	char out[RIG_OUT];
	int status = rig_run(&rig, &box, 0, "python3 -c 'x=[]\nwhile 1: x.append(b\"x\"*1000000)'",
	    out, sizeof(out), 30);
	(void)status;
	status = rig_run(&rig, &box, 0, "exec python3 -c \"b=bytearray(400<<20); print(len(b))\"",
	    out, sizeof(out), 30);
	ck_assert_msg(status == 128 + 9, "status %d: %s", status, out);
	ck_assert(rig_wait(&rig, &box.ooms, 3000));
	ck_assert_int_ge(box.oom_kills, 1);
	ck_assert(rig_answers(&rig, &box));
}
END_TEST

START_TEST(disk_is_capped)
{
	char out[RIG_OUT];
	struct statvfs before, after;
	struct proto_usage u;
	ck_assert_int_eq(statvfs(rig.dir, &before), 0);
	int status = rig_run(&rig, &box, 0, "cat /dev/zero > /tmp/big; sync", out, sizeof(out), 60);
	ck_assert_ptr_nonnull(strstr(out, "No space left"));
	(void)status;
	ck_assert_int_ne(
	    rig_run(&rig, &box, 0, "head -c 4M /dev/zero > /usr/lib/big", out, sizeof(out), 60), 0);
	ck_assert_int_eq(statvfs(rig.dir, &after), 0);
	ck_assert_int_eq(rig_usage(&rig, "ilimit", &u), 0);
	ck_assert_uint_le(u.disk_bytes, RIG_DISK);
	ck_assert_uint_gt(u.disk_bytes, RIG_DISK / 2);
	ck_assert_uint_eq(u.disk_limit, RIG_DISK);
	(void)rig_out(
	    &rig, &box, "rm /tmp/big; head -c 4M /dev/zero > /tmp/small; wc -c < /tmp/small");
	/* memory file systems are in the memory limit */
	ck_assert_int_ne(
	    rig_run(&rig, &box, 0, "cat /dev/zero > /run/big", out, sizeof(out), 60), 0);
	ck_assert_int_ne(
	    rig_run(&rig, &box, 0, "cat /dev/zero > /dev/shm/big", out, sizeof(out), 60), 0);
}
END_TEST

START_TEST(destroy_of_a_full_disk_is_quick)
{
	struct proto_create c;
	struct rig_box full;
	rig_create_default(&c, "ifull");
	c.disk_bytes = 1ull << 30;
	c.memory_bytes = 512ull << 20;
	ck_assert_int_eq(rig_create_as(&rig, &full, &c, NULL), 0);
	(void)rig_out(&rig, &full, "head -c 400M /dev/zero > /tmp/big");
	uint64_t t = clock_mono_ms();
	ck_assert_int_eq(rig_destroy(&rig, &full), 0);
	ck_assert_uint_lt(clock_mono_ms() - t, 2000);
}
END_TEST

START_TEST(processor_time_is_shared_out)
{
	struct proto_create c;
	struct proto_usage before, after;
	struct rig_box slow;
	char out[RIG_OUT];
	rig_create_default(&c, "islow");
	c.cpu_milli = 200;
	ck_assert_int_eq(rig_create_as(&rig, &slow, &c, NULL), 0);
	ck_assert_int_eq(rig_usage(&rig, "islow", &before), 0);
	(void)rig_run(
	    &rig, &slow, 0, "timeout 2 sh -c 'while :; do :; done'", out, sizeof(out), 10);
	ck_assert_int_eq(rig_usage(&rig, "islow", &after), 0);
	/* 2 s at a fifth are 400 ms; the bound is generous, without a limit it would be near 2 s */
	ck_assert_uint_lt(after.cpu_usec - before.cpu_usec, 900000);
	ck_assert_int_eq(rig_destroy(&rig, &slow), 0);
}
END_TEST

START_TEST(the_end_of_the_agent_is_told)
{
	struct rig_box gone;
	char out[RIG_OUT];
	ck_assert_int_eq(rig_create(&rig, &gone, "igone", NULL), 0);
	(void)rig_run(&rig, &gone, 0, "exit", out, sizeof(out), 5);
	ck_assert(rig_wait(&rig, &gone.exits, 5000));
	ck_assert_int_eq(WEXITSTATUS((int)gone.exit_status), 7);
	ck_assert_str_eq(gone.text, "leaving as told");
	ck_assert_int_eq(gone.exits, 1);
	ck_assert_int_eq(rig_adopt(&rig, "igone"), -ENOENT);
	ck_assert_int_eq(rig_destroy(&rig, &gone), 0);
	ck_assert_int_eq(rig_destroy(&rig, &gone), 0); /* as often as one likes */
}
END_TEST

START_TEST(bad_requests_are_answered)
{
	struct err err;
	struct rig_box bad;
	struct proto_create c;
	ck_assert_int_eq(rig_create(&rig, &bad, "ilimit", NULL), -EEXIST);
	rig_create_default(&c, "ibad");
	c.memory_bytes = 1;
	ck_assert_int_eq(rig_create_as(&rig, &bad, &c, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "memory"));
	rig_create_default(&c, "ibad");
	(void)strcpy(c.base, "nothing");
	ck_assert_int_eq(rig_create_as(&rig, &bad, &c, &err), -ENOENT);
	rig_create_default(&c, "ibad");
	(void)strcpy(c.base, "../x");
	ck_assert_int_eq(rig_create_as(&rig, &bad, &c, &err), -EINVAL);
	rig_create_default(&c, "ibad");
	c.internet = 1;
	ck_assert_int_eq(rig_create_as(&rig, &bad, &c, &err), -ENOTSUP);
}
END_TEST

void add_limit_tests(Suite *s)
{
	TCase *tc = test_case(s, "limit", 120);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, fork_bomb_is_contained);
	tcase_add_test(tc, memory_bomb_is_contained);
	tcase_add_test(tc, disk_is_capped);
	tcase_add_test(tc, destroy_of_a_full_disk_is_quick);
	tcase_add_test(tc, processor_time_is_shared_out);
	tcase_add_test(tc, the_end_of_the_agent_is_told);
	tcase_add_test(tc, bad_requests_are_answered);
}
