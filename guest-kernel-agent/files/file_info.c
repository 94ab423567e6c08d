/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/files/file_info.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/files/file_error.h"
#include "guest-kernel-agent/jupyter/text.h"

#define NS 1000000000
#define XATTR_NAMES_MAX 65536 /* what the kernel lists at most */

/* ---- permissions ---- */

static char *put_if(char *p, bool set, char c)
{
	*p = c;
	return p + set;
}

void file_permissions(mode_t mode, char dst[FILE_PERMISSIONS_MAX])
{
	char *p = dst;
	p = put_if(p, S_ISDIR(mode), 'd');
	p = put_if(p, S_ISLNK(mode), 'L');
	p = put_if(p, S_ISBLK(mode) || S_ISCHR(mode), 'D');
	p = put_if(p, S_ISFIFO(mode), 'p');
	p = put_if(p, S_ISSOCK(mode), 'S');
	p = put_if(p, mode & S_ISUID, 'u');
	p = put_if(p, mode & S_ISGID, 'g');
	p = put_if(p, S_ISCHR(mode), 'c');
	p = put_if(p, mode & S_ISVTX, 't');
	p = put_if(p, p == dst, '-');
	for (int bit = 8; bit >= 0; bit--)
		*p++ = mode & (1u << bit) ? "xwr"[bit % 3] : '-';
	*p = '\0';
}

/* ---- owners ---- */

static const char *owner_name(struct file_owner *kept, unsigned *n, uint32_t id,
    char *(*look_up)(uint32_t id, char dst[USERS_NAME_MAX]))
{
	for (unsigned i = 0; i < *n && i < FILE_OWNERS_KEPT; i++)
		if (kept[i].id == id)
			return kept[i].name;
	struct file_owner *o = &kept[(*n)++ % FILE_OWNERS_KEPT];
	o->id = id;
	return look_up(id, o->name);
}

/* ---- texts ---- */

static char *clean_text(const void *p, size_t n)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	return text_repair(&b, p, n) < 0 ? NULL : buf_steal(&b, NULL);
}

static char *clean_str(const char *s)
{
	return clean_text(s, strlen(s));
}

/* ---- metadata ---- */

/* Value of one attribute, at most max bytes: 0 with *ret NULL when it cannot be had. */
static int read_value(const char *path, const char *name, size_t max, char **ret)
{
	char value[FILE_METADATA_BYTES_MAX];
	ssize_t n = getxattr(path, name, value, sizeof(value));
	*ret = NULL;
	if (n < 0 || (size_t)n > max)
		return 0;
	*ret = clean_text(value, (size_t)n);
	return *ret ? 0 : -ENOMEM;
}

static int add_metadata(
    struct file_info *f, const char *path, const char *name, const char *key, size_t *left)
{
	size_t n = strlen(key);
	CLEAN_FREE char *value = NULL;
	if (n > *left || f->n_metadata == FILE_METADATA_MAX)
		return 0;
	int r = read_value(path, name, *left - n, &value);
	if (r < 0 || !value)
		return r;
	CLEAN_FREE char *clean_key = clean_str(key);
	struct file_metadata *more = mem_realloc(f->metadata, (f->n_metadata + 1) * sizeof(*more));
	if (!more || !clean_key) {
		f->metadata = more ? more : f->metadata;
		return -ENOMEM;
	}
	*left -= n + strlen(value);
	f->metadata = more;
	f->metadata[f->n_metadata++] = (struct file_metadata){ TAKE(clean_key), TAKE(value) };
	return 0;
}

/* A file system without attributes, or a file that may not be read, has none. */
static int read_metadata(struct file_info *f, const char *path)
{
	size_t left = FILE_METADATA_BYTES_MAX;
	ssize_t need = listxattr(path, NULL, 0);
	if (need <= 0 || need > XATTR_NAMES_MAX)
		return 0;
	CLEAN_FREE char *names = mem_alloc((size_t)need);
	if (!names)
		return -ENOMEM;
	ssize_t n = listxattr(path, names, (size_t)need);
	int r = 0;
	for (const char *s = names; n > 0 && s < names + n && r == 0; s += strlen(s) + 1) {
		const char *key = str_after(s, FILE_METADATA_PREFIX);
		if (key && *key)
			r = add_metadata(f, path, s, key, &left);
	}
	return r;
}

/* ---- the entry ---- */

static enum file_type type_of(mode_t mode)
{
	return S_ISREG(mode) ? FILE_REGULAR : S_ISDIR(mode) ? FILE_DIRECTORY : FILE_UNKNOWN;
}

static int follow_link(struct file_info *f, int dir, const char *path, const char *full_path)
{
	char target[PATH_MAX];
	struct stat st;
	bool leads = fstatat(dir, path, &st, 0) == 0;
	f->type = leads ? type_of(st.st_mode) : FILE_SYMLINK;
	if (leads)
		f->mode = st.st_mode & 0777;
	/* A link that leads nowhere still says where to. */
	if (!realpath(full_path, target)) {
		ssize_t n = readlinkat(dir, path, target, sizeof(target) - 1);
		target[n < 0 ? 0 : n] = '\0';
	}
	f->symlink_target = clean_str(target);
	return f->symlink_target ? 0 : -ENOMEM;
}

static int fill(struct file_info *f, int dir, const char *path, const char *full_path,
    const struct stat *st, struct file_owners *o)
{
	const char *slash = strrchr(full_path, '/');
	f->name = clean_str(slash && slash[1] ? slash + 1 : full_path);
	f->path = clean_str(full_path);
	f->owner = clean_str(owner_name(o->users, &o->n_users, st->st_uid, user_name_of));
	f->group = clean_str(owner_name(o->groups, &o->n_groups, st->st_gid, group_name_of));
	if (!f->name || !f->path || !f->owner || !f->group)
		return -ENOMEM;
	f->type = type_of(st->st_mode);
	f->size = (uint64_t)st->st_size;
	f->mode = st->st_mode & 0777;
	f->modified_ns = (int64_t)st->st_mtim.tv_sec * NS + st->st_mtim.tv_nsec;
	file_permissions(st->st_mode, f->permissions);
	int r = S_ISLNK(st->st_mode) ? follow_link(f, dir, path, full_path) : 0;
	return r < 0 ? r : read_metadata(f, full_path);
}

int file_info_at(int dir, const char *path, const char *full_path, struct file_owners *owners,
    struct file_info *ret, struct err *reterr)
{
	struct file_info f = { 0 };
	struct stat st;
	if (fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return file_error(reterr, -errno, full_path);
	int r = fill(&f, dir, path, full_path, &st, owners);
	if (r < 0) {
		file_info_fini(&f);
		return file_error(reterr, r, full_path);
	}
	*ret = f;
	return 0;
}

int file_info_read(const char *path, struct file_info *ret, struct err *reterr)
{
	struct file_owners owners = { 0 };
	return file_info_at(AT_FDCWD, path, path, &owners, ret, reterr);
}

void file_info_fini(struct file_info *f)
{
	f->name = mem_free(f->name);
	f->path = mem_free(f->path);
	f->owner = mem_free(f->owner);
	f->group = mem_free(f->group);
	f->symlink_target = mem_free(f->symlink_target);
	for (size_t i = 0; i < f->n_metadata; i++) {
		mem_free(f->metadata[i].key);
		mem_free(f->metadata[i].value);
	}
	f->metadata = mem_free(f->metadata);
	f->n_metadata = 0;
}
