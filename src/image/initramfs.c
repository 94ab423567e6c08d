/* SPDX-License-Identifier: Apache-2.0 */
#include "image/initramfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fdutil.h"
#include "base/path.h"
#include "base/str.h"

#define FILE_MAX_BYTES (64u << 20)
#define ORDER_MAX (64u << 10)

struct cpio {
	int fd;
	unsigned inode;
};

static int pad(struct cpio *c, size_t n)
{
	static const char zeros[4];
	size_t rest = -n & 3;
	return rest ? fd_write_all(c->fd, zeros, rest) : 0;
}

static int add(struct cpio *c, const char *name, unsigned mode, dev_t dev, const void *p, size_t n)
{
	char head[111];
	size_t len = strlen(name) + 1;
	(void)snprintf(head, sizeof(head),
	    "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", c->inode++, mode, 0u, 0u,
	    S_ISDIR(mode) ? 2u : 1u, 0u, (unsigned)n, 0u, 0u, major(dev), minor(dev), (unsigned)len,
	    0u);
	int r = fd_write_all(c->fd, head, sizeof(head) - 1);
	if (r == 0)
		r = fd_write_all(c->fd, name, len);
	if (r == 0)
		r = pad(c, sizeof(head) - 1 + len);
	if (r == 0 && n > 0)
		r = fd_write_all(c->fd, p, n);
	return r < 0 ? r : pad(c, n);
}

static int add_file(struct cpio *c, const char *name, unsigned mode, const struct buf *b)
{
	return add(c, name, S_IFREG | mode, 0, buf_data(b), buf_len(b));
}

static int add_init(struct cpio *c, int init_fd)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	char self[64];
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", init_fd);
	CLEAN_FD int fd = open(self, O_RDONLY | O_CLOEXEC); /* an own position */
	int r = fd < 0 ? -errno : fd_read_all(fd, FILE_MAX_BYTES, &b);
	return r < 0 ? r : add_file(c, "init", 0755, &b);
}

static int add_module(struct cpio *c, const char *dir, const char *file)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	char from[PATH_LEN_MAX], to[256];
	if (!file[0] || strchr(file, '/') || file[0] == '.')
		return -EBADMSG;
	int r = path_join(from, sizeof(from), dir, file);
	if (r == 0)
		r = path_join(to, sizeof(to), "lib/modules", file);
	if (r == 0)
		r = fd_read_file(AT_FDCWD, from, FILE_MAX_BYTES, &b);
	return r < 0 ? r : add_file(c, to, 0644, &b);
}

static int add_modules(struct cpio *c, const char *dir)
{
	CLEAN_BUF struct buf order = BUF_INIT;
	char path[PATH_LEN_MAX], *save = NULL;
	int r = path_join(path, sizeof(path), dir, "order");
	if (r == 0)
		r = fd_read_file(AT_FDCWD, path, ORDER_MAX, &order);
	if (r == 0)
		r = add_file(c, "lib/modules/order", 0644, &order);
	char *text = r == 0 ? buf_cstr(&order) : NULL;
	for (char *line = text ? strtok_r(text, "\n", &save) : NULL; r == 0 && line;
	     line = strtok_r(NULL, "\n", &save))
		r = add_module(c, dir, line + (line[0] == '-'));
	return r < 0 || text ? r : -ENOMEM;
}

int initramfs_write(int fd, int init_fd, const char *modules_dir, struct err *reterr)
{
	static const char *const dirs[] = { "dev", "lib", "lib/modules", "proc", "root", "sys" };
	struct cpio c = { .fd = fd, .inode = 1 };
	int r = 0;
	for (size_t i = 0; r == 0 && i < sizeof(dirs) / sizeof(dirs[0]); i++)
		r = add(&c, dirs[i], S_IFDIR | 0755, 0, NULL, 0);
	if (r == 0) /* standard output of /init, before it can mount anything */
		r = add(&c, "dev/console", S_IFCHR | 0600, makedev(5, 1), NULL, 0);
	if (r == 0)
		r = add_init(&c, init_fd);
	if (r == 0)
		r = add_modules(&c, modules_dir);
	if (r == 0)
		r = add(&c, "TRAILER!!!", 0, 0, NULL, 0);
	return r < 0 ? err_set(reterr, r, "cannot write the initramfs: %s", err_name(r)) : 0;
}
