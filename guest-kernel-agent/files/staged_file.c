/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/files/staged_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fdutil.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/files/file_error.h"
#include "guest-kernel-agent/files/file_info.h"

#define LINKS_MAX 16 /* links to nothing that are followed one after the other */
#define COPY_BYTES (128 * 1024)
#define WRITEBACK_BYTES (8 * 1024 * 1024)
#define XATTR_NAMES_MAX 65536
#define NEW_MODE 0666 /* less the umask */
#define KEPT_MODE 01777
#define ELSEWHERE "/tmp"

bool staged_file_is_hidden(const char *name)
{
	return str_after(name, STAGED_FILE_PREFIX) != NULL;
}

bool staged_file_is_nameless(const char *name)
{
	size_t digits = *name == '#' ? strspn(name + 1, "0123456789") : 0;
	return digits > 0 && !name[1 + digits];
}

/* The name of an open file, as the kernel takes it in place of a path. */
static const char *fd_path(int fd, char dst[32])
{
	(void)snprintf(dst, 32, "/proc/self/fd/%d", fd);
	return dst;
}

/* ---- where it goes ---- */

/* path up to its last slash, "/" at least. */
static void parent_of(const char *path, char dst[PATH_LEN_MAX])
{
	const char *slash = strrchr(path, '/');
	size_t n = slash && slash > path ? (size_t)(slash - path) : 1;
	memcpy(dst, path, n);
	dst[n] = '\0';
}

/* access(2) would ask for the agent's own rights. */
static bool exists(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0;
}

static size_t existing_part(const char *path)
{
	char p[PATH_LEN_MAX];
	size_t n = str_copy(p, sizeof(p), path);
	while (n > 1 && !exists(p)) {
		char *slash = strrchr(p, '/');
		n = slash > p ? (size_t)(slash - p) : 1;
		p[n] = '\0';
	}
	return n;
}

static int make_parents(struct staged_file *s, const char *path)
{
	char parent[PATH_LEN_MAX];
	parent_of(path, parent);
	if (exists(parent))
		return 0;
	s->parents_kept = existing_part(parent);
	(void)str_copy(s->parents, sizeof(s->parents), parent);
	return path_mkdir_p(parent, 0755);
}

static void remove_parents(struct staged_file *s)
{
	for (size_t n = strlen(s->parents); n > s->parents_kept;) {
		if (rmdir(s->parents) < 0)
			return; /* somebody uses it */
		while (n > s->parents_kept && s->parents[n - 1] != '/')
			n--;
		n -= n > s->parents_kept;
		s->parents[n] = '\0';
	}
}

/* path is a link to nothing: what it would lead to, in path itself. */
static int follow_link(char path[PATH_LEN_MAX])
{
	char to[PATH_LEN_MAX], parent[PATH_LEN_MAX];
	ssize_t n = readlink(path, to, sizeof(to) - 1);
	if (n < 0)
		return -errno;
	to[n] = '\0';
	parent_of(path, parent);
	return *to == '/' ? path_join(path, PATH_LEN_MAX, "/", to)
			  : path_join(path, PATH_LEN_MAX, parent, to);
}

/* 1: there is nothing, path says where it is to be made. */
static int find_target(struct staged_file *s, char path[PATH_LEN_MAX])
{
	struct stat st;
	for (int i = 0; i < LINKS_MAX; i++) {
		int r = make_parents(s, path);
		if (r < 0)
			return r;
		s->target = open(path, O_PATH | O_CLOEXEC);
		if (s->target >= 0)
			return 0;
		if (errno != ENOENT)
			return -errno;
		if (lstat(path, &st) < 0)
			return errno == ENOENT ? 1 : -errno;
		if (!S_ISLNK(st.st_mode))
			continue; /* it was made just now */
		r = follow_link(path);
		if (r < 0)
			return r;
	}
	return -ELOOP;
}

/* A regular file that the user may write. */
static int check_target(const struct staged_file *s)
{
	char p[32];
	struct stat st;
	if (fstat(s->target, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode))
		return -ENXIO;
	CLEAN_FD int fd = open(fd_path(s->target, p), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	return fd >= 0 || errno == ETXTBSY ? 0 : -errno;
}

/* Where the target stands with all links followed. */
static int real_path(const struct staged_file *s, char path[PATH_LEN_MAX])
{
	char p[32];
	ssize_t n = readlink(fd_path(s->target, p), path, PATH_LEN_MAX - 1);
	if (n < 0)
		return -errno;
	path[n] = '\0';
	return 0;
}

static int open_parent(struct staged_file *s, const char *path)
{
	char parent[PATH_LEN_MAX];
	const char *name = strrchr(path, '/');
	size_t n = name ? strlen(++name) : 0;
	if (n == 0 || str_eq(name, ".") || str_eq(name, ".."))
		return -EISDIR;
	if (n > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(s->name, name, n + 1);
	parent_of(path, parent);
	s->dir = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return s->dir < 0 ? -errno : 0;
}

/* ---- the new bytes ---- */

static int make_temp_name(struct staged_file *s)
{
	unsigned char random[8];
	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -EIO;
	memcpy(s->temp, STAGED_FILE_PREFIX, sizeof(STAGED_FILE_PREFIX));
	str_hex(random, sizeof(random), s->temp + sizeof(STAGED_FILE_PREFIX) - 1);
	return 0;
}

static bool knows_no_tmpfile(int error)
{
	return error == EOPNOTSUPP || error == EISDIR || error == EINVAL;
}

static int open_beside(struct staged_file *s)
{
	s->fd = openat(s->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, NEW_MODE);
	if (s->fd >= 0)
		return 0;
	int r = knows_no_tmpfile(errno) ? make_temp_name(s) : -errno;
	if (r < 0)
		return r;
	s->fd =
	    openat(s->dir, s->temp, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC, NEW_MODE);
	if (s->fd >= 0)
		return 0;
	s->temp[0] = '\0';
	return -errno;
}

static bool is_lack(int r)
{
	return r == -ENOSPC || r == -EDQUOT || r == -ENOMEM || r == -EMFILE || r == -ENFILE;
}

static int open_bytes(struct staged_file *s)
{
	int r = open_beside(s);
	if (r == 0 || s->target < 0 || is_lack(r))
		return r;
	s->elsewhere = true;
	s->fd = open(ELSEWHERE, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	return s->fd < 0 ? r : 0;
}

static void close_all(struct staged_file *s)
{
	s->fd = fd_close(s->fd);
	s->target = fd_close(s->target);
	s->dir = fd_close(s->dir);
	s->live = false;
}

void staged_file_fini(struct staged_file *s)
{
	if (s->live)
		close_all(s);
}

void staged_file_abort(struct staged_file *s)
{
	if (!s->live)
		return;
	if (s->temp[0])
		(void)unlinkat(s->dir, s->temp, 0);
	remove_parents(s);
	close_all(s);
}

int staged_file_open(struct staged_file *s, const char *path, struct err *reterr)
{
	char at[PATH_LEN_MAX];
	*s = (struct staged_file){ .live = true, .fd = -1, .target = -1, .dir = -1 };
	if (str_copy(at, sizeof(at), path) >= sizeof(at))
		return file_error(reterr, -ENAMETOOLONG, path);
	(void)str_copy(s->path, sizeof(s->path), path);
	int r = find_target(s, at);
	if (r == 0)
		r = check_target(s);
	if (r == 0 && s->target >= 0)
		r = real_path(s, at);
	if (r >= 0)
		r = open_parent(s, at);
	if (r == 0)
		r = open_bytes(s);
	if (r == 0)
		return 0;
	staged_file_abort(s);
	return file_error(reterr, r, path);
}

int staged_file_expect(const struct staged_file *s, uint64_t n, struct err *reterr)
{
	struct statvfs v;
	if (fstatvfs(s->fd, &v) < 0 || v.f_blocks == 0 || v.f_frsize == 0)
		return 0; /* a file system without a size */
	return n / v.f_frsize >= v.f_bavail && n > 0 ? file_error(reterr, -ENOSPC, s->path) : 0;
}

/* Without this, a file as large as the sandbox's memory fills it with bytes that must be written
 * before any can be had again, and the upload stands still meanwhile. Only a hint. */
static void begin_writeback(struct staged_file *s)
{
	if (s->written - s->begun < WRITEBACK_BYTES)
		return;
	(void)sync_file_range(s->fd, s->begun, s->written - s->begun, SYNC_FILE_RANGE_WRITE);
	s->begun = s->written;
}

int staged_file_write(struct staged_file *s, const void *p, size_t n, struct err *reterr)
{
	int r = fd_write_all(s->fd, p, n);
	if (r < 0)
		return file_error(reterr, r, s->path);
	s->written += (off_t)n;
	begin_writeback(s);
	return 0;
}

/* ---- metadata ---- */

static void drop_metadata(int fd)
{
	CLEAN_FREE char *names = mem_alloc(XATTR_NAMES_MAX);
	ssize_t n = names ? flistxattr(fd, names, XATTR_NAMES_MAX) : -1;
	for (const char *at = names; n > 0 && at < names + n; at += strlen(at) + 1)
		if (str_after(at, FILE_METADATA_PREFIX))
			(void)fremovexattr(fd, at);
}

static int put_metadata(int fd, const json_t *metadata)
{
	char name[sizeof(FILE_METADATA_PREFIX) + FILE_METADATA_KEY_MAX];
	const char *k;
	json_t *v;
	json_object_foreach((json_t *)metadata, k, v)
	{
		(void)snprintf(name, sizeof(name), FILE_METADATA_PREFIX "%s", k);
		if (fsetxattr(fd, name, json_string_value(v), json_string_length(v), 0) < 0)
			return -errno;
	}
	return 0;
}

/* Attributes that a new file would not have: access lists and the like. */
static bool has_other_attributes(int fd)
{
	CLEAN_FREE char *names = mem_alloc(XATTR_NAMES_MAX);
	ssize_t n = names ? flistxattr(fd, names, XATTR_NAMES_MAX) : -1;
	for (const char *at = names; n > 0 && at < names + n; at += strlen(at) + 1)
		if (!str_after(at, FILE_METADATA_PREFIX) && !str_after(at, "security."))
			return true;
	return n < 0 && errno != ENOTSUP;
}

/* ---- commit: the name ---- */

/* Give fd a name of ours in dir. */
static int name_temp(struct staged_file *s)
{
	char p[32];
	if (s->temp[0])
		return 0;
	int r = make_temp_name(s);
	if (r == 0 && linkat(AT_FDCWD, fd_path(s->fd, p), s->dir, s->temp, AT_SYMLINK_FOLLOW) < 0) {
		s->temp[0] = '\0';
		r = -errno;
	}
	return r;
}

static int rename_over(struct staged_file *s)
{
	int r = name_temp(s);
	if (r == 0 && renameat(s->dir, s->temp, s->dir, s->name) < 0)
		r = -errno;
	if (r == 0)
		s->temp[0] = '\0';
	return r;
}

static int commit_new(struct staged_file *s)
{
	char p[32];
	if (s->temp[0])
		return rename_over(s);
	if (linkat(AT_FDCWD, fd_path(s->fd, p), s->dir, s->name, AT_SYMLINK_FOLLOW) == 0)
		return 0;
	return errno == EEXIST ? rename_over(s) : -errno;
}

/* May the new file take the place of the old one, so that nobody sees a difference? */
static bool is_replaceable(const struct staged_file *s)
{
	struct stat old, new, there;
	char p[32];
	if (s->elsewhere || fstat(s->target, &old) < 0 || fstat(s->fd, &new) < 0 ||
	    fstatat(s->dir, s->name, &there, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	if (old.st_dev != there.st_dev || old.st_ino != there.st_ino || old.st_nlink != 1 ||
	    old.st_uid != new.st_uid || old.st_gid != new.st_gid)
		return false;
	CLEAN_FD int fd = open(fd_path(s->target, p), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || has_other_attributes(fd))
		return false;
	return fchmod(s->fd, old.st_mode & KEPT_MODE) == 0;
}

/* ---- commit: the bytes, in place ---- */

/* Only where the file system can; others tell while writing. */
static int reserve(int fd, off_t n)
{
	if (n == 0 || fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, n) == 0)
		return 0;
	return errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? -errno : 0;
}

static int copy_bytes(int from, int to)
{
	CLEAN_FREE char *p = mem_alloc(COPY_BYTES);
	if (!p)
		return -ENOMEM;
	for (off_t at = 0;;) {
		ssize_t n = pread(from, p, COPY_BYTES, at);
		if (n <= 0)
			return n < 0 ? -errno : 0;
		int r = fd_write_all(to, p, (size_t)n);
		if (r < 0)
			return r;
		at += n;
	}
}

static int commit_in_place(struct staged_file *s, const json_t *metadata)
{
	char p[32];
	struct stat st;
	CLEAN_FD int to = open(fd_path(s->target, p), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (to < 0 || fstat(s->fd, &st) < 0)
		return -errno;
	int r = reserve(to, st.st_size);
	if (r == 0)
		r = copy_bytes(s->fd, to);
	/* Files of the kernel have no size to set. */
	if (r == 0 && ftruncate(to, st.st_size) < 0 && errno != EINVAL && errno != EPERM)
		r = -errno;
	if (r == 0)
		drop_metadata(to);
	return r == 0 ? put_metadata(to, metadata) : r;
}

/* Watchers of the directory wait for a write under the target's name. Reserving a byte that is
 * there is one, and takes nothing from who appends to the file already, as setting its size would.
 */
static void tell_watchers(const struct staged_file *s)
{
	struct stat st;
	CLEAN_FD int fd = openat(s->dir, s->name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		(void)fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1);
}

static int commit_named(struct staged_file *s, const json_t *metadata)
{
	int r = put_metadata(s->fd, metadata);
	if (r == 0)
		r = s->target < 0 ? commit_new(s) : rename_over(s);
	if (r == 0)
		tell_watchers(s);
	return r;
}

int staged_file_commit(struct staged_file *s, const json_t *metadata, struct err *reterr)
{
	bool named = s->target < 0 || is_replaceable(s);
	int r = named ? commit_named(s, metadata) : commit_in_place(s, metadata);
	/* Writing is allowed where replacing is not: sticky directories, mount points. */
	if (named && s->target >= 0 && (r == -EPERM || r == -EACCES || r == -EBUSY || r == -EXDEV))
		r = commit_in_place(s, metadata);
	if (r < 0) {
		(void)file_error(reterr, r, s->path);
		staged_file_abort(s);
		return r;
	}
	if (s->temp[0])
		(void)unlinkat(s->dir, s->temp, 0);
	close_all(s);
	return 0;
}
