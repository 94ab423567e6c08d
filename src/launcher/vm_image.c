/* SPDX-License-Identifier: Apache-2.0 */
#include "launcher/vm_image.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fdutil.h"
#include "base/json.h"
#include "base/path.h"
#include "base/str.h"

#define MANIFEST_MAX 65536u

static int take_name(const json_t *o, const char *key, char *dst, size_t cap, struct err *reterr)
{
	const char *s = NULL;
	if (json_get_str(o, key, cap - 1, &s, reterr) != 0 || str_empty(s) || strchr(s, '/') ||
	    s[0] == '.')
		return err_set(reterr, -EBADMSG, "%s: expected a name", key);
	(void)str_copy(dst, cap, s);
	return 0;
}

static int read_manifest(struct vm_image *m, struct err *reterr)
{
	CLEAN_BUF struct buf text = BUF_INIT;
	CLEAN_JSON json_t *o = NULL;
	char path[VM_IMAGE_PATH_MAX];
	int r = path_printf(path, sizeof(path), "images/%s/manifest.json", m->hash);
	if (r == 0)
		r = fd_read_file(AT_FDCWD, path, MANIFEST_MAX, &text);
	if (r < 0)
		return r;
	o = json_parse_object(buf_data(&text), buf_len(&text), MANIFEST_MAX, false, reterr);
	if (!o)
		return -EBADMSG;
	r = take_name(o, "format", m->fs, sizeof(m->fs), reterr);
	return r < 0 ? r : take_name(o, "kernel", m->kernel, sizeof(m->kernel), reterr);
}

/* images/names/TEMPLATE is a link whose last component is the hash. */
static int read_name(const char *tmpl, char dst[VM_IMAGE_NAME_MAX + 1])
{
	char path[VM_IMAGE_PATH_MAX], target[VM_IMAGE_PATH_MAX];
	int r = path_printf(path, sizeof(path), "images/names/%s", tmpl);
	if (r < 0)
		return r;
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	const char *slash = strrchr(target, '/');
	const char *hash = slash ? slash + 1 : target;
	return str_only(hash, "0123456789abcdef") &&
		       str_copy(dst, VM_IMAGE_NAME_MAX + 1, hash) <= VM_IMAGE_NAME_MAX
		   ? 0
		   : -EBADMSG;
}

static int find_initrd(struct vm_image *m)
{
	char dir[VM_IMAGE_PATH_MAX];
	int r = path_printf(dir, sizeof(dir), "kernels/%s", m->kernel);
	if (r < 0)
		return r;
	DIR *d = opendir(dir);
	r = d ? -ENOENT : -errno;
	for (struct dirent *e; r == -ENOENT && d && (e = readdir(d)) != NULL;)
		if (str_after(e->d_name, "initrd") && str_ends(e->d_name, ".cpio"))
			r = path_printf(
			    m->initrd_path, sizeof(m->initrd_path), "%s/%s", dir, e->d_name);
	if (d)
		(void)closedir(d);
	return r;
}

int vm_image_find(const char *tmpl, struct vm_image *ret, struct err *reterr)
{
	struct vm_image m = { 0 };
	int r = read_name(tmpl, m.hash);
	if (r == -ENOENT)
		return err_set(reterr, r,
		    "template %s has no image yet: build it with \"sandglass template build %s\"",
		    tmpl, tmpl);
	if (r == 0)
		r = read_manifest(&m, reterr);
	if (r == 0)
		r = path_printf(m.root_path, sizeof(m.root_path), "images/%s/root.img", m.hash);
	if (r == 0)
		r = path_printf(
		    m.kernel_path, sizeof(m.kernel_path), "kernels/%s/vmlinux", m.kernel);
	if (r == 0)
		r = find_initrd(&m);
	if (r == 0 && (access(m.root_path, R_OK) < 0 || access(m.kernel_path, R_OK) < 0))
		r = -errno;
	if (r < 0)
		return err_set(reterr, r,
		    "image of template %s: %s; build it again with "
		    "\"sandglass template build %s\"",
		    tmpl, err_name(r), tmpl);
	*ret = m;
	return 0;
}
