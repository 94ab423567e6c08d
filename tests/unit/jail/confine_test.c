/* SPDX-License-Identifier: Apache-2.0 */
/* Landlock, and giving up rights for good; each in a fork. */
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "jail/caps.h"
#include "jail/landlock.h"
#include "jail/self.h"
#include "jail/userns.h"
#include "jail_tests.h"
#include "lib/test.h"
#include "lib/tmpdir.h"

static int in_child(int (*fn)(const struct tmpdir *t))
{
	struct tmpdir t;
	int status;
	tmpdir_make(&t);
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(fn(&t));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	tmpdir_remove(&t);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 300 + WTERMSIG(status);
}

static int landlock_checks(const struct tmpdir *t)
{
	char a[128], b[128];
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || landlock_restrict_sandbox() != 0)
		return 1;
	if (mkdir(tmpdir_at(t, "a", a), 0755) < 0 || mkdir(tmpdir_at(t, "b", b), 0755) < 0)
		return 2;
	CLEAN_FD int fd = open(tmpdir_at(t, "a/f", a), O_RDWR | O_CREAT, 0600);
	if (fd < 0 || rename(a, tmpdir_at(t, "b/f", b)) < 0 || truncate(b, 10) < 0)
		return 3;
	if (mknod(tmpdir_at(t, "null", a), S_IFCHR | 0600, makedev(1, 3)) == 0 ||
	    (errno != EACCES && errno != EPERM))
		return 4;
	if (mkfifo(tmpdir_at(t, "fifo", a), 0600) < 0 || open("/dev/null", O_RDWR) < 0)
		return 5;
	return 0;
}

START_TEST(landlock_refuses_devices_only)
{
	if (landlock_abi() < 2) {
		(void)printf("skipped: this kernel has no Landlock\n");
		return;
	}
	ck_assert_int_eq(in_child(landlock_checks), 0);
}
END_TEST

static int self_checks(const struct tmpdir *t)
{
	struct err err = ERR_INIT;
	if (self_drop(0, 0, &err) != -EINVAL)
		return 1;
	err_reset(&err);
	if (self_drop(65534, 65534, &err) < 0)
		return 2;
	if (getuid() != 65534 || getegid() != 65534 || getgroups(0, NULL) != 0)
		return 3;
	if (open("/etc/shadow", O_RDONLY) >= 0 || prctl(PR_CAPBSET_READ, 1, 0, 0, 0) != 0)
		return 4;
	if (self_confine_daemon(&err) < 0)
		return 5;
	return fork() < 0 && errno == EPERM ? 0 : 6;
}

START_TEST(rights_are_given_up_for_good)
{
	if (geteuid() != 0) {
		(void)printf("skipped: only root has rights to give up\n");
		return;
	}
	ck_assert_int_eq(in_child(self_checks), 0);
}
END_TEST

START_TEST(user_namespaces_are_held_by_descriptor)
{
	struct stat a, b;
	if (geteuid() != 0) {
		(void)printf("skipped: only root may map ranges of ids\n");
		return;
	}
	int x = userns_new(0x60000000), y = userns_new(0x60010000);
	ck_assert_int_ge(x, 0);
	ck_assert_int_ge(y, 0);
	ck_assert_int_eq(fstat(x, &a), 0);
	ck_assert_int_eq(fstat(y, &b), 0);
	ck_assert_uint_ne(a.st_ino, b.st_ino);
	uid_t owner = 0;
	ck_assert_int_eq(ioctl(x, NS_GET_OWNER_UID, &owner), 0);
	ck_assert_uint_eq(owner, 0x60000000);
	ck_assert_int_eq(ioctl(y, NS_GET_OWNER_UID, &owner), 0);
	ck_assert_uint_eq(owner, 0x60010000);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1); /* the helpers are reaped */
	(void)close(x);
	(void)close(y);
}
END_TEST

void add_confine_tests(Suite *s)
{
	TCase *tc = test_case(s, "confine", 20);
	tcase_add_test(tc, landlock_refuses_devices_only);
	tcase_add_test(tc, rights_are_given_up_for_good);
	tcase_add_test(tc, user_namespaces_are_held_by_descriptor);
}
