/* SPDX-License-Identifier: Apache-2.0 */
/* What root inside a sandbox, and an ordinary user there, try to do to the host. All of it must be
 * refused, or concern the sandbox alone. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"
#include "lib/test.h"
#include "rig.h"
#include "system_tests.h"

static struct rig rig;
static struct rig_box box;

static void set_up(void)
{
	struct err err = ERR_INIT;
	rig_open(&rig, false);
	ck_assert_msg(rig_create(&rig, &box, "iescape", &err) == 0, "%s", err_text(&err));
}

static void tear_down(void)
{
	ck_assert_int_eq(rig_destroy(&rig, &box), 0);
	rig_close(&rig);
}

/* Commands of which none may succeed, as root and as the ordinary user. */
static void all_refused(const char *const *commands, size_t n)
{
	static const unsigned users[] = { 0, 1000 };
	for (size_t i = 0; i < n; i++)
		for (size_t u = 0; u < 2; u++) {
			char out[RIG_OUT];
			int status =
			    rig_run(&rig, &box, users[u], commands[i], out, sizeof(out), 20);
			ck_assert_msg(status != 0 && status != 124, "uid %u: %s: status %d: %s",
			    users[u], commands[i], status, out);
		}
}
#define ALL_REFUSED(list) all_refused(list, sizeof(list) / sizeof((list)[0]))

START_TEST(mounts_are_refused)
{
	static const char *const commands[] = {
		"mount -t tmpfs none /mnt", "mount -t proc none /mnt", "mount --bind / /mnt",
		"mount -o remount,rw /proc/sys", "mount -o remount,rw /sys", "umount /proc/sys",
		"umount -l /proc", "umount -l /", "mount -o remount,suid /",
		"python3 -c 'import ctypes,os; l=ctypes.CDLL(None,use_errno=True);"
		"r=l.syscall(428,-100,b\"/\",1); os._exit(0 if r>=0 else 1)'", /* open_tree */
		"python3 -c 'import ctypes,os; l=ctypes.CDLL(None);"
		"os._exit(0 if l.syscall(430,b\"tmpfs\",0)>=0 else 1)'", /* fsopen */
		"python3 -c 'import ctypes,os; l=ctypes.CDLL(None);"
		"os._exit(0 if l.syscall(155,b\".\",b\".\")==0 else 1)'", /* pivot_root */
	};
	ALL_REFUSED(commands);
}
END_TEST

START_TEST(namespaces_are_refused)
{
	static const char *const commands[] = {
		"unshare -U true", "unshare -m true", "unshare -Urm true", "unshare -n true",
		"unshare -p -f true", "nsenter -t 1 -m true",
		/* clone(NEWUSER) */
		("python3 -c 'import ctypes,os; l=ctypes.CDLL(None);"
		 "os._exit(0 if l.syscall(56,0x10000000|17,0,0,0,0)>=0 else 1)'"),
		"chroot /tmp true", "chroot / true", "hostname evil",
		"ip link add dummy0 type dummy",
		"python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)'",
		"python3 -c 'import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)'",
		"python3 -c 'import socket; socket.socket(40, socket.SOCK_STREAM, 0)'", /* vsock */
		"python3 -c 'import socket; socket.socket(16, socket.SOCK_RAW, 12)'",	/* netfilter
											 */
	};
	ALL_REFUSED(commands);
}
END_TEST

START_TEST(kernel_interfaces_are_refused)
{
	static const char *const commands[] = {
		"echo 1 > /proc/sys/kernel/panic", "echo /tmp/x > /proc/sys/kernel/core_pattern",
		"echo 0 > /proc/sys/vm/overcommit_memory", "echo 1 > /proc/sys/net/ipv4/ip_forward",
		"echo b > /proc/sysrq-trigger", "echo 1 > /proc/irq/default_smp_affinity",
		"head -c1 /proc/kcore | grep -q .", "grep -q . /proc/keys",
		"grep -q . /proc/timer_list", "grep -q . /proc/kallsyms", "test -e /sys/kernel",
		"test -e /sys/class", "echo 1 > /sys/devices/system/cpu/cpu0/online",
		"touch /sys/x", "dmesg", "date -s '2001-01-01'", "insmod /dev/null",
		"swapon /tmp/x",
		"python3 -c 'import ctypes,os; l=ctypes.CDLL(None);"
		"os._exit(0 if l.syscall(321,0,0,0)>=0 or ctypes.get_errno()==22 else 1)'", /* bpf
											     */
		"python3 -c 'import ctypes,os; l=ctypes.CDLL(None);"
		"os._exit(0 if l.syscall(425,1,ctypes.create_string_buffer(256))>=0 else 1)'", /* io_uring
												*/
		"python3 -c 'import ctypes,os; l=ctypes.CDLL(None);"
		"os._exit(0 if l.syscall(323,0)>=0 else 1)'", /* userfaultfd */
		"python3 -c 'import ctypes,os; l=ctypes.CDLL(None);"
		"os._exit(0 if l.syscall(248,b\"user\",b\"a\",b\"b\",1,-3)>=0 else 1)'", /* add_key
											  */
	};
	ALL_REFUSED(commands);
}
END_TEST

START_TEST(devices_are_refused)
{
	static const char *const commands[] = {
		"mknod /tmp/mem c 1 1",
		"mknod /tmp/sda b 8 0",
		"mknod /dev/mem c 1 1",
		"mknod /tmp/null c 1 3",
		"cat /dev/mem",
		"cat /dev/kmsg",
		"test -e /dev/loop0",
		"test -e /dev/loop-control",
		"test -e /dev/kvm",
		"test -e /dev/vda",
		"test -e /dev/fuse",
		"touch /dev/new",
		"rm /dev/null",
	};
	ALL_REFUSED(commands);
	ck_assert_str_eq(
	    rig_out(&rig, &box, "head -c 5 /dev/zero | od -An -tx1"), " 00 00 00 00 00\n");
	ck_assert_str_eq(
	    rig_out(&rig, &box, "echo x > /dev/null; head -c 3 /dev/urandom | wc -c"), "3\n");
}
END_TEST

START_TEST(host_files_are_not_there)
{
	static const char *const commands[] = {
		"grep -q '\\$' /etc/shadow",
		"ls /root/.ssh",
		"test -e /etc/ssh",
		"test -e /etc/machine-id",
		"test -d /work",
		"ls /home | grep -v '^user$'",
		"ls /run/systemd",
		"find / -xdev -name '*.sock' -path '*agents*' | grep .",
		"test -e /var/lib/docker",
		"cat /proc/1/root/../etc/ssh/sshd_config",
		"ls /proc/1/cwd/../../work",
		"cd /proc/1/fd && ls -l | grep -E '(state|launcher|sandglass)/'",
	};
	char path[160];
	(void)snprintf(path, sizeof(path), "ls %s", rig.dir);
	const char *const own[] = { path };
	ALL_REFUSED(commands);
	ALL_REFUSED(own);
}
END_TEST

START_TEST(open_by_handle_is_refused)
{
	ck_assert_str_eq(rig_out(&rig, &box,
			     "python3 -c 'import ctypes; l=ctypes.CDLL(None,use_errno=True); "
			     "print(l.syscall(304,0,b\"x\"*16,0), ctypes.get_errno())'"),
	    "-1 1\n");
}
END_TEST

START_TEST(set_user_id_has_no_effect)
{
	char out[RIG_OUT];
	(void)rig_out(&rig, &box, "cp /usr/bin/id /tmp/suid && chmod 4755 /tmp/suid");
	ck_assert_int_eq(rig_run(&rig, &box, 1000, "/tmp/suid -u", out, sizeof(out), 10), 0);
	ck_assert_str_eq(out, "1000\n");
	ck_assert_str_eq(
	    rig_out(&rig, &box, "grep NoNewPrivs /proc/self/status"), "NoNewPrivs:\t1\n");
	ck_assert_str_eq(
	    rig_out(&rig, &box, "grep -E '^Seccomp:' /proc/self/status"), "Seccomp:\t2\n");
	ck_assert_str_eq(
	    rig_out(&rig, &box, "grep CapBnd /proc/self/status"), "CapBnd:\t00000000000005fb\n");
}
END_TEST

/* ids on the host of what is made inside */
START_TEST(files_belong_to_its_range)
{
	char path[128];
	struct stat st;
	(void)rig_out(&rig, &box, "touch /tmp/root; touch /tmp/user; chown 1000:1000 /tmp/user");
	(void)snprintf(path, sizeof(path), "/proc/%d/root/tmp/root", box.pid);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_uid, box.uid_base);
	(void)snprintf(path, sizeof(path), "/proc/%d/root/tmp/user", box.pid);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_uid, box.uid_base + 1000);
	(void)snprintf(path, sizeof(path), "/proc/%d", box.pid);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_uid, box.uid_base);
	ck_assert_str_eq(
	    rig_out(&rig, &box, "stat -c %u /usr/bin/env /etc/passwd /home/user"), "0\n0\n1000\n");
	char out[RIG_OUT];
	ck_assert_int_ne(rig_run(&rig, &box, 0, "chown 70000 /tmp/root", out, sizeof(out), 10), 0);
}
END_TEST

START_TEST(host_usr_stays_as_it_is)
{
	struct stat st;
	(void)rig_out(&rig, &box,
	    "echo hi > /usr/bin/zz-sandglass-test && rm /usr/bin/env && chmod 0 /usr/bin/id");
	ck_assert_int_lt(stat("/usr/bin/zz-sandglass-test", &st), 0);
	ck_assert_int_eq(stat("/usr/bin/env", &st), 0);
	ck_assert_int_eq(stat("/usr/bin/id", &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0755);
}
END_TEST

START_TEST(processes_outside_are_unreachable)
{
	char command[128], out[RIG_OUT];
	pid_t victim = fork();
	if (victim == 0)
		for (;;)
			(void)pause();
	(void)snprintf(command, sizeof(command), "kill -9 %d", victim);
	ck_assert_int_ne(rig_run(&rig, &box, 0, command, out, sizeof(out), 10), 0);
	(void)rig_run(&rig, &box, 0, "kill -9 -1", out, sizeof(out), 10);
	ck_assert_int_eq(kill(victim, 0), 0);
	ck_assert_int_eq(waitpid(victim, NULL, WNOHANG), 0);
	(void)kill(victim, SIGKILL);
	(void)waitpid(victim, NULL, 0);
	ck_assert(rig_answers(&rig, &box)); /* process 1 is spared by kill -1 */
	ck_assert_str_eq(rig_out(&rig, &box, "ls -d /proc/[0-9]* | head -1"), "/proc/1\n");
	ck_assert_int_lt(atoi(rig_out(&rig, &box, "ls -d /proc/[0-9]* | wc -l")), 12);
}
END_TEST

/* A crash must not reach a root process of the host through core_pattern. */
START_TEST(core_limit_cannot_change)
{
	ck_assert_str_eq(
	    rig_out(&rig, &box,
		"ulimit -c 0; ulimit -Hc 0; ulimit -Sc 0; grep 'Max core' /proc/self/limits"),
	    "Max core file size        1                    1                    bytes     \n");
}
END_TEST

/* The launcher reads what the agent prints; nobody may keep it busy. */
START_TEST(flood_of_error_output_is_harmless)
{
	char out[RIG_OUT];
	struct proto_usage u;
	(void)rig_run(
	    &rig, &box, 0, "timeout 1 cat /dev/zero > /proc/1/fd/2; true", out, sizeof(out), 10);
	ck_assert_int_eq(rig_usage(&rig, "iescape", &u), 0);
	ck_assert(rig_answers(&rig, &box));
}
END_TEST

/* Debuggers are for one's own processes. */
START_TEST(tracing_works_inside)
{
	(void)rig_out(&rig, &box,
	    "sleep 30 & p=$!; python3 -c \"import ctypes,sys; l=ctypes.CDLL(None,use_errno=True);"
	    "sys.exit(0 if l.ptrace(16,$p,0,0)==0 else 1)\"; r=$?; kill -9 $p; exit $r");
}
END_TEST

START_TEST(two_do_not_see_each_other)
{
	struct rig_box other;
	char out[RIG_OUT];
	ck_assert_int_eq(rig_create(&rig, &other, "iother", NULL), 0);
	ck_assert_uint_ne(other.uid_base, box.uid_base);
	(void)rig_out(&rig, &other, "echo secret > /tmp/mark; sleep 60 > /dev/null 2>&1 & exit 0");
	ck_assert_int_ne(rig_run(&rig, &box, 0, "cat /tmp/mark", out, sizeof(out), 10), 0);
	ck_assert_int_ne(
	    rig_run(&rig, &box, 0, "grep -l sleep /proc/[0-9]*/comm", out, sizeof(out), 10), 0);
	(void)rig_out(&rig, &other,
	    "python3 -c 'import socket; s=socket.socket(); s.bind((\"127.0.0.1\",80))'");
	(void)rig_out(&rig, &box,
	    "python3 -c 'import socket; s=socket.socket(); s.bind((\"127.0.0.1\",80))'");
	/* abstract sockets belong to a network namespace */
	(void)rig_out(&rig, &other,
	    "python3 -c 'import socket,time; s=socket.socket(socket.AF_UNIX);"
	    "s.bind(\"\\0mark\"); s.listen(); time.sleep(20)' >/dev/null 2>&1 & exit 0");
	ck_assert_int_ne(
	    rig_run(&rig, &box, 0,
		"sleep 0.3; python3 -c 'import socket; s=socket.socket(socket.AF_UNIX);"
		"s.connect(\"\\0mark\")'",
		out, sizeof(out), 10),
	    0);
	ck_assert_int_eq(rig_destroy(&rig, &other), 0);
}
END_TEST

START_TEST(only_loopback_without_internet)
{
	ck_assert_str_eq(rig_out(&rig, &box,
			     "ls /sys/class/net 2>/dev/null; tail -n +3 /proc/net/dev | cut -d: "
			     "-f1 | tr -d ' '"),
	    "lo\n");
	char out[RIG_OUT];
	ck_assert_int_ne(
	    rig_run(&rig, &box, 0,
		"python3 -c 'import socket; socket.create_connection((\"1.1.1.1\",53),2)'", out,
		sizeof(out), 10),
	    0);
}
END_TEST

/* What must go on working in spite of all this. */
START_TEST(ordinary_work_is_possible)
{
	char out[RIG_OUT];
	ck_assert_str_eq(
	    rig_out(&rig, &box,
		"mkdir -p /data/a && mv /data/a /data/b && mv /data/b /opt/c && ls /opt"),
	    "c\n");
	(void)rig_out(&rig, &box,
	    "python3 -c 'import multiprocessing as m; q=m.Queue(); "
	    "p=m.Process(target=q.put,args=(1,)); p.start(); assert q.get()==1; p.join()'");
	(void)rig_out(&rig, &box,
	    "python3 -c 'import threading; t=[threading.Thread(target=print) for _ in range(9)];"
	    "[x.start() for x in t]; [x.join() for x in t]'");
	(void)rig_out(&rig, &box, "script -qc 'tty' /dev/null | grep -q /dev/pts/");
	ck_assert_int_eq(
	    rig_run(&rig, &box, 1000, "cd ~user && echo x > f && cat f", out, sizeof(out), 10), 0);
	(void)rig_out(&rig, &box, "mv /usr/share/doc /usr/share/doc2 && test -d /usr/share/doc2");
	(void)rig_out(&rig, &box, "su user -c 'id -un' | grep -qx user");
	(void)rig_out(&rig, &box, "getent passwd user && getent hosts localhost");
	(void)rig_out(&rig, &box,
	    "mkdir -p /tmp/p/DEBIAN /tmp/p/usr/bin && echo hi > /tmp/p/usr/bin/zz && "
	    "printf 'Package: zz\\nVersion: 1\\nArchitecture: all\\nMaintainer: x\\nDescription: "
	    "x\\n' > "
	    "/tmp/p/DEBIAN/control && cd /tmp && dpkg-deb -b p zz.deb && dpkg -i zz.deb && "
	    "test -e /usr/bin/zz && dpkg -r zz && test ! -e /usr/bin/zz");
	(void)rig_out(&rig, &box, "dpkg -s base-files | grep -q 'ok installed'");
	(void)rig_out(&rig, &box,
	    "cat /sys/fs/cgroup/memory/memory.oom_control /sys/fs/cgroup/memory.events 2>/dev/null "
	    "| grep -q oom");
}
END_TEST

void add_escape_tests(Suite *s)
{
	TCase *tc = test_case(s, "escape", 120);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, mounts_are_refused);
	tcase_add_test(tc, namespaces_are_refused);
	tcase_add_test(tc, kernel_interfaces_are_refused);
	tcase_add_test(tc, devices_are_refused);
	tcase_add_test(tc, host_files_are_not_there);
	tcase_add_test(tc, open_by_handle_is_refused);
	tcase_add_test(tc, set_user_id_has_no_effect);
	tcase_add_test(tc, files_belong_to_its_range);
	tcase_add_test(tc, host_usr_stays_as_it_is);
	tcase_add_test(tc, processes_outside_are_unreachable);
	tcase_add_test(tc, core_limit_cannot_change);
	tcase_add_test(tc, flood_of_error_output_is_harmless);
	tcase_add_test(tc, tracing_works_inside);
	tcase_add_test(tc, two_do_not_see_each_other);
	tcase_add_test(tc, only_loopback_without_internet);
	tcase_add_test(tc, ordinary_work_is_possible);
}
