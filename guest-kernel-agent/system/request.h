/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Small questions about a request head. */
#include <stdbool.h>
#include <stddef.h>

struct http_stream;

#define REQUEST_PATH_MAX 512 /* no endpoint of ours has a longer path */

/* A header that must not come twice: NULL when absent or repeated. */
const char *request_header(const struct http_stream *st, const char *name);
/* The path without its query; "" when it is longer than any of ours. */
void request_path(const struct http_stream *st, char dst[REQUEST_PATH_MAX]);
/* path is what request_path() gave. */
bool request_is(
    const struct http_stream *st, const char *method, const char *path, const char *wanted);
/* Answer 405 when the path exists under another method, else 404. */
void request_not_found(struct http_stream *st, bool known);
