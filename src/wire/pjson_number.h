/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Numbers in JSON text: plain or in quotes, integers also as 1.0 or 1e3, exact or refused. */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

struct pjson_range {
	__int128 min, max;
};
/* What an integer type can hold. */
struct pjson_range pjson_range(ProtobufCType type);
/* "an integer from -2147483648 to 2147483647"; returns dst. */
#define PJSON_RANGE_TEXT_MAX 80
char *pjson_range_text(struct pjson_range range, char dst[PJSON_RANGE_TEXT_MAX]);

/* 0 or -EINVAL. */
int pjson_get_integer(const json_t *v, struct pjson_range range, __int128 *ret);
int pjson_get_double(const json_t *v, double *ret);
