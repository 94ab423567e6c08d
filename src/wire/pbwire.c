/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/pbwire.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

/* What libprotobuf-c holds for a field while it parses, next to the value itself. */
#define FIELD_COST 48

struct scan {
	size_t memory; /* upper estimate of what the decoded message takes */
	struct err *err;
};

static int get_varint(struct pb_cursor *c, uint64_t *ret)
{
	uint64_t v = 0;
	for (unsigned shift = 0; shift < 70 && c->p < c->end; shift += 7) {
		unsigned char b = *c->p++;
		v |= shift < 64 ? (uint64_t)(b & 0x7f) << shift : 0;
		if (!(b & 0x80)) {
			*ret = v;
			return 0;
		}
	}
	return -EINVAL;
}

int pb_next(struct pb_cursor *c, struct pb_field *ret)
{
	uint64_t tag, n;
	if (c->p == c->end)
		return 0;
	if (get_varint(c, &tag) < 0 || tag >> 3 == 0 || tag > UINT32_MAX)
		return -EINVAL;
	*ret = (struct pb_field){ .number = (unsigned)(tag >> 3), .wire_type = tag & 7 };
	ret->bytes.p = c->p;
	switch (ret->wire_type) {
	case PROTOBUF_C_WIRE_TYPE_VARINT:
		if (get_varint(c, &ret->varint) < 0)
			return -EINVAL;
		ret->bytes.end = c->p;
		return 1;
	case PROTOBUF_C_WIRE_TYPE_64BIT:
		n = 8;
		break;
	case PROTOBUF_C_WIRE_TYPE_32BIT:
		n = 4;
		break;
	case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
		if (get_varint(c, &n) < 0)
			return -EINVAL;
		ret->bytes.p = c->p;
		break;
	default: /* groups */
		return -EINVAL;
	}
	if (n > (uint64_t)(c->end - c->p))
		return -EINVAL;
	c->p += n;
	ret->bytes.end = c->p;
	return 1;
}

static int scan_message(
    struct scan *s, const ProtobufCMessageDescriptor *d, struct pb_cursor c, unsigned depth);

static int scan_text(struct scan *s, const ProtobufCMessageDescriptor *d,
    const ProtobufCFieldDescriptor *f, struct pb_cursor v)
{
	size_t n = (size_t)(v.end - v.p);
	if (memchr(v.p, 0, n))
		return err_set(s->err, -EINVAL, "%s.%s: text with a NUL byte", d->name, f->name);
	if (!str_utf8_valid(v.p, n))
		return err_set(s->err, -EINVAL, "%s.%s: text is not UTF-8", d->name, f->name);
	return 0;
}

static int scan_field(
    struct scan *s, const ProtobufCMessageDescriptor *d, struct pb_field v, unsigned depth)
{
	const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field(d, v.number);
	size_t n = (size_t)(v.bytes.end - v.bytes.p);
	s->memory += FIELD_COST + n;
	if (!f || v.wire_type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
		return 0;
	switch (f->type) {
	case PROTOBUF_C_TYPE_MESSAGE:
		return scan_message(s, f->descriptor, v.bytes, depth + 1);
	case PROTOBUF_C_TYPE_STRING:
		return scan_text(s, d, f, v.bytes);
	case PROTOBUF_C_TYPE_BYTES:
		return 0;
	default: /* packed numbers: a byte may become eight */
		s->memory += n * 8;
		return 0;
	}
}

static int scan_message(
    struct scan *s, const ProtobufCMessageDescriptor *d, struct pb_cursor c, unsigned depth)
{
	struct pb_field v;
	int r;
	if (depth > PB_DEPTH_MAX)
		return err_set(s->err, -EINVAL, "%s: messages nested deeper than %d levels",
		    d->name, PB_DEPTH_MAX);
	s->memory += d->sizeof_message;
	while ((r = pb_next(&c, &v)) > 0) {
		r = scan_field(s, d, v, depth);
		if (r < 0)
			return r;
		if (s->memory > PB_MEMORY_MAX)
			return err_set(
			    s->err, -EMSGSIZE, "%s: message with too many fields", d->name);
	}
	return r < 0 ? err_set(s->err, r, "%s: malformed or truncated message", d->name) : 0;
}

static void *scan_alloc(void *failed, size_t n)
{
	void *p = mem_alloc(n);
	if (!p)
		*(bool *)failed = true;
	return p;
}

static void scan_free(void *failed, void *p)
{
	(void)failed;
	mem_free(p);
}

ProtobufCMessage *pb_unpack(
    const ProtobufCMessageDescriptor *d, const void *p, size_t n, struct err *reterr)
{
	struct scan s = { .err = reterr };
	const unsigned char *bytes = n ? p : (const unsigned char *)"";
	if (scan_message(&s, d, (struct pb_cursor){ bytes, bytes + n }, 1) < 0)
		return NULL;
	bool out_of_memory = false;
	ProtobufCAllocator a = { scan_alloc, scan_free, &out_of_memory };
	ProtobufCMessage *m = protobuf_c_message_unpack(d, &a, n, bytes);
	if (!m && out_of_memory)
		(void)err_set(reterr, -ENOMEM, "out of memory");
	else if (!m)
		(void)err_set(reterr, -EINVAL, "%s: malformed message", d->name);
	return m;
}

int pb_pack(struct buf *dst, const ProtobufCMessage *m)
{
	void *space;
	size_t n = protobuf_c_message_get_packed_size(m);
	int r = buf_reserve(dst, n, &space);
	if (r == 0)
		buf_commit(dst, protobuf_c_message_pack(m, space));
	return r;
}
