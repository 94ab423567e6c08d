/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/system/init.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fdutil.h"
#include "base/path.h"
#include "base/str.h"
#include "guest-kernel-agent/system/init_net.h"
#include "guest-kernel-agent/system/machine.h"
#include "guest-kernel-agent/system/serial_port.h"
#include "guest-kernel-agent/system/vm_conf.h"

#define NAME "/init"
#define HOST_NAME "sandbox"
#define CMDLINE_MAX 4096
#define MODULES "/lib/modules"
#define ORDER_MAX 4096
#define DEVICE_WAIT_MS 10000
#define IMAGE "/image" /* of the initramfs: where parts of the new root are mounted */
#define DISK "/disk"
#define ROOT "/root.new"

struct init {
	struct vm_conf *conf;
	struct err err;
};

/* ---- words ---- */

/* To everybody who may be listening; nothing is known to work yet. */
static void say(const char *fmt, ...)
{
	static const char *const places[] = { "/dev/console", "/dev/kmsg" };
	char line[ERR_TEXT_MAX + 128];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	size_t len = (size_t)n < sizeof(line) - 1 ? (size_t)n : sizeof(line) - 2;
	line[len++] = '\n';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		CLEAN_FD int fd = open(places[i], O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
		if (fd >= 0)
			(void)fd_write_all(fd, line, len);
	}
}

_Noreturn void init_reset(void)
{
	sync();
	(void)reboot(RB_AUTOBOOT);
	_exit(1); /* the kernel panics, and resets the machine for that */
}

static int fail(struct init *in, int r, const char *what)
{
	return r < 0 ? err_set(&in->err, r, "%s: %s", what, err_name(r)) : 0;
}

/* ---- small system calls ---- */

struct mounting {
	const char *type, *to;
	unsigned long flags;
	const char *options;
};

static int mount_all(struct init *in, const struct mounting *m, size_t n)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = path_mkdir_p(m[i].to, 0755);
		if (r == 0 && mount(m[i].type, m[i].to, m[i].type, m[i].flags, m[i].options) < 0)
			r = -errno;
		(void)fail(in, r, m[i].to);
	}
	return r;
}
#define MOUNT_ALL(in, list) mount_all(in, list, sizeof(list) / sizeof((list)[0]))

static void pause_ms(long ms)
{
	const struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };
	(void)nanosleep(&ts, NULL);
}

/* ---- in the initramfs ---- */

/* Messages of ours, and of what misbehaves, have somewhere to go: descriptors 0 to 2 may not even
 * be open. */
static int open_standard_files(struct init *in)
{
	int fd = open("/dev/console", O_RDWR | O_NOCTTY);
	if (fd < 0)
		fd = open("/dev/kmsg", O_RDWR);
	if (fd < 0)
		return fail(in, -errno, "/dev/kmsg");
	for (int i = 0; i < 3; i++)
		if (i != fd && dup2(fd, i) < 0)
			return fail(in, -errno, "/dev/console");
	if (fd > 2)
		(void)fd_close(fd);
	return 0;
}

static int mount_kernel(struct init *in)
{
	static const struct mounting list[] = {
		{ "proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
		{ "sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
		{ "devtmpfs", "/dev", MS_NOSUID, "mode=0755" },
	};
	int r = MOUNT_ALL(in, list);
	return r < 0 ? r : open_standard_files(in);
}

static int read_conf(struct init *in)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	int r = fd_read_file(AT_FDCWD, "/proc/cmdline", CMDLINE_MAX, &b);
	const char *cmdline = r == 0 ? buf_cstr(&b) : NULL;
	if (!cmdline)
		return fail(in, r < 0 ? r : -ENOMEM, "/proc/cmdline");
	return vm_conf_parse(in->conf, cmdline, &in->err);
}

/* One that is there already is as good. */
static int load_module(const char *name)
{
	char path[PATH_LEN_MAX];
	int r = path_printf(
	    path, sizeof(path), MODULES "/%s%s", name, str_ends(name, ".ko") ? "" : ".ko");
	CLEAN_FD int fd = r < 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	if (r < 0 || fd < 0)
		return r < 0 ? r : -errno;
	if (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}

/* The order file has one name a line; a kernel that needs none has no file. A failure of one that
 * "-" stands before changes nothing. */
static int load_modules(struct init *in)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	int r = fd_read_file(AT_FDCWD, MODULES "/order", ORDER_MAX, &b);
	if (r == -ENOENT)
		return 0;
	char *s = r == 0 ? buf_cstr(&b) : NULL;
	if (!s)
		return fail(in, r < 0 ? r : -ENOMEM, MODULES "/order");
	for (char *line; (line = strsep(&s, "\n"));) {
		bool optional = *line == '-';
		line += optional;
		r = *line ? load_module(line) : 0;
		if (r < 0 && !optional)
			return fail(in, r, line);
	}
	return 0;
}

static int wait_for(struct init *in, const char *what, bool (*is_there)(const char *what))
{
	uint64_t until_ms = clock_mono_ms() + DEVICE_WAIT_MS;
	while (!is_there(what)) {
		if (clock_mono_ms() >= until_ms)
			return err_set(&in->err, -ENODEV, "%s did not appear within %d s", what,
			    DEVICE_WAIT_MS / 1000);
		pause_ms(1);
	}
	return 0;
}

static int wait_for_devices(struct init *in)
{
	const struct vm_conf *c = in->conf;
	int r = wait_for(in, c->root, path_exists);
	if (r == 0)
		r = wait_for(in, c->disk, path_exists);
	if (r == 0 && c->channel == VM_CHANNEL_SERIAL)
		r = wait_for(in, SERIAL_PORT_CONTROL, serial_port_exists);
	if (r == 0 && c->channel == VM_CHANNEL_SERIAL)
		r = wait_for(in, SERIAL_PORT_DATA, serial_port_exists);
	if (r == 0 && c->has_net)
		r = wait_for(in, "/sys/class/net/" INIT_NET_DEVICE, path_exists);
	return r;
}

/* ---- the new root ---- */

static int mount_image(struct init *in)
{
	const struct vm_conf *c = in->conf;
	int r = path_mkdir_p(IMAGE, 0755);
	if (r == 0 && mount(c->root, IMAGE, c->rootfs, MS_RDONLY,
			  str_eq(c->rootfs, "ext4") ? "noload" : NULL) < 0)
		r = -errno;
	return fail(in, r, c->root);
}

/* Thrown away with the sandbox: nothing need ever reach the host's disk in order. What was never
 * written reads as zeroes: tables of the file system need no more of them. */
static int mount_disk(struct init *in)
{
	const struct vm_conf *c = in->conf;
	int r = path_mkdir_p(DISK, 0755);
	if (r == 0 && mount(c->disk, DISK, "ext4", MS_NOATIME, "nobarrier,noinit_itable") < 0)
		r = -errno;
	if (r == 0)
		r = path_mkdir_p(DISK "/upper", 0755);
	if (r == 0)
		r = path_mkdir_p(DISK "/work", 0700);
	return fail(in, r, c->disk);
}

static int join_layers(struct init *in)
{
	int r = path_mkdir_p(ROOT, 0755);
	if (r == 0 && mount("overlay", ROOT, "overlay", MS_NOATIME,
			  "lowerdir=" IMAGE ",upperdir=" DISK "/upper,workdir=" DISK "/work,"
			  "redirect_dir=on,metacopy=off,index=off,volatile") < 0)
		r = -errno;
	return fail(in, r, "overlay");
}

static int move_to(const char *from, const char *to)
{
	int r = path_mkdir_p(to, 0755);
	return r == 0 && mount(from, to, NULL, MS_MOVE, NULL) < 0 ? -errno : r;
}

/* Its memory is worth having; what is mounted stays. */
static int empty_initramfs(void)
{
	char path[PATH_LEN_MAX];
	struct stat root, st;
	DIR *dir = opendir("/");
	int r = dir ? 0 : -errno;
	if (r == 0 && fstat(dirfd(dir), &root) < 0)
		r = -errno;
	for (struct dirent *e; r == 0 && (e = readdir(dir));) {
		if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
			continue;
		r = path_printf(path, sizeof(path), "/%s", e->d_name);
		if (r == 0 && lstat(path, &st) == 0 && st.st_dev == root.st_dev)
			r = path_remove_tree(path);
	}
	if (dir)
		(void)closedir(dir);
	return r;
}

/* A root file system cannot be unmounted or pivoted away from: ours is moved on top of it. */
static int enter_root(struct init *in)
{
	static const char *const moved[] = { "/dev", "/proc", "/sys" };
	int r = 0;
	for (size_t i = 0; r == 0 && i < sizeof(moved) / sizeof(moved[0]); i++) {
		char to[PATH_LEN_MAX];
		(void)snprintf(to, sizeof(to), ROOT "%s", moved[i]);
		r = fail(in, move_to(moved[i], to), moved[i]);
	}
	if (r == 0)
		r = fail(in, empty_initramfs(), "initramfs");
	if (r == 0 && (chdir(ROOT) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 ||
			  chroot(".") < 0 || chdir("/") < 0))
		r = fail(in, -errno, "/");
	return r;
}

/* ---- in the new root ---- */

static int link_devices(void)
{
	static const char *const links[][2] = { { "/proc/self/fd", "/dev/fd" },
		{ "/proc/self/fd/0", "/dev/stdin" }, { "/proc/self/fd/1", "/dev/stdout" },
		{ "/proc/self/fd/2", "/dev/stderr" } };
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (symlink(links[i][0], links[i][1]) < 0 && errno != EEXIST)
			return -errno;
	return 0;
}

static int mount_rest(struct init *in)
{
	static const struct mounting list[] = {
		/* Of the machine's memory: whoever fills both leaves enough for the agent, and for
		 * the kernel to kill in. */
		{ "tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=0755,size=10%" },
		{ "tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777,size=25%" },
		{ "devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "ptmxmode=0666,mode=0620,gid=5" },
		{ "cgroup2", "/sys/fs/cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
	};
	int r = MOUNT_ALL(in, list);
	if (r == 0)
		r = fail(in, path_mkdir_p("/run/lock", 0755), "/run/lock");
	if (r == 0 && chmod("/run/lock", 01777) < 0)
		r = fail(in, -errno, "/run/lock");
	return r < 0 ? r : fail(in, link_devices(), "/dev");
}

static int set_identities(struct init *in)
{
	const struct machine m = { "" };
	int r = machine_prepare(&m, &in->err);
	return r < 0 ? r : machine_set_name(&m, HOST_NAME, &in->err);
}

static int set_network(struct init *in)
{
	int r = init_net_loopback(&in->err);
	return r == 0 && in->conf->has_net ? init_net_device(&in->conf->net, &in->err) : r;
}

static int set_resolver(struct init *in)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	int r = 0;
	for (size_t i = 0; r == 0 && i < in->conf->n_dns; i++)
		r = buf_printf(&b, "nameserver %s\n", in->conf->dns[i]);
	if (r == 0)
		r = fd_replace_file(AT_FDCWD, "/etc/resolv.conf", 0644, buf_data(&b), buf_len(&b));
	return fail(in, r, "/etc/resolv.conf");
}

/* ---- all of it ---- */

static const struct {
	const char *name;
	int (*fn)(struct init *in);
} steps[] = {
	{ "mount what the kernel shows", mount_kernel },
	{ "read the command line", read_conf },
	{ "load modules", load_modules },
	{ "find devices", wait_for_devices },
	{ "mount the image", mount_image },
	{ "mount the disk", mount_disk },
	{ "put the disk above the image", join_layers },
	{ "enter the new root", enter_root },
	{ "mount the rest", mount_rest },
	{ "give the machine its identities", set_identities },
	{ "set up the network", set_network },
	{ "set up name resolution", set_resolver },
};

/* An initramfs has no /proc yet; a container may. */
static bool is_for_others(void)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	const char *cmdline =
	    fd_read_file(AT_FDCWD, "/proc/cmdline", CMDLINE_MAX, &b) == 0 ? buf_cstr(&b) : NULL;
	return cmdline && !vm_conf_is_given(cmdline);
}

bool init_is_wanted(char *const argv[])
{
	struct statfs st;
	return getpid() == 1 && argv[0] && str_eq(argv[0], NAME) && statfs("/", &st) == 0 &&
	       (st.f_type == RAMFS_MAGIC || st.f_type == TMPFS_MAGIC) && !is_for_others();
}

void init_machine(struct vm_conf *ret_conf)
{
	struct init in = { .conf = ret_conf };
	(void)umask(022);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (steps[i].fn(&in) == 0)
			continue;
		say("sandglass-agent: cannot %s: %s", steps[i].name, err_text(&in.err));
		init_reset();
	}
}
