/* SPDX-License-Identifier: Apache-2.0 */
/* Images that there are. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "image/initramfs.h"
#include "image/template.h"
#include "launcher/box.h"
#include "launcher/builds.h"
#include "launcher/outbox.h"

#define IMAGE "image-"

const char *images_hash(const char *base)
{
	return str_after(base, IMAGE);
}

int images_base(const char *name, char dst[PROTO_BASE_MAX + 1])
{
	struct build_image i;
	int r = build_image_find(name, &i);
	return r < 0 ? r : path_printf(dst, PROTO_BASE_MAX + 1, IMAGE "%s", i.hash);
}

static const struct template *find(const struct templates *ts, const char *name)
{
	for (size_t i = 0; i < templates_count(ts); i++)
		if (str_eq(templates_at(ts, i)->name, name))
			return templates_at(ts, i);
	return NULL;
}

/* READY, OUTDATED or ABSENT; -errno when the template cannot be read any more. */
static int state_of(
    const struct server *s, const struct template *t, struct build_image *ret, struct err *reterr)
{
	char inputs[65];
	if (build_image_find(t->name, ret) < 0)
		return PROTO_IMAGE_ABSENT;
	int r = build_inputs(t, s->conf->templates_dir, inputs, reterr);
	if (r < 0)
		return r;
	return str_eq(inputs, ret->inputs) ? PROTO_IMAGE_READY : PROTO_IMAGE_OUTDATED;
}

static int explain(int state, const char *name, struct err *reterr)
{
	if (state == PROTO_IMAGE_READY || state < 0)
		return state < 0 ? state : 0;
	return err_set(reterr, -ENOENT,
	    state == PROTO_IMAGE_ABSENT
		? "template %s has no image yet: build it with \"sandglass template build %s\""
		: "template %s was changed after its image was built: build it again with "
		  "\"sandglass template build %s\"",
	    name, name);
}

int images_prepare(const struct server *s, const char *name, struct err *reterr)
{
	struct build_image image;
	if (!s->conf->templates_dir)
		return err_set(reterr, -ENOTSUP, "this server has no directory of templates");
	struct templates *ts = templates_load(s->conf->templates_dir, reterr);
	if (!ts)
		return -EINVAL;
	const struct template *t = find(ts, name);
	int r = t ? explain(state_of(s, t, &image, reterr), name, reterr)
		  : err_set(reterr, -ENOENT, "there is no template %s", name);
	(void)templates_free(ts);
	return r;
}

/* ---- listing ---- */

static void send_image(
    struct server *s, uint64_t seq, const char *name, int state, const struct build_image *i)
{
	struct proto_image m = { .head = { PROTO_IMAGE, PROTO_VERSION, seq },
		.state = (uint32_t)state };
	const char *failed = map_get(s->builds.failed, name);
	(void)str_copy(m.name, sizeof(m.name), name);
	if (failed) {
		m.state = PROTO_IMAGE_FAILED;
		(void)str_copy(m.text, sizeof(m.text), failed);
	}
	if (builds_is_building(s, name))
		m.state = PROTO_IMAGE_BUILDING;
	if (state == PROTO_IMAGE_READY || state == PROTO_IMAGE_OUTDATED) {
		(void)str_copy(m.hash, sizeof(m.hash), i->hash);
		(void)str_copy(m.format, sizeof(m.format), i->format);
		(void)str_copy(m.kernel, sizeof(m.kernel), i->kernel);
		m.bytes = i->bytes;
		m.created_real_ns = i->created_real_ns;
	}
	if (m.state != PROTO_IMAGE_ABSENT)
		(void)outbox_send(s->outbox, &m);
}

static void list_one(struct server *s, uint64_t seq, const struct template *t)
{
	struct build_image i;
	struct err err = ERR_INIT;
	if (!template_base(t, false))
		return;
	int state = state_of(s, t, &i, &err);
	send_image(s, seq, t->name, state < 0 ? PROTO_IMAGE_OUTDATED : state, &i);
}

/* Images whose template is gone. */
static void list_orphans(struct server *s, uint64_t seq, const struct templates *ts)
{
	DIR *d = opendir("images/names");
	for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
		struct build_image i;
		if (proto_name_valid(e->d_name) && !find(ts, e->d_name) &&
		    build_image_find(e->d_name, &i) == 0)
			send_image(s, seq, e->d_name, PROTO_IMAGE_OUTDATED, &i);
	}
	if (d)
		(void)closedir(d);
}

int images_on_list(struct server *s, const struct proto_request *q, struct err *reterr)
{
	if (s->conf->templates_dir) {
		struct templates *ts = templates_load(s->conf->templates_dir, reterr);
		if (!ts)
			return -EINVAL;
		for (size_t i = 0; i < templates_count(ts); i++)
			list_one(s, q->head.seq, templates_at(ts, i));
		list_orphans(s, q->head.seq, ts);
		(void)templates_free(ts);
	}
	server_reply(s, q->head.seq, NULL, NULL);
	return 0;
}

/* ---- removing ---- */

int images_on_remove(struct server *s, const struct proto_request *q, struct err *reterr)
{
	const char *name = q->build.name;
	if (builds_is_building(s, name))
		return err_set(reterr, -EBUSY, "the image of %s is being built", name);
	int r = build_unname(name);
	if (r < 0)
		return err_set(reterr, r, "cannot remove the image of %s: %s", name, err_name(r));
	(void)mem_free(map_remove(s->builds.failed, name));
	s->builds.sweep_all = true;
	builds_sweep(s);
	server_reply(s, q->head.seq, NULL, NULL);
	return 0;
}

/* ---- the first file system of guests ---- */

static int write_initrd(const struct server *s, const char *dir, const char *name)
{
	char path[256], tmp[300], modules[256];
	struct err err = ERR_INIT;
	int r = path_join(path, sizeof(path), dir, name);
	if (r == 0)
		r = path_printf(tmp, sizeof(tmp), "%s.new", path);
	if (r == 0)
		r = path_join(modules, sizeof(modules), dir, "modules");
	if (r < 0 || path_exists(path))
		return r;
	/* Read by VMMs, each as a user of its own. */
	CLEAN_FD int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	r = fd < 0 ? -errno : initramfs_write(fd, s->agent_fd, modules, &err);
	if (r == 0 && rename(tmp, path) < 0)
		r = -errno;
	if (r < 0)
		(void)unlink(tmp);
	return r;
}

static void remove_others(const char *dir, const char *name)
{
	DIR *d = opendir(dir);
	for (struct dirent *e; d && (e = readdir(d)) != NULL;)
		if (str_after(e->d_name, "initrd-") && !str_eq(e->d_name, name))
			(void)unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		(void)closedir(d);
}

int images_write_initrds(struct server *s)
{
	char name[64], dir[256];
	int r = 0;
	DIR *d = opendir("kernels");
	if (!d)
		return errno == ENOENT ? 0 : -errno;
	for (struct dirent *e; r == 0 && (e = readdir(d)) != NULL;) {
		if (e->d_type != DT_DIR || e->d_name[0] == '.' || str_ends(e->d_name, ".new"))
			continue;
		r = path_printf(name, sizeof(name), IMAGES_INITRD, IMAGES_AGENT_LEN, s->agent_hash);
		if (r == 0)
			r = path_printf(dir, sizeof(dir), "kernels/%s", e->d_name);
		if (r == 0)
			r = write_initrd(s, dir, name);
		if (r == 0)
			remove_others(dir, name);
	}
	(void)closedir(d);
	return r;
}
