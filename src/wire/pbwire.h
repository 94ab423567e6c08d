/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Binary protobuf messages from a peer, and to it.
 *
 * libprotobuf-c recurses as deep as the bytes say, multiplies short fields into large structures
 * and cuts strings at a NUL. Therefore the bytes are walked against the descriptor first: nesting,
 * memory and text are bounded before anything is allocated.
 */
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

struct buf;
struct err;

#define PB_DEPTH_MAX 100 /* messages in messages, as other implementations have it */
#define PB_MEMORY_MAX (48u * 1024 * 1024) /* of one decoded message: runs of two-byte fields */

/* Bytes of a message, read field by field. */
struct pb_cursor {
	const unsigned char *p, *end;
};
struct pb_field {
	unsigned number, wire_type;
	struct pb_cursor bytes; /* the content; of a number its encoded form */
	uint64_t varint;	/* PROTOBUF_C_WIRE_TYPE_VARINT only */
};
/* 1 and the next field, 0 at the end, -EINVAL when the bytes are malformed. */
int pb_next(struct pb_cursor *c, struct pb_field *ret);

/* NULL and reterr (-EINVAL, -ENOMEM, -EMSGSIZE) on failure. Free with
 * protobuf_c_message_free_unpacked(msg, NULL). */
ProtobufCMessage *pb_unpack(
    const ProtobufCMessageDescriptor *d, const void *p, size_t n, struct err *reterr);
/* Append the packed message: 0 or -ENOMEM. */
int pb_pack(struct buf *dst, const ProtobufCMessage *m);
