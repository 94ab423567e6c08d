/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdutil.h"
#include "base/hash.h"
#include "base/id.h"
#include "base/path.h"
#include "base/str.h"
#include "image/build_private.h"
#include "jail/mnt.h"

#define KEY_LEN 32
#define UP BUILD_STAGE "/up"
#define OVERLAY_OPTS "redirect_dir=off,metacopy=off,index=off"

int build_remove(const char *path)
{
	char aside[512];
	int r = path_printf(aside, sizeof(aside), "%s" BUILD_UNFINISHED, path);
	if (r == 0 && rename(path, aside) < 0)
		r = errno == ENOENT ? 0 : -errno;
	return r < 0 ? r : path_remove_tree(aside);
}

/* ---- names ---- */

static int make_key(
    const struct build *b, const char *what, size_t n, char dst[2 * HASH_SHA256_LEN + 1])
{
	CLEAN_BUF struct buf text = BUF_INIT;
	const char *below = b->n_layers ? b->layers[b->n_layers - 1] : "";
	int r = buf_printf(&text, "layer 1\n%s\n%s\n", below, b->step);
	if (r == 0)
		r = buf_append(&text, what, n);
	if (r == 0)
		r = hash_sha256_hex(buf_data(&text), buf_len(&text), dst);
	if (r == 0)
		dst[KEY_LEN] = '\0';
	return r;
}

static bool find_layer(const char *key, char dst[BUILD_NAME_LEN + 1])
{
	bool found = false;
	DIR *d = opendir("layers");
	for (struct dirent *e; d && !found && (e = readdir(d)) != NULL;) {
		found = strlen(e->d_name) == BUILD_NAME_LEN && str_after(e->d_name, key);
		if (found)
			(void)str_copy(dst, BUILD_NAME_LEN + 1, e->d_name);
	}
	if (d)
		(void)closedir(d);
	return found;
}

/* ---- mounts ---- */

static void unmount(const char *path)
{
	while (umount2(path, UMOUNT_NOFOLLOW) == 0 ||
	       (errno == EBUSY && umount2(path, UMOUNT_NOFOLLOW | MNT_DETACH) == 0))
		;
}

void build_unmount(void)
{
	char path[64];
	unmount(BUILD_ROOT);
	unmount(UP);
	for (size_t i = 0; i < BUILD_LAYERS_MAX; i++) {
		(void)snprintf(path, sizeof(path), BUILD_STAGE "/l%zu", i);
		unmount(path);
	}
}

/* Each layer as seen by programs of the build; "stage/l1/fs:stage/l0/fs" is appended to opts. */
static int mount_lowers(const struct build *b, struct buf *opts)
{
	int r = buf_append_str(opts, "lowerdir=");
	for (size_t i = b->n_layers; r == 0 && i > 0; i--) {
		char from[96], to[64];
		(void)snprintf(from, sizeof(from), "layers/%s", b->layers[i - 1]);
		(void)snprintf(to, sizeof(to), BUILD_STAGE "/l%zu", i - 1);
		if (mkdir(to, 0755) < 0 && errno != EEXIST)
			return -errno;
		r = mnt_bind(from, to, MNT_RO, b->userns_fd);
		if (r == 0)
			r = buf_printf(opts, "%s/fs%s", to, i > 1 ? ":" : "");
	}
	return r;
}

/* Everything that we may do, again: another file system id takes some of it away. */
static int raise_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	if (syscall(SYS_capget, &head, data) < 0)
		return -errno;
	for (int i = 0; i < 2; i++)
		data[i].effective = data[i].permitted;
	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

/* What overlayfs itself makes belongs to whoever mounts it, which has to be somebody on the layers'
 * mounts: root of the build. */
static int mount_overlay(const struct build *b, struct buf *opts)
{
	const char *text = buf_cstr(opts);
	if (!text)
		return -ENOMEM;
	(void)setfsgid(b->conf->uid_base);
	(void)setfsuid(b->conf->uid_base);
	int r = raise_capabilities();
	if (r == 0 && mount("overlay", BUILD_ROOT, "overlay", MS_NOSUID | MS_NODEV, text) < 0)
		r = -errno;
	(void)setfsuid(0);
	(void)setfsgid(0);
	return r;
}

static int mount_for_step(const struct build *b, const char *dir)
{
	CLEAN_BUF struct buf opts = BUF_INIT;
	char fs[128];
	(void)snprintf(fs, sizeof(fs), "%s/fs", dir);
	if (b->n_layers == 0)
		return mnt_bind(fs, BUILD_ROOT, MNT_DEV, b->userns_fd);
	int r = mnt_bind(dir, UP, MNT_DEV, b->userns_fd);
	if (r == 0)
		r = mount_lowers(b, &opts);
	if (r == 0)
		r = buf_append_str(
		    &opts, ",upperdir=" UP "/fs,workdir=" UP "/work,volatile," OVERLAY_OPTS);
	return r < 0 ? r : mount_overlay(b, &opts);
}

int build_mount_all(struct build *b, struct err *reterr)
{
	CLEAN_BUF struct buf opts = BUF_INIT;
	char fs[128];
	int r;
	if (b->n_layers == 1) {
		(void)snprintf(fs, sizeof(fs), "layers/%s/fs", b->layers[0]);
		r = mnt_bind(fs, BUILD_ROOT, MNT_RO, b->userns_fd);
	} else {
		r = mount_lowers(b, &opts);
		if (r == 0)
			r = buf_append_str(&opts, "," OVERLAY_OPTS);
		if (r == 0)
			r = mount_overlay(b, &opts);
	}
	return r < 0 ? err_set(reterr, r, "cannot mount the layers: %s", err_name(r)) : 0;
}

/* ---- one layer ---- */

static int make_dirs(const char *dir)
{
	static const char *const names[] = { "", "/fs", "/work" };
	char path[160];
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", dir, names[i]);
		if (mkdir(path, 0755) < 0)
			return -errno;
	}
	return 0;
}

/* On disk before it has its name. */
static int complete(const char *dir, const char *name)
{
	char path[160];
	CLEAN_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)snprintf(path, sizeof(path), "%s/work", dir);
	int r = path_remove_tree(path);
	if (r == 0 && (fd < 0 || syncfs(fd) < 0))
		r = -errno;
	(void)snprintf(path, sizeof(path), "layers/%s", name);
	return r == 0 && rename(dir, path) < 0 ? -errno : r;
}

static int make_layer(
    struct build *b, const char *name, build_step_fn *fn, const void *arg, struct err *reterr)
{
	const char *dir = b->new_layer;
	(void)snprintf(b->new_layer, sizeof(b->new_layer), "layers/%s" BUILD_UNFINISHED, name);
	int r = make_dirs(dir);
	if (r == 0)
		r = mount_for_step(b, dir);
	if (r < 0)
		(void)err_set(reterr, r, "step %s: cannot mount a layer: %s", b->step, err_name(r));
	else
		r = fn(b, arg, reterr);
	build_unmount();
	if (r == 0) {
		r = complete(dir, name);
		if (r < 0)
			(void)err_set(
			    reterr, r, "step %s: cannot keep the layer: %s", b->step, err_name(r));
	}
	if (r < 0)
		(void)path_remove_tree(dir);
	return r;
}

int build_layer(struct build *b, const char *step, const char *what, size_t n, build_step_fn *fn,
    const void *arg, struct err *reterr)
{
	char key[2 * HASH_SHA256_LEN + 1], name[BUILD_NAME_LEN + 1], mark[8], path[96];
	(void)str_copy(b->step, sizeof(b->step), step);
	b->lines = 0;
	if (b->n_layers == BUILD_LAYERS_MAX)
		return err_set(reterr, -E2BIG, "more than %d layers", BUILD_LAYERS_MAX);
	int r = make_key(b, what, n, key);
	if (r < 0)
		return err_set(reterr, r, "step %s: %s", step, err_name(r));
	if (!b->conf->force && find_layer(key, name)) {
		(void)snprintf(path, sizeof(path), "layers/%s", name);
		(void)utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW);
		build_log(b, BUILD_INFO, "unchanged");
	} else {
		uint64_t start = clock_mono_ms();
		id_random_text(mark, sizeof(mark) - 1);
		(void)snprintf(name, sizeof(name), "%.32s-%s", key, mark);
		r = build_check_space(b, reterr);
		if (r == 0)
			r = make_layer(b, name, fn, arg, reterr);
		if (r < 0)
			return r;
		build_log(
		    b, BUILD_INFO, "done in %.1f s", (double)(clock_mono_ms() - start) / 1000);
	}
	(void)str_copy(b->layers[b->n_layers++], BUILD_NAME_LEN + 1, name);
	return 0;
}

/* ---- sweep ---- */

int build_layers_sweep(bool (*keep)(const char *layer, void *arg), void *arg, unsigned idle_s)
{
	int r = 0;
	int64_t now = clock_real_ns() / 1000000000;
	DIR *d = opendir("layers");
	if (!d)
		return errno == ENOENT ? 0 : -errno;
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		char path[512];
		struct stat st;
		if (e->d_name[0] == '.' || path_join(path, sizeof(path), "layers", e->d_name) < 0)
			continue;
		int one = 0;
		if (str_ends(e->d_name, BUILD_UNFINISHED))
			one = path_remove_tree(path);
		else if (!keep(e->d_name, arg) && lstat(path, &st) == 0 &&
			 now - st.st_mtime >= (int64_t)idle_s)
			one = build_remove(path);
		r = r == 0 ? one : r;
	}
	(void)closedir(d);
	return r;
}
