/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Message bodies (RFC 9112 6 and 7), stricter than the grammar where recipients are known to
 * disagree: no space after a chunk size, no bare line feed, no control byte in an extension, sizes
 * of at most 15 digits, leading zeros included.
 */
#include <errno.h>

#include "wire/h1.h"

#define SIZE_DIGITS_MAX 15
#define EXTENSION_MAX 256 /* bytes of one chunk's extensions */

void h1_body_init(struct h1_body *b, enum h1_framing framing, int64_t length)
{
	*b = (struct h1_body){ .framing = framing };
	if (framing == H1_FRAMING_CHUNKED)
		b->state = H1_BODY_STATE_SIZE;
	else if (framing == H1_FRAMING_NONE || (framing == H1_FRAMING_LENGTH && length == 0))
		b->state = H1_BODY_STATE_DONE;
	else
		b->left = framing == H1_FRAMING_LENGTH ? (uint64_t)length : UINT64_MAX;
}

static int hex_digit(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int size_byte(struct h1_body *b, unsigned char c)
{
	int digit = hex_digit(c);
	if (digit >= 0) {
		b->left = b->left << 4 | (unsigned)digit;
		return ++b->digits > SIZE_DIGITS_MAX ? -EPROTO : 0;
	}
	if (b->digits == 0 || (c != ';' && c != '\r'))
		return -EPROTO;
	b->state = c == ';' ? H1_BODY_STATE_EXTENSION : H1_BODY_STATE_SIZE_LF;
	return 0;
}

static int extension_byte(struct h1_body *b, unsigned char c)
{
	if (c == '\r') {
		b->state = H1_BODY_STATE_SIZE_LF;
		return 0;
	}
	bool allowed = c == '\t' || (c >= ' ' && c <= '~');
	return allowed && ++b->extension <= EXTENSION_MAX ? 0 : -EPROTO;
}

/* One byte outside of data. */
static int frame_byte(struct h1_body *b, unsigned char c)
{
	switch (b->state) {
	case H1_BODY_STATE_SIZE:
		return size_byte(b, c);
	case H1_BODY_STATE_EXTENSION:
		return extension_byte(b, c);
	case H1_BODY_STATE_SIZE_LF:
		b->state = b->left ? H1_BODY_STATE_DATA : H1_BODY_STATE_TRAILERS;
		return c == '\n' ? 0 : -EPROTO;
	case H1_BODY_STATE_DATA_CR:
		b->state = H1_BODY_STATE_DATA_LF;
		return c == '\r' ? 0 : -EPROTO;
	case H1_BODY_STATE_DATA_LF:
		b->state = H1_BODY_STATE_SIZE;
		b->digits = b->extension = 0;
		return c == '\n' ? 0 : -EPROTO;
	default:
		return -EPROTO;
	}
}

static void data_taken(struct h1_body *b, size_t n)
{
	if (b->framing == H1_FRAMING_UNTIL_CLOSE)
		return;
	b->left -= n;
	if (b->left == 0)
		b->state =
		    b->framing == H1_FRAMING_CHUNKED ? H1_BODY_STATE_DATA_CR : H1_BODY_STATE_DONE;
}

ssize_t h1_body_step(struct h1_body *b, const unsigned char *p, size_t n, size_t room,
    const unsigned char **ret_data, size_t *ret_n)
{
	size_t at = 0;
	*ret_n = 0;
	while (at < n && b->state < H1_BODY_STATE_TRAILERS && b->state != H1_BODY_STATE_DATA) {
		int r = frame_byte(b, p[at++]);
		if (r < 0)
			return r;
	}
	if (b->state != H1_BODY_STATE_DATA)
		return (ssize_t)at;
	size_t take = n - at;
	if (take > room)
		take = room;
	if (take > b->left)
		take = (size_t)b->left;
	if (take > 0) {
		*ret_data = p + at;
		*ret_n = take;
		data_taken(b, take);
	}
	return (ssize_t)(at + take);
}
