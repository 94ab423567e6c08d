/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file system of a sandbox. Writable layers are on one disk of its own (a sparse ext4 image),
 * so that one number bounds all that it can write:
 *
 *   /      overlay: the base's skeleton below, DISK/root above
 *   /usr   overlay: the host's /usr below, DISK/usr above
 *   /run, /dev/shm   tmpfs, in its memory limit
 *   /dev   a handful of harmless devices; the directory itself belongs to the host
 *   /proc  of its pid namespace, parts masked or read-only
 *   /sys   nothing but its own cgroups and the processor list, read-only
 *
 * Lower layers are seen through id-mapped mounts, so files of host root belong to root inside.
 * Nothing here follows a path that a guest could have changed: no guest has run yet.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "base/path.h"
#include "base/str.h"
#include "jail/mnt.h"
#include "launcher/child.h"
#include "launcher/disk.h"

#define STAGE "stage"
#define ROOT STAGE "/root"
#define DISK STAGE "/disk"
#define TTY_GROUP 5

#define RUN_MAX (64ull << 20)

static uint64_t shm_size(uint64_t memory_bytes)
{
	return memory_bytes / 2;
}

static uint64_t run_size(uint64_t memory_bytes)
{
	return memory_bytes / 8 < RUN_MAX ? memory_bytes / 8 : RUN_MAX;
}

int rootfs_resize(int root, uint64_t memory_bytes)
{
	int r = mnt_tmpfs_resize(root, "dev/shm", shm_size(memory_bytes));
	return r < 0 ? r : mnt_tmpfs_resize(root, "run", run_size(memory_bytes));
}

static int make_dir(const char *path, mode_t mode, uint32_t owner)
{
	if (mkdir(path, 0700) < 0 || chown(path, owner, owner) < 0 || chmod(path, mode) < 0)
		return -errno;
	return 0;
}

/* ---- the disk ---- */

static int mount_disk(const struct child_plan *p)
{
	char dev[MNT_LOOP_PATH];
	if (!p->master)
		return mnt_tmpfs(DISK, p->disk_bytes, 0700, 0);
	CLEAN_FD int image = disk_copy(p->master, p->disk);
	if (image < 0)
		return image;
	CLEAN_FD int loop = mnt_loop(image, dev);
	if (loop < 0)
		return loop;
	/* It is thrown away when the sandbox ends: nothing need ever reach the host's disk in
	 * order. */
	return mount(dev, DISK, "ext4", MS_NOSUID | MS_NODEV | MS_NOATIME,
		   "nobarrier,errors=remount-ro") < 0
		   ? -errno
		   : 0;
}

static int write_resolv_conf(const struct child_plan *p)
{
	int r = make_dir(DISK "/root/etc", 0755, p->uid_base);
	if (r < 0)
		return r;
	CLEAN_FD int fd =
	    open(DISK "/root/etc/resolv.conf", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 || fchown(fd, p->uid_base, p->uid_base) < 0 || fchmod(fd, 0644) < 0)
		return -errno;
	return fd_write_all(fd, p->resolv_conf, strlen(p->resolv_conf));
}

static int fill_disk(const struct child_plan *p)
{
	int r = make_dir(DISK "/root", 0755, p->uid_base);
	if (r == 0)
		r = make_dir(DISK "/root.work", 0700, 0);
	if (r == 0)
		r = make_dir(DISK "/usr", 0755, p->uid_base);
	if (r == 0)
		r = make_dir(DISK "/usr.work", 0700, 0);
	return r < 0 ? r : write_resolv_conf(p);
}

static int prepare_disk(const struct child_plan *p, int *ret_disk)
{
	int r = mount_disk(p);
	if (r == 0)
		r = fill_disk(p);
	if (r < 0)
		return r;
	*ret_disk = open(DISK, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret_disk < 0 ? -errno : 0;
}

/* ---- layers ---- */

static int mount_overlay(const char *lower, const char *upper, const char *work, const char *to)
{
	char opts[4000];
	int r = path_printf(opts, sizeof(opts),
	    "lowerdir=%s,upperdir=%s,workdir=%s,redirect_dir=on,metacopy=off,index=off,volatile",
	    lower, upper, work);
	if (r < 0)
		return r;
	return mount("overlay", to, "overlay", MS_NOSUID | MS_NODEV | MS_NOATIME, opts) < 0 ? -errno
											    : 0;
}

/* Each layer of an image, as the sandbox's ids see it. */
static int mount_image(const struct child_plan *p)
{
	char lower[3500];
	size_t used = 0;
	const char *from = p->lowers;
	for (unsigned i = 0; *from; i++) {
		char path[256], to[64];
		size_t n = strcspn(from, ":");
		if (n >= sizeof(path))
			return -ENAMETOOLONG;
		memcpy(path, from, n);
		path[n] = '\0';
		from += n + (from[n] == ':');
		(void)snprintf(to, sizeof(to), STAGE "/i%u", i);
		int k = snprintf(lower + used, sizeof(lower) - used, "%s%s", i ? ":" : "", to);
		if (k < 0 || (size_t)k >= sizeof(lower) - used)
			return -ENAMETOOLONG;
		used += (size_t)k;
		int r = mkdir(to, 0755) < 0 ? -errno : mnt_bind(path, to, MNT_RO, p->userns_fd);
		if (r < 0)
			return r;
	}
	return mount_overlay(lower, DISK "/root", DISK "/root.work", ROOT);
}

static int mount_layers(const struct child_plan *p)
{
	if (p->lowers)
		return mount_image(p);
	int r = mnt_bind(p->base, STAGE "/base", MNT_RO, p->userns_fd);
	if (r == 0)
		r = mnt_bind("/usr", STAGE "/usr", MNT_RO, p->userns_fd);
	if (r == 0)
		r = mount_overlay(STAGE "/base", DISK "/root", DISK "/root.work", ROOT);
	if (r == 0)
		r = mount_overlay(STAGE "/usr", DISK "/usr", DISK "/usr.work", ROOT "/usr");
	for (const char *const *m = p->masks; r == 0 && m && *m; m++) {
		char path[PATH_LEN_MAX];
		if (!str_after(*m, "/usr/"))
			continue;
		r = path_join(path, sizeof(path), ROOT, *m);
		if (r == 0)
			r = mnt_mask(path);
	}
	return r;
}

/* ---- /dev, /run ---- */

static int add_device(const char *name)
{
	char from[64], to[64];
	(void)snprintf(from, sizeof(from), "/dev/%s", name);
	(void)snprintf(to, sizeof(to), ROOT "/dev/%s", name);
	CLEAN_FD int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : mnt_bind(from, to, MNT_DEV | MNT_NOEXEC, -1);
}

static int mount_dev(const struct child_plan *p)
{
	static const char *const devices[] = { "null", "zero", "full", "random", "urandom", "tty" };
	static const char *const links[][2] = { { "/proc/self/fd", "fd" },
		{ "/proc/self/fd/0", "stdin" }, { "/proc/self/fd/1", "stdout" },
		{ "/proc/self/fd/2", "stderr" }, { "pts/ptmx", "ptmx" } };
	char path[64], opts[96];
	int r = mnt_tmpfs(ROOT "/dev", 65536, 0755, MNT_NOEXEC);
	for (size_t i = 0; r == 0 && i < sizeof(devices) / sizeof(devices[0]); i++)
		r = add_device(devices[i]);
	for (size_t i = 0; r == 0 && i < sizeof(links) / sizeof(links[0]); i++) {
		(void)snprintf(path, sizeof(path), ROOT "/dev/%s", links[i][1]);
		r = symlink(links[i][0], path) < 0 ? -errno : 0;
	}
	if (r < 0)
		return r;
	if (mkdir(ROOT "/dev/pts", 0755) < 0 || mkdir(ROOT "/dev/shm", 0755) < 0)
		return -errno;
	(void)snprintf(opts, sizeof(opts), "newinstance,ptmxmode=0666,mode=0620,gid=%u,max=1024",
	    p->uid_base + TTY_GROUP);
	if (mount("devpts", ROOT "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, opts) < 0)
		return -errno;
	return mnt_tmpfs(ROOT "/dev/shm", shm_size(p->memory_bytes), 01777, 0);
}

static int mount_run(const struct child_plan *p)
{
	int r = mnt_tmpfs(ROOT "/run", run_size(p->memory_bytes), 0755, 0);
	if (r == 0 && chown(ROOT "/run", p->uid_base, p->uid_base) < 0)
		r = -errno;
	return r < 0 ? r : make_dir(ROOT "/run/lock", 01777, p->uid_base);
}

/* ---- /proc, /sys ---- */

static int mount_proc(const struct child_plan *p)
{
	static const char *const read_only[] = { "sys", "bus", "fs", "irq", "sysrq-trigger" };
	static const char *const masked[] = { "kcore", "keys", "key-users", "kmsg", "kpagecount",
		"kpageflags", "kpagecgroup", "kallsyms", "timer_list", "sched_debug", "acpi",
		"scsi", "latency_stats", "asound", "modules", "slabinfo", "vmallocinfo" };
	char path[64];
	int r = mount("proc", ROOT "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0
		    ? -errno
		    : 0;
	for (size_t i = 0; r == 0 && i < sizeof(read_only) / sizeof(read_only[0]); i++) {
		(void)snprintf(path, sizeof(path), ROOT "/proc/%s", read_only[i]);
		r = mnt_restrict(path, MNT_RO | MNT_NOEXEC);
		if (r == -ENOENT)
			r = 0;
	}
	for (size_t i = 0; r == 0 && i < sizeof(masked) / sizeof(masked[0]); i++) {
		(void)snprintf(path, sizeof(path), ROOT "/proc/%s", masked[i]);
		r = mnt_mask(path);
	}
	return r;
}

static int show_cgroups(const struct child_plan *p)
{
	char to[128];
	int r = 0;
	for (int i = 0; i < CHILD_CGROUP_SHOWN && p->cgroup[i].name && r == 0; i++) {
		(void)snprintf(to, sizeof(to), ROOT "/sys/fs/cgroup%s%s",
		    p->cgroup[i].name[0] ? "/" : "", p->cgroup[i].name);
		if (p->cgroup[i].name[0] && mkdir(to, 0555) < 0)
			return -errno;
		r = mnt_bind(p->cgroup[i].from, to, MNT_RO | MNT_NOEXEC, -1);
	}
	return r;
}

static int mount_sys(const struct child_plan *p)
{
	static const char *const dirs[] = { ROOT "/sys/fs", ROOT "/sys/fs/cgroup",
		ROOT "/sys/devices", ROOT "/sys/devices/system", ROOT "/sys/devices/system/cpu" };
	int r = mnt_tmpfs(ROOT "/sys", 65536, 0555, MNT_NOEXEC);
	for (size_t i = 0; r == 0 && i < sizeof(dirs) / sizeof(dirs[0]); i++)
		r = mkdir(dirs[i], 0555) < 0 ? -errno : 0;
	if (r == 0)
		r = mnt_bind("/sys/devices/system/cpu", ROOT "/sys/devices/system/cpu",
		    MNT_RO | MNT_NOEXEC, -1);
	if (r == 0)
		r = show_cgroups(p);
	if (r < 0)
		return r;
	const struct mount_attr ro = { .attr_set = MOUNT_ATTR_RDONLY };
	return mount_setattr(AT_FDCWD, ROOT "/sys", 0, (struct mount_attr *)&ro, sizeof(ro)) < 0
		   ? -errno
		   : 0;
}

/* ---- all of it ---- */

static int open_stage(void)
{
	static const char *const dirs[] = { STAGE "/base", STAGE "/usr", DISK, ROOT };
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	int r = mnt_tmpfs(STAGE, 65536, 0700, 0);
	for (size_t i = 0; r == 0 && i < sizeof(dirs) / sizeof(dirs[0]); i++)
		r = mkdir(dirs[i], 0755) < 0 ? -errno : 0;
	return r;
}

int rootfs_enter(const struct child_plan *p, const char **ret_step, int *ret_disk)
{
	const struct {
		const char *name;
		int (*fn)(const struct child_plan *p);
	} parts[] = { { "layers", mount_layers }, { "dev", mount_dev }, { "run", mount_run },
		{ "proc", mount_proc }, { "sys", mount_sys } };
	(void)umask(0);
	*ret_step = "stage";
	int r = child_fault(p, *ret_step);
	if (r == 0)
		r = open_stage();
	if (r < 0)
		return r;
	*ret_step = "disk";
	r = child_fault(p, *ret_step);
	if (r == 0)
		r = prepare_disk(p, ret_disk);
	for (size_t i = 0; r == 0 && i < sizeof(parts) / sizeof(parts[0]); i++) {
		*ret_step = parts[i].name;
		r = child_fault(p, *ret_step);
		if (r == 0)
			r = parts[i].fn(p);
	}
	if (r < 0)
		return r;
	*ret_step = "pivot";
	r = child_fault(p, *ret_step);
	return r < 0 ? r : mnt_pivot(ROOT);
}
