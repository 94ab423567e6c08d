/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest kernel: Debian's for clouds, taken from its package without installing that. apt,
 * inside a Debian image's jail, finds, checks and downloads it; what we keep is the ELF kernel and
 * a dozen modules, in a directory VERSION+ID, where ID stands for the choice of modules: one with
 * another choice, of an older sandglass, is not taken for it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "base/path.h"
#include "base/str.h"
#include "image/build_private.h"
#include "image/modules.h"
#include "image/vmlinux.h"

#define KERNEL_BASE "debian:bookworm"
#define WORK "kernels/package" BUILD_UNFINISHED
#define IMAGE_MAX (64u << 20)
#define BUILTIN_MAX (1u << 20)
#define VERSION_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+-_"

static const char script[] =
    "apt-get -q update\n"
    "p=$(apt-cache depends --important linux-image-cloud-amd64 |\n"
    "  sed -n 's/^ *Depends: \\(linux-image-[0-9][^ ]*\\)$/\\1/p' | head -n 1)\n"
    "[ -n \"$p\" ] || { echo 'linux-image-cloud-amd64 is no package of this Debian' >&2; exit 1; "
    "}\n"
    "cd /mnt && apt-get -q download \"$p\" && mkdir x && dpkg-deb -x ./*.deb x && rm ./*.deb\n";

static bool is_version(const char *s)
{
	return s[0] && s[0] != '.' && strlen(s) < 64 && str_only(s, VERSION_CHARS);
}

/* VERSION+ID */
static int name_of(const char *version, char *dst, size_t cap)
{
	char id[MODULES_ID_LEN + 1];
	int r = modules_id(id);
	return r < 0 ? r : path_printf(dst, cap, "%s+%s", version, id);
}

static bool has_our_modules(const char *name)
{
	char id[MODULES_ID_LEN + 1];
	const char *plus = strrchr(name, '+');
	return plus && modules_id(id) == 0 && str_eq(plus + 1, id);
}

static bool read_current(char dst[64])
{
	char target[64], path[128];
	ssize_t n = readlink("kernels/current", target, sizeof(target) - 1);
	if (n <= 0)
		return false;
	target[n] = '\0';
	(void)snprintf(path, sizeof(path), "kernels/%s/vmlinux", target);
	if (!is_version(target) || !has_our_modules(target) || !path_exists(path))
		return false;
	(void)str_copy(dst, 64, target);
	return true;
}

/* ---- from the unpacked package ---- */

static int find_version(const char *dir, char dst[64], struct err *reterr)
{
	DIR *d = opendir(dir);
	bool found = false;
	for (struct dirent *e; d && !found && (e = readdir(d)) != NULL;) {
		found = is_version(e->d_name);
		if (found)
			(void)str_copy(dst, 64, e->d_name);
	}
	if (d)
		(void)closedir(d);
	return found ? 0 : err_set(reterr, -ENOENT, "the kernel's package has no modules");
}

static int make_vmlinux(const char *version, const char *dir, struct err *reterr)
{
	CLEAN_BUF struct buf image = BUF_INIT;
	CLEAN_BUF struct buf elf = BUF_INIT;
	char from[256], to[256];
	(void)snprintf(from, sizeof(from), WORK "/x/boot/vmlinuz-%s", version);
	(void)snprintf(to, sizeof(to), "%s/vmlinux", dir);
	int r = fd_read_file(AT_FDCWD, from, IMAGE_MAX, &image);
	if (r == 0)
		r = vmlinux_extract(buf_data(&image), buf_len(&image), &elf, reterr);
	if (r == 0)
		r = fd_replace_file(AT_FDCWD, to, 0644, buf_data(&elf), buf_len(&elf));
	return r < 0 ? err_set(reterr, r, "kernel %s: %s", version, err_name(r)) : 0;
}

static int make_modules(const char *version, const char *dir, struct err *reterr)
{
	CLEAN_BUF struct buf builtin = BUF_INIT;
	char path[256], tree[256], to[256];
	(void)snprintf(path, sizeof(path), WORK "/x/lib/modules/%s/modules.builtin", version);
	(void)snprintf(tree, sizeof(tree), WORK "/x/lib/modules/%s/kernel", version);
	(void)snprintf(to, sizeof(to), "%s/modules", dir);
	int r = fd_read_file(AT_FDCWD, path, BUILTIN_MAX, &builtin);
	if (r == 0 && mkdir(to, 0755) < 0)
		r = -errno;
	if (r < 0 || !buf_cstr(&builtin))
		return err_set(reterr, r < 0 ? r : -ENOMEM, "kernel %s: %s", version,
		    err_name(r < 0 ? r : -ENOMEM));
	return modules_collect(tree, buf_cstr(&builtin), to, reterr);
}

static int set_current(const char *name)
{
	(void)unlink("kernels/current" BUILD_UNFINISHED);
	if (symlink(name, "kernels/current" BUILD_UNFINISHED) < 0 ||
	    rename("kernels/current" BUILD_UNFINISHED, "kernels/current") < 0)
		return -errno;
	return 0;
}

static int take_kernel(struct build *b, struct err *reterr)
{
	char version[64], name[64], dir[96], tmp[128];
	int r = find_version(WORK "/x/lib/modules", version, reterr);
	if (r == 0)
		r = name_of(version, name, sizeof(name));
	if (r < 0)
		return r;
	(void)snprintf(dir, sizeof(dir), "kernels/%s", name);
	(void)snprintf(tmp, sizeof(tmp), "%s" BUILD_UNFINISHED, dir);
	if (!path_exists(dir)) {
		r = path_remove_tree(tmp);
		if (r == 0 && mkdir(tmp, 0755) < 0)
			r = -errno;
		if (r == 0)
			r = make_vmlinux(version, tmp, reterr);
		if (r == 0)
			r = make_modules(version, tmp, reterr);
		if (r == 0 && rename(tmp, dir) < 0)
			r = -errno;
		if (r < 0)
			(void)path_remove_tree(tmp);
	}
	if (r == 0)
		r = set_current(name);
	(void)str_copy(b->kernel, sizeof(b->kernel), name);
	build_log(b, BUILD_INFO, "kernel %s", version);
	return r < 0 ? err_set(reterr, r, "kernel %s: %s", version, err_name(r)) : 0;
}

/* ---- getting it ---- */

static int download(struct build *b, struct err *reterr)
{
	static const char *const argv[] = { "/bin/sh", "-ec", script, NULL };
	const struct jail_plan p = {
		.kind = JAIL_IMAGE, .argv = argv, .out = WORK, .online = true
	};
	int r = path_remove_tree(WORK);
	if (r == 0 && mkdir(WORK, 0755) < 0)
		r = -errno;
	if (r == 0)
		r = build_mount_all(b, reterr);
	if (r == 0)
		r = build_exec(b, &p, reterr);
	build_unmount();
	return r < 0 ? err_set(reterr, r, "kernel: %s", err_name(r)) : 0;
}

int build_kernel_ensure(struct build *b, struct err *reterr)
{
	const char *base = str_after(b->base, "debian:") ? b->base : KERNEL_BASE;
	if (b->conf->kernel) {
		(void)str_copy(b->kernel, sizeof(b->kernel), b->conf->kernel);
		return 0;
	}
	if (!b->conf->force && read_current(b->kernel))
		return 0;
	int r = build_base_layer(b, base, reterr);
	(void)str_copy(b->step, sizeof(b->step), "kernel");
	b->lines = 0;
	if (r == 0)
		r = download(b, reterr);
	if (r == 0)
		r = take_kernel(b, reterr);
	(void)path_remove_tree(WORK);
	if (!str_eq(base, b->base))
		b->n_layers = 0; /* the image begins with another one */
	return r;
}
