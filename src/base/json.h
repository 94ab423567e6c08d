/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Strict reading of JSON objects on top of jansson: bounded size and depth, duplicate keys refused,
 * and errors that name the field and what was expected ("timeout: expected an integer from 1 to
 * 86400"). Getters return 0 (found), 1 (absent or null; *ret unchanged), or -EINVAL with reterr
 * filled.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct buf;
struct err;

/* Parse a whole text; at most max bytes. NULL and reterr ("line 3: ...") on failure. */
json_t *json_parse(const void *p, size_t n, size_t max, struct err *reterr);
/* As json_parse, and the value must be an object; an empty text is {} when empty_ok. */
json_t *json_parse_object(const void *p, size_t n, size_t max, bool empty_ok, struct err *reterr);
/* Compact text, ASCII-only when ascii. 0 or -ENOMEM. */
int json_write(struct buf *dst, const json_t *v, bool ascii);

int json_get_str(
    const json_t *o, const char *key, size_t max, const char **ret, struct err *reterr);
int json_get_int(
    const json_t *o, const char *key, int64_t min, int64_t max, int64_t *ret, struct err *reterr);
int json_get_bool(const json_t *o, const char *key, bool *ret, struct err *reterr);
int json_get_object(const json_t *o, const char *key, json_t **ret_borrowed, struct err *reterr);
int json_get_array(
    const json_t *o, const char *key, size_t max, json_t **ret_borrowed, struct err *reterr);
/* An object whose values are all strings, bounded in entries and bytes. */
int json_get_str_map(const json_t *o, const char *key, size_t max_entries, size_t max_bytes,
    json_t **ret_borrowed, struct err *reterr);

static inline void json_decref_p(json_t **v)
{
	json_decref(*v);
}
#define CLEAN_JSON __attribute__((cleanup(json_decref_p)))
