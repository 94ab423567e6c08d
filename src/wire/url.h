/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A request target taken apart once: path segments and query parameters, percent-decoded. */
#include <stddef.h>

#define URL_MAX_SEGMENTS 12
#define URL_MAX_PARAMS 64 /* query parameters: list flooding */

struct url_param {
	char *name, *value;
};
struct url {
	char *segments[URL_MAX_SEGMENTS];
	size_t n_segments;
	struct url_param params[URL_MAX_PARAMS];
	size_t n_params;
	char *memory_;
};

/* 0, -EINVAL (bad escape, text that is not UTF-8), -E2BIG (too many parts), -ENOMEM. On failure
 * nothing needs to be freed. Empty segments are kept: "/a//b" is not "/a/b". */
int url_parse(struct url *u, const char *target);
void url_fini(struct url *u);
/* First value of the parameter, or NULL. */
const char *url_param(const struct url *u, const char *name);
/* Copy of s decoded as a form value (%xx and +), or NULL with *ret_err -EINVAL or -ENOMEM. */
char *url_decode_form(const char *s, size_t n, int *ret_err);
