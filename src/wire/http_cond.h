/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Conditional requests for a representation that has a strong entity tag and a date (RFC 9110 13).
 */
#include <stdbool.h>
#include <stdint.h>

struct http_fields;

enum http_cond {
	HTTP_COND_GO,
	HTTP_COND_NOT_MODIFIED, /* 304 */
	HTTP_COND_FAILED,	/* 412 */
};

/* etag with its quotes, mtime in seconds; for GET and HEAD. A date that does not parse is ignored.
 */
enum http_cond http_cond_check(
    const struct http_fields *request, const char *etag, int64_t mtime, int64_t now);
/* Whether Range counts: no If-Range, or one that matches exactly. */
bool http_cond_range_counts(
    const struct http_fields *request, const char *etag, int64_t mtime, int64_t now);
