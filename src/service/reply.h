/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Whole small answers of the control plane and of the gateway's own. None of them fails towards its
 * caller: where memory runs out, the stream is reset. The stream's handler stays as it is.
 */
#include <jansson.h>
#include <stddef.h>

#define REPLY_TEXT_MAX 512 /* longer error texts are cut */

struct http_fields;
struct http_stream;

/* extra may be NULL; without a content type there is no body. */
void reply_send(struct http_stream *st, int status, const struct http_fields *extra,
    const char *content_type, const void *p, size_t n);
/* JSON that is text already. */
void reply_json_text(struct http_stream *st, int status, const struct http_fields *extra,
    const char *text, size_t n);
/* v NULL stands for an allocation that failed. */
void reply_json(
    struct http_stream *st, int status, const struct http_fields *extra, json_t *v_consume);
/* {"code": status, "message": ..., "error_code"?: ...}, the shape that every E2B client expects. */
void reply_error(struct http_stream *st, int status, const char *error_code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The same with more fields and a text that is ready. */
void reply_error_with(struct http_stream *st, int status, const struct http_fields *extra,
    const char *error_code, const char *text);
