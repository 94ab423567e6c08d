/* SPDX-License-Identifier: Apache-2.0 */
/* Limits hold, the daemon hears of it, and the host is unaffected. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "jail/userns.h"
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
	(void)rig_out(&rig, &box, "sleep 60 >/dev/null 2>&1 & exit 0");
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
	/* what was started with little may be given more */
	ck_assert_int_eq(rig_resize(&rig, "islow", 0, 2000), 0);
	ck_assert_int_eq(rig_grow_disk(&rig, "islow", 2 * RIG_DISK), -ENOTSUP);
	ck_assert_int_eq(rig_usage(&rig, "islow", &before), 0);
	(void)rig_run(
	    &rig, &slow, 0, "timeout 2 sh -c 'while :; do :; done'", out, sizeof(out), 10);
	ck_assert_int_eq(rig_usage(&rig, "islow", &after), 0);
	ck_assert_uint_gt(after.cpu_usec - before.cpu_usec, 900000);
	ck_assert_int_eq(rig_resize(&rig, "inobody", 0, 2000), -ENOENT);
	ck_assert_int_eq(rig_destroy(&rig, &slow), 0);
}
END_TEST

/* What a sandbox keeps in memory may be as much as its share of what it has now. */
START_TEST(files_in_memory_follow_the_limit)
{
	static const char sizes[] = "df -B1048576 --output=size /dev/shm /run | tail -n 2 | xargs";
	char want[32];
	const uint64_t mib = RIG_MEMORY >> 20;
	(void)snprintf(want, sizeof(want), "%llu %llu\n", (unsigned long long)mib / 2,
	    (unsigned long long)mib / 8);
	ck_assert_str_eq(rig_out(&rig, &box, sizes), want);
	ck_assert_int_eq(rig_resize(&rig, "ilimit", 2 * RIG_MEMORY, 1000), 0);
	(void)snprintf(want, sizeof(want), "%llu %llu\n", (unsigned long long)mib,
	    (unsigned long long)mib / 4);
	ck_assert_str_eq(rig_out(&rig, &box, sizes), want);
	/* not less than what is there */
	(void)rig_out(&rig, &box, "head -c 80M /dev/zero >/dev/shm/full");
	ck_assert_int_eq(rig_resize(&rig, "ilimit", RIG_MEMORY, 1000), -EINVAL);
	(void)rig_out(&rig, &box, "rm /dev/shm/full");
	ck_assert_int_eq(rig_resize(&rig, "ilimit", RIG_MEMORY, 1000), 0);
}
END_TEST

/* Makes inotify instances until it is refused, says how many there are, and keeps them. */
#define TAKE_ALL_INSTANCES                                                         \
	"python3 -c 'import ctypes,os,time; l=ctypes.CDLL(None,use_errno=True); "  \
	"n=sum(iter(lambda: l.inotify_init1(0)>=0, False)); "                      \
	"open(\"/tmp/n.new\",\"w\").write(f\"{n} {ctypes.get_errno()}\"); "        \
	"os.rename(\"/tmp/n.new\",\"/tmp/n\"); time.sleep(60)' >/dev/null 2>&1 & " \
	"for i in 1 2 3 4 5 6 7 8 9; do test -e /tmp/n && break; sleep 0.$i; done; cat /tmp/n"
#define TAKE_ONE_INSTANCE                                                    \
	"python3 -c 'import ctypes,os; l=ctypes.CDLL(None,use_errno=True); " \
	"print(l.inotify_init1(0)>=0, ctypes.get_errno())'"

START_TEST(inotify_instances_are_its_own)
{
	struct rig_box other;
	int n = -1, code = -1;
	ck_assert_int_eq(rig_create(&rig, &other, "iwatch", NULL), 0);
	ck_assert_int_eq(sscanf(rig_out(&rig, &box, TAKE_ALL_INSTANCES), "%d %d", &n, &code), 2);
	ck_assert_int_gt(n, 0);
	if (code != EMFILE)
		(void)printf("this machine sets no limit of less than %d inotify instances\n", n);
	else
		ck_assert_str_eq(rig_out(&rig, &box, TAKE_ONE_INSTANCE), "False 24\n");
	ck_assert_str_eq(rig_out(&rig, &other, TAKE_ONE_INSTANCE), "True 0\n");
	int own = inotify_init1(IN_CLOEXEC);
	ck_assert_int_ge(own, 0);
	(void)close(own);
	ck_assert_int_eq(rig_destroy(&rig, &other), 0);
}
END_TEST

static ino_t user_namespace(pid_t pid, uid_t *ret_owner)
{
	char path[64];
	struct stat st = { 0 };
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0; /* it has ended */
	ck_assert_int_eq(fstat(fd, &st), 0);
	if (ret_owner)
		ck_assert_int_eq(ioctl(fd, NS_GET_OWNER_UID, ret_owner), 0);
	(void)close(fd);
	return st.st_ino;
}

static bool has_user_in(pid_t pid, uint32_t first, uint32_t n)
{
	char path[64], line[128];
	unsigned id[4] = { 0 };
	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
	FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Uid: %u %u %u %u", &id[0], &id[1], &id[2], &id[3]) == 4)
			break;
	if (f)
		(void)fclose(f);
	for (int i = 0; i < 4; i++)
		if (id[i] >= first && id[i] - first < n)
			return true;
	return false;
}

/* Its namespace belongs to an id of the sandbox's own range, which is as good as root of that
 * namespace outside of it: so nothing outside may run as one of them. */
START_TEST(nothing_outside_runs_as_the_owner)
{
	uid_t owner = 0;
	unsigned inside = 0;
	ino_t ns = user_namespace(box.pid, &owner), host = user_namespace(getpid(), NULL);
	ck_assert_uint_eq(owner, box.uid_base);
	ck_assert_uint_ne(ns, host);
	(void)rig_out(&rig, &box, "sleep 30 >/dev/null 2>&1 & exit 0");
	DIR *d = opendir("/proc");
	ck_assert_ptr_nonnull(d);
	for (struct dirent *e; (e = readdir(d));) {
		pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
		if (pid <= 0 || !has_user_in(pid, box.uid_base, USERNS_RANGE))
			continue;
		ino_t its = user_namespace(pid, NULL);
		ck_assert_msg(!its || its == ns, "process %d", pid);
		inside += its == ns;
	}
	(void)closedir(d);
	ck_assert_uint_ge(inside, 2);
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
	tcase_add_test(tc, files_in_memory_follow_the_limit);
	tcase_add_test(tc, inotify_instances_are_its_own);
	tcase_add_test(tc, nothing_outside_runs_as_the_owner);
	tcase_add_test(tc, the_end_of_the_agent_is_told);
	tcase_add_test(tc, bad_requests_are_answered);
}
