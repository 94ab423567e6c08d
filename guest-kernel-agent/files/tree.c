/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/files/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fdutil.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "guest-kernel-agent/files/file_error.h"
#include "guest-kernel-agent/files/file_info.h"

#define ENTRY_BYTES 256 /* of an entry beside its texts */
#define DIRECTORY_MODE 0755

/* ---- lists ---- */

void file_list_fini(struct file_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		file_info_fini(&l->items[i]);
	l->items = mem_free(l->items);
	l->n = l->cap = l->bytes = 0;
}

static size_t size_of(const struct file_info *f)
{
	size_t n = ENTRY_BYTES + strlen(f->name) + strlen(f->path);
	for (size_t i = 0; i < f->n_metadata; i++)
		n += strlen(f->metadata[i].key) + strlen(f->metadata[i].value);
	return n + (f->symlink_target ? strlen(f->symlink_target) : 0);
}

int file_list_add(struct file_list *l, struct file_info *f_consume)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 16;
		struct file_info *more = mem_realloc(l->items, cap * sizeof(*more));
		if (!more) {
			file_info_fini(f_consume);
			return -ENOMEM;
		}
		l->items = more;
		l->cap = cap;
	}
	l->bytes += size_of(f_consume);
	l->items[l->n++] = *f_consume;
	return 0;
}

/* ---- make ---- */

int tree_make_parents(const char *path, struct err *reterr)
{
	char dir[PATH_LEN_MAX];
	const char *slash = strrchr(path, '/');
	if (!slash || slash == path)
		return 0;
	int r = path_printf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
	if (r == 0)
		r = path_mkdir_p(dir, DIRECTORY_MODE);
	return r < 0 ? file_error(reterr, r, dir) : 0;
}

int tree_make_dir(const char *path, struct err *reterr)
{
	struct stat st;
	int r = tree_make_parents(path, reterr);
	if (r < 0)
		return r;
	if (mkdir(path, DIRECTORY_MODE) == 0)
		return 0;
	r = -errno;
	if (r == -EEXIST && (stat(path, &st) < 0 || !S_ISDIR(st.st_mode)))
		return err_set(
		    reterr, -ENOTDIR, "path '%s' already exists, and is not a directory", path);
	return file_error(reterr, r, path);
}

/* ---- move ---- */

int tree_move(const char *source, const char *destination, struct err *reterr)
{
	struct stat st;
	if (lstat(source, &st) < 0)
		return file_error(reterr, -errno, source);
	int r = tree_make_parents(destination, reterr);
	if (r < 0)
		return r;
	if (rename(source, destination) == 0)
		return 0;
	r = -errno;
	return file_error(reterr, r, r == -ENOENT ? source : destination);
}

/* ---- remove ---- */

int tree_remove(const char *path, struct err *reterr)
{
	if (str_eq(path, "/") || str_ends(path, "/.."))
		return err_set(reterr, -EINVAL, "path '%s' cannot be removed", path);
	int r = path_remove_tree(path);
	return r == 0 || r == -ENOTDIR ? 0 : file_error(reterr, r, path);
}

/* ---- list ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void tree_names_free(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		mem_free(names[i]);
	mem_free(names);
}

static bool is_dot(const char *name)
{
	return str_eq(name, ".") || str_eq(name, "..");
}

static int add_name(char ***names, size_t *n, const char *name)
{
	/* The array grows at each power of two. */
	if ((*n & (*n - 1)) == 0) {
		char **more = mem_realloc(*names, (*n ? 2 * *n : 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		*names = more;
	}
	(*names)[*n] = mem_strdup(name);
	return (*names)[(*n)++] ? 0 : -ENOMEM;
}

static int read_names(DIR *d, size_t max, char ***names, size_t *n)
{
	for (;;) {
		errno = 0;
		const struct dirent *e = readdir(d);
		if (!e)
			return -errno;
		if (is_dot(e->d_name))
			continue;
		int r = *n == max ? -E2BIG : add_name(names, n, e->d_name);
		if (r < 0)
			return r;
	}
}

int tree_names(int fd_consume, size_t max, char ***ret, size_t *ret_n)
{
	char **names = NULL;
	size_t n = 0;
	DIR *d = fdopendir(fd_consume);
	if (!d) {
		int r = -errno;
		(void)fd_close(fd_consume);
		return r;
	}
	int r = read_names(d, max, &names, &n);
	(void)closedir(d);
	if (r < 0) {
		tree_names_free(names, n);
		return r;
	}
	if (n > 0)
		qsort(names, n, sizeof(*names), by_name);
	*ret = names;
	*ret_n = n;
	return 0;
}

struct walk {
	struct file_list *list;
	struct file_owners owners;
	char path[PATH_LEN_MAX];
	struct err *err;
};

static int list_below(struct walk *w, int fd_consume, uint32_t depth);

static int too_much(struct walk *w)
{
	return err_set(w->err, -ENOMEM,
	    "more than %d entries or %d MiB: list fewer levels or a smaller directory",
	    TREE_ENTRIES_MAX, TREE_BYTES_MAX >> 20);
}

/* What vanished meanwhile is left out; what may not be read is shown without its content. */
static int list_entry(struct walk *w, int dir, const char *name, uint32_t depth)
{
	struct file_info f;
	struct err why = ERR_INIT;
	int r = file_info_at(dir, name, w->path, &w->owners, &f, &why);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_set(w->err, r, "%s", why.text);
	bool is_dir = f.type == FILE_DIRECTORY && !f.symlink_target;
	if (file_list_add(w->list, &f) < 0)
		return file_error(w->err, -ENOMEM, w->path);
	if (w->list->n > TREE_ENTRIES_MAX || w->list->bytes > TREE_BYTES_MAX)
		return too_much(w);
	if (!is_dir || depth <= 1)
		return 0;
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? 0 : list_below(w, fd, depth - 1);
}

static int list_names(struct walk *w, int dir, char **names, size_t n, uint32_t depth)
{
	size_t end = strlen(w->path);
	int r = 0;
	for (size_t i = 0; i < n && r == 0; i++) {
		if (path_join(w->path, sizeof(w->path), w->path, names[i]) == 0)
			r = list_entry(w, dir, names[i], depth);
		w->path[end] = '\0';
	}
	return r;
}

/* Entries of the directory w->path, which fd_consume is. */
static int list_below(struct walk *w, int fd_consume, uint32_t depth)
{
	CLEAN_FD int dir = fd_consume;
	char **names = NULL;
	size_t n = 0;
	int fd = fcntl(dir, F_DUPFD_CLOEXEC, 0);
	int r = fd < 0 ? -errno : tree_names(fd, TREE_ENTRIES_MAX, &names, &n);
	if (r == -E2BIG)
		return too_much(w);
	if (r < 0)
		return file_error(w->err, r, w->path);
	r = list_names(w, dir, names, n, depth);
	tree_names_free(names, n);
	return r;
}

int tree_list(const char *path, uint32_t depth, struct file_list *ret, struct err *reterr)
{
	struct file_list all = { 0 };
	struct walk w = { .list = &all, .err = reterr };
	if (path_printf(w.path, sizeof(w.path), "%s", path) < 0)
		return file_error(reterr, -ENAMETOOLONG, path);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return file_error(reterr, -errno, path);
	int r = list_below(&w, fd, depth < TREE_DEPTH_MAX ? depth : TREE_DEPTH_MAX);
	if (r < 0) {
		file_list_fini(&all);
		return r;
	}
	*ret = all;
	return 0;
}
