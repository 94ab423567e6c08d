/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/fake_images.h"

#include <stdio.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"

struct answer {
	struct link link;
	void (*done)(const struct err *err, void *arg);
	void *arg;
};

struct images_build {
	int unused;
};

struct images {
	struct image_view view;
	struct err fail;
	struct loop_defer defer;
	struct link answers;
	struct fake_build last;
	struct images_build build;
	const struct images_ops *ops;
	void *arg;
	char removed[256];
};

static void on_turn(struct loop_defer *d, void *arg)
{
	struct images *im = arg;
	for (struct link *l; (l = list_pop_front(&im->answers));) {
		struct answer *a = container_of(l, struct answer, link);
		a->done(&im->fail, a->arg);
		(void)mem_free(a);
	}
}

static int answer_later(
    struct images *im, void (*done)(const struct err *err, void *arg), void *arg)
{
	struct answer *a = mem_zalloc(sizeof(*a));
	if (!a)
		return -12;
	a->done = done;
	a->arg = arg;
	link_init(&a->link);
	list_push_back(&im->answers, &a->link);
	loop_defer_set(&im->defer);
	return 0;
}

struct images *fake_images_new(struct loop *l)
{
	struct images *im = mem_zalloc(sizeof(*im));
	if (!im)
		return NULL;
	im->view = (struct image_view){ .hash = "", .format = "", .kernel = "", .text = "" };
	link_init(&im->answers);
	loop_defer_init(&im->defer, l, on_turn, im);
	return im;
}

struct images *images_free(struct images *im)
{
	if (!im)
		return NULL;
	for (struct link *l; (l = list_pop_front(&im->answers));)
		(void)mem_free(container_of(l, struct answer, link));
	loop_defer_fini(&im->defer);
	return mem_free(im);
}

void fake_images_set(struct images *im, const struct image_view *v)
{
	im->view = *v;
}

void fake_images_fail(struct images *im, int code, const char *text)
{
	im->fail = (struct err)ERR_INIT;
	if (code)
		(void)err_set(&im->fail, code, "%s", text);
}

struct image_view images_get(const struct images *im, const char *name)
{
	return im->view;
}

int images_refresh(struct images *im, void (*done)(const struct err *err, void *arg), void *arg)
{
	return answer_later(im, done, arg);
}

int images_remove(
    struct images *im, const char *name, void (*done)(const struct err *err, void *arg), void *arg)
{
	size_t n = strlen(im->removed);
	(void)snprintf(im->removed + n, sizeof(im->removed) - n, "%s ", name);
	return answer_later(im, done, arg);
}

const char *fake_images_removed(const struct images *im)
{
	return im->removed;
}

struct images_build *images_build(
    struct images *im, const char *name, bool force, const struct images_ops *ops, void *arg)
{
	im->last = (struct fake_build){ .force = force };
	(void)str_copy(im->last.name, sizeof(im->last.name), name);
	im->ops = ops;
	im->arg = arg;
	return &im->build;
}

void images_build_cancel(struct images_build *b)
{
	container_of(b, struct images, build)->last.cancelled = true;
}

const struct fake_build *fake_images_build(const struct images *im)
{
	return &im->last;
}

void fake_images_line(struct images *im, enum image_line_level level, const char *step,
    const char *text, int64_t time_real_ns)
{
	const struct image_line l = { level, step, text, time_real_ns };
	im->ops->line(&l, im->arg);
}

void fake_images_end(struct images *im, int code, const char *text)
{
	struct err err = ERR_INIT;
	if (code)
		(void)err_set(&err, code, "%s", text);
	im->last.over = true;
	im->ops->done(&err, im->arg);
}
