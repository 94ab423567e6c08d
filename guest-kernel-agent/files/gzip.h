/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* gzip streams (RFC 1952), as they come: each object holds a bounded window, whatever the stream.
 */
#include <stdbool.h>
#include <stddef.h>

struct buf;
struct err;
struct gunzip;
struct gzip;

struct gunzip *gunzip_new(void);
struct gunzip *gunzip_free(struct gunzip *g);
/* Decompress p; sink gets the bytes in pieces and may return -errno, which ends it. 0, that errno,
 * -ENOMEM, or -EINVAL and reterr: no gzip stream. Members may follow each other. */
int gunzip_write(struct gunzip *g, const void *p, size_t n,
    int (*sink)(void *arg, const void *p, size_t n), void *arg, struct err *reterr);
/* 0, or -EINVAL and reterr: the stream was cut off. */
int gunzip_end(const struct gunzip *g, struct err *reterr);

struct gzip *gzip_new(void);
struct gzip *gzip_free(struct gzip *z);
/* Append what p compresses to; last ends the stream. 0 or -ENOMEM. */
int gzip_write(struct gzip *z, const void *p, size_t n, bool last, struct buf *dst);
