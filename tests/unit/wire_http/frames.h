/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* HTTP/2 frames by hand, for peers that no library would play. */
#include <stdint.h>

#include "base/buf.h"

enum {
	F_DATA,
	F_HEADERS,
	F_PRIORITY,
	F_RST,
	F_SETTINGS,
	F_PUSH,
	F_PING,
	F_GOAWAY,
	F_WINDOW,
	F_CONT
};
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

#define H2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

void frame_put(struct buf *b, unsigned type, unsigned flags, uint32_t id, const void *p, size_t n);
/* Preface and empty SETTINGS. */
void frame_put_preface(struct buf *b);
/* GET http://a/ as HPACK literals; n bytes of x-pad when n > 0. */
void frame_put_request(struct buf *b, uint32_t id, unsigned flags, size_t pad);
void frame_put_u32(struct buf *b, unsigned type, uint32_t id, uint32_t v);
/* HPACK literal without indexing; value of at most 16 KiB. */
void hpack_put(struct buf *b, const char *name, const void *value, size_t n);
/* Find a frame in output (after a client preface, if there is one): its payload or NULL. */
const unsigned char *frame_find(
    const struct buf *out, unsigned type, uint32_t id, size_t *ret_n, unsigned *ret_flags);
/* Error code of a GOAWAY or RST_STREAM in output, -1 without one. */
int frame_error(const struct buf *out, unsigned type, uint32_t id);
