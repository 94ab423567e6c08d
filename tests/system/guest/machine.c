/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/machine.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <x86intrin.h>

#include <check.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fdutil.h"
#include "base/path.h"
#include "base/str.h"
#include "guest/relay.h"
#include "image/initramfs.h"

#define QEMU "/usr/bin/qemu-system-x86_64"
#define MEMORY "256M"
#define DISK_BYTES (64 << 20)
#define STATE_FD 9
#define ARGS_MAX 96
#define PARAMETERS                                                                    \
	"sandglass.root=/dev/vda sandglass.rootfs=ext4 sandglass.disk=/dev/vdb "      \
	"sandglass.net=169.254.0.21/30,169.254.0.22,02:fc:00:00:00:06 sandglass.dns=" \
	"169.254.0.22 sandglass.channel="

static void pause_ms(long ms)
{
	const struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };
	(void)nanosleep(&ts, NULL);
}

/* ---- what machines are made of ---- */

const char *machine_rig_missing(void)
{
	const char *kernel = getenv("SANDGLASS_TEST_KERNEL");
	if (!kernel || !*kernel)
		return "SANDGLASS_TEST_KERNEL names no directory with vmlinux and modules";
	return access(QEMU, X_OK) < 0 ? QEMU " is not there" : NULL;
}

const char *machine_vsock_missing(void)
{
	const char *program = getenv("SANDGLASS_TEST_VSOCK");
	if (!program || !*program)
		return "SANDGLASS_TEST_VSOCK names no vhost-device-vsock";
	return access(program, X_OK) < 0 ? "SANDGLASS_TEST_VSOCK: it cannot be run" : NULL;
}

static void run(const char *const *argv)
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		(void)execv(argv[0], (char *const *)argv);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(status == 0, "%s: %d", argv[0], status);
}

static void make_file_system(const char *path, const char *content)
{
	CLEAN_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, DISK_BYTES), 0);
	const char *argv[] = { "/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-d", content, path,
		NULL };
	if (!content) {
		argv[5] = path;
		argv[6] = NULL;
	}
	run(argv);
}

/* All that an agent needs of an image: users, and places for what it mounts. */
static void make_root(struct machine_rig *r)
{
	static const char *const dirs[] = { "etc", "root", "tmp", "proc", "sys", "dev", "run" };
	char path[128], name[64];
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		(void)snprintf(name, sizeof(name), "content/%s", dirs[i]);
		ck_assert_int_eq(path_mkdir_p(tmpdir_at(&r->dir, name, path), 0755), 0);
	}
	tmpdir_write(&r->dir, "content/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
	tmpdir_write(&r->dir, "content/etc/group", "root:x:0:\n");
	make_file_system(
	    tmpdir_at(&r->dir, "root.img", r->root), tmpdir_at(&r->dir, "content", path));
}

static void make_initrd(struct machine_rig *r)
{
	char modules[PATH_LEN_MAX];
	const char *agent = getenv("SANDGLASS_AGENT");
	struct err err = ERR_INIT;
	CLEAN_FD int init = open(agent ? agent : "./sandglass-agent", O_RDONLY | O_CLOEXEC);
	CLEAN_FD int fd = open(
	    tmpdir_at(&r->dir, "initrd", r->initrd), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ck_assert_int_ge(init, 0);
	ck_assert_int_eq(path_join(modules, sizeof(modules), r->kernel, "modules"), 0);
	ck_assert_msg(initramfs_write(fd, init, modules, &err) == 0, "%s", err.text);
}

/* The emulated kernel could find out, but may hang over that. */
static unsigned measure_tsc_khz(void)
{
	struct timespec a, b;
	(void)clock_gettime(CLOCK_MONOTONIC_RAW, &a);
	uint64_t before = __rdtsc();
	pause_ms(200);
	uint64_t ticks = __rdtsc() - before;
	(void)clock_gettime(CLOCK_MONOTONIC_RAW, &b);
	int64_t ns = (b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec;
	return (unsigned)(ticks * 1000000 / (uint64_t)ns);
}

void machine_rig_open(struct machine_rig *r)
{
	*r = (struct machine_rig){ .kernel = getenv("SANDGLASS_TEST_KERNEL") };
	tmpdir_make(&r->dir);
	make_root(r);
	make_file_system(tmpdir_at(&r->dir, "disk.img", r->disk), NULL);
	make_initrd(r);
	r->tsc_khz = measure_tsc_khz();
}

void machine_rig_close(struct machine_rig *r)
{
	tmpdir_remove(&r->dir);
}

/* ---- QMP, one command after the other ---- */

static void read_line(int fd, char *dst, size_t cap)
{
	size_t n = 0;
	do {
		ck_assert_uint_lt(n, cap - 1);
		ck_assert_int_eq(read(fd, dst + n, 1), 1);
	} while (dst[n++] != '\n');
	dst[n] = '\0';
}

/* Whether word is in the answer. */
static bool command(struct machine_vm *vm, const char *word, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ck_assert_int_eq(fd_write_all(vm->qmp, text, (size_t)n), 0);
	do
		read_line(vm->qmp, text, sizeof(text));
	while (!strstr(text, "\"return\"") && !strstr(text, "\"error\""));
	ck_assert_msg(strstr(text, "\"return\"") != NULL, "%s: %s", fmt, text);
	return strstr(text, word) != NULL;
}

static void connect_qmp(struct machine_vm *vm)
{
	char path[160], line[1024];
	(void)snprintf(path, sizeof(path), "%s/qmp", vm->dir);
	while ((vm->qmp = fd_connect_unix(path)) < 0) {
		ck_assert_int_eq(waitpid(vm->pid, NULL, WNOHANG), 0);
		pause_ms(5);
	}
	ck_assert_int_eq(fcntl(vm->qmp, F_SETFL, 0), 0); /* it may block */
	read_line(vm->qmp, line, sizeof(line));
	(void)command(vm, "", "{\"execute\":\"qmp_capabilities\"}\n");
}

/* ---- machines ---- */

struct args {
	const char *v[ARGS_MAX + 1];
	size_t n;
	char text[4096];
	size_t used;
};

static void add(struct args *a, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(a->text + a->used, sizeof(a->text) - a->used, fmt, ap);
	va_end(ap);
	ck_assert_uint_lt(a->n, ARGS_MAX);
	ck_assert_uint_lt(a->used + (size_t)n, sizeof(a->text));
	a->v[a->n++] = a->text + a->used;
	a->used += (size_t)n + 1;
}

/* Everything that has to be the same in a machine and its copies. */
static void add_devices(struct args *a, const struct machine_vm *vm)
{
	static const char *const alone[] = { QEMU, "-nodefaults", "-no-user-config", "-no-reboot",
		"-display", "none", "-accel", "tcg,tb-size=64", "-cpu", "max", "-m", MEMORY, "-M",
		"microvm,acpi=on,rtc=on,x-option-roms=off,isa-serial=off,memory-backend=m",
		"-device", "virtio-blk-device,drive=r", "-device", "virtio-blk-device,drive=o",
		"-device", "virtio-serial-device,max_ports=3", "-device",
		"virtserialport,chardev=c,name=sandglass.control,nr=1", "-device",
		"virtserialport,chardev=d,name=sandglass.data,nr=2", "-netdev",
		"hubport,id=n0,hubid=0", "-device",
		"virtio-net-device,netdev=n0,mac=02:fc:00:00:00:05" };
	for (size_t i = 0; i < sizeof(alone) / sizeof(alone[0]); i++)
		add(a, "%s", alone[i]);
	add(a, "-drive");
	add(a, "id=r,file=%s,format=raw,if=none,readonly=on,file.locking=off", vm->rig->root);
	add(a, "-drive");
	add(a, "id=o,file=%s/disk,format=raw,if=none", vm->dir);
	add(a, "-chardev");
	add(a, "socket,id=c,path=%s,server=on,wait=off", vm->control);
	add(a, "-chardev");
	add(a, "socket,id=d,path=%s,server=on,wait=off", vm->data);
	add(a, "-qmp");
	add(a, "unix:%s/qmp,server=on,wait=off", vm->dir);
	if (vm->balloon) {
		add(a, "-device");
		add(a, "virtio-balloon-device,free-page-reporting=on");
	}
	if (!vm->vsock[0])
		return;
	add(a, "-chardev");
	add(a, "socket,id=v,path=%s/vhost", vm->dir);
	add(a, "-device");
	add(a, "vhost-user-vsock-device,chardev=v");
}

static void make_vm(
    struct machine_vm *vm, struct machine_rig *r, const char *name, const char *disk)
{
	char to[256];
	*vm = (struct machine_vm){ .rig = r, .qmp = -1 };
	ck_assert_int_eq(mkdir(tmpdir_at(&r->dir, name, vm->dir), 0700), 0);
	(void)snprintf(vm->control, sizeof(vm->control), "%s/control", vm->dir);
	(void)snprintf(vm->data, sizeof(vm->data), "%s/data", vm->dir);
	(void)snprintf(to, sizeof(to), "%s/disk", vm->dir);
	const char *const argv[] = { "/bin/cp", "--sparse=always", disk, to, NULL };
	run(argv);
}

static void spawn(struct machine_vm *vm, const struct args *a, const char *state)
{
	vm->pid = fork();
	if (vm->pid == 0) {
		int fd = state ? open(state, O_RDONLY) : -1;
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (!state || fd == STATE_FD || dup2(fd, STATE_FD) == STATE_FD)
			(void)execv(QEMU, (char *const *)a->v);
		_exit(127);
	}
	ck_assert_int_gt(vm->pid, 0);
	connect_qmp(vm);
}

/* The device, in a process of its own: QEMU has none that needs no module of the host's kernel. */
static void start_vsock(struct machine_vm *vm)
{
	const char *program = getenv("SANDGLASS_TEST_VSOCK");
	char text[512], path[160], device[160];
	(void)snprintf(vm->vsock, sizeof(vm->vsock), "%s/vsock", vm->dir);
	(void)snprintf(device, sizeof(device), "%s/device", vm->dir);
	(void)snprintf(path, sizeof(path), "%s/vhost", vm->dir);
	(void)snprintf(text, sizeof(text), "guest-cid=3,socket=%s,uds-path=%s", path, device);
	vm->relay_pid = relay_start(vm->vsock, device);
	vm->vsock_pid = fork();
	if (vm->vsock_pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)execl(program, program, "--vm", text, NULL);
		_exit(127);
	}
	while (access(path, F_OK) < 0) {
		ck_assert_int_eq(waitpid(vm->vsock_pid, NULL, WNOHANG), 0);
		pause_ms(5);
	}
}

static void start(struct machine_vm *vm, struct machine_rig *r, const char *parameters)
{
	struct args a = { 0 };
	add_devices(&a, vm);
	add(&a, "-object");
	add(&a, "memory-backend-file,id=m,size=" MEMORY ",mem-path=%s/memory,share=on", vm->dir);
	add(&a, "-kernel");
	add(&a, "%s/vmlinux", r->kernel);
	add(&a, "-initrd");
	add(&a, "%s", r->initrd);
	add(&a, "-append");
	add(&a, "reboot=t panic=-1 quiet tsc_early_khz=%u tsc=reliable %s", r->tsc_khz, parameters);
	spawn(vm, &a, NULL);
}

void machine_start(
    struct machine_vm *vm, struct machine_rig *r, const char *name, const char *parameters)
{
	make_vm(vm, r, name, r->disk);
	start(vm, r, parameters ? parameters : PARAMETERS "serial");
}

void machine_start_vsock(struct machine_vm *vm, struct machine_rig *r, const char *name)
{
	make_vm(vm, r, name, r->disk);
	start_vsock(vm);
	start(vm, r, PARAMETERS "vsock");
}

void machine_start_balloon(struct machine_vm *vm, struct machine_rig *r, const char *name)
{
	make_vm(vm, r, name, r->disk);
	vm->balloon = true;
	start(vm, r, PARAMETERS "serial");
}

size_t machine_memory_in_use(const struct machine_vm *vm)
{
	char path[160];
	struct stat st;
	(void)snprintf(path, sizeof(path), "%s/memory", vm->dir);
	ck_assert_int_eq(stat(path, &st), 0);
	return (size_t)st.st_blocks * 512;
}

void machine_restore(struct machine_vm *vm, const struct machine_vm *from, const char *name)
{
	struct args a = { 0 };
	char disk[256], state[256];
	(void)snprintf(disk, sizeof(disk), "%s/disk", from->dir);
	(void)snprintf(state, sizeof(state), "%s/state", from->dir);
	make_vm(vm, from->rig, name, disk);
	add_devices(&a, vm);
	add(&a, "-object");
	add(&a, "memory-backend-file,id=m,size=" MEMORY ",mem-path=%s/memory,share=off", from->dir);
	add(&a, "-global");
	add(&a, "migration.send-configuration=off");
	add(&a, "-incoming");
	add(&a, "defer");
	spawn(vm, &a, state);
	(void)command(vm, "",
	    "{\"execute\":\"migrate-incoming\",\"arguments\":{\"uri\":\"fd:%d\"}}\n", STATE_FD);
	while (!command(vm, "completed", "{\"execute\":\"query-migrate\"}\n"))
		pause_ms(2);
	(void)command(vm, "", "{\"execute\":\"cont\"}\n");
}

void machine_save(struct machine_vm *vm)
{
	(void)command(vm, "", "{\"execute\":\"stop\"}\n");
	(void)command(vm, "",
	    "{\"execute\":\"xen-save-devices-state\",\"arguments\":{\"filename\":\"%s/state\","
	    "\"live\":false}}\n",
	    vm->dir);
	machine_kill(vm);
}

int machine_wait(struct machine_vm *vm)
{
	int status = -1;
	ck_assert_int_eq(waitpid(vm->pid, &status, 0), vm->pid);
	vm->pid = 0;
	machine_kill(vm);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void end_process(pid_t *pid)
{
	if (*pid > 0) {
		(void)kill(*pid, SIGKILL);
		(void)waitpid(*pid, NULL, 0);
	}
	*pid = 0;
}

void machine_kill(struct machine_vm *vm)
{
	end_process(&vm->pid);
	end_process(&vm->relay_pid);
	end_process(&vm->vsock_pid);
	vm->qmp = fd_close(vm->qmp);
}

unsigned machine_cpu_ms(const struct machine_vm *vm)
{
	unsigned long user, kernel;
	char path[64], text[1024];
	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)vm->pid);
	CLEAN_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	const char *rest = strrchr(text, ')'); /* its name is anything */
	ck_assert_ptr_nonnull(rest);
	ck_assert_int_eq(
	    sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel),
	    2);
	return (unsigned)((user + kernel) * 1000 / (unsigned long)sysconf(_SC_CLK_TCK));
}
