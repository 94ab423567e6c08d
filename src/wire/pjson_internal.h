/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the JSON reader and writer share: types with a JSON form of their own, names, times. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

struct buf;

enum pjson_kind {
	PJSON_PLAIN,
	PJSON_TIMESTAMP,
	PJSON_DURATION,
	PJSON_STRUCT,
	PJSON_VALUE,
	PJSON_LIST_VALUE,
	PJSON_WRAPPER, /* google.protobuf.StringValue and its kind */
};

enum pjson_kind pjson_kind(const ProtobufCMessageDescriptor *d);
/* google.protobuf.NullValue, whose only value is written null. */
bool pjson_is_null_enum(const ProtobufCFieldDescriptor *f);
/* True for map<>: protobuf-c shows it as a repeated message "<FieldName>Entry" { key = 1; value =
 * 2; }. */
bool pjson_is_map(const ProtobufCFieldDescriptor *f);
/* Size of one value in the C structure or in a repeated field's array. */
size_t pjson_size(ProtobufCType type);

/* The lowerCamelCase form of a field name. */
bool pjson_name_is(const char *field, const char *json_name);
int pjson_append_name(struct buf *dst, const char *field);

static inline void *pjson_at(const ProtobufCMessage *m, unsigned offset)
{
	return (char *)m + offset;
}
/* Memory of the field with that number; the descriptor must have it. */
void *pjson_member(const ProtobufCMessage *m, unsigned id);

/* RFC 3339 in years 1 to 9999 and "1.5s". Formatting needs at least PJSON_TIME_MAX bytes; all
 * return 0 or -EINVAL for what has no such form. */
#define PJSON_TIME_MAX \
	96 /* what six ints and a fraction could take, so that no compiler has to wonder */
int pjson_format_timestamp(int64_t seconds, int32_t nanos, char dst[PJSON_TIME_MAX]);
int pjson_parse_timestamp(const char *s, int64_t *ret_seconds, int32_t *ret_nanos);
int pjson_format_duration(int64_t seconds, int32_t nanos, char dst[PJSON_TIME_MAX]);
int pjson_parse_duration(const char *s, int64_t *ret_seconds, int32_t *ret_nanos);
