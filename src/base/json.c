/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"

static unsigned json_depth(const json_t *v, unsigned left)
{
	unsigned deepest = 0;
	if (left == 0 || (!json_is_object(v) && !json_is_array(v)))
		return 1;
	size_t i;
	const char *key;
	json_t *child;
	if (json_is_array(v)) {
		json_array_foreach(v, i, child)
		{
			unsigned d = json_depth(child, left - 1);
			deepest = d > deepest ? d : deepest;
		}
	} else {
		json_object_foreach((json_t *)v, key, child)
		{
			unsigned d = json_depth(child, left - 1);
			deepest = d > deepest ? d : deepest;
		}
	}
	return deepest + 1;
}

json_t *json_parse(const void *p, size_t n, size_t max, struct err *reterr)
{
	json_error_t je;
	if (n > max) {
		(void)err_set(
		    reterr, -EFBIG, "JSON text of %zu bytes; at most %zu are accepted", n, max);
		return NULL;
	}
	json_t *v = json_loadb(n ? p : "", n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &je);
	if (!v) {
		(void)err_set(reterr, -EINVAL, "invalid JSON at line %d, column %d: %s", je.line,
		    je.column, je.text);
		return NULL;
	}
	if (json_depth(v, LIMIT_JSON_DEPTH + 1) > LIMIT_JSON_DEPTH) {
		json_decref(v);
		(void)err_set(
		    reterr, -EINVAL, "JSON nested deeper than %d levels", LIMIT_JSON_DEPTH);
		return NULL;
	}
	return v;
}

json_t *json_parse_object(const void *p, size_t n, size_t max, bool empty_ok, struct err *reterr)
{
	if (n == 0 && empty_ok)
		return json_object();
	json_t *v = json_parse(p, n, max, reterr);
	if (v && !json_is_object(v)) {
		json_decref(v);
		(void)err_set(reterr, -EINVAL, "expected a JSON object");
		return NULL;
	}
	return v;
}

static int append_chunk(const char *s, size_t n, void *arg)
{
	return buf_append(arg, s, n) < 0 ? -1 : 0;
}

int json_write(struct buf *dst, const json_t *v, bool ascii)
{
	size_t flags = JSON_COMPACT | JSON_ENCODE_ANY | (ascii ? JSON_ENSURE_ASCII : 0);
	return json_dump_callback(v, append_chunk, dst, flags) < 0 ? -ENOMEM : 0;
}

/* The value, or NULL when absent or null. */
static json_t *get(const json_t *o, const char *key)
{
	json_t *v = json_object_get(o, key);
	return json_is_null(v) ? NULL : v;
}

int json_get_str(const json_t *o, const char *key, size_t max, const char **ret, struct err *reterr)
{
	const json_t *v = get(o, key);
	if (!v)
		return 1;
	if (!json_is_string(v))
		return err_set(reterr, -EINVAL, "%s: expected a string", key);
	if (json_string_length(v) > max)
		return err_set(reterr, -EINVAL, "%s: expected at most %zu bytes, got %zu", key, max,
		    json_string_length(v));
	*ret = json_string_value(v);
	return 0;
}

int json_get_int(
    const json_t *o, const char *key, int64_t min, int64_t max, int64_t *ret, struct err *reterr)
{
	const json_t *v = get(o, key);
	if (!v)
		return 1;
	json_int_t i = json_is_integer(v) ? json_integer_value(v) : 0;
	if (!json_is_integer(v) || i < min || i > max)
		return err_set(reterr, -EINVAL,
		    "%s: expected an integer from %" PRId64 " to %" PRId64, key, min, max);
	*ret = i;
	return 0;
}

int json_get_bool(const json_t *o, const char *key, bool *ret, struct err *reterr)
{
	const json_t *v = get(o, key);
	if (!v)
		return 1;
	if (!json_is_boolean(v))
		return err_set(reterr, -EINVAL, "%s: expected true or false", key);
	*ret = json_is_true(v);
	return 0;
}

int json_get_object(const json_t *o, const char *key, json_t **ret_borrowed, struct err *reterr)
{
	json_t *v = get(o, key);
	if (!v)
		return 1;
	if (!json_is_object(v))
		return err_set(reterr, -EINVAL, "%s: expected an object", key);
	*ret_borrowed = v;
	return 0;
}

int json_get_array(
    const json_t *o, const char *key, size_t max, json_t **ret_borrowed, struct err *reterr)
{
	json_t *v = get(o, key);
	if (!v)
		return 1;
	if (!json_is_array(v))
		return err_set(reterr, -EINVAL, "%s: expected an array", key);
	if (json_array_size(v) > max)
		return err_set(reterr, -EINVAL, "%s: expected at most %zu items", key, max);
	*ret_borrowed = v;
	return 0;
}

int json_get_str_map(const json_t *o, const char *key, size_t max_entries, size_t max_bytes,
    json_t **ret_borrowed, struct err *reterr)
{
	json_t *map = NULL, *v;
	const char *name;
	size_t bytes = 0;
	int r = json_get_object(o, key, &map, reterr);
	if (r != 0)
		return r;
	if (json_object_size(map) > max_entries)
		return err_set(
		    reterr, -EINVAL, "%s: expected at most %zu entries", key, max_entries);
	json_object_foreach(map, name, v)
	{
		if (!json_is_string(v))
			return err_set(reterr, -EINVAL, "%s.%s: expected a string", key, name);
		bytes += strlen(name) + json_string_length(v);
	}
	if (bytes > max_bytes)
		return err_set(
		    reterr, -EINVAL, "%s: expected at most %zu bytes in all", key, max_bytes);
	*ret_borrowed = map;
	return 0;
}
