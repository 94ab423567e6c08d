/* SPDX-License-Identifier: Apache-2.0 */
/* Each check against machines that are made of a few files below a directory. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/clock.h"
#include "doctor/host.h"
#include "doctor/report.h"
#include "doctor_tests.h"
#include "lib/test.h"
#include "lib/tmpdir.h"

static struct tmpdir root;
static struct report report;

/* ---- a kernel that answers as told ---- */

static struct {
	int abi, idmap_state, idmap_usr, network;
	uint64_t space;
	bool user;
	char idmap_dir[128];
} fake;

static int fake_landlock(void)
{
	return fake.abi;
}

static int fake_idmap(const char *dir)
{
	if (strstr(dir, "/usr"))
		return fake.idmap_usr;
	(void)snprintf(fake.idmap_dir, sizeof(fake.idmap_dir), "%s", dir);
	return fake.idmap_state;
}

static int fake_network(struct err *reterr)
{
	return fake.network ? err_set(reterr, fake.network, "nftables: missing") : 0;
}

static int fake_space(const char *dir, uint64_t *ret)
{
	*ret = fake.space;
	return 0;
}

static bool fake_user(const char *name)
{
	return fake.user && strcmp(name, "sandglass") == 0;
}

static const struct host_ops fake_ops = { fake_landlock, fake_idmap, fake_network, fake_space,
	fake_user };
static struct host host;

/* ---- files ---- */

static void put(const char *path, const char *text)
{
	char full[256];
	(void)snprintf(full, sizeof(full), "%s%s", root.path, path);
	*strrchr(full, '/') = '\0';
	ck_assert_int_eq(path_mkdir_p(full, 0755), 0);
	full[strlen(full)] = '/';
	ck_assert_int_eq(fd_replace_file(AT_FDCWD, full, 0755, text, strlen(text)), 0);
}

static void set_up(void)
{
	tmpdir_make(&root);
	memset(&report, 0, sizeof(report));
	memset(&fake, 0, sizeof(fake));
	host = (struct host){ root.path, "/var/lib/sandglass", "sandglass", &fake_ops, "", "" };
}

static void tear_down(void)
{
	tmpdir_remove(&root);
}

/* Run one check and look at one of its lines. */
static void expect_line(host_check_fn *check, const char *name, enum report_status status,
    const char *words, const char *fix)
{
	memset(&report, 0, sizeof(report));
	check(&report, &host);
	const struct report_check *c = report_find(&report, name);
	ck_assert_msg(c != NULL, "no line %s", name);
	ck_assert_msg(c->status == status && strstr(c->detail, words), "%s: %s: %s", name,
	    report_status_name(c->status), c->detail);
	ck_assert_msg(
	    fix ? strstr(c->fix, fix) != NULL : c->fix[0] == '\0', "%s: fix '%s'", name, c->fix);
}

/* ---- kernel ---- */

START_TEST(kernel_version)
{
	static const char file[] = "/proc/sys/kernel/osrelease";
	expect_line(check_kernel, "kernel", REPORT_FAIL, "cannot be read", NULL);
	put(file, "6.1.0-28-cloud-amd64\n");
	expect_line(check_kernel, "kernel", REPORT_OK, "6.1.0-28-cloud-amd64", NULL);
	put(file, "5.19.0\n");
	expect_line(check_kernel, "kernel", REPORT_OK, "5.19.0", NULL);
	put(file, "5.18.16\n");
	expect_line(check_kernel, "kernel", REPORT_FAIL, "5.19 or later", "linux-image-amd64");
	put(file, "4.19.0\n");
	expect_line(check_kernel, "kernel", REPORT_FAIL, "5.19 or later", "linux-image-amd64");
}
END_TEST

#define V2 "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1(name) "32 31 0:29 / /sys/fs/cgroup/" name " rw - cgroup cgroup rw," name "\n"
#define UNIFIED "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"

START_TEST(cgroup_layouts)
{
	static const char mounts[] = "/proc/self/mountinfo";
	static const char list[] = "/sys/fs/cgroup/cgroup.controllers";
	expect_line(check_cgroups, "cgroup", REPORT_FAIL, "no hierarchy", "cgroup_enable=memory");
	put(mounts, V2);
	expect_line(check_cgroups, "cgroup", REPORT_FAIL, "no hierarchy", "cgroup_enable=memory");
	put(list, "cpuset cpu io memory hugetlb pids rdma misc\n");
	expect_line(check_cgroups, "cgroup", REPORT_OK, "version 2 with memory, cpu, pids", NULL);
	put(list, "cpuset memory pids\n"); /* cpuset is not cpu */
	expect_line(
	    check_cgroups, "cgroup", REPORT_FAIL, "version 2 with memory, pids", "delegate");
	put(mounts, V1("cpu") V1("memory") V1("pids"));
	expect_line(check_cgroups, "cgroup", REPORT_OK, "version 1 with memory, cpu, pids", NULL);
	put(mounts, V1("cpu") V1("memory") V1("pids") UNIFIED);
	expect_line(check_cgroups, "cgroup", REPORT_OK, "hybrid", NULL);
	put(mounts, V1("cpuset") V1("memory") V1("pids"));
	expect_line(check_cgroups, "cgroup", REPORT_WARN, "without cpu", "update-grub");
	put(mounts, V1("cpu") V1("pids") UNIFIED);
	expect_line(check_cgroups, "cgroup", REPORT_FAIL, "(memory: no, pids: yes)",
	    "cgroup_enable=memory");
}
END_TEST

START_TEST(idmapped_mounts)
{
	char dir[128];
	put("/usr/x", "");
	expect_line(check_idmap, "idmap", REPORT_OK, "/var/lib/sandglass and /usr", NULL);
	ck_assert_str_eq(fake.idmap_dir, tmpdir_at(&root, "", dir)); /* what exists of the way */
	put("/var/lib/x", "");
	expect_line(check_idmap, "idmap", REPORT_OK, "", NULL);
	ck_assert_str_eq(fake.idmap_dir, tmpdir_at(&root, "var/lib", dir));
	fake.idmap_usr = -EINVAL;
	expect_line(check_idmap, "idmap", REPORT_WARN, "/usr", "/usr");
	fake.idmap_state = -EINVAL;
	expect_line(check_idmap, "idmap", REPORT_FAIL, "/var/lib/sandglass: Invalid", "ext4");
}
END_TEST

START_TEST(overlayfs)
{
	expect_line(check_overlay, "overlayfs", REPORT_FAIL, "none", "CONFIG_OVERLAY_FS");
	put("/proc/sys/kernel/osrelease", "6.1.0\n");
	put("/lib/modules/6.1.0/modules.dep", "kernel/fs/overlayfs/overlay.ko:\n");
	expect_line(check_overlay, "overlayfs", REPORT_OK, "module", NULL);
	put("/proc/filesystems", "nodev\tproc\nnodev\toverlay\n\text4\n");
	expect_line(check_overlay, "overlayfs", REPORT_OK, "known", NULL);
}
END_TEST

START_TEST(loop_devices)
{
	expect_line(check_loop, "loop", REPORT_WARN, "in memory", "modprobe loop");
	put("/dev/loop-control", "");
	expect_line(check_loop, "loop", REPORT_OK, "opens", NULL);
}
END_TEST

START_TEST(fences)
{
	static const char file[] = "/proc/sys/kernel/seccomp/actions_avail";
	expect_line(check_seccomp, "seccomp", REPORT_FAIL, "errno", "CONFIG_SECCOMP_FILTER");
	put(file, "kill_thread trap errno\n");
	expect_line(check_seccomp, "seccomp", REPORT_FAIL, "kill_process", "CONFIG_SECCOMP_FILTER");
	put(file, "kill_process kill_thread trap errno trace log allow\n");
	expect_line(check_seccomp, "seccomp", REPORT_OK, "work", NULL);
	expect_line(check_landlock, "landlock", REPORT_WARN, "none", "lsm=");
	fake.abi = 1;
	expect_line(check_landlock, "landlock", REPORT_WARN, "2 is needed", "lsm=");
	fake.abi = 2;
	expect_line(check_landlock, "landlock", REPORT_OK, "ABI 2", NULL);
}
END_TEST

/* ---- machine ---- */

START_TEST(network_and_forwarding)
{
	static const char file[] = "/proc/sys/net/ipv4/ip_forward";
	expect_line(check_network, "network", REPORT_OK, "veth", NULL);
	fake.network = -ENOENT;
	expect_line(check_network, "network", REPORT_FAIL, "nftables: missing", "modprobe");
	expect_line(check_forward, "ip_forward", REPORT_FAIL, "cannot be read", "/proc/sys");
	put(file, "0\n");
	expect_line(check_forward, "ip_forward", REPORT_OK, "off; the server", NULL);
	put(file, "1\n");
	expect_line(check_forward, "ip_forward", REPORT_OK, "on", NULL);
}
END_TEST

START_TEST(memory_swap_hugepages)
{
	expect_line(check_memory, "memory", REPORT_FAIL, "cannot be read", NULL);
	put("/proc/meminfo",
	    "MemTotal:       2048000 kB\nMemAvailable:    512000 kB\nHugePages_Total:      12\n");
	expect_line(check_memory, "memory", REPORT_WARN, "500 MiB of 2000 MiB", "more memory");
	expect_line(check_hugepages, "hugepages", REPORT_OK, "12 reserved", NULL);
	put("/proc/meminfo", "MemTotal: 16384000 kB\nMemAvailable: 8192000 kB\n");
	put("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
	expect_line(check_memory, "memory", REPORT_OK, "8000 MiB of 16000 MiB", NULL);
	expect_line(check_hugepages, "hugepages", REPORT_OK,
	    "0 reserved, none are needed; transparent: madvise", NULL);
	expect_line(check_swap, "swap", REPORT_OK, "off", NULL);
	put("/proc/swaps", "Filename\t\tType\t\tSize\n");
	expect_line(check_swap, "swap", REPORT_OK, "off", NULL);
	put("/proc/swaps", "Filename\t\tType\t\tSize\n/dev/sda2   partition 1 0 -2\n");
	expect_line(check_swap, "swap", REPORT_WARN, "/dev/sda2", "swapoff -a");
}
END_TEST

START_TEST(disk_space)
{
	fake.space = 100u << 20;
	expect_line(check_disk, "disk", REPORT_FAIL, "100 MiB free for /var/lib/sandglass", "room");
	fake.space = 5ull << 30;
	expect_line(check_disk, "disk", REPORT_WARN, "5120 MiB", "room");
	fake.space = 50ull << 30;
	expect_line(check_disk, "disk", REPORT_OK, "51200 MiB", NULL);
}
END_TEST

START_TEST(devices)
{
	expect_line(check_kvm, "kvm", REPORT_WARN, "absent", "virtualisation");
	expect_line(check_tun, "tun", REPORT_WARN, "no network", "modprobe tun");
	put("/dev/kvm", "");
	put("/dev/net/tun", "");
	expect_line(check_kvm, "kvm", REPORT_OK, "told by the test boots", NULL);
	expect_line(check_tun, "tun", REPORT_OK, "opens", NULL);
}
END_TEST

START_TEST(a_device_that_does_not_open)
{
	char path[128];
	put("/dev/kvm/file", ""); /* a directory opens for nobody to write, root included */
	ck_assert_int_eq(host_open_device(&host, "/dev/kvm"), -EISDIR);
	expect_line(check_kvm, "kvm", REPORT_WARN, "Is a directory", "virtualisation");
	ck_assert_int_eq(host_path(&host, "/dev/kvm", path, sizeof(path)), 0);
}
END_TEST

/* ---- programs ---- */

START_TEST(server_user)
{
	expect_line(check_user, "user", REPORT_FAIL, "no user sandglass",
	    "useradd --system --no-create-home --home-dir /nonexistent --shell "
	    "/usr/sbin/nologin sandglass");
	fake.user = true;
	expect_line(check_user, "user", REPORT_OK, "sandglass", NULL);
}
END_TEST

static const struct {
	const char *says;
	enum report_status status;
	const char *words;
} firecrackers[] = {
	{ "Firecracker v1.14.0", REPORT_WARN, "1.14.0 is not used" },
	{ "Firecracker v1.15.0", REPORT_WARN, "1.15.0 is not used" },
	{ "Firecracker v1.15.1", REPORT_OK, "1.15.1" },
	{ "Firecracker v1.16.0", REPORT_WARN, "1.16.0 is not used" },
	{ "Firecracker v1.16.1", REPORT_OK, "1.16.1" },
	{ "Firecracker v1.17.0", REPORT_OK, "1.17.0" },
	{ "Firecracker v2.0.0", REPORT_WARN, "2.0.0 is not used" },
	{ "nonsense", REPORT_WARN, "does not tell" },
};

START_TEST(firecracker_versions)
{
	char script[128];
	(void)snprintf(script, sizeof(script), "#!/bin/sh\n[ \"$1\" = --version ] && echo '%s'\n",
	    firecrackers[_i].says);
	put("/usr/local/bin/firecracker", script);
	put("/usr/bin/jailer", script);
	bool ok = firecrackers[_i].status == REPORT_OK;
	expect_line(check_programs, "firecracker", firecrackers[_i].status, firecrackers[_i].words,
	    ok ? NULL : "releases");
	expect_line(check_programs, "jailer", firecrackers[_i].status, firecrackers[_i].words,
	    ok ? NULL : "releases");
}
END_TEST

START_TEST(configured_firecracker)
{
	put("/usr/bin/firecracker", "#!/bin/sh\necho Firecracker v1.15.1\n");
	put("/opt/fc/jailer", "#!/bin/sh\necho Jailer v1.17.0\n");
	host.firecracker = "/opt/fc/firecracker";
	host.jailer = "/opt/fc/jailer";
	expect_line(check_programs, "firecracker", REPORT_WARN, "not installed", "releases");
	expect_line(check_programs, "jailer", REPORT_OK, "1.17.0", NULL);
	put("/opt/fc/firecracker", "#!/bin/sh\necho Firecracker v1.17.0\n");
	expect_line(check_programs, "firecracker", REPORT_OK, "1.17.0", NULL);
}
END_TEST

START_TEST(programs_absent_and_there)
{
	static const char *const names[][2] = { { "mkfs.erofs", "erofs-utils" },
		{ "mmdebstrap", "mmdebstrap" }, { "skopeo", "skopeo" }, { "umoci", "umoci" },
		{ "lz4", "lz4" }, { "qemu-system-x86_64", "qemu-system-x86" } };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		expect_line(check_programs, names[i][0], REPORT_WARN, "not installed", names[i][1]);
	expect_line(check_programs, "mkfs.ext4", REPORT_FAIL, "not installed", "e2fsprogs");
	put("/usr/sbin/mkfs.ext4", "");
	expect_line(check_programs, "mkfs.ext4", REPORT_OK, "disks", NULL);
	put("/usr/bin/qemu-system-x86_64",
	    "#!/bin/sh\necho 'QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)'\n");
	expect_line(check_programs, "qemu-system-x86_64", REPORT_OK, "7.2.22", NULL);
	put("/usr/bin/qemu-system-x86_64", "#!/bin/sh\necho 'QEMU emulator version 5.2.0'\n");
	expect_line(check_programs, "qemu-system-x86_64", REPORT_WARN, "5.2 is too old", "apt-get");
	put("/usr/bin/qemu-system-x86_64", "#!/bin/sh\necho 7.2.22; exit 1\n");
	expect_line(check_programs, "qemu-system-x86_64", REPORT_WARN, "does not tell", "apt-get");
}
END_TEST

START_TEST(python_and_languages)
{
	expect_line(check_python, "python3", REPORT_WARN, "no ipykernel", "python3-ipykernel");
	put("/usr/bin/python3", "#!/bin/sh\necho ModuleNotFoundError >&2; exit 1\n");
	expect_line(check_python, "python3", REPORT_WARN, "no ipykernel", "python3-ipykernel");
	put("/usr/bin/python3", "#!/bin/sh\necho '3.11.2, ipykernel 6.17.0'\n");
	expect_line(check_python, "python3", REPORT_OK, "3.11.2, ipykernel 6.17.0", NULL);
	expect_line(check_kernels, "languages", REPORT_WARN, "no Jupyter kernels", "languages");
	put("/usr/share/jupyter/kernels/a/kernel.json", "{\"language\": \"typescript\"}");
	put("/usr/share/jupyter/kernels/b/kernel.json", "{\"language\": \"bad\\nwords\"}");
	put("/usr/share/jupyter/kernels/c/kernel.json", "{not json");
	put("/usr/local/share/jupyter/kernels/c/kernel.json", "{\"language\": \"script\"}");
	expect_line(check_kernels, "languages", REPORT_OK, "host: script, typescript", NULL);
}
END_TEST

START_TEST(programs_have_a_limit)
{
	CLEAN_BUF struct buf out = BUF_INIT;
	const char *const flood[] = { "/usr/bin/yes", NULL };
	const char *const absent[] = { "/nonexistent", NULL };
	ck_assert_int_eq(host_run(flood, &out), -EFBIG);
	buf_reset(&out);
	ck_assert_int_eq(host_run(absent, &out), 127);
}
END_TEST

START_TEST(running_server)
{
	expect_line(check_server, "server", REPORT_OK, "does not run", NULL);
	put("/var/lib/sandglass/sandglassd.pid", "4711\n");
	expect_line(check_server, "server", REPORT_WARN, "names process 4711", "systemctl");
	put("/proc/4711/comm", "bash\n");
	expect_line(check_server, "server", REPORT_WARN, "names process 4711", "systemctl");
	put("/proc/4711/comm", "sandglassd\n");
	expect_line(check_server, "server", REPORT_OK, "runs as process 4711", NULL);
}
END_TEST

START_TEST(every_check_has_a_line_of_its_own)
{
	check_all(&report, &host);
	ck_assert_uint_eq(report.n_checks, 28);
	for (unsigned i = 0; i < report.n_checks; i++) {
		ck_assert(report_find(&report, report.checks[i].name) == &report.checks[i]);
		ck_assert(report.checks[i].detail[0] != '\0');
	}
}
END_TEST

START_TEST(versions)
{
	unsigned v[3];
	ck_assert_int_eq(host_version("v1.16.1\nmore 2.3", v), 3);
	ck_assert(v[0] == 1 && v[1] == 16 && v[2] == 1);
	ck_assert_int_eq(host_version("6 then 6.12-rc1", v), 2);
	ck_assert(v[0] == 6 && v[1] == 12);
	ck_assert_int_eq(host_version("none 7", v), 0);
	ck_assert_int_eq(host_version("", v), 0);
}
END_TEST

TCase *doctor_checks_case(Suite *s)
{
	TCase *tc = test_case(s, "checks", 30);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, kernel_version);
	tcase_add_test(tc, cgroup_layouts);
	tcase_add_test(tc, idmapped_mounts);
	tcase_add_test(tc, overlayfs);
	tcase_add_test(tc, loop_devices);
	tcase_add_test(tc, fences);
	tcase_add_test(tc, network_and_forwarding);
	tcase_add_test(tc, memory_swap_hugepages);
	tcase_add_test(tc, disk_space);
	tcase_add_test(tc, devices);
	tcase_add_test(tc, a_device_that_does_not_open);
	tcase_add_test(tc, server_user);
	tcase_add_loop_test(
	    tc, firecracker_versions, 0, sizeof(firecrackers) / sizeof(firecrackers[0]));
	tcase_add_test(tc, configured_firecracker);
	tcase_add_test(tc, programs_absent_and_there);
	tcase_add_test(tc, python_and_languages);
	tcase_add_test(tc, programs_have_a_limit);
	tcase_add_test(tc, running_server);
	tcase_add_test(tc, every_check_has_a_line_of_its_own);
	tcase_add_test(tc, versions);
	return tc;
}
