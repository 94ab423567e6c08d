/* SPDX-License-Identifier: Apache-2.0 */
/* The finished image, its manifest, and which template has which. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdutil.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "image/build_private.h"
#include "image/template.h"

#define MANIFEST_MAX (1u << 20)
#define PACKAGES_MAX (512u << 10)
#define HEX "0123456789abcdef"

/* ---- making ---- */

static int make_hash(struct build *b)
{
	char text[128], hex[2 * HASH_SHA256_LEN + 1];
	int n = snprintf(
	    text, sizeof(text), "image 1 " BUILD_FORMAT "\n%s", b->layers[b->n_layers - 1]);
	int r = hash_sha256_hex(text, (size_t)n, hex);
	(void)snprintf(b->hash, sizeof(b->hash), "%.*s", BUILD_HASH_LEN, hex);
	return r;
}

static int make_file_system(struct build *b, const char *dir, struct err *reterr)
{
	/* Also an emulated guest reads it as fast as without compression, of half the bytes. */
	static const char *const argv[] = { "mkfs.erofs", "-zlz4", "/out/root.img", "/target",
		NULL };
	CLEAN_BUF struct buf chatter = BUF_INIT;
	const struct jail_plan p = {
		.kind = JAIL_TOOLS, .argv = argv, .out = dir, .output = &chatter
	};
	int r = build_exec(b, &p, reterr);
	if (r == -ENOENT) {
		err_reset(reterr);
		(void)err_set(reterr, r,
		    "mkfs.erofs is not installed on this machine (contrib/packages microvm "
		    "installs it)");
	}
	return r;
}

/* "name version" of each Debian package; an image of something else has none. */
static json_t *list_packages(struct build *b)
{
	static const char *const argv[] = { "/bin/sh", "-c",
		"! command -v dpkg-query >/dev/null || "
		"dpkg-query -W -f '${Package} ${Version}\\n'",
		NULL };
	CLEAN_BUF struct buf out = BUF_INIT;
	const struct jail_plan p = {
		.kind = JAIL_IMAGE, .argv = argv, .env = NULL, .online = true, .output = &out
	};
	struct err err = ERR_INIT;
	json_t *list = json_array();
	char *save = NULL;
	if (build_exec(b, &p, &err) < 0 || buf_len(&out) > PACKAGES_MAX)
		return list;
	for (char *line = strtok_r(buf_cstr(&out), "\n", &save); list && line;
	     line = strtok_r(NULL, "\n", &save))
		if (json_array_append_new(list, json_string(line)) < 0) {
			json_decref(list);
			list = NULL;
		}
	return list;
}

static json_t *list_layers(const struct build *b)
{
	json_t *list = json_array();
	for (size_t i = 0; list && i < b->n_layers; i++)
		if (json_array_append_new(list, json_string(b->layers[i])) < 0) {
			json_decref(list);
			list = NULL;
		}
	return list;
}

static int write_manifest(
    struct build *b, const char *dir, json_t *packages_consume, struct err *reterr)
{
	char path[160], inputs[65], time_text[CLOCK_RFC3339_MAX];
	struct stat st;
	CLEAN_BUF struct buf text = BUF_INIT;
	int64_t now = clock_real_ns();
	(void)snprintf(path, sizeof(path), "%s/root.img", dir);
	int r = build_inputs(b->t, b->conf->templates_dir, inputs, reterr);
	if (r == 0 && stat(path, &st) < 0)
		r = -errno;
	if (r < 0) {
		json_decref(packages_consume);
		return err_set(reterr, r, "cannot describe the image: %s", err_name(r));
	}
	CLEAN_JSON json_t *m = json_pack("{s:i, s:s, s:s, s:s, s:s, s:I, s:s, s:I, s:s, s:s, s:o, "
					 "s:o}",
	    "version", 1, "hash", b->hash, "template", b->t->name, "base", b->base, "format",
	    BUILD_FORMAT, "bytes", (json_int_t)st.st_size, "created", clock_rfc3339(now, time_text),
	    "created_ns", (json_int_t)now, "kernel", b->kernel, "inputs", inputs, "layers",
	    list_layers(b), "packages", packages_consume);
	r = m ? json_write(&text, m, true) : -ENOMEM;
	(void)snprintf(path, sizeof(path), "%s/manifest.json", dir);
	if (r == 0)
		r = fd_replace_file(AT_FDCWD, path, 0644, buf_data(&text), buf_len(&text));
	return r < 0 ? err_set(reterr, r, "cannot write the manifest: %s", err_name(r)) : 0;
}

static int make_image(struct build *b, const char *dir, struct err *reterr)
{
	char tmp[128];
	uint64_t start = clock_mono_ms();
	(void)snprintf(tmp, sizeof(tmp), "%s" BUILD_UNFINISHED, dir);
	int r = path_remove_tree(tmp);
	if (r == 0 && mkdir(tmp, 0755) < 0)
		r = -errno;
	if (r == 0)
		r = build_mount_all(b, reterr);
	if (r == 0)
		r = make_file_system(b, tmp, reterr);
	if (r == 0)
		r = write_manifest(b, tmp, list_packages(b), reterr);
	build_unmount();
	CLEAN_FD int fd = r == 0 ? open(tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (r == 0 && (fd < 0 || syncfs(fd) < 0 || rename(tmp, dir) < 0))
		r = -errno;
	if (r < 0)
		(void)path_remove_tree(tmp);
	else
		build_log(
		    b, BUILD_INFO, "done in %.1f s", (double)(clock_mono_ms() - start) / 1000);
	return r < 0 ? err_set(reterr, r, "cannot make the image: %s", err_name(r)) : 0;
}

static int set_link(const char *link, const char *target)
{
	char tmp[160];
	(void)snprintf(tmp, sizeof(tmp), "%s" BUILD_UNFINISHED, link);
	(void)unlink(tmp);
	if (symlink(target, tmp) < 0 || rename(tmp, link) < 0)
		return -errno;
	return 0;
}

int build_image_make(struct build *b, struct err *reterr)
{
	char dir[64], link[128], target[64];
	struct build_image old;
	(void)str_copy(b->step, sizeof(b->step), "image");
	b->lines = 0;
	int r = make_hash(b);
	(void)snprintf(dir, sizeof(dir), "images/%s", b->hash);
	(void)snprintf(link, sizeof(link), "images/names/%s", b->t->name);
	(void)snprintf(target, sizeof(target), "../%s", b->hash);
	if (r == 0 && build_image_read(b->hash, &old) == 0 && str_eq(old.kernel, b->kernel))
		build_log(b, BUILD_INFO, "unchanged");
	else if (r == 0)
		r = path_exists(dir) ? write_manifest(b, dir, json_array(), reterr)
				     : make_image(b, dir, reterr);
	if (r == 0) {
		r = set_link(link, target);
		if (r < 0)
			(void)err_set(reterr, r, "cannot name the image: %s", err_name(r));
	}
	return r;
}

/* ---- reading ---- */

static bool is_hash(const char *s)
{
	return strlen(s) == BUILD_HASH_LEN && str_only(s, HEX);
}

static json_t *load_manifest(const char *hash)
{
	char path[96];
	CLEAN_BUF struct buf b = BUF_INIT;
	struct err err = ERR_INIT;
	(void)snprintf(path, sizeof(path), "images/%s/manifest.json", hash);
	if (!is_hash(hash) || fd_read_file(AT_FDCWD, path, MANIFEST_MAX, &b) < 0)
		return NULL;
	return json_parse_object(buf_data(&b), buf_len(&b), MANIFEST_MAX, false, &err);
}

static int take_text(const json_t *m, const char *key, char *dst, size_t cap)
{
	const char *s = NULL;
	struct err err = ERR_INIT;
	if (json_get_str(m, key, cap - 1, &s, &err) != 0)
		return -EBADMSG;
	(void)str_copy(dst, cap, s);
	return 0;
}

int build_image_read(const char *hash, struct build_image *ret)
{
	struct build_image i = { .bytes = 0 };
	struct err err = ERR_INIT;
	int64_t bytes = 0;
	CLEAN_JSON json_t *m = load_manifest(hash);
	if (!m)
		return -ENOENT;
	(void)str_copy(i.hash, sizeof(i.hash), hash);
	if (take_text(m, "format", i.format, sizeof(i.format)) < 0 ||
	    take_text(m, "kernel", i.kernel, sizeof(i.kernel)) < 0 ||
	    take_text(m, "inputs", i.inputs, sizeof(i.inputs)) < 0 ||
	    json_get_int(m, "bytes", 0, INT64_MAX, &bytes, &err) != 0 ||
	    json_get_int(m, "created_ns", 0, INT64_MAX, &i.created_real_ns, &err) != 0)
		return -EBADMSG;
	i.bytes = (uint64_t)bytes;
	*ret = i;
	return 0;
}

/* The hash behind images/names/NAME. */
static int read_name(const char *name, char dst[BUILD_HASH_LEN + 1])
{
	char path[128], target[64];
	if (path_printf(path, sizeof(path), "images/names/%s", name) < 0)
		return -ENAMETOOLONG;
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	const char *hash = str_after(target, "../");
	if (!hash || !is_hash(hash))
		return -EBADMSG;
	(void)str_copy(dst, BUILD_HASH_LEN + 1, hash);
	return 0;
}

int build_image_find(const char *name, struct build_image *ret)
{
	char hash[BUILD_HASH_LEN + 1];
	int r = read_name(name, hash);
	return r < 0 ? r : build_image_read(hash, ret);
}

static const char *layer_name(const json_t *list, size_t i)
{
	const char *s = json_string_value(json_array_get(list, i));
	return s && strlen(s) == BUILD_NAME_LEN && !strchr(s, '/') && s[0] != '.' ? s : NULL;
}

int build_image_lowers(const char *hash, char *dst, size_t cap)
{
	CLEAN_JSON json_t *m = load_manifest(hash);
	const json_t *list = json_object_get(m, "layers");
	size_t n = json_array_size(list), used = 0;
	if (!m)
		return -ENOENT;
	if (n == 0)
		return -EBADMSG;
	for (size_t i = n; i > 0; i--) {
		const char *name = layer_name(list, i - 1);
		if (!name)
			return -EBADMSG;
		int k = snprintf(dst + used, cap - used, "%slayers/%s/fs", i < n ? ":" : "", name);
		if (k < 0 || (size_t)k >= cap - used)
			return -ENAMETOOLONG;
		used += (size_t)k;
	}
	return 0;
}

/* ---- sweeping ---- */

struct kept {
	char (*layers)[BUILD_NAME_LEN + 1];
	size_t n, cap;
};

static int keep_layers(struct kept *k, const char *hash)
{
	CLEAN_JSON json_t *m = load_manifest(hash);
	const json_t *list = json_object_get(m, "layers");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *name = layer_name(list, i);
		if (k->n == k->cap) {
			size_t cap = k->cap ? 2 * k->cap : 64;
			void *p = mem_realloc(k->layers, cap * sizeof(*k->layers));
			if (!p)
				return -ENOMEM;
			k->layers = p;
			k->cap = cap;
		}
		if (name)
			(void)str_copy(k->layers[k->n++], BUILD_NAME_LEN + 1, name);
	}
	return 0;
}

static bool is_kept(const char *layer, void *arg)
{
	const struct kept *k = arg;
	for (size_t i = 0; i < k->n; i++)
		if (str_eq(layer, k->layers[i]))
			return true;
	return false;
}

static bool is_named(const char *hash)
{
	bool found = false;
	DIR *d = opendir("images/names");
	for (struct dirent *e; d && !found && (e = readdir(d)) != NULL;) {
		char one[BUILD_HASH_LEN + 1];
		found = e->d_name[0] != '.' && read_name(e->d_name, one) == 0 && str_eq(one, hash);
	}
	if (d)
		(void)closedir(d);
	return found;
}

/* Remove unfinished things of a directory; call fn for the others. */
static int each_finished(
    const char *dir, int (*fn)(const char *path, const char *name, void *arg), void *arg)
{
	int r = 0;
	DIR *d = opendir(dir);
	if (!d)
		return errno == ENOENT ? 0 : -errno;
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		char path[512];
		if (e->d_name[0] == '.' || path_join(path, sizeof(path), dir, e->d_name) < 0)
			continue;
		int one = str_ends(e->d_name, BUILD_UNFINISHED) ? path_remove_tree(path)
			  : fn					? fn(path, e->d_name, arg)
								: 0;
		r = r == 0 ? one : r;
	}
	(void)closedir(d);
	return r;
}

struct sweep {
	bool (*in_use)(const char *hash, void *arg);
	void *arg;
	struct kept kept;
};

static int sweep_image(const char *path, const char *name, void *arg)
{
	struct sweep *s = arg;
	if (!is_hash(name))
		return 0;
	if (is_named(name) || (s->in_use && s->in_use(name, s->arg)))
		return keep_layers(&s->kept, name);
	return build_remove(path);
}

static int has_kernel(const char *path, const char *hash, void *kernel)
{
	struct build_image i;
	return is_hash(hash) && build_image_read(hash, &i) == 0 && str_eq(i.kernel, kernel) ? -EBUSY
											    : 0;
}

static bool is_current(const char *kernel)
{
	char target[64];
	ssize_t n = readlink("kernels/current", target, sizeof(target) - 1);
	target[n > 0 ? n : 0] = '\0';
	return str_eq(target, kernel);
}

/* What is left of images is known: those of no other kernel than these boot. */
static int sweep_kernel(const char *path, const char *name, void *arg)
{
	if (is_current(name) || str_eq(name, "current"))
		return 0;
	int r = each_finished("images", has_kernel, (void *)name);
	return r == -EBUSY ? 0 : r < 0 ? r : build_remove(path);
}

int build_sweep(bool (*in_use)(const char *hash, void *arg), void *arg, unsigned idle_s)
{
	struct sweep s = { .in_use = in_use, .arg = arg };
	int r = each_finished("images/names", NULL, NULL);
	int one = each_finished("images", sweep_image, &s);
	r = r == 0 ? one : r;
	one = each_finished("kernels", r == 0 ? sweep_kernel : NULL, NULL);
	r = r == 0 ? one : r;
	if (r == 0) /* all that are needed are known */
		r = build_layers_sweep(is_kept, &s.kept, idle_s);
	(void)mem_free(s.kept.layers);
	return r;
}

int build_unname(const char *name)
{
	char path[128];
	int r = path_printf(path, sizeof(path), "images/names/%s", name);
	return r == 0 && unlink(path) < 0 && errno != ENOENT ? -errno : r;
}

int build_init_dirs(void)
{
	static const char *const dirs[] = { "layers", "images", "images/names", "kernels",
		"stage" };
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		if (mkdir(dirs[i], 0700) < 0 && errno != EEXIST)
			return -errno;
	return 0;
}
