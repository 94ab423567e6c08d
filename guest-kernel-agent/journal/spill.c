/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/journal/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "base/id.h"

/* For file systems without O_TMPFILE (some overlays). */
static int open_and_unlink(int dir)
{
	char name[] = ".sandglass-0123456789abcdef";
	id_random_text(name + 11, 16);
	int fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0)
		(void)unlinkat(dir, name, 0);
	return fd;
}

static int spill_open(const char *path)
{
	CLEAN_FD int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = -1;
	if (dir >= 0) {
		fd = openat(dir, ".", O_RDWR | O_TMPFILE | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0)
			fd = open_and_unlink(dir);
	}
	if (fd < 0)
		fd = memfd_create("sandglass-journal", MFD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

void spill_fini(struct spill *s)
{
	s->fd = fd_close(s->fd);
	s->end = s->extents = 0;
}

static int write_at(int fd, const char *p, size_t n, uint64_t at)
{
	while (n > 0) {
		ssize_t r = pwrite(fd, p, n, (off_t)at);
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r < 0 ? -errno : -EIO;
		p += r;
		n -= (size_t)r;
		at += (uint64_t)r;
	}
	return 0;
}

static void release(const struct spill *s, uint64_t at, uint64_t n)
{
	/* Where holes are not supported, space comes back when the last extent goes. */
	(void)fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)n);
}

int spill_put(struct spill *s, const char *dir, const void *p, size_t n, uint64_t *ret_at)
{
	if (s->fd < 0) {
		int fd = spill_open(dir);
		if (fd < 0)
			return fd;
		s->fd = fd;
	}
	int r = write_at(s->fd, p, n, s->end);
	if (r < 0) {
		release(s, s->end, n);
		return r;
	}
	*ret_at = s->end;
	s->end += n;
	s->extents++;
	return 0;
}

int spill_get(const struct spill *s, uint64_t at, void *p, size_t n)
{
	char *d = p;
	while (n > 0) {
		ssize_t r = pread(s->fd, d, n, (off_t)at);
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r < 0 ? -errno : -EIO;
		d += r;
		n -= (size_t)r;
		at += (uint64_t)r;
	}
	return 0;
}

void spill_drop(struct spill *s, uint64_t at, size_t n)
{
	if (--s->extents > 0) {
		release(s, at, n);
		return;
	}
	if (ftruncate(s->fd, 0) == 0)
		s->end = 0;
}
