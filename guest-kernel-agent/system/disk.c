/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/system/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/fdutil.h"

/* ext4's own ioctl, not in the exported headers: the number of blocks to have. */
#define EXT4_RESIZE _IOW('f', 16, uint64_t)
#define SEEN_LIMIT_MS 2000
#define LOOK_AGAIN_NS 1000000

static int device_size(const char *device, uint64_t *ret)
{
	CLEAN_FD int fd = open(device, O_RDONLY | O_CLOEXEC);
	return fd < 0 || ioctl(fd, BLKGETSIZE64, ret) < 0 ? -errno : 0;
}

/* The host has told the kernel before it told us, but the kernel looks when it gets to it. */
static int wait_for_size(const char *device, uint64_t bytes, uint64_t *ret_size)
{
	const struct timespec pause = { 0, LOOK_AGAIN_NS };
	uint64_t until_ms = clock_mono_ms() + SEEN_LIMIT_MS;
	int r;
	while ((r = device_size(device, ret_size)) == 0 && *ret_size < bytes) {
		if (clock_mono_ms() >= until_ms)
			return -ETIMEDOUT;
		(void)nanosleep(&pause, NULL);
	}
	return r;
}

/* A directory of the file system. It is mounted once more for that, in no namespace: nothing of it
 * stays open that programs could find. */
static int open_root(const char *device)
{
	CLEAN_FD int context = fsopen("ext4", FSOPEN_CLOEXEC);
	if (context < 0 || fsconfig(context, FSCONFIG_SET_STRING, "source", device, 0) < 0 ||
	    fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	CLEAN_FD int mounted = fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOATIME);
	int fd = mounted < 0 ? -1 : openat(mounted, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int resize(const char *device, uint64_t bytes)
{
	struct statfs fs;
	CLEAN_FD int fd = open_root(device);
	if (fd < 0)
		return fd;
	if (fstatfs(fd, &fs) < 0)
		return -errno;
	uint64_t blocks = bytes / (uint64_t)fs.f_bsize;
	return ioctl(fd, EXT4_RESIZE, &blocks) < 0 ? -errno : 0;
}

int disk_grow(const char *device, uint64_t bytes, struct err *reterr)
{
	uint64_t size = 0;
	int r = wait_for_size(device, bytes, &size);
	if (r == -ETIMEDOUT)
		return err_set(reterr, r, "%s: expected %llu MiB, it has %llu", device,
		    (unsigned long long)(bytes >> 20), (unsigned long long)(size >> 20));
	if (r == 0)
		r = resize(device, bytes);
	return r < 0 ? err_set(reterr, r, "%s: cannot make its file system larger: %s", device,
			   err_name(r))
		     : 0;
}
