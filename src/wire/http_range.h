/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The part of a representation that a Range field asks for (RFC 9110 14). */
#include <stdint.h>

enum http_range {
	HTTP_RANGE_WHOLE, /* absent, not understood, or several ranges: the whole is sent */
	HTTP_RANGE_PART,
	HTTP_RANGE_UNSATISFIABLE,
};

/* value may be NULL. With PART, *ret_first and *ret_length (at least 1) lie within size. */
enum http_range http_range_parse(
    const char *value, uint64_t size, uint64_t *ret_first, uint64_t *ret_length);
