/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The parts of HTTP/1.1 below its session: finding a head's end, reading it, body framing, writing.
 */
#include "base/buf.h"
#include "wire/http.h"

/* ---- finding the end of a head or of a trailer section ---- */
struct h1_scan {
	size_t line;  /* bytes of the current line so far */
	size_t total; /* bytes of the section so far */
	unsigned lines;
	unsigned char last; /* the byte before the next one */
};
/* Bytes up to and with the empty line, 0 when more are needed, or a negative HTTP status (-400,
 * -414, -431). A section of two bytes is an empty line alone. Start each section with a zeroed
 * scan. */
ssize_t h1_scan(struct h1_scan *sc, const unsigned char *p, size_t n);

/* ---- reading a whole head ---- */
enum h1_framing {
	H1_FRAMING_NONE,
	H1_FRAMING_LENGTH,
	H1_FRAMING_CHUNKED,
	H1_FRAMING_UNTIL_CLOSE,
};
struct h1_message {
	enum h1_framing framing;
	int64_t length;
	bool keep_alive;
	bool old; /* HTTP/1.0 */
};
/* 0, -ENOMEM, or the positive HTTP status that refuses the request. */
int h1_parse_request(
    struct http_head *head, struct h1_message *m, const char *p, size_t n, bool tls);
/* bare: the request was HEAD. 0, -ENOMEM, -EPROTO. */
int h1_parse_response(
    struct http_head *head, struct h1_message *m, const char *p, size_t n, bool bare);
/* Trailer section: 0, -ENOMEM, -EPROTO. */
int h1_parse_trailers(struct http_fields *f, const char *p, size_t n);

/* ---- body framing ---- */
enum h1_body_state {
	H1_BODY_STATE_DATA, /* of a message or of one chunk */
	H1_BODY_STATE_DATA_CR,
	H1_BODY_STATE_DATA_LF,
	H1_BODY_STATE_SIZE,
	H1_BODY_STATE_EXTENSION,
	H1_BODY_STATE_SIZE_LF,
	H1_BODY_STATE_TRAILERS, /* the caller reads the section and sets DONE */
	H1_BODY_STATE_DONE,
};
struct h1_body {
	enum h1_framing framing;
	enum h1_body_state state;
	uint64_t left;	 /* of the body or chunk */
	unsigned digits; /* of the chunk size */
	unsigned extension;
};
void h1_body_init(struct h1_body *b, enum h1_framing framing, int64_t length);
/* Decode a piece: returns bytes taken, which end with at most one run of at most room body bytes,
 * or -EPROTO. 0 only when room is 0 and body bytes are next, or in TRAILERS and DONE. */
ssize_t h1_body_step(struct h1_body *b, const unsigned char *p, size_t n, size_t room,
    const unsigned char **ret_data, size_t *ret_n);

/* ---- writing ---- */
enum h1_connection {
	H1_CONNECTION_DEFAULT,
	H1_CONNECTION_CLOSE,
	H1_CONNECTION_KEEP,
	H1_CONNECTION_UPGRADE
};
/* All: 0 or -ENOMEM; dst is then not whole. length < 0 writes none. */
int h1_write_request(struct buf *dst, const struct http_head *head, enum h1_framing framing,
    int64_t length, enum h1_connection connection);
int h1_write_response(struct buf *dst, const struct http_head *head, enum h1_framing framing,
    int64_t length, enum h1_connection connection);
/* One chunk; dst is unchanged on -ENOMEM. */
int h1_write_chunk(struct buf *dst, const void *p, size_t n);
int h1_write_last_chunk(struct buf *dst, const struct http_fields *trailers);
