/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Images of templates, for drivers that do not show the host: what there is, and building more.
 * The launcher does the work; what it said last is remembered here. Callbacks come from a later
 * loop turn.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct images;
struct images_build;
struct launcher;

enum image_state {
	IMAGE_ABSENT,
	IMAGE_READY,
	IMAGE_OUTDATED, /* the template was edited since */
	IMAGE_BUILDING, /* there may be an older one */
	IMAGE_FAILED,	/* the last build; there may be an older one */
};

struct image_view {
	enum image_state state;
	const char *hash, *format, *kernel; /* "" when there is no image */
	uint64_t bytes;
	int64_t created_real_ns;
	const char *text; /* why the build failed, "" */
};

enum image_line_level { IMAGE_LINE_DEBUG, IMAGE_LINE_INFO, IMAGE_LINE_WARN, IMAGE_LINE_ERROR };
struct image_line {
	enum image_line_level level;
	const char *step, *text;
	int64_t time_real_ns;
};

/* Asks the launcher for what there is. NULL = -ENOMEM. */
struct images *images_new(struct launcher *la);
/* After the launcher: nobody answers any more. */
struct images *images_free(struct images *im);

/* Tell when a template has another image than it had, the first one included; before done of the
 * build or refresh that brought it. One watcher; fn NULL = none. */
void images_watch(struct images *im, void (*fn)(const char *name, void *arg), void *arg);

/* What is known of a template; valid until the next loop turn. */
struct image_view images_get(const struct images *im, const char *name);
/* Ask the launcher again: templates may have been edited. 0, or -ENOMEM and done is not called. */
int images_refresh(struct images *im, void (*done)(const struct err *err, void *arg), void *arg);

struct images_ops {
	void (*line)(const struct image_line *l, void *arg);
	void (*done)(const struct err *err, void *arg); /* the last call */
};
/* NULL = -ENOMEM. -EBUSY comes to done when it is being built already. */
struct images_build *images_build(
    struct images *im, const char *name, bool force, const struct images_ops *ops, void *arg);
/* Stop it; no callback comes any more. */
void images_build_cancel(struct images_build *b);
int images_remove(
    struct images *im, const char *name, void (*done)(const struct err *err, void *arg), void *arg);
