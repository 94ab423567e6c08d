/* SPDX-License-Identifier: Apache-2.0 */
/* Each filter is loaded in a fork, which then tries calls and tells by its exit status. */
#include <errno.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/str.h"
#include "jail/seccomp.h"
#include "jail_tests.h"
#include "lib/test.h"

#define NAMES_MAX 512

static void load(enum seccomp_role role)
{
	struct seccomp_prog prog = { 0 };
	struct err err = ERR_INIT;
	if (seccomp_prog_build(role, &prog, &err) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || seccomp_prog_load(&prog) < 0)
		_exit(200);
	seccomp_prog_fini(&prog);
}

/* 0, or the number of the check that failed */
static int in_child(enum seccomp_role role, int (*fn)(void))
{
	int status;
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		load(role);
		_exit(fn());
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 300 + WTERMSIG(status);
}

static bool refused(long nr, long a, long b, long c, int with)
{
	errno = 0;
	return syscall(nr, a, b, c, 0, 0) == -1 && errno == with;
}

static bool socket_refused(int family, int type, int proto, int with)
{
	int fd = socket(family, type, proto);
	return fd < 0 && errno == with;
}

static void *thread_main(void *arg)
{
	return arg;
}

static bool can_make_thread(void)
{
	pthread_t t;
	return pthread_create(&t, NULL, thread_main, NULL) == 0 && pthread_join(t, NULL) == 0;
}

static int sandbox_checks(void)
{
	static const long perm[] = { SYS_mount, SYS_umount2, SYS_unshare, SYS_setns, SYS_pivot_root,
		SYS_chroot, SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_io_uring_setup,
		SYS_keyctl, SYS_add_key, SYS_init_module, SYS_kexec_load, SYS_reboot, SYS_swapon,
		SYS_open_by_handle_at, SYS_open_tree, SYS_fsopen, SYS_move_mount, SYS_mount_setattr,
		SYS_settimeofday, SYS_clock_settime, SYS_iopl, SYS_ioperm, SYS_quotactl, SYS_acct,
		SYS_syslog, SYS_fanotify_init, SYS_move_pages, SYS_kcmp };
	for (size_t i = 0; i < sizeof(perm) / sizeof(perm[0]); i++)
		if (!refused(perm[i], 0, 0, 0, EPERM))
			return 1 + (int)i;
	static const long spaces[] = { CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET,
		CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP };
	for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++)
		if (!refused(SYS_clone, spaces[i] | SIGCHLD, 0, 0, EPERM))
			return 50 + (int)i;
	if (!refused(SYS_clone3, 0, 0, 0, ENOSYS) || !refused(1000, 0, 0, 0, ENOSYS))
		return 60;
	if (!refused(SYS_personality, 0x0400000, 0, 0, EPERM) ||
	    syscall(SYS_personality, 0xffffffff) < 0)
		return 61;
	if (!socket_refused(AF_VSOCK, SOCK_STREAM, 0, EAFNOSUPPORT) ||
	    !socket_refused(AF_PACKET, SOCK_RAW, 0, EAFNOSUPPORT) ||
	    !socket_refused(AF_ALG, SOCK_SEQPACKET, 0, EAFNOSUPPORT) ||
	    !socket_refused(AF_NETLINK, SOCK_RAW, 12, EPROTONOSUPPORT) ||
	    !socket_refused(AF_INET, SOCK_STREAM, 132, EPERM))
		return 62;
	if (socket(AF_UNIX, SOCK_STREAM, 0) < 0 || socket(AF_INET, SOCK_STREAM, 0) < 0 ||
	    socket(AF_NETLINK, SOCK_RAW, 0) < 0)
		return 63;
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	if (pid < 0 || waitpid(pid, NULL, 0) != pid || !can_make_thread())
		return 64;
	return 0;
}

START_TEST(sandbox_filter)
{
	ck_assert_int_eq(in_child(SECCOMP_SANDBOX, sandbox_checks), 0);
}
END_TEST

static int daemon_checks(void)
{
	static const long perm[] = { SYS_execve, SYS_execveat, SYS_fork, SYS_vfork, SYS_ptrace,
		SYS_mount, SYS_unshare, SYS_setns, SYS_setuid, SYS_setresuid, SYS_capset,
		SYS_process_vm_readv, SYS_pidfd_getfd, SYS_bpf, SYS_mknod, SYS_personality };
	for (size_t i = 0; i < sizeof(perm) / sizeof(perm[0]); i++)
		if (!refused(perm[i], 0, 0, 0, EPERM))
			return 1 + (int)i;
	if (!refused(SYS_clone, SIGCHLD, 0, 0, EPERM))
		return 50;
	if (!can_make_thread())
		return 51;
	if (socket(AF_INET, SOCK_STREAM, 0) < 0 ||
	    !socket_refused(AF_PACKET, SOCK_RAW, 0, EAFNOSUPPORT))
		return 52;
	return 0;
}

START_TEST(daemon_filter)
{
	ck_assert_int_eq(in_child(SECCOMP_DAEMON, daemon_checks), 0);
}
END_TEST

static int foreign_call(void)
{
#ifdef __x86_64__
	(void)syscall(0x40000000 | SYS_getpid); /* the x32 convention */
#else
	(void)kill(getpid(), SIGSYS);
#endif
	return 0;
}

START_TEST(foreign_calls_kill)
{
	ck_assert_int_eq(in_child(SECCOMP_SANDBOX, foreign_call), 300 + SIGSYS);
}
END_TEST

START_TEST(lists_hold_nothing_dangerous)
{
	static const char *const never[] = { "mount", "umount2", "unshare", "setns", "clone",
		"clone3", "socket", "personality", "bpf", "io_uring_setup", "io_uring_enter",
		"userfaultfd", "keyctl", "init_module", "finit_module", "kexec_load",
		"open_by_handle_at", "chroot", "pivot_root", "perf_event_open", "fsmount",
		"open_tree", "move_mount", "mount_setattr", "fsconfig" };
	const char *names[NAMES_MAX];
	for (int role = 0; role < SECCOMP_ROLES; role++) {
		size_t n = seccomp_role_names((enum seccomp_role)role, names, NAMES_MAX);
		ck_assert_uint_lt(n, NAMES_MAX);
		ck_assert_uint_gt(n, 100);
		for (size_t i = 0; i < n; i++) {
			for (size_t k = 0; k < sizeof(never) / sizeof(never[0]); k++)
				ck_assert_str_ne(names[i], never[k]);
			for (size_t k = 0; k < i; k++)
				ck_assert_str_ne(names[i], names[k]);
		}
	}
}
END_TEST

void add_seccomp_tests(Suite *s)
{
	TCase *tc = test_case(s, "seccomp", 20);
	tcase_add_test(tc, sandbox_filter);
	tcase_add_test(tc, daemon_filter);
	tcase_add_test(tc, foreign_calls_kill);
	tcase_add_test(tc, lists_hold_nothing_dangerous);
}
