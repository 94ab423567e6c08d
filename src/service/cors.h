/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Cross-origin requests of browsers. Every origin may call, never with credentials: nothing here is
 * authorised by a cookie, only by headers that a page must know.
 */
#include <stdbool.h>

struct http_fields;
struct http_head;
struct http_stream;

bool cors_is_preflight(const struct http_head *request);
/* Answers a preflight with 204. */
void cors_answer(struct http_stream *st);
/* What a browser needs on the answer to this request; nothing without Origin. 0 or -ENOMEM. */
int cors_add(struct http_fields *f, const struct http_head *request);
/* Value of Access-Control-Expose-Headers. */
extern const char cors_exposed[];
