/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Answers of the agent's own HTTP endpoints, with the cross-origin fields that browsers need: any
 * origin may call (the access token protects, not the origin), and sees the headers of gRPC-Web and
 * Connect.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include <protobuf-c/protobuf-c.h>

struct call;
struct http_fields;
struct http_stream;

/* No body: 204 and the like. */
int reply_empty(struct http_stream *st, int status);
int reply_text(struct http_stream *st, int status, const char *text);
int reply_json(struct http_stream *st, int status, json_t *v_consume);
/* {"code":status,"message":...} */
int reply_error(struct http_stream *st, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Text that is JSON already. */
int reply_bytes(
    struct http_stream *st, int status, const char *content_type, const void *p, size_t n);
/* 401 as the SDKs know it. */
int reply_unauthorized(struct http_stream *st);

/* Cross-origin fields for a head that the caller sends itself; nothing when the request has no
 * Origin. */
int reply_add_cors(const struct http_stream *st, struct http_fields *f);
/* The same for an RPC. */
int reply_add_cors_call(struct call *c);
/* The one answer of an RPC, which ends with it; when it cannot be sent, with an error. */
void reply_message(struct call *c, const ProtobufCMessage *m);
void reply_no_memory(struct call *c);
/* Answers a preflight request (OPTIONS with Access-Control-Request-Method): true when it was one.
 */
bool reply_preflight(struct http_stream *st);
