/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/pjson_internal.h"

#include <string.h>

#include "base/buf.h"
#include "base/str.h"

enum pjson_kind pjson_kind(const ProtobufCMessageDescriptor *d)
{
	static const struct {
		const char *name;
		enum pjson_kind kind;
	} known[] = {
		{ "Timestamp", PJSON_TIMESTAMP },
		{ "Duration", PJSON_DURATION },
		{ "Struct", PJSON_STRUCT },
		{ "Value", PJSON_VALUE },
		{ "ListValue", PJSON_LIST_VALUE },
		{ "DoubleValue", PJSON_WRAPPER },
		{ "FloatValue", PJSON_WRAPPER },
		{ "Int64Value", PJSON_WRAPPER },
		{ "UInt64Value", PJSON_WRAPPER },
		{ "Int32Value", PJSON_WRAPPER },
		{ "UInt32Value", PJSON_WRAPPER },
		{ "BoolValue", PJSON_WRAPPER },
		{ "StringValue", PJSON_WRAPPER },
		{ "BytesValue", PJSON_WRAPPER },
	};
	const char *name = str_after(d->name, "google.protobuf.");
	for (size_t i = 0; name && i < sizeof(known) / sizeof(known[0]); i++) {
		if (str_eq(known[i].name, name))
			return known[i].kind;
	}
	return PJSON_PLAIN;
}

bool pjson_is_null_enum(const ProtobufCFieldDescriptor *f)
{
	return f->type == PROTOBUF_C_TYPE_ENUM &&
	       str_eq(((const ProtobufCEnumDescriptor *)f->descriptor)->name,
		   "google.protobuf.NullValue");
}

static char upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

/* Next character of a name in camel case; moves *s behind it. '\0' at the end. */
static char next_camel(const char **s, bool *capital)
{
	while (**s == '_') {
		*capital = true;
		(*s)++;
	}
	char c = **s;
	if (c)
		(*s)++;
	c = *capital ? upper(c) : c;
	*capital = false;
	return c;
}

bool pjson_name_is(const char *field, const char *json_name)
{
	bool capital = false;
	char c;
	while ((c = next_camel(&field, &capital)) != '\0') {
		if (c != *json_name++)
			return false;
	}
	return *json_name == '\0';
}

int pjson_append_name(struct buf *dst, const char *field)
{
	void *space;
	bool capital = false;
	int r = buf_reserve(dst, strlen(field) + 1, &space);
	if (r < 0)
		return r;
	char *d = space;
	while ((*d = next_camel(&field, &capital)) != '\0')
		d++;
	buf_commit(dst, (size_t)(d - (char *)space));
	return 0;
}

bool pjson_is_map(const ProtobufCFieldDescriptor *f)
{
	if (f->label != PROTOBUF_C_LABEL_REPEATED || f->type != PROTOBUF_C_TYPE_MESSAGE)
		return false;
	const ProtobufCMessageDescriptor *d = f->descriptor;
	if (d->n_fields != 2 || d->fields[0].id != 1 || d->fields[1].id != 2 ||
	    !str_eq(d->fields[0].name, "key") || !str_eq(d->fields[1].name, "value"))
		return false;
	const char *entry = d->short_name, *name = f->name;
	bool capital = true;
	char c;
	while ((c = next_camel(&name, &capital)) != '\0') {
		if (c != *entry++)
			return false;
	}
	return str_eq(entry, "Entry");
}

size_t pjson_size(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_FLOAT:
	case PROTOBUF_C_TYPE_ENUM:
		return 4;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	}
	return 0;
}

void *pjson_member(const ProtobufCMessage *m, unsigned id)
{
	return pjson_at(m, protobuf_c_message_descriptor_get_field(m->descriptor, id)->offset);
}
