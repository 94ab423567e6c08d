/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * proto3 JSON mapping over protobuf-c descriptors (protobuf.dev/programming-guides/json): names in
 * lowerCamelCase (original names accepted), int64 as strings, bytes as base64, enums by name or number,
 * maps, google.protobuf.Timestamp / Duration / Struct / Value / Empty. Unknown fields are ignored on
 * input; defaults are left out on output. Errors name the field path and what was expected
 * ("process.args[2]: expected a string").
 */
#include <stddef.h>

#include <protobuf-c/protobuf-c.h>

struct buf;
struct err;

/* NULL and reterr on failure. Free with protobuf_c_message_free_unpacked(msg, NULL). */
ProtobufCMessage *pjson_decode(const ProtobufCMessageDescriptor *d, const void *p, size_t n,
    struct err *reterr);
/* 0 or -ENOMEM. */
int pjson_encode(struct buf *dst, const ProtobufCMessage *m);
