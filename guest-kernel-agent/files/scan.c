/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory is opened below its parent's descriptor and watched through its own: whatever is
 * renamed or replaced by a link meanwhile, no other one is reached. Its watch is set before its
 * entries are read, so that nothing falls between.
 */
#include "guest-kernel-agent/files/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fdutil.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "guest-kernel-agent/files/file_error.h"
#include "guest-kernel-agent/files/notifier.h"
#include "guest-kernel-agent/files/tree.h"

#define NS 1000000000
#ifndef CIFS_SUPER_MAGIC
#define CIFS_SUPER_MAGIC 0xFF534D42
#endif
#ifndef SMB2_SUPER_MAGIC
#define SMB2_SUPER_MAGIC 0xFE534D42
#endif
#define FUSE_MAGIC 0x65735546

struct walk {
	struct scan *scan;
	struct err *err;
	char name[PATH_LEN_MAX]; /* of the current entry */
	size_t directories;
};

bool scan_is_network(uint32_t type)
{
	static const uint32_t types[] = { NFS_SUPER_MAGIC, CIFS_SUPER_MAGIC, SMB_SUPER_MAGIC,
		SMB2_SUPER_MAGIC, FUSE_MAGIC, V9FS_MAGIC, CEPH_SUPER_MAGIC, AFS_SUPER_MAGIC };
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (type == types[i])
			return true;
	return false;
}

static bool is_on_network(int fd)
{
	struct statfs fs;
	return fstatfs(fd, &fs) == 0 && scan_is_network((uint32_t)fs.f_type);
}

static int no_memory(struct walk *w)
{
	return err_set(w->err, -ENOMEM, "out of memory");
}

static int no_watch(struct walk *w)
{
	return err_set(w->err, -ENOSPC,
	    "path '%s': the limit of watched directories is reached at '%s'", w->scan->root,
	    w->name);
}

/* The array grows at each power of two. */
static int add_item(struct walk *w, bool is_dir, enum scan_change change)
{
	struct scan *s = w->scan;
	size_t n = s->n_items;
	if ((n & (n - 1)) == 0) {
		struct scan_item *more = mem_realloc(s->items, (n ? 2 * n : 1) * sizeof(*more));
		if (!more)
			return no_memory(w);
		s->items = more;
	}
	char *name = mem_strdup(w->name);
	if (!name)
		return no_memory(w);
	s->items[s->n_items++] =
	    (struct scan_item){ .name = name, .wd = -1, .is_dir = is_dir, .change = change };
	return 0;
}

/* ---- what changed ---- */

static int64_t stamp(const struct statx_timestamp *t)
{
	return t->tv_sec * NS + t->tv_nsec;
}

static enum scan_change change_of(const struct walk *w, const struct statx *sx, bool all_new)
{
	const struct scan *s = w->scan;
	bool is_dir = S_ISDIR(sx->stx_mode);
	if (!s->report)
		return SCAN_SAME;
	if (all_new || (is_dir && s->known && !map_get(s->known, w->name)))
		return SCAN_CREATED;
	if (stamp(&sx->stx_ctime) < s->since_ns)
		return SCAN_SAME;
	if ((sx->stx_mask & STATX_BTIME) && stamp(&sx->stx_btime) >= s->since_ns)
		return SCAN_CREATED;
	return is_dir ? SCAN_SAME : SCAN_WRITTEN;
}

/* ---- the walk ---- */

static int walk_directory(struct walk *w, int fd_consume, unsigned depth, bool all_new);

static int watch_directory(struct walk *w, int fd, size_t item)
{
	char path[64];
	if (w->directories == w->scan->max_directories)
		return no_watch(w);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int wd = inotify_add_watch(w->scan->inotify, path, NOTIFIER_MASK);
	if (wd < 0 && errno == ENOSPC)
		return no_watch(w);
	if (wd < 0 && errno == ENOMEM)
		return no_memory(w);
	if (wd < 0 && item == 0)
		return file_error(w->err, -errno, w->scan->root);
	w->directories += wd >= 0;
	w->scan->items[item].wd = wd;
	return 0;
}

static int visit(struct walk *w, int dir, const char *name, unsigned depth, bool all_new)
{
	struct statx sx;
	if (statx(dir, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
		STATX_TYPE | STATX_CTIME | STATX_BTIME, &sx) < 0)
		return 0; /* gone again */
	bool is_dir = S_ISDIR(sx.stx_mode), enter = is_dir && w->scan->recursive;
	enum scan_change change = change_of(w, &sx, all_new);
	if (!enter && change == SCAN_SAME)
		return 0;
	if (!enter && w->scan->n_items >= SCAN_ITEMS_MAX) {
		w->scan->truncated = true;
		return 0;
	}
	int r = add_item(w, is_dir, change);
	if (r < 0 || !enter || depth == 0)
		return r;
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? 0 : walk_directory(w, fd, depth - 1, all_new || change == SCAN_CREATED);
}

static int visit_all(struct walk *w, int dir, char **names, size_t n, unsigned depth, bool all_new)
{
	size_t end = str_copy(w->name, sizeof(w->name), w->name);
	int r = 0;
	for (size_t i = 0; i < n && r == 0; i++) {
		int too_long = end ? path_join(w->name, sizeof(w->name), w->name, names[i])
				   : path_printf(w->name, sizeof(w->name), "%s", names[i]);
		if (too_long == 0)
			r = visit(w, dir, names[i], depth, all_new);
		w->name[end] = '\0';
	}
	return r;
}

/* The directory of the last item. */
static int walk_directory(struct walk *w, int fd_consume, unsigned depth, bool all_new)
{
	CLEAN_FD int dir = fd_consume;
	char **names = NULL;
	size_t n = 0;
	size_t item = w->scan->n_items - 1;
	int r = watch_directory(w, dir, item);
	if (r < 0 || w->scan->items[item].wd < 0 || !(w->scan->recursive || w->scan->report))
		return r;
	int fd = fcntl(dir, F_DUPFD_CLOEXEC, 0);
	r = fd < 0 ? -errno : tree_names(fd, SCAN_ITEMS_MAX, &names, &n);
	if (r == -ENOMEM)
		return no_memory(w);
	w->scan->truncated |= r == -E2BIG;
	if (r < 0)
		return 0;
	r = visit_all(w, dir, names, n, depth, all_new);
	tree_names_free(names, n);
	return r;
}

static int open_start(const struct scan *s, struct err *reterr)
{
	char path[PATH_LEN_MAX];
	int r = path_join(path, sizeof(path), s->root, s->start);
	if (r < 0)
		return file_error(reterr, r, s->start);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (s->follow ? 0 : O_NOFOLLOW));
	return fd < 0 ? file_error(reterr, -errno, path) : fd;
}

int scan_run(struct scan *s, struct err *reterr)
{
	struct walk w = { .scan = s, .err = reterr };
	CLEAN_FD int fd = open_start(s, reterr);
	if (fd < 0)
		return TAKE_FD(fd);
	if (s->refuse_network && is_on_network(fd))
		return err_set(reterr, -EINVAL,
		    "path '%s' is on a network file system, where changes may not be seen: set "
		    "allow_network_mounts to watch it all the same",
		    s->root);
	(void)str_copy(w.name, sizeof(w.name), s->start);
	int r = add_item(&w, true, SCAN_SAME);
	return r < 0 ? r : walk_directory(&w, TAKE_FD(fd), TREE_DEPTH_MAX, s->all_new);
}

void scan_fini(struct scan *s)
{
	for (size_t i = 0; i < s->n_items; i++)
		mem_free(s->items[i].name);
	s->items = mem_free(s->items);
	s->n_items = 0;
}
