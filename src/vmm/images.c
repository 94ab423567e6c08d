/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images.h"

#include <errno.h>

#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "launcher/launcher.h"

struct images {
	struct launcher *launcher;
	struct map *known; /* template's name -> struct proto_image */
	struct link asks;  /* struct ask: answers that are still to come */
	void (*on_change)(const char *name, void *arg);
	void *on_change_arg;
};

/* One request to the launcher. */
struct ask {
	struct link link;
	struct images *images;
	void (*done)(const struct err *err, void *arg);
	void *arg;
	struct map *list; /* refresh */
};

struct images_build {
	struct ask ask;
	const struct images_ops *ops;
	struct err err; /* once it is over */
	bool cancelled, over;
	char name[PROTO_NAME_MAX + 1];
};

static struct map *free_known(struct map *known)
{
	void *it = NULL;
	for (struct proto_image *i; known && (i = map_next(known, &it, NULL));)
		(void)mem_free(i);
	return map_free(known);
}

static void ask_link(struct ask *a, struct images *im)
{
	a->images = im;
	link_init(&a->link);
	list_push_back(&im->asks, &a->link);
}

/* ---- what there is ---- */

static void on_image(const struct proto_image *m, void *arg)
{
	struct ask *a = arg;
	struct proto_image *copy = mem_dup(m, sizeof(*m));
	if (copy && map_add(a->list, copy->name, copy) < 0)
		(void)mem_free(copy);
}

/* The first list is no news. */
static void tell_changes(struct images *im, struct map *before)
{
	void *it = NULL;
	if (!before || !im->on_change)
		return;
	for (const struct proto_image *i; (i = map_next(im->known, &it, NULL));) {
		const struct proto_image *was = map_get(before, i->name);
		if (i->hash[0] && (!was || !str_eq(was->hash, i->hash)))
			im->on_change(i->name, im->on_change_arg);
	}
}

static void on_listed(const struct err *err, const struct proto_reply *reply, void *arg)
{
	struct ask *a = arg;
	struct images *im = a->images;
	if (err->code == 0) {
		struct map *before = im->known;
		im->known = TAKE(a->list);
		tell_changes(im, before);
		(void)free_known(before);
	} else {
		log_warn("cannot list images: %s", err_text(err));
	}
	link_remove(&a->link);
	(void)free_known(a->list);
	if (a->done)
		a->done(err, a->arg);
	(void)mem_free(a);
}

int images_refresh(struct images *im, void (*done)(const struct err *err, void *arg), void *arg)
{
	struct ask *a = mem_zalloc(sizeof(*a));
	if (!a)
		return -ENOMEM;
	a->done = done;
	a->arg = arg;
	a->list = map_new();
	ask_link(a, im);
	if (a->list && launcher_images(im->launcher, on_image, on_listed, a) == 0)
		return 0;
	link_remove(&a->link);
	(void)map_free(a->list);
	(void)mem_free(a);
	return -ENOMEM;
}

void images_watch(struct images *im, void (*fn)(const char *name, void *arg), void *arg)
{
	im->on_change = fn;
	im->on_change_arg = arg;
}

struct image_view images_get(const struct images *im, const char *name)
{
	static const enum image_state states[] = { [PROTO_IMAGE_ABSENT] = IMAGE_ABSENT,
		[PROTO_IMAGE_READY] = IMAGE_READY,
		[PROTO_IMAGE_OUTDATED] = IMAGE_OUTDATED,
		[PROTO_IMAGE_BUILDING] = IMAGE_BUILDING,
		[PROTO_IMAGE_FAILED] = IMAGE_FAILED };
	const struct proto_image *i = im->known ? map_get(im->known, name) : NULL;
	if (!i)
		return (struct image_view){ .hash = "", .format = "", .kernel = "", .text = "" };
	return (struct image_view){ states[i->state], i->hash, i->format, i->kernel, i->bytes,
		i->created_real_ns, i->text };
}

/* ---- builds ---- */

static void on_line(const struct proto_log *m, void *arg)
{
	struct images_build *b = arg;
	const struct image_line line = { (enum image_line_level)m->level, m->step, m->text,
		m->time_real_ns };
	if (!b->cancelled)
		b->ops->line(&line, b->ask.arg);
}

static void tell_end(const struct err *err, void *arg)
{
	struct images_build *b = arg;
	(void)err; /* of the list */
	link_remove(&b->ask.link);
	if (!b->cancelled)
		b->ops->done(&b->err, b->ask.arg);
	(void)mem_free(b);
}

/* Told when the new image is known. */
static void on_built(const struct err *err, const struct proto_reply *reply, void *arg)
{
	struct images_build *b = arg;
	b->over = true;
	b->err = *err;
	if (images_refresh(b->ask.images, tell_end, b) < 0)
		tell_end(err, b);
}

struct images_build *images_build(
    struct images *im, const char *name, bool force, const struct images_ops *ops, void *arg)
{
	struct images_build *b = mem_zalloc(sizeof(*b));
	if (!b)
		return NULL;
	b->ops = ops;
	b->ask.arg = arg;
	(void)str_copy(b->name, sizeof(b->name), name);
	ask_link(&b->ask, im);
	if (launcher_build(im->launcher, name, force, on_line, on_built, b) < 0) {
		link_remove(&b->ask.link);
		return mem_free(b);
	}
	(void)images_refresh(im, NULL, NULL); /* it is being built now */
	return b;
}

static void on_cancelled(const struct err *err, const struct proto_reply *reply, void *arg)
{
	if (err->code)
		log_warn("cannot cancel a build: %s", err_text(err));
}

void images_build_cancel(struct images_build *b)
{
	b->cancelled = true;
	if (b->over)
		return;
	(void)launcher_build_cancel(b->ask.images->launcher, b->name, on_cancelled, NULL);
}

/* ---- removing ---- */

static void on_removed(const struct err *err, const struct proto_reply *reply, void *arg)
{
	struct ask *a = arg;
	struct images *im = a->images;
	link_remove(&a->link);
	(void)images_refresh(im, NULL, NULL);
	a->done(err, a->arg);
	(void)mem_free(a);
}

int images_remove(
    struct images *im, const char *name, void (*done)(const struct err *err, void *arg), void *arg)
{
	struct ask *a = mem_zalloc(sizeof(*a));
	if (!a)
		return -ENOMEM;
	a->done = done;
	a->arg = arg;
	ask_link(a, im);
	if (launcher_image_remove(im->launcher, name, on_removed, a) == 0)
		return 0;
	link_remove(&a->link);
	(void)mem_free(a);
	return -ENOMEM;
}

/* ---- life ---- */

struct images *images_new(struct launcher *la)
{
	struct images *im = mem_zalloc(sizeof(*im));
	if (!im)
		return NULL;
	im->launcher = la;
	link_init(&im->asks);
	return images_refresh(im, NULL, NULL) < 0 ? mem_free(im) : im;
}

struct images *images_free(struct images *im)
{
	if (!im)
		return NULL;
	for (struct link *l; (l = list_pop_front(&im->asks));) {
		struct ask *a = container_of(l, struct ask, link);
		(void)free_known(a->list);
		(void)mem_free(a); /* also when it begins a struct images_build */
	}
	(void)free_known(im->known);
	return mem_free(im);
}
