/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/pjson.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "wire/pjson_internal.h"

static int put_message(struct buf *dst, const ProtobufCMessage *m);

/* ---- scalars ---- */

/* Length of the UTF-8 sequence at p, 0 when there is none. */
static size_t utf8_sequence(const unsigned char *p, size_t n)
{
	size_t len = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	return len <= n && str_utf8_valid(p, len) ? len : 0;
}

/* How many bytes can be copied as they are. */
static size_t plain_run(const unsigned char *p, size_t n)
{
	size_t run = 0, len = 1;
	while (run < n && len > 0) {
		unsigned char c = p[run];
		if (c >= 0x80)
			len = utf8_sequence(p + run, n - run);
		else
			len = c >= 0x20 && c != 0x7f && c != '"' && c != '\\';
		run += len;
	}
	return run;
}

/* One byte that cannot be copied: an escape, or the mark of broken UTF-8. */
static int put_special(struct buf *dst, unsigned char c)
{
	static const char shorts[] = "b\bf\fn\nr\rt\t\"\"\\\\";
	for (const char *s = shorts; *s; s += 2) {
		const char pair[] = { '\\', s[0] };
		if ((unsigned char)s[1] == c)
			return buf_append(dst, pair, 2);
	}
	return c >= 0x80 ? buf_append_str(dst, "\\ufffd") : buf_printf(dst, "\\u%04x", c);
}

static int put_text(struct buf *dst, const char *text)
{
	const unsigned char *p = (const unsigned char *)(text ? text : "");
	size_t n = strlen((const char *)p);
	int r = buf_append_byte(dst, '"');
	while (r == 0 && n > 0) {
		size_t run = plain_run(p, n);
		r = buf_append(dst, p, run);
		p += run;
		n -= run;
		if (r == 0 && n > 0) {
			r = put_special(dst, *p++);
			n--;
		}
	}
	return r < 0 ? r : buf_append_byte(dst, '"');
}

/* The shortest text that reads back as the same number. */
static int put_float(struct buf *dst, double v, bool single)
{
	char text[40]; /* the longest that "%.17g" can give, by the compiler's count */
	if (isnan(v))
		return buf_append_str(dst, "\"NaN\"");
	if (isinf(v))
		return buf_append_str(dst, v > 0 ? "\"Infinity\"" : "\"-Infinity\"");
	if (v == 0 && signbit(v)) /* "-0" would be read as an integer, which has no sign */
		return buf_append_str(dst, "-0.0");
	for (int digits = single ? FLT_DIG : DBL_DIG; digits <= DBL_DECIMAL_DIG; digits++) {
		(void)snprintf(text, sizeof(text), "%.*g", digits, v);
		if (single ? strtof(text, NULL) == (float)v : strtod(text, NULL) == v)
			break;
	}
	return buf_append_str(dst, text);
}

static int put_enum(struct buf *dst, const ProtobufCEnumDescriptor *d, int v)
{
	const ProtobufCEnumValue *e = protobuf_c_enum_descriptor_get_value(d, v);
	return e ? buf_printf(dst, "\"%s\"", e->name) : buf_printf(dst, "%d", v);
}

static int put_bytes(struct buf *dst, const ProtobufCBinaryData *b)
{
	int r = buf_append_byte(dst, '"');
	if (r == 0)
		r = str_base64(dst, b->data, b->len, true);
	return r < 0 ? r : buf_append_byte(dst, '"');
}

/* A message that is absent where JSON needs one (a map's value) is its type's empty message. */
static int put_empty_message(struct buf *dst, const ProtobufCMessageDescriptor *d)
{
	CLEAN_FREE ProtobufCMessage *m = mem_zalloc(d->sizeof_message);
	if (!m)
		return -ENOMEM;
	protobuf_c_message_init(d, m);
	return put_message(dst, m);
}

static int put_sub_message(struct buf *dst, const ProtobufCFieldDescriptor *f, const void *v)
{
	const ProtobufCMessage *m = *(ProtobufCMessage *const *)v;
	return m ? put_message(dst, m) : put_empty_message(dst, f->descriptor);
}

static int put_value(struct buf *dst, const ProtobufCFieldDescriptor *f, const void *v)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		return buf_printf(dst, "%" PRId32, *(const int32_t *)v);
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		return buf_printf(dst, "%" PRIu32, *(const uint32_t *)v);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		return buf_printf(dst, "\"%" PRId64 "\"", *(const int64_t *)v);
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return buf_printf(dst, "\"%" PRIu64 "\"", *(const uint64_t *)v);
	case PROTOBUF_C_TYPE_FLOAT:
		return put_float(dst, *(const float *)v, true);
	case PROTOBUF_C_TYPE_DOUBLE:
		return put_float(dst, *(const double *)v, false);
	case PROTOBUF_C_TYPE_BOOL:
		return buf_append_str(dst, *(const protobuf_c_boolean *)v ? "true" : "false");
	case PROTOBUF_C_TYPE_ENUM:
		if (pjson_is_null_enum(f))
			return buf_append_str(dst, "null");
		return put_enum(dst, f->descriptor, *(const int *)v);
	case PROTOBUF_C_TYPE_STRING:
		return put_text(dst, *(char *const *)v);
	case PROTOBUF_C_TYPE_BYTES:
		return put_bytes(dst, v);
	case PROTOBUF_C_TYPE_MESSAGE:
		return put_sub_message(dst, f, v);
	}
	return -EINVAL;
}

/* ---- repeated fields and maps ---- */

static int put_array(struct buf *dst, const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	size_t n = *(const size_t *)pjson_at(m, f->quantifier_offset), size = pjson_size(f->type);
	const char *v = *(char *const *)pjson_at(m, f->offset);
	int r = buf_append_byte(dst, '[');
	for (size_t i = 0; r == 0 && i < n; i++) {
		if (i > 0)
			r = buf_append_byte(dst, ',');
		if (r == 0)
			r = put_value(dst, f, v + i * size);
	}
	return r < 0 ? r : buf_append_byte(dst, ']');
}

/* Keys are strings whatever their type. */
static int put_key(struct buf *dst, const ProtobufCFieldDescriptor *f, const void *v)
{
	bool quoted = f->type == PROTOBUF_C_TYPE_STRING || pjson_size(f->type) == 8;
	int r = quoted ? 0 : buf_append_byte(dst, '"');
	if (r == 0)
		r = put_value(dst, f, v);
	return r < 0 || quoted ? r : buf_append_byte(dst, '"');
}

static int put_map_entry(struct buf *dst, const ProtobufCMessage *entry)
{
	const ProtobufCFieldDescriptor *f = entry->descriptor->fields;
	int r = put_key(dst, &f[0], pjson_at(entry, f[0].offset));
	if (r == 0)
		r = buf_append_byte(dst, ':');
	return r < 0 ? r : put_value(dst, &f[1], pjson_at(entry, f[1].offset));
}

static int put_map(struct buf *dst, const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	size_t n = *(const size_t *)pjson_at(m, f->quantifier_offset);
	ProtobufCMessage *const *v = *(ProtobufCMessage *const *const *)pjson_at(m, f->offset);
	int r = buf_append_byte(dst, '{');
	for (size_t i = 0; r == 0 && i < n; i++) {
		if (i > 0)
			r = buf_append_byte(dst, ',');
		if (r == 0)
			r = put_map_entry(dst, v[i]);
	}
	return r < 0 ? r : buf_append_byte(dst, '}');
}

/* ---- messages ---- */

static bool is_zero(const ProtobufCFieldDescriptor *f, const void *v)
{
	static const char zero[8];
	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING:
		return str_empty(*(char *const *)v);
	case PROTOBUF_C_TYPE_BYTES:
		return ((const ProtobufCBinaryData *)v)->len == 0;
	case PROTOBUF_C_TYPE_MESSAGE:
		return *(void *const *)v == NULL;
	case PROTOBUF_C_TYPE_FLOAT:
		return *(const float *)v == 0;
	case PROTOBUF_C_TYPE_DOUBLE:
		return *(const double *)v == 0;
	default:
		return memcmp(v, zero, pjson_size(f->type)) == 0;
	}
}

static bool is_present(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	const void *quantifier = pjson_at(m, f->quantifier_offset), *v = pjson_at(m, f->offset);
	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return *(const size_t *)quantifier > 0;
	if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
		return *(const uint32_t *)quantifier == f->id;
	if (f->label == PROTOBUF_C_LABEL_REQUIRED)
		return true;
	if (f->label == PROTOBUF_C_LABEL_NONE)
		return !is_zero(f, v);
	if (f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_MESSAGE)
		return *(void *const *)v && *(void *const *)v != f->default_value;
	return *(const protobuf_c_boolean *)quantifier;
}

static int put_field(struct buf *dst, const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	if (pjson_is_map(f))
		return put_map(dst, m, f);
	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return put_array(dst, m, f);
	return put_value(dst, f, pjson_at(m, f->offset));
}

static int put_plain(struct buf *dst, const ProtobufCMessage *m)
{
	bool first = true;
	int r = buf_append_byte(dst, '{');
	for (unsigned i = 0; r == 0 && i < m->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
		if (!is_present(m, f))
			continue;
		r = buf_append_str(dst, first ? "\"" : ",\"");
		if (r == 0)
			r = pjson_append_name(dst, f->name);
		if (r == 0)
			r = buf_append_str(dst, "\":");
		if (r == 0)
			r = put_field(dst, m, f);
		first = false;
	}
	return r < 0 ? r : buf_append_byte(dst, '}');
}

static int put_time(struct buf *dst, const ProtobufCMessage *m, bool is_duration)
{
	char text[PJSON_TIME_MAX];
	int64_t seconds = *(const int64_t *)pjson_member(m, 1);
	int32_t nanos = *(const int32_t *)pjson_member(m, 2);
	int r = is_duration ? pjson_format_duration(seconds, nanos, text)
			    : pjson_format_timestamp(seconds, nanos, text);
	return r < 0 ? r : buf_printf(dst, "\"%s\"", text);
}

static int put_dynamic(struct buf *dst, const ProtobufCMessage *m)
{
	for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
		if (!is_present(m, f))
			continue;
		const void *v = pjson_at(m, f->offset);
		if (f->type == PROTOBUF_C_TYPE_DOUBLE && !isfinite(*(const double *)v))
			return -EINVAL;
		return put_value(dst, f, v);
	}
	return buf_append_str(dst, "null");
}

static int put_message(struct buf *dst, const ProtobufCMessage *m)
{
	const ProtobufCFieldDescriptor *f = m->descriptor->fields;
	switch (pjson_kind(m->descriptor)) {
	case PJSON_TIMESTAMP:
		return put_time(dst, m, false);
	case PJSON_DURATION:
		return put_time(dst, m, true);
	case PJSON_STRUCT:
		return put_map(dst, m, f);
	case PJSON_LIST_VALUE:
		return put_array(dst, m, f);
	case PJSON_VALUE:
		return put_dynamic(dst, m);
	case PJSON_WRAPPER:
		return put_value(dst, f, pjson_at(m, f->offset));
	case PJSON_PLAIN:
		break;
	}
	return put_plain(dst, m);
}

int pjson_encode(struct buf *dst, const ProtobufCMessage *m)
{
	size_t before = buf_len(dst);
	int r = put_message(dst, m);
	if (r < 0)
		dst->end = dst->start + before; /* nothing half-written is left */
	return r;
}
