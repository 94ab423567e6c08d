/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dependencies are read from the modules themselves (the text "depends=" in .modinfo): modules.dep
 * is only made when a kernel package is configured, which nobody does here.
 */
#include "image/modules.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fdutil.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"

#define MODULE_MAX (16u << 20)
#define DEPTH_MAX 16
#define NAME_MAX_LEN 63

static const char *const guest_modules[] = { "virtio_mmio", "virtio_blk", "virtio_net", "overlay",
	"erofs", "-virtio_console", "-vmw_vsock_virtio_transport", "-virtio_rng", "-squashfs",
	"-virtio_balloon", "-ptp_kvm", NULL };

struct module {
	char *path;
	int state; /* 0 = not visited, 1 = being visited, 2 = in the order */
	bool optional;
};

struct collect {
	struct map *by_name; /* '-' is '_' in the keys, as for the kernel */
	const char *builtin, *dir;
	struct buf order;
};

/* "virtio-rng.ko" -> "virtio_rng" */
static bool module_name(const char *file, char dst[NAME_MAX_LEN + 1])
{
	size_t n = strcspn(file, ".");
	if (n == 0 || n > NAME_MAX_LEN || !str_after(file + n, ".ko"))
		return false;
	for (size_t i = 0; i < n; i++)
		dst[i] = file[i] == '-' ? '_' : file[i];
	dst[n] = '\0';
	return true;
}

static int scan(struct collect *c, const char *dir, int depth)
{
	DIR *d = depth < DEPTH_MAX ? opendir(dir) : NULL;
	int r = 0;
	if (!d)
		return -errno;
	for (struct dirent *e; r == 0 && (e = readdir(d)) != NULL;) {
		char path[PATH_LEN_MAX], name[NAME_MAX_LEN + 1];
		struct stat st;
		if (e->d_name[0] == '.' || path_join(path, sizeof(path), dir, e->d_name) < 0 ||
		    lstat(path, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode)) {
			r = scan(c, path, depth + 1);
		} else if (S_ISREG(st.st_mode) && module_name(e->d_name, name)) {
			struct module *m = mem_zalloc(sizeof(*m));
			r = m && (m->path = mem_strdup(path)) ? map_add(c->by_name, name, m)
							      : -ENOMEM;
			if (r < 0 && m) {
				(void)mem_free(m->path);
				(void)mem_free(m);
			}
			r = r == -EEXIST ? 0 : r;
		}
	}
	(void)closedir(d);
	return r;
}

/* "kernel/drivers/virtio/virtio.ko" is a line of modules.builtin. */
static bool is_builtin(const struct collect *c, const char *name)
{
	for (const char *line = c->builtin; line && *line;) {
		char one[NAME_MAX_LEN + 1], file[128];
		size_t n = strcspn(line, "\n");
		const char *slash = memrchr(line, '/', n);
		const char *start = slash ? slash + 1 : line;
		size_t len = (size_t)(line + n - start);
		if (len < sizeof(file)) {
			memcpy(file, start, len);
			file[len] = '\0';
			if (module_name(file, one) && str_eq(one, name))
				return true;
		}
		line += n + (line[n] == '\n');
	}
	return false;
}

/* The list of names behind "depends="; "" when there is none. */
static void find_depends(const struct buf *b, char *dst, size_t cap)
{
	static const char key[] = "\0depends=";
	const char *hit = memmem(buf_data(b), buf_len(b), key, sizeof(key) - 1), *end;
	dst[0] = '\0';
	if (!hit)
		return;
	hit += sizeof(key) - 1;
	end = memchr(hit, '\0', buf_len(b) - (size_t)(hit - (const char *)buf_data(b)));
	if (end && (size_t)(end - hit) < cap)
		memcpy(dst, hit, (size_t)(end - hit) + 1);
}

static int visit(struct collect *c, const char *name, bool optional, struct err *reterr);

static int visit_depends(struct collect *c, char *list, bool optional, struct err *reterr)
{
	char *save = NULL;
	int r = 0;
	for (char *one = strtok_r(list, ",", &save); r == 0 && one;
	     one = strtok_r(NULL, ",", &save)) {
		for (char *p = one; *p; p++)
			*p = *p == '-' ? '_' : *p;
		r = visit(c, one, optional, reterr);
	}
	return r;
}

static int keep(struct collect *c, const struct module *m, const struct buf *bytes, bool optional)
{
	char to[PATH_LEN_MAX];
	const char *file = strrchr(m->path, '/') + 1;
	int r = path_join(to, sizeof(to), c->dir, file);
	if (r == 0)
		r = fd_replace_file(AT_FDCWD, to, 0644, buf_data(bytes), buf_len(bytes));
	return r < 0 ? r : buf_printf(&c->order, "%s%s\n", optional ? "-" : "", file);
}

static int visit(struct collect *c, const char *name, bool optional, struct err *reterr)
{
	CLEAN_BUF struct buf bytes = BUF_INIT;
	char depends[1024];
	struct module *m = map_get(c->by_name, name);
	if (!m && is_builtin(c, name))
		return 0;
	if (!m)
		return optional ? 0 : err_set(reterr, -ENOENT, "the kernel has no module %s", name);
	if (m->state != 0)
		return m->state == 2 ? 0
				     : err_set(reterr, -ELOOP,
					   "the kernel's modules depend on each other: %s", name);
	if (!str_ends(m->path, ".ko"))
		return err_set(
		    reterr, -ENOTSUP, "the kernel's modules are compressed: %s", m->path);
	m->state = 1;
	int r = fd_read_file(AT_FDCWD, m->path, MODULE_MAX, &bytes);
	if (r == 0) {
		find_depends(&bytes, depends, sizeof(depends));
		r = visit_depends(c, depends, optional, reterr);
	}
	if (r == 0)
		r = keep(c, m, &bytes, optional);
	m->state = 2;
	return r < 0 ? err_set(reterr, r, "kernel module %s: %s", name, err_name(r)) : 0;
}

int modules_collect_these(const char *const *wanted, const char *tree, const char *builtin,
    const char *dir, struct err *reterr)
{
	struct collect c = { .by_name = map_new(), .builtin = builtin, .dir = dir };
	char path[PATH_LEN_MAX];
	int r = c.by_name ? scan(&c, tree, 0) : -ENOMEM;
	if (r < 0)
		(void)err_set(reterr, r, "%s: %s", tree, err_name(r));
	for (const char *const *w = wanted; r == 0 && *w; w++)
		r = visit(&c, *w + (**w == '-'), **w == '-', reterr);
	if (r == 0)
		r = path_join(path, sizeof(path), dir, "order");
	if (r == 0)
		r = fd_replace_file(AT_FDCWD, path, 0644, buf_data(&c.order), buf_len(&c.order));
	void *it = NULL;
	for (struct module *m; c.by_name && (m = map_next(c.by_name, &it, NULL));) {
		(void)mem_free(m->path);
		(void)mem_free(m);
	}
	(void)map_free(c.by_name);
	buf_fini(&c.order);
	return r < 0 ? err_set(reterr, r, "%s: %s", dir, err_name(r)) : 0;
}

int modules_collect(const char *tree, const char *builtin, const char *dir, struct err *reterr)
{
	return modules_collect_these(guest_modules, tree, builtin, dir, reterr);
}

int modules_id(char dst[MODULES_ID_LEN + 1])
{
	CLEAN_BUF struct buf b = BUF_INIT;
	char hex[2 * HASH_SHA256_LEN + 1];
	int r = 0;
	for (const char *const *name = guest_modules; r == 0 && *name; name++)
		r = buf_printf(&b, "%s\n", *name);
	if (r == 0)
		r = hash_sha256_hex(buf_data(&b), buf_len(&b), hex);
	if (r == 0)
		(void)str_copy(dst, MODULES_ID_LEN + 1, hex);
	return r;
}
