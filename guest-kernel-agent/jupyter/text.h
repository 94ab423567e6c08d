/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Text as kernels send it: JSON whose strings may hold what strict parsers refuse (bytes that are
 * not UTF-8, lone surrogates, because user code printed them). Such places become U+FFFD; nothing
 * is lost around them.
 */
#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

struct buf;
struct err;

/* Append n bytes with everything that is not UTF-8 replaced. 0 or -ENOMEM. */
int text_repair(struct buf *dst, const void *p, size_t n);

/* Parse a whole object leniently: bad UTF-8 is repaired, NUL is allowed, the last of equal keys
 * wins, integers beyond 64 bits become reals. NULL with reterr set: -EINVAL, -ENOMEM. */
json_t *text_parse_object(const void *p, size_t n, struct err *reterr);

/*
 * The text of a "stream" message, decoded piece by piece without a tree: one message can hold
 * hundreds of megabytes.
 */
struct text_stream {
	const unsigned char *p, *end; /* rest of the string, escapes not yet resolved */
	bool is_stderr;
};

/* content is the JSON object {"name": ..., "text": ...}, borrowed until the text was read.
 * False when it is not of that shape. */
bool text_stream_open(struct text_stream *t, const void *content, size_t n);
/* Decode the next piece into dst (cap >= 16): bytes written, whole UTF-8 characters; 0 at the end.
 */
size_t text_stream_read(struct text_stream *t, char *dst, size_t cap);
static inline bool text_stream_at_end(const struct text_stream *t)
{
	return t->p == t->end;
}
