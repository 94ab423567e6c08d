/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Firecracker driver over the real launcher, with the stand-ins for Firecracker and its jailer
 * (tests/lib/fake_firecracker): real jails, groups, namespaces and taps, no virtual machine.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fdutil.h"
#include "base/path.h"
#include "base/str.h"
#include "image/template.h"
#include "lib/test.h"
#include "rig.h"
#include "seen.h"
#include "system_tests.h"
#include "vmm/firecracker/firecracker.h"
#include "vmm/vmm.h"

#define OWNER_ID 65533 /* as rig.c has it */
#define SETTINGS_FRAME 4

static const struct vmm_driver *const drv = &vmm_firecracker_driver;

struct fc {
	struct rig rig;
	struct vmm *vmm;
	struct template tmpl;
	struct seen s;
	unsigned made;
};

static int wait_for(struct fc *f)
{
	ck_assert_msg(rig_wait(&f->rig, &f->s.there, 60000), "the driver does not answer");
	f->s.there = 0;
	return f->s.err.code;
}

static void good(struct fc *f)
{
	int code = wait_for(f);
	ck_assert_msg(code == 0, "%s", err_text(&f->s.err));
}

static void open_driver(struct fc *f)
{
	ck_assert_int_eq(drv->open(f->rig.loop, f->rig.la, &f->vmm, NULL), 0);
}

static void fc_open(struct fc *f, bool faults, const char *script)
{
	memset(f, 0, sizeof(*f));
	rig_open_firecracker(&f->rig, faults, script);
	ck_assert_int_eq(chmod(f->rig.dir, 0711), 0); /* the daemon's user comes through */
	open_driver(f);
	(void)str_copy(f->tmpl.name, sizeof(f->tmpl.name), "py");
	memset(f->tmpl.hash, 'a', 64);
	f->tmpl.cpu_milli = 1000;
	f->tmpl.memory_bytes = RIG_MEMORY;
	f->tmpl.disk_bytes = RIG_DISK;
	f->tmpl.max_pids = RIG_PIDS;
}

static void fc_close(struct fc *f)
{
	ck_assert_ptr_null(drv->close(f->vmm));
	rig_close(&f->rig);
}

static struct vmm_spec spec_of(struct fc *f, enum vmm_start start)
{
	struct vmm_spec spec = { .start = start,
		.tmpl = &f->tmpl,
		.memory_bytes = RIG_MEMORY,
		.disk_bytes = RIG_DISK,
		.cpu_milli = 1000,
		.max_pids = RIG_PIDS,
		.internet = f->made % 2 == 0 };
	(void)snprintf(spec.id, sizeof(spec.id), "vm%u", f->made++);
	return spec;
}

static int create(struct fc *f, enum vmm_start start)
{
	const struct vmm_spec spec = spec_of(f, start);
	drv->create(f->vmm, &spec, on_event, &f->s, on_inst, &f->s);
	return wait_for(f);
}

static void create_good(struct fc *f, enum vmm_start start)
{
	ck_assert_msg(create(f, start) == 0, "%s", err_text(&f->s.err));
}

static void destroy(struct fc *f)
{
	drv->destroy(f->s.inst, on_plain, &f->s);
	f->s.inst = NULL;
	good(f);
}

/* ---- the guest ---- */

/* As the daemon's user, who has no rights but those of the sockets. want NULL: what comes must
 * begin with a SETTINGS frame of HTTP/2. */
static void talk(const char *path, unsigned port, const char *say, size_t n, const char *want,
    size_t cap) __attribute__((noreturn));
static void talk(
    const char *path, unsigned port, const char *say, size_t n, const char *want, size_t cap)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	char line[32];
	char got[64];
	size_t at = 0;
	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	int k = snprintf(line, sizeof(line), "CONNECT %u\n", port);
	if (setgid(OWNER_ID) < 0 || setuid(OWNER_ID) < 0)
		_exit(10);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		_exit(11);
	if (write(fd, line, (size_t)k) != k)
		_exit(12);
	do {
		if (at + 1 >= sizeof(line) || read(fd, line + at, 1) != 1)
			_exit(13);
	} while (line[at++] != '\n');
	if (memcmp(line, "OK ", 3) != 0 || write(fd, say, n) != (ssize_t)n)
		_exit(14);
	struct pollfd p = { fd, POLLIN, 0 };
	for (at = 0; at < cap && poll(&p, 1, 5000) == 1; at += (size_t)k) {
		k = (int)read(fd, got + at, cap - at);
		if (k <= 0)
			break;
	}
	bool good = want ? memcmp(got, want, cap) == 0 : got[3] == SETTINGS_FRAME;
	_exit(at == cap && good ? 0 : 15);
}

static void check_channel(
    struct fc *f, struct vmm_channel c, const char *say, size_t n, const char *want, size_t want_n)
{
	int status = 0;
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		talk(c.path, c.port, say, n, want, want_n);
	for (int i = 0; i < 1000 && waitpid(pid, &status, WNOHANG) == 0; i++)
		rig_pause(&f->rig, 10);
	ck_assert_msg(
	    WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: status %x", c.path, status);
}

static void check_echo(struct fc *f)
{
	check_channel(f, drv->control(f->s.inst), "hello", 5, "hello", 5);
	check_channel(f, drv->data(f->s.inst), "hello", 5, "hello", 5);
}

/* ---- what is on the machine ---- */

static void jail_path(const struct fc *f, const char *id, const char *file, char dst[256])
{
	(void)snprintf(dst, 256, "%s/state/launcher/boxes/%s/jail/firecracker/%s/root/%s",
	    f->rig.dir, id, id, file);
}

static void check_file(const char *path, mode_t type, mode_t mode, uid_t uid)
{
	struct stat st;
	ck_assert_msg(lstat(path, &st) == 0, "%s: %s", path, strerror(errno));
	ck_assert_msg((st.st_mode & S_IFMT) == type, "%s: type %o", path, st.st_mode);
	ck_assert_msg((st.st_mode & 07777) == mode, "%s: mode %o", path, st.st_mode);
	ck_assert_msg(st.st_uid == uid, "%s: uid %u", path, st.st_uid);
}

/* Only its disk and its devices are the VM's; nowhere can it make a file. */
static void check_jail(struct fc *f, const char *id, uid_t uid)
{
	static const char *const dirs[] = { "", "dev", "dev/net", "run", "snap" };
	static const char *const shared[] = { "kernel", "initrd", "rootfs" };
	char path[256];
	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++) {
		jail_path(f, id, dirs[i], path);
		check_file(path, S_IFDIR, 0711, 0);
	}
	for (size_t i = 0; i < sizeof(shared) / sizeof(*shared); i++) {
		jail_path(f, id, shared[i], path);
		check_file(path, S_IFREG, 0444, 0);
	}
	jail_path(f, id, "disk", path);
	check_file(path, S_IFREG, 0600, uid);
	jail_path(f, id, "dev/kvm", path);
	check_file(path, S_IFCHR, 0600, uid);
	(void)snprintf(path, sizeof(path), "%s/run/agents/%s/vm", f->rig.dir, id);
	check_file(path, S_IFDIR, 0711, 0);
	(void)snprintf(path, sizeof(path), "%s/run/agents/%s/vm/v.sock", f->rig.dir, id);
	check_file(path, S_IFSOCK, 0600, OWNER_ID);
	(void)snprintf(path, sizeof(path), "%s/run/agents/%s/vm/api.sock", f->rig.dir, id);
	check_file(path, S_IFSOCK, 0600, OWNER_ID);
}

/* What stands behind the key in the kernel's word on a process, to the end of the line. */
static void read_proc(pid_t pid, const char *file, const char *key, char *dst, size_t cap)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	char path[64];
	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	ck_assert_int_eq(fd_read_file(AT_FDCWD, path, 65536, &b), 0);
	const char *at = strstr(buf_cstr(&b), key);
	ck_assert_ptr_nonnull(at);
	(void)snprintf(dst, cap, "%.*s", (int)strcspn(at + strlen(key), "\n"), at + strlen(key));
}

static void same_namespace(pid_t pid, const char *name, bool same)
{
	char path[64], ours[64] = "", theirs[64] = "";
	(void)snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
	ck_assert_int_gt(readlink(path, ours, sizeof(ours) - 1), 0);
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, name);
	ck_assert_int_gt(readlink(path, theirs, sizeof(theirs) - 1), 0);
	ck_assert_msg(str_eq(ours, theirs) == same, "%s: %s", name, theirs);
}

static void check_process(pid_t pid, uid_t uid)
{
	static const char *const own[] = { "mnt", "pid", "net", "ipc", "uts", "cgroup" };
	char text[128], want[128];
	read_proc(pid, "status", "Uid:", text, sizeof(text));
	(void)snprintf(want, sizeof(want), "\t%u\t%u\t%u\t%u", uid, uid, uid, uid);
	ck_assert_str_eq(text, want);
	read_proc(pid, "status", "Gid:", text, sizeof(text));
	ck_assert_str_eq(text, want);
	read_proc(pid, "status", "CapEff:", text, sizeof(text));
	ck_assert_str_eq(text, "\t0000000000000000");
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		same_namespace(pid, own[i], false);
	(void)snprintf(text, sizeof(text), "/proc/%d/root/usr", pid);
	ck_assert(!path_exists(text));
}

static void on_adopted(const struct err *err, const struct proto_reply *reply, void *arg)
{
	struct proto_reply *r = arg;
	ck_assert_int_eq(err->code, 0);
	*r = *reply;
}

static struct proto_reply look_at(struct fc *f, const char *id)
{
	struct proto_reply r = { 0 };
	ck_assert_int_eq(launcher_adopt(f->rig.la, id, on_adopted, &r), 0);
	ck_assert(rig_wait(&f->rig, (const int *)&r.box.pid, 5000));
	return r;
}

START_TEST(a_machine_in_its_jail)
{
	struct fc f;
	fc_open(&f, false, "console The kernel speaks.\n");
	drv->prepare(f.vmm, &f.tmpl, on_plain, &f.s);
	good(&f);
	ck_assert(!drv->has_warm(f.vmm, &f.tmpl));
	for (int i = 0; i < 2; i++) { /* with and without internet: always with a tap */
		char id[8];
		create_good(&f, VMM_START_BEST);
		(void)snprintf(id, sizeof(id), "vm%d", i);
		struct proto_reply r = look_at(&f, id);
		check_jail(&f, id, r.box.uid_base);
		check_process(r.box.pid, r.box.uid_base);
		check_echo(&f);
		drv->usage(f.s.inst, on_usage, &f.s);
		good(&f);
		ck_assert_uint_gt(f.s.usage.memory_bytes, 0);
		ck_assert_uint_eq(f.s.usage.memory_limit, RIG_MEMORY);
		ck_assert_uint_eq(f.s.usage.disk_limit, RIG_DISK);
		drv->set_internet(f.s.inst, false, on_plain, &f.s);
		good(&f);
		destroy(&f);
	}
	fc_close(&f);
}
END_TEST

static void make_warm(struct fc *f)
{
	drv->prepare(f->vmm, &f->tmpl, on_plain, &f->s);
	good(f);
	create_good(f, VMM_START_COLD);
	drv->warm(f->s.inst, on_plain, &f->s);
	good(f);
	destroy(f);
	ck_assert(drv->has_warm(f->vmm, &f->tmpl));
}

/* What the VMM may make a file as large as. */
static uint64_t file_limit(pid_t pid)
{
	char text[128];
	unsigned long long soft, hard;
	read_proc(pid, "limits", "Max file size", text, sizeof(text));
	ck_assert_int_eq(sscanf(text, "%llu %llu", &soft, &hard), 2);
	ck_assert_uint_eq(soft, hard);
	return soft;
}

static void resize(struct fc *f, uint64_t disk_bytes)
{
	const struct vmm_sizes to = { RIG_MEMORY, disk_bytes, 1000 };
	drv->resize(f->s.inst, &to, on_plain, &f->s);
}

/* The file, its limit, and what the launcher knows; also of what was kept and came back. */
START_TEST(a_disk_grows)
{
	struct stat st;
	struct fc f;
	char path[256];
	fc_open(&f, false, "");
	make_warm(&f);
	create_good(&f, VMM_START_BEST);
	ck_assert(drv->is_warm(f.s.inst));
	resize(&f, 4 * RIG_DISK);
	good(&f);
	(void)snprintf(
	    path, sizeof(path), "%s/state/launcher/boxes/%s/disk", f.rig.dir, f.s.inst->watch.id);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq((uint64_t)st.st_size, 4 * RIG_DISK);
	struct proto_reply r = look_at(&f, f.s.inst->watch.id);
	ck_assert_uint_ge(file_limit(r.box.pid), 4 * RIG_DISK);
	drv->usage(f.s.inst, on_usage, &f.s);
	good(&f);
	ck_assert_uint_eq(f.s.usage.disk_limit, 4 * RIG_DISK);
	check_echo(&f);

	drv->pause(f.s.inst, on_plain, &f.s);
	good(&f);
	drv->snapshot(f.s.inst, "snap1", on_plain, &f.s);
	good(&f);
	destroy(&f);
	struct vmm_spec spec = spec_of(&f, VMM_START_SNAPSHOT);
	spec.disk_bytes = 4 * RIG_DISK;
	(void)str_copy(spec.snapshot, sizeof(spec.snapshot), "snap1");
	drv->create(f.vmm, &spec, on_event, &f.s, on_inst, &f.s);
	good(&f);
	check_echo(&f);
	drv->usage(f.s.inst, on_usage, &f.s);
	good(&f);
	ck_assert_uint_eq(f.s.usage.disk_limit, 4 * RIG_DISK);
	/* none shrinks */
	ck_assert_int_eq(rig_grow_disk(&f.rig, spec.id, 2 * RIG_DISK), -EINVAL);
	destroy(&f);
	drv->snapshot_remove(f.vmm, "snap1", on_plain, &f.s);
	good(&f);
	fc_close(&f);
}
END_TEST

static unsigned n_snapshots;

static void on_snapshot(const char *id, void *arg)
{
	n_snapshots += str_eq(id, "snap1");
}

static void on_listed(const struct err *err, const struct proto_reply *reply, void *arg)
{
	on_plain(err, arg);
}

static unsigned count_snapshots(struct fc *f)
{
	n_snapshots = 0;
	ck_assert_int_eq(launcher_vm_snapshots(f->rig.la, on_snapshot, on_listed, &f->s), 0);
	good(f);
	return n_snapshots;
}

static const char *const scripts[] = { "version 1.15.1\n", "version 1.16.1\n", "version 1.17.0\n" };

START_TEST(pause_snapshot_restore)
{
	struct fc f;
	char path[256];
	fc_open(&f, false, scripts[_i]);
	/* The stand-in for the jailer is of one version. */
	const char *versions[] = { "1.15.1", "1.16.1", "1.17.0" };
	rig_jailer(&f.rig, versions[_i]);
	create_good(&f, VMM_START_COLD);
	for (int i = 0; i < 2; i++) {
		drv->pause(f.s.inst, on_plain, &f.s);
		good(&f);
		drv->resume(f.s.inst, on_plain, &f.s);
		good(&f);
		check_echo(&f);
	}
	drv->pause(f.s.inst, on_plain, &f.s);
	good(&f);
	drv->snapshot(f.s.inst, "snap1", on_plain, &f.s);
	good(&f);
	drv->resume(f.s.inst, on_plain, &f.s);
	good(&f);
	check_echo(&f);
	struct vmm_inst *source = f.s.inst;
	(void)snprintf(path, sizeof(path), "%s/state/launcher/fc/snapshots/snap1/mem", f.rig.dir);
	check_file(path, S_IFREG, 0444, 0);
	jail_path(&f, "vm0", "out/mem", path);
	ck_assert(!path_exists(path));
	for (int i = 0; i < 2; i++) {
		struct vmm_spec spec = spec_of(&f, VMM_START_SNAPSHOT);
		(void)str_copy(spec.snapshot, sizeof(spec.snapshot), "snap1");
		drv->create(f.vmm, &spec, on_event, &f.s, on_inst, &f.s);
		good(&f);
		check_echo(&f);
		if (i == 0)
			destroy(&f);
	}
	ck_assert_uint_eq(count_snapshots(&f), 1);
	drv->snapshot_remove(f.vmm, "snap1", on_plain, &f.s);
	good(&f);
	ck_assert_uint_eq(count_snapshots(&f), 0);
	check_echo(&f); /* it goes on */
	destroy(&f);
	f.s.inst = source;
	destroy(&f);
	ck_assert_int_eq(f.s.exits, 0);
	fc_close(&f);
}
END_TEST

START_TEST(warm_and_clones)
{
	struct vmm_inst *clones[4];
	struct fc f;
	fc_open(&f, false, "");
	make_warm(&f);
	for (size_t i = 0; i < 4; i++) {
		create_good(&f, VMM_START_BEST);
		ck_assert(drv->is_warm(f.s.inst));
		check_echo(&f);
		clones[i] = f.s.inst;
	}
	/* A new one takes the name; those who use the old one go on. */
	make_warm(&f);
	for (size_t i = 0; i < 4; i++) {
		f.s.inst = clones[i];
		check_echo(&f);
		destroy(&f);
	}
	/* Another program: nothing fits any more. */
	rig_script(&f.rig, "version 1.17.1\n");
	rig_jailer(&f.rig, "1.17.1");
	drv->prepare(f.vmm, &f.tmpl, on_plain, &f.s);
	good(&f);
	ck_assert(!drv->has_warm(f.vmm, &f.tmpl));
	ck_assert_int_eq(f.s.exits, 0);
	fc_close(&f);
}
END_TEST

static void on_image_removed(const struct err *err, const struct proto_reply *reply, void *arg)
{
	on_plain(err, arg);
}

/* Remove the images that nothing needs. */
static void sweep_images(struct fc *f)
{
	ck_assert_int_eq(launcher_image_remove(f->rig.la, "nobody", on_image_removed, &f->s), 0);
	good(f);
	rig_pause(&f->rig, 300);
}

/* A template that is built again does not take what was made of it before. */
START_TEST(a_kept_sandbox_outlives_its_image)
{
	CLEAN_BUF struct buf root = BUF_INIT;
	struct fc f;
	char path[256];
	fc_open(&f, false, "");
	make_warm(&f);
	create_good(&f, VMM_START_BEST);
	drv->pause(f.s.inst, on_plain, &f.s);
	good(&f);
	drv->snapshot(f.s.inst, "snap1", on_plain, &f.s);
	good(&f);
	destroy(&f);
	rig_renew_image(&f.rig);
	sweep_images(&f);
	drv->prepare(f.vmm, &f.tmpl, on_plain, &f.s);
	good(&f);
	ck_assert(!drv->has_warm(f.vmm, &f.tmpl));

	struct vmm_spec spec = spec_of(&f, VMM_START_SNAPSHOT);
	(void)str_copy(spec.snapshot, sizeof(spec.snapshot), "snap1");
	drv->create(f.vmm, &spec, on_event, &f.s, on_inst, &f.s);
	good(&f);
	check_echo(&f);
	jail_path(&f, spec.id, "rootfs", path);
	ck_assert_int_eq(fd_read_file(AT_FDCWD, path, 4096, &root), 0);
	ck_assert_str_eq(buf_cstr(&root), "images/" RIG_IMAGE);
	destroy(&f);
	drv->snapshot_remove(f.vmm, "snap1", on_plain, &f.s);
	good(&f);
	(void)snprintf(path, sizeof(path), "%s/state/launcher/images/" RIG_IMAGE, f.rig.dir);
	ck_assert(path_exists(path));
	sweep_images(&f);
	ck_assert(!path_exists(path));
	fc_close(&f);
}
END_TEST

START_TEST(damaged_snapshots)
{
	struct fc f;
	char path[256];
	fc_open(&f, false, "");
	make_warm(&f);
	char command[400];
	(void)snprintf(command, sizeof(command), "%s/state/launcher/fc/warm", f.rig.dir);
	/* Shorter than its manifest says. */
	char *const argv[] = { "sh", "-c", "truncate -s 4096 \"$0\"/*/mem", command, NULL };
	pid_t pid = fork();
	if (pid == 0) {
		(void)execv("/bin/sh", argv);
		_exit(127);
	}
	int status;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	(void)path;
	ck_assert_int_eq(create(&f, VMM_START_BEST), -EBADMSG);
	ck_assert_msg(strstr(f.s.err.text, "is damaged") != NULL, "%s", f.s.err.text);
	drv->prepare(f.vmm, &f.tmpl, on_plain, &f.s);
	good(&f);
	ck_assert(!drv->has_warm(f.vmm, &f.tmpl));
	create_good(&f, VMM_START_BEST); /* boots */
	ck_assert(!drv->is_warm(f.s.inst));
	destroy(&f);
	fc_close(&f);
}
END_TEST

/* Each step of the launcher and of its child. rig_close() looks at what is left. */
static const char *const steps[] = { "reserve", "files", "master", "cgroup", "net", "spawn",
	"enter-cgroups", "disk", "network", "root", "rights", "exec", "ready", "publish" };

START_TEST(launcher_steps_fail)
{
	struct fc f;
	struct rig_ledger left;
	fc_open(&f, true, "");
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		f.made = 2 * (unsigned)i; /* with internet */
		rig_set_fault(&f.rig, steps[i]);
		ck_assert_msg(
		    create(&f, VMM_START_COLD) == -EIO, "%s: %s", steps[i], err_text(&f.s.err));
		rig_take_ledger(&f.rig, &left);
		ck_assert_msg(
		    left.files + left.sockets + left.cgroups + left.processes + left.mounts == 0,
		    "%s", steps[i]);
	}
	rig_set_fault(&f.rig, NULL);
	create_good(&f, VMM_START_COLD);
	destroy(&f);
	fc_close(&f);
}
END_TEST

START_TEST(programs_fail)
{
	struct fc f;
	char path[256];
	fc_open(&f, false, "start-exit 153\n");
	ck_assert_int_eq(create(&f, VMM_START_COLD), -ECHILD);
	rig_script(&f.rig, "fault PUT /vsock exit 148\n");
	ck_assert_int_eq(create(&f, VMM_START_COLD), -ECHILD);
	ck_assert_msg(strstr(f.s.err.text, "exit code 148") != NULL, "%s", f.s.err.text);
	rig_script(&f.rig, "fault PUT /actions refuse Cannot create the guest.\n");
	ck_assert_int_eq(create(&f, VMM_START_COLD), -EREMOTEIO);
	rig_script(&f.rig, "guest-exit 200\nconsole Kernel panic\n");
	create_good(&f, VMM_START_COLD);
	ck_assert(rig_wait(&f.rig, &f.s.exits, 10000));
	ck_assert_int_eq(f.s.status, 0);
	destroy(&f);
	/* A jailer that says no. */
	(void)snprintf(path, sizeof(path), "%s/bin/jailer", f.rig.dir);
	ck_assert_int_eq(fd_replace_file(AT_FDCWD, path, 0755,
			     "#!/bin/sh\n[ \"$1\" = --version ] && echo 'Jailer v1.17.0' && exit\n"
			     "echo 'Error: no' >&2; exit 1\n",
			     92),
	    0);
	ck_assert_int_eq(create(&f, VMM_START_COLD), -ECHILD);
	ck_assert_int_eq(unlink(path), 0);
	drv->prepare(f.vmm, &f.tmpl, on_plain, &f.s);
	ck_assert_int_eq(wait_for(&f), -ENOENT);
	ck_assert_msg(strstr(f.s.err.text, "jailer is not installed") != NULL, "%s", f.s.err.text);
	fc_close(&f);
}
END_TEST

START_TEST(probe_tells_why_not)
{
	struct fc f;
	char path[256];
	fc_open(&f, false, "guest-exit 50\nconsole " PROTO_PROBE_TEXT "\n");
	drv->probe(f.vmm, on_plain, &f.s);
	good(&f);
	rig_script(&f.rig, "guest-exit 50\n"); /* a guest that says nothing */
	drv->probe(f.vmm, on_plain, &f.s);
	ck_assert_int_eq(wait_for(&f), -EIO);
	ck_assert_msg(strstr(f.s.err.text, "KVM runs no guest here") != NULL, "%s", f.s.err.text);
	rig_script(&f.rig, "fault PUT /actions refuse Kvm error: Error creating KVM object.\n");
	drv->probe(f.vmm, on_plain, &f.s);
	ck_assert_int_eq(wait_for(&f), -EREMOTEIO);
	rig_script(&f.rig, "version 1.16.0\n");
	drv->probe(f.vmm, on_plain, &f.s);
	ck_assert_int_eq(wait_for(&f), -ENOTSUP);
	(void)snprintf(path, sizeof(path), "%s/bin/firecracker", f.rig.dir);
	ck_assert_int_eq(unlink(path), 0);
	drv->probe(f.vmm, on_plain, &f.s);
	ck_assert_int_eq(wait_for(&f), -ENOENT);
	ck_assert_msg(strstr(f.s.err.text, "not installed") != NULL, "%s", f.s.err.text);
	fc_close(&f);
}
END_TEST

static bool keep_none(const char *id, void *arg)
{
	return false;
}

START_TEST(launcher_is_killed)
{
	struct fc f;
	fc_open(&f, false, "");
	create_good(&f, VMM_START_COLD);
	struct vmm_inst *first = f.s.inst;
	rig_stop_launcher(&f.rig, SIGKILL);
	rig_start_launcher(&f.rig);
	check_echo(&f);
	drv->pause(first, on_plain, &f.s);
	good(&f);
	drv->resume(first, on_plain, &f.s);
	good(&f);
	f.s.inst = first;
	check_echo(&f);
	/* A launcher that did not make it can keep it. */
	drv->pause(first, on_plain, &f.s);
	good(&f);
	drv->snapshot(first, "snap1", on_plain, &f.s);
	good(&f);
	destroy(&f);
	struct vmm_spec again = spec_of(&f, VMM_START_SNAPSHOT);
	(void)str_copy(again.snapshot, sizeof(again.snapshot), "snap1");
	drv->create(f.vmm, &again, on_event, &f.s, on_inst, &f.s);
	good(&f);
	check_echo(&f);
	destroy(&f);
	/* Killed while a machine is made: whatever is left goes. */
	for (int ms = 0; ms < 60; ms += 10) {
		const struct vmm_spec spec = spec_of(&f, VMM_START_COLD);
		drv->create(f.vmm, &spec, on_event, &f.s, on_inst, &f.s);
		rig_pause(&f.rig, (unsigned)ms);
		rig_stop_launcher(&f.rig, SIGKILL);
		rig_start_launcher(&f.rig);
		(void)wait_for(&f);
		if (f.s.inst)
			destroy(&f);
	}
	create_good(&f, VMM_START_COLD);
	drv->sweep(f.vmm, keep_none, NULL, on_swept, &f.s);
	good(&f);
	ck_assert_uint_eq(f.s.removed, 1);
	drv->destroy(f.s.inst ? f.s.inst : first, on_plain, &f.s);
	good(&f);
	fc_close(&f);
}
END_TEST

START_TEST(daemon_restarts)
{
	struct fc f;
	char id[ID_SANDBOX_LEN + 1];
	fc_open(&f, false, "");
	const struct vmm_spec spec = spec_of(&f, VMM_START_COLD);
	(void)str_copy(id, sizeof(id), spec.id);
	drv->create(f.vmm, &spec, on_event, &f.s, on_inst, &f.s);
	good(&f);
	/* The old driver forgets it, as one that was killed. */
	fc_inst_unref(f.s.inst);
	ck_assert_ptr_null(drv->close(f.vmm));
	open_driver(&f);
	drv->adopt(f.vmm, &spec, on_event, &f.s, on_inst, &f.s);
	good(&f);
	check_echo(&f);
	destroy(&f);
	fc_close(&f);
}
END_TEST

/* ---- a real agent in it ---- */

static void put_cpio(struct buf *b, const char *name, const void *p, size_t n, unsigned mode)
{
	static const char zeros[4];
	size_t name_len = strlen(name) + 1;
	ck_assert_int_eq(
	    buf_printf(b, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", 1u, mode,
		0u, 0u, 1u, 0u, (unsigned)n, 0u, 0u, 0u, 0u, (unsigned)name_len, 0u),
	    0);
	ck_assert_int_eq(buf_append(b, name, name_len), 0);
	ck_assert_int_eq(buf_append(b, zeros, (4 - (110 + name_len) % 4) % 4), 0);
	if (n)
		ck_assert_int_eq(buf_append(b, p, n), 0);
	ck_assert_int_eq(buf_append(b, zeros, (4 - n % 4) % 4), 0);
}

START_TEST(a_real_agent)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
	CLEAN_BUF struct buf agent = BUF_INIT;
	CLEAN_BUF struct buf archive = BUF_INIT;
	struct fc f;
	char path[PATH_LEN_MAX];
	fc_open(&f, false, "");
	ck_assert_int_eq(fd_read_file(AT_FDCWD, "sandglass-agent", 64u << 20, &agent), 0);
	put_cpio(&archive, "init", buf_data(&agent), buf_len(&agent), 0100755);
	put_cpio(&archive, "TRAILER!!!", NULL, 0, 0);
	rig_initrd_path(&f.rig, path);
	ck_assert_int_eq(
	    fd_replace_file(AT_FDCWD, path, 0600, buf_data(&archive), buf_len(&archive)), 0);
	make_warm(&f); /* it runs in the snapshot, and in the clone */
	create_good(&f, VMM_START_BEST);
	ck_assert(drv->is_warm(f.s.inst));
	check_channel(&f, drv->control(f.s.inst), preface, sizeof(preface) - 1, NULL, 9);
	check_channel(&f, drv->data(f.s.inst), preface, sizeof(preface) - 1, NULL, 9);
	destroy(&f);
	fc_close(&f);
}
END_TEST

void add_firecracker_tests(Suite *s)
{
	TCase *tc = test_case(s, "firecracker", 120);
	tcase_add_test(tc, a_machine_in_its_jail);
	tcase_add_loop_test(tc, pause_snapshot_restore, 0, 3);
	tcase_add_test(tc, warm_and_clones);
	tcase_add_test(tc, a_disk_grows);
	tcase_add_test(tc, a_kept_sandbox_outlives_its_image);
	tcase_add_test(tc, damaged_snapshots);
	tcase_add_test(tc, launcher_steps_fail);
	tcase_add_test(tc, programs_fail);
	tcase_add_test(tc, launcher_is_killed);
	tcase_add_test(tc, daemon_restarts);
	tcase_add_test(tc, a_real_agent);
	tcase_add_test(tc, probe_tells_why_not);
}
