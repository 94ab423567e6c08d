/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent in a virtual machine is told, and the identities that it gives its machine. */
#include "guest-kernel-agent/system/machine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "guest-kernel-agent/system/init.h"
#include "guest-kernel-agent/system/vm_conf.h"
#include "lib/test.h"
#include "lib/tmpdir.h"
#include "unit/agent/agent_tests.h"

/* ---- the command line ---- */

#define NEEDED                                                                    \
	"sandglass.root=/dev/vda sandglass.rootfs=erofs sandglass.disk=/dev/vdb " \
	"sandglass.channel=serial "

START_TEST(command_line)
{
	struct vm_conf c;
	struct err err = ERR_INIT;
	static const unsigned char mac[] = { 2, 0xfc, 0, 0, 0, 6 };
	ck_assert_int_eq(vm_conf_parse(&c,
			     "reboot=t quiet " NEEDED "sandglass.net=169.254.0.21/30,169.254.0.22,"
			     "02:fc:00:00:00:06 sandglass.dns=10.0.0.1,fd00::1 panic=-1\n",
			     &err),
	    0);
	ck_assert_str_eq(c.root, "/dev/vda");
	ck_assert_str_eq(c.rootfs, "erofs");
	ck_assert_str_eq(c.disk, "/dev/vdb");
	ck_assert_int_eq(c.channel, VM_CHANNEL_SERIAL);
	ck_assert(c.has_net);
	ck_assert_uint_eq(ntohl(c.net.address.s_addr), 0xa9fe0015);
	ck_assert_uint_eq(ntohl(c.net.mask.s_addr), 0xfffffffc);
	ck_assert_uint_eq(ntohl(c.net.gateway.s_addr), 0xa9fe0016);
	ck_assert_mem_eq(c.net.gateway_mac, mac, 6);
	ck_assert_uint_eq(c.n_dns, 2);
	ck_assert_str_eq(c.dns[0], "10.0.0.1");
	ck_assert_str_eq(c.dns[1], "fd00::1");
}
END_TEST

START_TEST(command_line_without_network)
{
	struct vm_conf c;
	struct err err = ERR_INIT;
	ck_assert_int_eq(vm_conf_parse(&c,
			     "sandglass.channel=vsock sandglass.root=/dev/vda "
			     "sandglass.disk=/dev/vdb sandglass.rootfs=squashfs",
			     &err),
	    0);
	ck_assert(!c.has_net);
	ck_assert_uint_eq(c.n_dns, 0);
	ck_assert_int_eq(c.channel, VM_CHANNEL_VSOCK);
}
END_TEST

static const struct {
	const char *cmdline, *named;
} bad_lines[] = {
	{ "quiet", "sandglass.root" },
	{ NEEDED "sandglass.root=", "sandglass.root" },
	{ NEEDED "sandglass.root=vda", "sandglass.root" },
	{ NEEDED "sandglass.root=/dev/../etc", "sandglass.root" },
	{ NEEDED "sandglass.disk=/dev/", "sandglass.disk" },
	{ NEEDED "sandglass.rootfs=btrfs", "sandglass.rootfs" },
	{ NEEDED "sandglass.channel=", "sandglass.channel" },
	{ NEEDED "sandglass.net=", "sandglass.net" },
	{ NEEDED "sandglass.net=1.2.3.4,1.2.3.5,02:fc:00:00:00:06", "sandglass.net" },
	{ NEEDED "sandglass.net=1.2.3.4/0,1.2.3.5,02:fc:00:00:00:06", "sandglass.net" },
	{ NEEDED "sandglass.net=1.2.3.4/31,1.2.3.5,02:fc:00:00:00:06", "sandglass.net" },
	{ NEEDED "sandglass.net=1.2.3.4/30,1.2.3,02:fc:00:00:00:06", "sandglass.net" },
	{ NEEDED "sandglass.net=1.2.3.4/30,1.2.3.5,02:fc:00:00:00", "sandglass.net" },
	{ NEEDED "sandglass.net=1.2.3.4/30,1.2.3.5,02:fc:00:00:00:06:07", "sandglass.net" },
	{ NEEDED "sandglass.net=1.2.3.4/30,1.2.3.5,2:fc:0:0:0:6", "sandglass.net" },
	{ NEEDED "sandglass.net=1.2.3.4/30,1.2.3.5,02:fc:00:00:00:06,x", "sandglass.net" },
	{ NEEDED "sandglass.dns=", "sandglass.dns" },
	{ NEEDED "sandglass.dns=1.1.1.1,,8.8.8.8", "sandglass.dns" },
	{ NEEDED "sandglass.dns=1.1.1.1,2.2.2.2,3.3.3.3,4.4.4.4", "sandglass.dns" },
	{ NEEDED
	    "sandglass.root=/dev/"
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	    "sandglass.root" },
};

START_TEST(bad_command_line)
{
	struct vm_conf c;
	struct err err = ERR_INIT;
	ck_assert_int_eq(vm_conf_parse(&c, bad_lines[_i].cmdline, &err), -EINVAL);
	ck_assert_msg(strncmp(err.text, bad_lines[_i].named, strlen(bad_lines[_i].named)) == 0,
	    "%s", err.text);
}
END_TEST

START_TEST(command_line_is_ours)
{
	ck_assert(vm_conf_is_given("a sandglass.root=x"));
	ck_assert(vm_conf_is_given("sandglass.root="));
	ck_assert(!vm_conf_is_given("sandglass.rootfs=x"));
	ck_assert(!vm_conf_is_given("xsandglass.root=/dev/vda sandglass.root /dev/vda"));
	ck_assert(!vm_conf_is_given(""));
}
END_TEST

/* Nothing but process 1 of an initramfs ever mounts or resets anything. */
START_TEST(init_is_not_for_us)
{
	char name[] = "/init";
	char *argv[] = { name, NULL };
	ck_assert(!init_is_wanted(argv));
}
END_TEST

/* ---- identities ---- */

static struct tmpdir dir;
static struct machine machine;

static void setup(void)
{
	char path[128];
	static const char *const dirs[] = { "etc", "run/sandglass", "sys/fs/cgroup/sandbox" };
	tmpdir_make(&dir);
	machine.root = dir.path;
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		ck_assert_int_eq(path_mkdir_p(tmpdir_at(&dir, dirs[i], path), 0755), 0);
	tmpdir_write(&dir, "etc/machine-id", "");
	tmpdir_write(&dir, "sys/fs/cgroup/sandbox/pids.max", "");
}

static void teardown(void)
{
	tmpdir_remove(&dir);
}

static void read_at(const char *name, struct buf *b)
{
	char path[128];
	buf_reset(b);
	ck_assert_int_eq(fd_read_file(AT_FDCWD, tmpdir_at(&dir, name, path), 4096, b), 0);
	ck_assert_ptr_nonnull(buf_cstr(b));
}

START_TEST(identities_are_new_each_time)
{
	struct buf id = BUF_INIT, boot = BUF_INIT;
	char before[2][64] = { "", "" };
	struct err err = ERR_INIT;
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(machine_renew_ids(&machine, &err), 0);
		read_at("etc/machine-id", &id);
		read_at("run/sandglass/boot_id", &boot);
		ck_assert_uint_eq(buf_len(&id), 33);
		ck_assert_uint_eq(strspn(buf_cstr(&id), "0123456789abcdef"), 32);
		ck_assert_uint_eq(buf_len(&boot), 37);
		ck_assert_uint_eq(strspn(buf_cstr(&boot), "0123456789abcdef-"), 36);
		ck_assert_str_ne(buf_cstr(&id), before[0]);
		ck_assert_str_ne(buf_cstr(&boot), before[1]);
		(void)str_copy(before[0], 64, buf_cstr(&id));
		(void)str_copy(before[1], 64, buf_cstr(&boot));
	}
	buf_fini(&id);
	buf_fini(&boot);
}
END_TEST

START_TEST(host_name)
{
	static const char *const bad[] = { "", "-a", "a-", "A", "a.b", "a b", "a\nb",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
	struct buf b = BUF_INIT;
	struct err err = ERR_INIT;
	ck_assert_int_eq(machine_set_name(&machine, "box-1", &err), 0);
	read_at("etc/hostname", &b);
	ck_assert_str_eq(buf_cstr(&b), "box-1\n");
	read_at("etc/hosts", &b);
	ck_assert_ptr_nonnull(strstr(buf_cstr(&b), "127.0.1.1\tbox-1\n"));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_int_eq(machine_set_name(&machine, bad[i], &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "hostname"));
	buf_fini(&b);
}
END_TEST

START_TEST(process_limit)
{
	struct buf b = BUF_INIT;
	struct err err = ERR_INIT;
	ck_assert_int_eq(machine_limit_processes(&machine, 77, &err), 0);
	read_at("sys/fs/cgroup/sandbox/pids.max", &b);
	ck_assert_str_eq(buf_cstr(&b), "77");
	ck_assert_int_eq(machine_limit_processes(&machine, 0, &err), 0);
	read_at("sys/fs/cgroup/sandbox/pids.max", &b);
	ck_assert_str_eq(buf_cstr(&b), "max");
	machine.root = "/nowhere";
	ck_assert_int_eq(machine_limit_processes(&machine, 77, &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, "pids.max"));
	buf_fini(&b);
}
END_TEST

void add_machine_tests(Suite *s)
{
	TCase *tc = test_case(s, "machine", 10);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, command_line);
	tcase_add_test(tc, command_line_without_network);
	tcase_add_loop_test(tc, bad_command_line, 0, sizeof(bad_lines) / sizeof(bad_lines[0]));
	tcase_add_test(tc, command_line_is_ours);
	tcase_add_test(tc, init_is_not_for_us);
	tcase_add_test(tc, identities_are_new_each_time);
	tcase_add_test(tc, host_name);
	tcase_add_test(tc, process_limit);
}
