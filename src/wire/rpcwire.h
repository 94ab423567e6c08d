/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The RPC protocols on top of HTTP bodies: gRPC, gRPC-Web (binary and text) and Connect (unary and
 * streaming), proto and JSON. Pure framing: bytes in, messages out and back. Specifications:
 * gRPC over HTTP/2 (PROTOCOL-HTTP2), gRPC-Web (PROTOCOL-WEB), Connect
 * (connectrpc.com/docs/protocol).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct err;

enum rpc_protocol {
	RPC_GRPC,
	RPC_GRPC_WEB,
	RPC_GRPC_WEB_TEXT, /* base64 */
	RPC_CONNECT_UNARY,
	RPC_CONNECT_STREAM,
};

enum rpc_codec { RPC_PROTO, RPC_JSON };

/* Content-type of a request: 0 or -ENOTSUP. A bare application/json or application/proto is
 * Connect. */
int rpc_parse_content_type(
    const char *value, enum rpc_protocol *ret_protocol, enum rpc_codec *ret_codec);
const char *rpc_content_type(enum rpc_protocol protocol, enum rpc_codec codec);

/* Canonical status codes of gRPC and Connect (google.rpc.Code). */
enum rpc_code {
	RPC_OK = 0,
	RPC_CANCELED,
	RPC_UNKNOWN,
	RPC_INVALID_ARGUMENT,
	RPC_DEADLINE_EXCEEDED,
	RPC_NOT_FOUND,
	RPC_ALREADY_EXISTS,
	RPC_PERMISSION_DENIED,
	RPC_RESOURCE_EXHAUSTED,
	RPC_FAILED_PRECONDITION,
	RPC_ABORTED,
	RPC_OUT_OF_RANGE,
	RPC_UNIMPLEMENTED,
	RPC_INTERNAL,
	RPC_UNAVAILABLE,
	RPC_DATA_LOSS,
	RPC_UNAUTHENTICATED,
};
const char *rpc_code_name(enum rpc_code code);	 /* "not_found" */
enum rpc_code rpc_code_from_name(const char *s); /* RPC_UNKNOWN when unknown */
int rpc_code_http(enum rpc_code code);		 /* Connect unary HTTP status */
enum rpc_code rpc_code_from_http(int status); /* gRPC's and Connect's inverse for non-RPC answers */

/* grpc-timeout ("100m", at most 8 digits and a unit) and Connect-Timeout-Ms (at most 10 digits):
 * 0 or -EINVAL. */
int rpc_parse_grpc_timeout(const char *s, uint64_t *ret_ms);
int rpc_parse_connect_timeout(const char *s, uint64_t *ret_ms);
/* grpc-message percent encoding: 0 or -ENOMEM. */
int rpc_encode_message(struct buf *dst, const char *text);

/* ---- envelopes: flags byte, 32-bit big-endian length, payload ---- */
#define RPC_FLAG_COMPRESSED 0x01
#define RPC_FLAG_END_STREAM 0x02 /* Connect streaming */
#define RPC_FLAG_TRAILERS 0x80	 /* gRPC-Web */

struct rpc_deframer {
	struct buf buf; /* not yet complete message (text mode: decoded) */
	size_t max;	/* largest message */
	bool text;	/* base64 (gRPC-Web text) */
	unsigned char quad[4];
	unsigned n_quad;
};
void rpc_deframer_init(struct rpc_deframer *d, size_t max, bool text);
void rpc_deframer_fini(struct rpc_deframer *d);
/* 0, -ENOMEM, -EINVAL (bad base64). */
int rpc_deframer_feed(struct rpc_deframer *d, const void *p, size_t n);
/* Next complete message: 1 and pointers valid until the next call, 0 when more bytes are needed,
 * -EMSGSIZE when its length exceeds max. */
int rpc_deframer_next(
    struct rpc_deframer *d, uint8_t *ret_flags, const void **ret_p, size_t *ret_n);
/* Bytes of an incomplete message are left (the stream was truncated). */
bool rpc_deframer_partial(const struct rpc_deframer *d);

/* Append one message: 0, -ENOMEM, -EMSGSIZE (more than its length field can say). */
int rpc_frame(struct buf *dst, uint8_t flags, const void *p, size_t n, bool text);
