/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON to protobuf-c messages.
 *
 * Each function fills the memory that it is given only when it succeeds, and a parent counts a
 * child (case of a oneof, n of an array) only then, so that a message can be freed whenever an
 * error comes.
 */
#include "wire/pjson.h"

#include <errno.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "wire/pjson_internal.h"
#include "wire/pjson_number.h"

/* Where we are, as a list from the innermost value outwards. */
struct place {
	const struct place *up;
	const char *key; /* field or map key; NULL for an array element */
	size_t index;
	bool is_map_key;
	struct err *err;
};

static struct place field_of(const struct place *up, const char *key)
{
	return (struct place){ .up = up, .key = key, .err = up->err };
}

static struct place element_of(const struct place *up, size_t index)
{
	return (struct place){ .up = up, .index = index, .err = up->err };
}

static struct place entry_of(const struct place *up, const char *key)
{
	return (struct place){ .up = up, .key = key, .is_map_key = true, .err = up->err };
}

/* Put one step of the path before what is already at the end of the text; returns the new start. */
static size_t path_prepend(char *text, size_t at, const struct place *at_place)
{
	char step[96];
	if (!at_place->key)
		(void)snprintf(step, sizeof(step), "[%zu]", at_place->index);
	else if (at_place->is_map_key)
		(void)snprintf(step, sizeof(step), "[\"%.80s\"]", at_place->key);
	else
		(void)snprintf(step, sizeof(step), "%s%.80s",
		    at_place->up && at_place->up->up ? "." : "", at_place->key);
	size_t n = strlen(step);
	if (n > at)
		return at;
	memcpy(text + at - n, step, n);
	return at - n;
}

/* "process.args[2]: expected a string"; the outermost place is the message itself and has no name.
 */
__attribute__((format(printf, 3, 4))) static int fail(
    const struct place *pl, int code, const char *fmt, ...)
{
	char path[200], what[160];
	size_t at = sizeof(path) - 1;
	va_list ap;
	path[at] = '\0';
	for (const struct place *i = pl; i->up; i = i->up)
		at = path_prepend(path, at, i);
	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return err_set(pl->err, code, "%s%s%s", path + at, path[at] ? ": " : "", what);
}

static int fail_memory(const struct place *pl)
{
	return err_set(pl->err, -ENOMEM, "out of memory");
}

static int read_message(const struct place *pl, const ProtobufCMessageDescriptor *d,
    const json_t *v, ProtobufCMessage **ret);

/* ---- scalars ---- */

static int read_bool(const struct place *pl, const json_t *v, protobuf_c_boolean *ret)
{
	if (!json_is_boolean(v))
		return fail(pl, -EINVAL, "expected true or false");
	*ret = json_is_true(v);
	return 0;
}

static int read_enum(
    const struct place *pl, const ProtobufCFieldDescriptor *f, const json_t *v, int *ret)
{
	const ProtobufCEnumDescriptor *d = f->descriptor;
	if (pjson_is_null_enum(f) && json_is_null(v)) {
		*ret = 0;
		return 0;
	}
	if (json_is_integer(v) && json_integer_value(v) >= INT_MIN &&
	    json_integer_value(v) <= INT_MAX) {
		*ret = (int)json_integer_value(v);
		return 0;
	}
	if (!json_is_string(v))
		return fail(pl, -EINVAL, "expected a name or number of %s", d->name);
	const ProtobufCEnumValue *e =
	    protobuf_c_enum_descriptor_get_value_by_name(d, json_string_value(v));
	if (!e)
		return fail(
		    pl, -EINVAL, "\"%.40s\" is no value of %s", json_string_value(v), d->name);
	*ret = e->value;
	return 0;
}

static int read_text(const struct place *pl, const json_t *v, char **ret)
{
	if (!json_is_string(v))
		return fail(pl, -EINVAL, "expected a string");
	char *s = mem_strdup(json_string_value(v));
	if (!s)
		return fail_memory(pl);
	*ret = s;
	return 0;
}

static int read_bytes(const struct place *pl, const json_t *v, ProtobufCBinaryData *ret)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	if (!json_is_string(v))
		return fail(pl, -EINVAL, "expected a base64 string");
	int r = str_unbase64(&b, json_string_value(v), json_string_length(v));
	if (r == -EINVAL)
		return fail(pl, -EINVAL, "not base64");
	size_t n = buf_len(&b);
	uint8_t *data = r == 0 && n > 0 ? mem_dup(buf_data(&b), n) : NULL;
	if (r < 0 || (n > 0 && !data))
		return fail_memory(pl);
	*ret = (ProtobufCBinaryData){ .len = n, .data = data };
	return 0;
}

static int read_integer(const struct place *pl, ProtobufCType type, const json_t *v, void *dst)
{
	struct pjson_range range = pjson_range(type);
	__int128 n;
	if (pjson_get_integer(v, range, &n) < 0) {
		char what[PJSON_RANGE_TEXT_MAX];
		return fail(pl, -EINVAL, "expected %s", pjson_range_text(range, what));
	}
	if (pjson_size(type) == 4)
		*(uint32_t *)dst = (uint32_t)n;
	else
		*(uint64_t *)dst = (uint64_t)n;
	return 0;
}

static int read_float(const struct place *pl, ProtobufCType type, const json_t *v, void *dst)
{
	double d;
	if (pjson_get_double(v, &d) < 0)
		return fail(pl, -EINVAL, "expected a number");
	if (type == PROTOBUF_C_TYPE_DOUBLE) {
		*(double *)dst = d;
		return 0;
	}
	if (isfinite(d) && fabs(d) > FLT_MAX && !isfinite((float)d))
		return fail(pl, -EINVAL, "number out of range");
	*(float *)dst = (float)d;
	return 0;
}

static int read_value(
    const struct place *pl, const ProtobufCFieldDescriptor *f, const json_t *v, void *dst)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_FLOAT:
	case PROTOBUF_C_TYPE_DOUBLE:
		return read_float(pl, f->type, v, dst);
	case PROTOBUF_C_TYPE_BOOL:
		return read_bool(pl, v, dst);
	case PROTOBUF_C_TYPE_ENUM:
		return read_enum(pl, f, v, dst);
	case PROTOBUF_C_TYPE_STRING:
		return read_text(pl, v, dst);
	case PROTOBUF_C_TYPE_BYTES:
		return read_bytes(pl, v, dst);
	case PROTOBUF_C_TYPE_MESSAGE:
		return read_message(pl, f->descriptor, v, dst);
	default:
		return read_integer(pl, f->type, v, dst);
	}
}

/* ---- repeated fields and maps ---- */

/* JSON null stands for "absent" except where the type has a null of its own. */
static bool null_is_value(const ProtobufCFieldDescriptor *f)
{
	return pjson_is_null_enum(f) ||
	       (f->type == PROTOBUF_C_TYPE_MESSAGE && pjson_kind(f->descriptor) == PJSON_VALUE);
}

static int refuse_null(const struct place *pl, const ProtobufCFieldDescriptor *f, const json_t *v)
{
	return json_is_null(v) && !null_is_value(f) ? fail(pl, -EINVAL, "null is not allowed here")
						    : 0;
}

/* Make the array of a repeated field; *ret_n is its counter. */
static int make_array(const struct place *pl, ProtobufCMessage *m,
    const ProtobufCFieldDescriptor *f, size_t n, char **ret, size_t **ret_n)
{
	*ret = NULL;
	*ret_n = pjson_at(m, f->quantifier_offset);
	if (n == 0)
		return 0;
	*ret = mem_calloc(n, pjson_size(f->type));
	if (!*ret)
		return fail_memory(pl);
	*(char **)pjson_at(m, f->offset) = *ret;
	return 0;
}

static int read_array(
    const struct place *pl, ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, const json_t *v)
{
	char *values;
	size_t *count, size = pjson_size(f->type);
	if (!json_is_array(v))
		return fail(pl, -EINVAL, "expected an array");
	int r = make_array(pl, m, f, json_array_size(v), &values, &count);
	for (size_t i = 0; r == 0 && i < json_array_size(v); i++) {
		struct place here = element_of(pl, i);
		const json_t *e = json_array_get(v, i);
		r = refuse_null(&here, f, e);
		if (r == 0)
			r = read_value(&here, f, e, values + i * size);
		if (r == 0)
			*count = i + 1;
	}
	return r;
}

/* Only the canonical form of a number, so that two texts are never one key. */
static bool is_plain_integer(const char *key)
{
	return key[strspn(key, "-0123456789")] == '\0' && !str_eq(key, "-0");
}

static int read_key(
    const struct place *pl, const ProtobufCFieldDescriptor *f, const char *key, void *dst)
{
	if (f->type == PROTOBUF_C_TYPE_BOOL) {
		if (!str_eq(key, "true") && !str_eq(key, "false"))
			return fail(pl, -EINVAL, "expected the key true or false");
		*(protobuf_c_boolean *)dst = str_eq(key, "true");
		return 0;
	}
	if (f->type != PROTOBUF_C_TYPE_STRING && !is_plain_integer(key))
		return fail(pl, -EINVAL, "expected an integer as key");
	CLEAN_JSON json_t *text = json_string(key);
	return text ? read_value(pl, f, text, dst) : fail_memory(pl);
}

static int read_entry(const struct place *pl, const ProtobufCMessageDescriptor *d, const char *key,
    const json_t *v, ProtobufCMessage **ret)
{
	const ProtobufCFieldDescriptor *f = d->fields;
	ProtobufCMessage *entry = mem_zalloc(d->sizeof_message);
	if (!entry)
		return fail_memory(pl);
	protobuf_c_message_init(d, entry);
	int r = refuse_null(pl, &f[1], v);
	if (r == 0)
		r = read_key(pl, &f[0], key, pjson_at(entry, f[0].offset));
	if (r == 0)
		r = read_value(pl, &f[1], v, pjson_at(entry, f[1].offset));
	if (r < 0) {
		protobuf_c_message_free_unpacked(entry, NULL);
		return r;
	}
	*ret = entry;
	return 0;
}

static int read_map(
    const struct place *pl, ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, const json_t *v)
{
	char *entries;
	size_t *count;
	if (!json_is_object(v))
		return fail(pl, -EINVAL, "expected an object");
	int r = make_array(pl, m, f, json_object_size(v), &entries, &count);
	for (void *it = json_object_iter((json_t *)v); r == 0 && it;
	     it = json_object_iter_next((json_t *)v, it)) {
		const char *key = json_object_iter_key(it);
		struct place here = entry_of(pl, key);
		r = read_entry(&here, f->descriptor, key, json_object_iter_value(it),
		    (ProtobufCMessage **)entries + *count);
		if (r == 0)
			(*count)++;
	}
	return r;
}

/* ---- fields ---- */

static int read_singular(
    const struct place *pl, ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, const json_t *v)
{
	void *quantifier = pjson_at(m, f->quantifier_offset);
	bool in_oneof = f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
	if (in_oneof && *(uint32_t *)quantifier != 0)
		return fail(pl, -EINVAL, "only one field of its oneof may be set");
	int r = read_value(pl, f, v, pjson_at(m, f->offset));
	if (r < 0)
		return r;
	if (in_oneof)
		*(uint32_t *)quantifier = f->id;
	else if (f->label == PROTOBUF_C_LABEL_OPTIONAL && f->type != PROTOBUF_C_TYPE_STRING &&
		 f->type != PROTOBUF_C_TYPE_MESSAGE)
		*(protobuf_c_boolean *)quantifier = 1;
	return 0;
}

static int read_field(
    const struct place *pl, ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, const json_t *v)
{
	bool repeated = f->label == PROTOBUF_C_LABEL_REPEATED;
	if (json_is_null(v) && (repeated || !null_is_value(f)))
		return 0;
	if (pjson_is_map(f))
		return read_map(pl, m, f, v);
	return repeated ? read_array(pl, m, f, v) : read_singular(pl, m, f, v);
}

static const ProtobufCFieldDescriptor *find_field(
    const ProtobufCMessageDescriptor *d, const char *key)
{
	for (unsigned i = 0; i < d->n_fields; i++) {
		if (pjson_name_is(d->fields[i].name, key))
			return &d->fields[i];
	}
	return protobuf_c_message_descriptor_get_field_by_name(d, key);
}

/* The same field under both of its names. */
static bool is_given_twice(const ProtobufCFieldDescriptor *f, const char *key, const json_t *o)
{
	return !str_eq(key, f->name) && json_object_get(o, f->name);
}

static int read_plain(const struct place *pl, ProtobufCMessage *m, const json_t *v)
{
	int r = 0;
	if (!json_is_object(v))
		return fail(pl, -EINVAL, "expected an object");
	for (void *it = json_object_iter((json_t *)v); r == 0 && it;
	     it = json_object_iter_next((json_t *)v, it)) {
		const char *key = json_object_iter_key(it);
		const ProtobufCFieldDescriptor *f = find_field(m->descriptor, key);
		if (!f)
			continue;
		struct place here = field_of(pl, key);
		r = is_given_twice(f, key, v)
			? fail(&here, -EINVAL, "also given as \"%s\"", f->name)
			: read_field(&here, m, f, json_object_iter_value(it));
	}
	return r;
}

/* ---- messages with a form of their own ---- */

static int read_time(const struct place *pl, ProtobufCMessage *m, const json_t *v, bool is_duration)
{
	int64_t *seconds = pjson_member(m, 1);
	int32_t *nanos = pjson_member(m, 2);
	const char *s = json_is_string(v) ? json_string_value(v) : "";
	int r = is_duration ? pjson_parse_duration(s, seconds, nanos)
			    : pjson_parse_timestamp(s, seconds, nanos);
	if (r < 0)
		return fail(pl, -EINVAL, "expected %s",
		    is_duration ? "a duration such as \"1.5s\""
				: "a time such as \"2026-01-31T12:00:00Z\"");
	return 0;
}

/* google.protobuf.Value: the fields of its oneof have the numbers of struct.proto. */
static int read_dynamic(const struct place *pl, ProtobufCMessage *m, const json_t *v)
{
	unsigned id = 0;
	switch (json_typeof(v)) {
	case JSON_NULL:
		id = 1;
		break;
	case JSON_INTEGER:
	case JSON_REAL:
		id = 2;
		break;
	case JSON_STRING:
		id = 3;
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		id = 4;
		break;
	case JSON_OBJECT:
		id = 5;
		break;
	case JSON_ARRAY:
		id = 6;
		break;
	}
	return read_singular(pl, m, protobuf_c_message_descriptor_get_field(m->descriptor, id), v);
}

static int fill_message(const struct place *pl, ProtobufCMessage *m, const json_t *v)
{
	const ProtobufCFieldDescriptor *f = m->descriptor->fields;
	switch (pjson_kind(m->descriptor)) {
	case PJSON_TIMESTAMP:
		return read_time(pl, m, v, false);
	case PJSON_DURATION:
		return read_time(pl, m, v, true);
	case PJSON_STRUCT:
		return read_map(pl, m, f, v);
	case PJSON_LIST_VALUE:
		return read_array(pl, m, f, v);
	case PJSON_VALUE:
		return read_dynamic(pl, m, v);
	case PJSON_WRAPPER:
		return read_singular(pl, m, f, v);
	case PJSON_PLAIN:
		break;
	}
	return read_plain(pl, m, v);
}

static int read_message(const struct place *pl, const ProtobufCMessageDescriptor *d,
    const json_t *v, ProtobufCMessage **ret)
{
	ProtobufCMessage *m = mem_zalloc(d->sizeof_message);
	if (!m)
		return fail_memory(pl);
	protobuf_c_message_init(d, m);
	int r = fill_message(pl, m, v);
	if (r < 0) {
		protobuf_c_message_free_unpacked(m, NULL);
		return r;
	}
	*ret = m;
	return 0;
}

/* An upper bound of the values in a text, without parsing it. */
static size_t count_values(const char *p, size_t n)
{
	size_t count = 1;
	bool in_string = false;
	for (size_t i = 0; i < n; i++) {
		if (in_string) {
			if (p[i] == '\\')
				i++;
			else if (p[i] == '"')
				in_string = false;
		} else if (p[i] == '"') {
			in_string = true;
		} else if (p[i] == ',' || p[i] == '[' || p[i] == '{') {
			count++;
		}
	}
	return count;
}

ProtobufCMessage *pjson_decode(
    const ProtobufCMessageDescriptor *d, const void *p, size_t n, struct err *reterr)
{
	struct place root = { .err = reterr };
	ProtobufCMessage *m = NULL;
	if (count_values(p, n) > PJSON_VALUES_MAX) {
		(void)err_set(
		    reterr, -EMSGSIZE, "JSON text with more than %d values", PJSON_VALUES_MAX);
		return NULL;
	}
	CLEAN_JSON json_t *v = json_parse(p, n, n, reterr);
	if (!v || read_message(&root, d, v, &m) < 0)
		return NULL;
	return m;
}
