/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * proto3 JSON mapping over protobuf-c descriptors (protobuf.dev/programming-guides/json): names in
 * lowerCamelCase (original names accepted), int64 as strings, bytes as base64, enums by name or
 * number, maps, google.protobuf.Timestamp / Duration / Struct / Value / Empty and the wrapper
 * types. Unknown fields are ignored on input; defaults are left out on output. Errors name the
 * field path and what was expected ("process.args[2]: expected a string").
 */
#include <stddef.h>

#include <protobuf-c/protobuf-c.h>

struct buf;
struct err;

/* Values (objects, arrays, scalars) in one text: what each costs in memory is many times its bytes.
 */
#define PJSON_VALUES_MAX 200000

/* NULL and reterr on failure. Free with protobuf_c_message_free_unpacked(msg, NULL). The caller
 * bounds n; nesting and the number of values are bounded here. */
ProtobufCMessage *pjson_decode(
    const ProtobufCMessageDescriptor *d, const void *p, size_t n, struct err *reterr);
/* 0, -ENOMEM, or -EINVAL when a value has no JSON form (a time out of range, an infinite number in
 * a google.protobuf.Value); dst is unchanged then. Text that is not UTF-8 is written with U+FFFD.
 */
int pjson_encode(struct buf *dst, const ProtobufCMessage *m);
