/* SPDX-License-Identifier: Apache-2.0 */
/* Control groups over ordinary directories that look like each layout. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"
#include "jail/cgroup.h"
#include "jail_tests.h"
#include "lib/test.h"
#include "lib/tmpdir.h"

static const struct cgroup_limits limits = { 512 << 20, 1500, 77 };

static void make_dir(const struct tmpdir *t, const char *name)
{
	char path[128];
	ck_assert_int_eq(path_mkdir_p(tmpdir_at(t, name, path), 0755), 0);
}

static void assert_text(const struct tmpdir *t, const char *name, const char *want)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	char path[128];
	ck_assert_int_eq(fd_read_file(AT_FDCWD, tmpdir_at(t, name, path), 4096, &b), 0);
	ck_assert_int_eq(strncmp(buf_cstr(&b), want, strlen(want)), 0);
}

static int open_tree_of(
    const struct tmpdir *t, const char *mounts, struct cgroup_tree *tree, struct err *err)
{
	char path[128];
	tmpdir_write(t, "mountinfo", mounts);
	return cgroup_tree_open(tree, tmpdir_at(t, "mountinfo", path), "sg", err);
}

START_TEST(version_two)
{
	struct tmpdir t;
	struct cgroup_tree tree;
	struct cgroup_usage u;
	char mounts[256], path[64];
	struct err err = ERR_INIT;
	tmpdir_make(&t);
	make_dir(&t, "u/sg/box");
	tmpdir_write(&t, "u/cgroup.controllers", "cpuset cpu io memory pids\n");
	tmpdir_write(&t, "u/cgroup.subtree_control", "");
	tmpdir_write(&t, "u/sg/cgroup.subtree_control", "");
	static const char *const files[] = { "memory.max", "memory.swap.max", "cpu.max", "pids.max",
		"cgroup.kill" };
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		(void)snprintf(path, sizeof(path), "u/sg/box/%s", files[i]);
		tmpdir_write(&t, path, "");
	}
	(void)snprintf(mounts, sizeof(mounts),
	    "30 1 0:26 / %s/u rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n", t.path);
	ck_assert_msg(open_tree_of(&t, mounts, &tree, &err) == 0, "%s", err.text);
	ck_assert(tree.v2);
	assert_text(&t, "u/cgroup.subtree_control", "+memory +cpu +pids");
	assert_text(&t, "u/sg/cgroup.subtree_control", "+memory +cpu +pids");
	ck_assert_int_eq(cgroup_create(&tree, "box", &limits, &err), 0);
	assert_text(&t, "u/sg/box/memory.max", "536870912");
	assert_text(&t, "u/sg/box/memory.swap.max", "0");
	assert_text(&t, "u/sg/box/cpu.max", "150000 100000");
	assert_text(&t, "u/sg/box/pids.max", "77");
	tmpdir_write(&t, "u/sg/box/memory.current", "4096\n");
	tmpdir_write(&t, "u/sg/box/memory.events", "low 0\nhigh 0\nmax 3\noom 2\noom_kill 5\n");
	tmpdir_write(&t, "u/sg/box/cpu.stat", "usage_usec 123\nuser_usec 100\n");
	tmpdir_write(&t, "u/sg/box/pids.current", "9\n");
	tmpdir_write(&t, "u/sg/box/pids.events", "max 4\n");
	cgroup_read(&tree, "box", &u);
	ck_assert_uint_eq(u.memory_bytes, 4096);
	ck_assert_uint_eq(u.memory_limit, 512 << 20);
	ck_assert_uint_eq(u.oom_kills, 5);
	ck_assert_uint_eq(u.cpu_usec, 123);
	ck_assert_uint_eq(u.pids, 9);
	ck_assert_uint_eq(u.pids_refused, 4);
	/* other limits while it is in use */
	ck_assert_int_eq(cgroup_resize(&tree, "box", 1 << 30, 3000, &err), 0);
	assert_text(&t, "u/sg/box/memory.max", "1073741824");
	assert_text(&t, "u/sg/box/cpu.max", "300000 100000");
	ck_assert_int_eq(cgroup_resize(&tree, "box", 0, 500, &err), 0);
	assert_text(&t, "u/sg/box/memory.max", "1073741824");
	assert_text(&t, "u/sg/box/cpu.max", "50000 100000");
	tmpdir_write(&t, "u/sg/box/memory.current", "504857600\n");
	ck_assert_int_eq(cgroup_resize(&tree, "box", 512 << 20, 500, &err), -EBUSY);
	ck_assert_str_eq(err.text, "memory: 481 MiB are in use already, expected more");
	assert_text(&t, "u/sg/box/memory.max", "1073741824");
	ck_assert_int_eq(cgroup_resize(&tree, "none", 1 << 30, 500, &err), -ENOENT);
	ck_assert_int_eq(cgroup_kill(&tree, "box"), 0);
	assert_text(&t, "u/sg/box/cgroup.kill", "1");
	ck_assert_int_eq(cgroup_kill(&tree, "none"), 0);
	ck_assert_int_eq(cgroup_remove(&tree, "none"), 0);
	cgroup_tree_close(&tree);
	tmpdir_remove(&t);
}
END_TEST

START_TEST(hybrid)
{
	struct tmpdir t;
	struct cgroup_tree tree;
	struct cgroup_usage u;
	struct cgroup_door door;
	char mounts[1024], path[128];
	struct err err = ERR_INIT;
	tmpdir_make(&t);
	make_dir(&t, "u/sg/box");
	make_dir(&t, "m/sg/box");
	make_dir(&t, "c/sg/box");
	make_dir(&t, "p/sg/box");
	tmpdir_write(&t, "u/cgroup.controllers", "hugetlb\n");
	static const char *const files[] = { "m/sg/box/memory.limit_in_bytes",
		"m/sg/box/memory.swappiness", "c/sg/box/cpu.cfs_quota_us", "p/sg/box/pids.max",
		"m/sg/box/tasks", "c/sg/box/tasks", "p/sg/box/tasks" };
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		tmpdir_write(&t, files[i], "");
	(void)snprintf(mounts, sizeof(mounts),
	    "1 1 0:1 / %s/m rw - cgroup cgroup rw,memory\n"
	    "2 1 0:2 /docker/x %s/c rw - cgroup cgroup rw,cpu,cpuacct\n"
	    "3 1 0:3 / %s/p rw shared:9 - cgroup cgroup rw,pids\n"
	    "4 1 0:4 / %s/u rw - cgroup2 cgroup2 rw\n"
	    "5 1 0:5 / /nonsense\n",
	    t.path, t.path, t.path, t.path);
	ck_assert_msg(open_tree_of(&t, mounts, &tree, &err) == 0, "%s", err.text);
	ck_assert(!tree.v2);
	ck_assert_int_eq(cgroup_create(&tree, "box", &limits, &err), 0);
	assert_text(&t, "m/sg/box/memory.limit_in_bytes", "536870912");
	assert_text(&t, "m/sg/box/memory.swappiness", "0"); /* no swap accounting */
	assert_text(&t, "c/sg/box/cpu.cfs_quota_us", "150000");
	assert_text(&t, "p/sg/box/pids.max", "77");
	ck_assert_int_eq(cgroup_resize(&tree, "box", 1 << 30, 3000, &err), 0);
	assert_text(&t, "m/sg/box/memory.limit_in_bytes", "1073741824");
	assert_text(&t, "c/sg/box/cpu.cfs_quota_us", "300000");
	tmpdir_write(
	    &t, "m/sg/box/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
	tmpdir_write(&t, "c/sg/box/cpuacct.usage", "5000000\n");
	tmpdir_write(&t, "p/sg/box/pids.events", "max 8\n");
	cgroup_read(&tree, "box", &u);
	ck_assert_uint_eq(u.oom_kills, 2);
	ck_assert_uint_eq(u.cpu_usec, 5000);
	ck_assert_uint_eq(u.pids_refused, 8);
	CLEAN_FD int fd = cgroup_pids_open(&tree, "box");
	ck_assert_uint_eq(cgroup_pids_count(fd), 8);
	ck_assert_int_eq(cgroup_oom_path(&tree, "box", path, sizeof(path)), -ENOTSUP);
	/* a child writes "0" into each tasks file, and is born into the other tree */
	ck_assert_int_eq(cgroup_door_open(&tree, "box", &door), 0);
	ck_assert_int_ge(door.unified_fd, 0);
	ck_assert_int_eq(cgroup_door_enter(&door), 0);
	cgroup_door_close(&door);
	assert_text(&t, "m/sg/box/tasks", "0");
	assert_text(&t, "p/sg/box/tasks", "0");
	ck_assert_int_eq(cgroup_door_open(&tree, "none", &door), -ENOENT);
	ck_assert_int_eq(door.unified_fd, -1);
	cgroup_tree_close(&tree);
	tmpdir_remove(&t);
}
END_TEST

START_TEST(nothing_usable)
{
	struct tmpdir t;
	struct cgroup_tree tree;
	struct err err = ERR_INIT;
	tmpdir_make(&t);
	ck_assert_int_eq(
	    open_tree_of(&t, "1 1 0:1 / / rw - ext4 /dev/vda rw\n", &tree, &err), -ENOTSUP);
	ck_assert_str_ne(err.text, "");
	tmpdir_remove(&t);
}
END_TEST

static int note_name(const char *name, void *arg)
{
	(void)strcat(arg, name);
	return 0;
}

START_TEST(groups_are_listed_and_undone)
{
	struct tmpdir t;
	struct cgroup_tree tree;
	char mounts[512], names[64] = "", path[128];
	struct err err = ERR_INIT;
	struct stat st;
	tmpdir_make(&t);
	make_dir(&t, "m/sg/one");
	make_dir(&t, "p/sg");
	(void)snprintf(mounts, sizeof(mounts),
	    "1 1 0:1 / %s/m rw - cgroup cgroup rw,memory\n3 1 0:3 / %s/p rw - cgroup cgroup "
	    "rw,pids\n",
	    t.path, t.path);
	ck_assert_int_eq(open_tree_of(&t, mounts, &tree, &err), 0);
	ck_assert_int_eq(cgroup_each(&tree, note_name, names), 0);
	ck_assert_str_eq(names, "one");
	/* the files of a kernel are missing, so limits cannot be set: nothing stays */
	ck_assert_int_eq(cgroup_create(&tree, "two", &limits, &err), -ENOENT);
	ck_assert_int_lt(stat(tmpdir_at(&t, "m/sg/two", path), &st), 0);
	ck_assert_int_lt(stat(tmpdir_at(&t, "p/sg/two", path), &st), 0);
	ck_assert_int_eq(cgroup_remove(&tree, "one"), 0);
	ck_assert_int_eq(cgroup_tree_remove(&tree), 0);
	cgroup_tree_close(&tree);
	tmpdir_remove(&t);
}
END_TEST

void add_cgroup_tests(Suite *s)
{
	TCase *tc = test_case(s, "cgroup", 10);
	tcase_add_test(tc, version_two);
	tcase_add_test(tc, hybrid);
	tcase_add_test(tc, nothing_usable);
	tcase_add_test(tc, groups_are_listed_and_undone);
}
