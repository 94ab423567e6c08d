/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* vmm/images.h without a launcher: tests say what there is and how builds go on. */
#include <stdbool.h>

#include "base/err.h"
#include "vmm/images.h"

struct loop;

/* images_free() frees it. */
struct images *fake_images_new(struct loop *l);
/* What every template's image is like; texts are borrowed. */
void fake_images_set(struct images *im, const struct image_view *v);
/* Answer refreshes and removals with this failure; NULL = they succeed. */
void fake_images_fail(struct images *im, int code, const char *text);
/* The build that was begun last: NULL name = none. */
struct fake_build {
	char name[64];
	bool force, cancelled, over;
};
const struct fake_build *fake_images_build(const struct images *im);
void fake_images_line(struct images *im, enum image_line_level level, const char *step,
    const char *text, int64_t time_real_ns);
void fake_images_end(struct images *im, int code, const char *text);
/* Templates that were removed, "a b ". */
const char *fake_images_removed(const struct images *im);
