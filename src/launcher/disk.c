/* SPDX-License-Identifier: Apache-2.0 */
#include "launcher/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "base/id.h"
#include "base/path.h"

/* ext4's own ioctl, not in the exported headers */
#define EXT4_SHUTDOWN _IOR('X', 125, uint32_t)
#define EXT4_SHUTDOWN_NO_FLUSH 2u
#define ABANDON_BYTES (16ull << 20) /* less is written faster than it is worth a kernel message */

/* No journal: a disk is never mounted twice. No reserve, no lazy writing of tables behind our back.
 */
#define FEATURES "^has_journal,^resize_inode,^metadata_csum,uninit_bg"
#define BYTES_PER_INODE "16384"

int disk_master_path(uint64_t bytes, char *dst, size_t cap)
{
	return path_printf(dst, cap, "masters/%llu", (unsigned long long)bytes);
}

bool disk_master_exists(uint64_t bytes)
{
	char path[64];
	return disk_master_path(bytes, path, sizeof(path)) == 0 && path_exists(path);
}

static int run_mkfs(const char *image)
{
	pid_t pid = fork();
	int status;
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		static char *const env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
		char *const argv[] = { "mkfs.ext4", "-q", "-F", "-b", "4096", "-m", "0", "-O",
			FEATURES, "-E", "lazy_itable_init=1,nodiscard,root_owner=0:0", "-i",
			BYTES_PER_INODE, (char *)image, NULL };
		(void)execvpe(argv[0], argv, env);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return -ENOENT;
	return status == 0 ? 0 : -EIO;
}

int disk_master_make(uint64_t bytes)
{
	char path[64], tmp[96], tag[9];
	id_random_text(tag, 8);
	int r = disk_master_path(bytes, path, sizeof(path));
	if (r == 0)
		r = path_printf(tmp, sizeof(tmp), "%s.%s", path, tag);
	if (r < 0)
		return r;
	CLEAN_FD int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = ftruncate(fd, (off_t)bytes) < 0 ? -errno : run_mkfs(tmp);
	if (r == 0 && rename(tmp, path) < 0)
		r = -errno;
	if (r < 0)
		(void)unlink(tmp);
	return r;
}

void disk_sweep_masters(void)
{
	DIR *d = opendir("masters");
	for (struct dirent *e; d && (e = readdir(d)) != NULL;)
		if (e->d_name[0] != '.' && strchr(e->d_name, '.'))
			(void)unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		(void)closedir(d);
}

/* Between kinds of file systems. */
static int copy_by_hand(int from, int to, off_t pos, off_t end)
{
	char chunk[1 << 16];
	while (pos < end) {
		size_t want =
		    end - pos < (off_t)sizeof(chunk) ? (size_t)(end - pos) : sizeof(chunk);
		ssize_t n = pread(from, chunk, want, pos);
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		for (ssize_t done = 0; done < n;) {
			ssize_t w = pwrite(to, chunk + done, (size_t)(n - done), pos + done);
			if (w <= 0)
				return w < 0 ? -errno : -EIO;
			done += w;
		}
		pos += n;
	}
	return 0;
}

static int copy_extent(int from, int to, off_t pos, off_t end)
{
	off_t in = pos, out = pos;
	while (in < end) {
		ssize_t n = copy_file_range(from, &in, to, &out, (size_t)(end - in), 0);
		if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP))
			return copy_by_hand(from, to, in, end);
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
	}
	return 0;
}

int disk_copy_data(int from, int to)
{
	for (off_t pos = 0; (pos = lseek(from, pos, SEEK_DATA)) >= 0;) {
		off_t end = lseek(from, pos, SEEK_HOLE);
		int r = end < 0 ? -errno : copy_extent(from, to, pos, end);
		if (r < 0)
			return r;
		pos = end;
	}
	return errno == ENXIO ? 0 : -errno; /* no more data */
}

int disk_copy(const char *from, const char *to)
{
	struct stat st;
	CLEAN_FD int in = open(from, O_RDONLY | O_CLOEXEC);
	CLEAN_FD int out = open(to, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (in < 0 || out < 0 || fstat(in, &st) < 0 || ftruncate(out, st.st_size) < 0)
		return -errno;
	int r = disk_copy_data(in, out);
	return r < 0 ? r : TAKE_FD(out);
}

void disk_abandon(int fd)
{
	uint32_t how = EXT4_SHUTDOWN_NO_FLUSH;
	struct statfs fs;
	if (fd < 0 || fstatfs(fd, &fs) < 0)
		return;
	if ((uint64_t)(fs.f_blocks - fs.f_bfree) * (uint64_t)fs.f_bsize > ABANDON_BYTES)
		(void)ioctl(fd, EXT4_SHUTDOWN, &how); /* not ext4: then it is a tmpfs */
}

bool disk_loop_works(void)
{
	CLEAN_FD int fd = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	return fd >= 0;
}
