/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/system/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
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

static int device_size(const struct disk *d, uint64_t *ret)
{
	CLEAN_FD int fd = open(d->device, O_RDONLY | O_CLOEXEC);
	return fd < 0 || ioctl(fd, BLKGETSIZE64, ret) < 0 ? -errno : 0;
}

/* The host has told the kernel before it told us, but the kernel looks when it gets to it. */
static int wait_for_size(const struct disk *d, uint64_t bytes, uint64_t *ret_size)
{
	const struct timespec pause = { 0, LOOK_AGAIN_NS };
	uint64_t until_ms = clock_mono_ms() + SEEN_LIMIT_MS;
	int r;
	while ((r = device_size(d, ret_size)) == 0 && *ret_size < bytes) {
		if (clock_mono_ms() >= until_ms)
			return -ETIMEDOUT;
		(void)nanosleep(&pause, NULL);
	}
	return r;
}

int disk_grow(const struct disk *d, uint64_t bytes, struct err *reterr)
{
	struct statfs fs;
	uint64_t size = 0;
	int r = wait_for_size(d, bytes, &size);
	if (r == -ETIMEDOUT)
		return err_set(reterr, r, "%s: expected %llu MiB, it has %llu", d->device,
		    (unsigned long long)(bytes >> 20), (unsigned long long)(size >> 20));
	if (r == 0 && fstatfs(d->fd, &fs) < 0)
		r = -errno;
	uint64_t blocks = r == 0 ? bytes / (uint64_t)fs.f_bsize : 0;
	if (r == 0 && ioctl(d->fd, EXT4_RESIZE, &blocks) < 0)
		r = -errno;
	return r < 0 ? err_set(reterr, r, "%s: cannot make its file system larger: %s", d->device,
			   err_name(r))
		     : 0;
}
