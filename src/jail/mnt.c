/* SPDX-License-Identifier: Apache-2.0 */
#include "jail/mnt.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fdutil.h"

#define LOOP_TRIES 256 /* others may take the free device that we were told */

static uint64_t attr_of(unsigned flags)
{
	return MOUNT_ATTR_NOSUID | (flags & MNT_DEV ? 0 : MOUNT_ATTR_NODEV) |
	       (flags & MNT_RO ? MOUNT_ATTR_RDONLY : 0) |
	       (flags & MNT_NOEXEC ? MOUNT_ATTR_NOEXEC : 0);
}

int mnt_bind(const char *from, const char *to, unsigned flags, int userns_fd)
{
	struct mount_attr attr = { .attr_set = attr_of(flags) };
	CLEAN_FD int tree = open_tree(AT_FDCWD, from, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0)
		return -errno;
	if (userns_fd >= 0) {
		attr.attr_set |= MOUNT_ATTR_IDMAP;
		attr.userns_fd = (uint64_t)userns_fd;
	}
	if (mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return -errno;
	return move_mount(tree, "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH) < 0 ? -errno : 0;
}

int mnt_restrict(const char *path, unsigned flags)
{
	return mnt_bind(path, path, flags, -1);
}

int mnt_tmpfs(const char *to, uint64_t size, unsigned mode, unsigned flags)
{
	char opts[96];
	(void)snprintf(opts, sizeof(opts), "size=%llu,mode=%o", (unsigned long long)size, mode);
	unsigned long f = MS_NOSUID | (flags & MNT_DEV ? 0 : MS_NODEV) |
			  (flags & MNT_RO ? MS_RDONLY : 0) | (flags & MNT_NOEXEC ? MS_NOEXEC : 0);
	return mount("tmpfs", to, "tmpfs", f, opts) < 0 ? -errno : 0;
}

int mnt_tmpfs_resize(int dir, const char *name, uint64_t size)
{
	const struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };
	char text[24];
	struct statfs fs;
	CLEAN_FD int at = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
	if (at < 0 || fstatfs(at, &fs) < 0)
		return -errno;
	if (fs.f_type != TMPFS_MAGIC)
		return -EINVAL;
	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)size);
	CLEAN_FD int fd = fspick(at, "", FSPICK_EMPTY_PATH | FSPICK_CLOEXEC);
	if (fd < 0 || fsconfig(fd, FSCONFIG_SET_STRING, "size", text, 0) < 0 ||
	    fsconfig(fd, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0)
		return -errno;
	return 0;
}

int mnt_mask(const char *path)
{
	struct stat st;
	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (S_ISDIR(st.st_mode))
		return mnt_tmpfs(path, 4096, 0555, MNT_RO | MNT_NOEXEC);
	return mnt_bind("/dev/null", path, MNT_RO | MNT_NOEXEC | MNT_DEV, -1);
}

int mnt_pivot(const char *dir)
{
	if (chdir(dir) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return -errno;
	/* The old root now lies over the new one. */
	if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return -errno;
	return 0;
}

int mnt_loop(int backing_fd, char dev[MNT_LOOP_PATH])
{
	struct loop_config conf = {
		.fd = (uint32_t)backing_fd, .block_size = 4096, .info.lo_flags = LO_FLAGS_AUTOCLEAR
	};
	CLEAN_FD int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	if (control < 0)
		return -errno;
	for (int i = 0; i < LOOP_TRIES; i++) {
		int n = ioctl(control, LOOP_CTL_GET_FREE);
		if (n < 0)
			return -errno;
		(void)snprintf(dev, MNT_LOOP_PATH, "/dev/loop%d", n);
		CLEAN_FD int loop = open(dev, O_RDWR | O_CLOEXEC);
		if (loop < 0)
			return -errno;
		if (ioctl(loop, LOOP_CONFIGURE, &conf) == 0)
			return TAKE_FD(loop);
		if (errno != EBUSY)
			return -errno;
	}
	return -EBUSY;
}
