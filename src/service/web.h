/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The pages that people see: a fixed list of files, read from one directory at start and served
 * from memory. No path of a request ever reaches the file system.
 *
 * The Content-Security-Policy allows what the server itself serves, and of inline scripts and
 * styles just those that are in index.html, by their hashes.
 */
#include <stdbool.h>

struct err;
struct http_stream;
struct web;

/* Files that are missing are not served; index.html must be there. NULL and reterr otherwise. */
struct web *web_load(const char *dir, struct err *reterr);
struct web *web_free(struct web *w);
/* True when the path is one of the files (any method): st is taken over. */
bool web_handle(const struct web *w, struct http_stream *st);
/* The Content-Security-Policy of every answer. */
const char *web_policy(const struct web *w);
