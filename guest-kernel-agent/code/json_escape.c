/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/code/json_escape.h"

#include <stdint.h>
#include <string.h>

#include "base/buf.h"

#define SLICE 8192     /* input bytes for which space is reserved at once */
#define WORST 6	       /* output bytes for one input byte */
#define MAX_SEQUENCE 4 /* longest UTF-8 sequence */
#define EACH(byte) (0x0101010101010101ull * (byte))

/* High bit set in (at least the lowest) byte that cannot be copied as it is. */
static inline uint64_t special_bytes(uint64_t w)
{
	uint64_t quote = w ^ EACH('"'), backslash = w ^ EACH('\\');
	uint64_t hit = (w - EACH(0x20)) & ~w; /* below 0x20 */
	hit |= (quote - EACH(1)) & ~quote;
	hit |= (backslash - EACH(1)) & ~backslash;
	hit |= w; /* 0x80 and above */
	return hit & EACH(0x80);
}

/* Copy plain bytes: how many. dst has 8 bytes more than n. */
static inline size_t copy_plain(char *dst, const char *s, size_t n)
{
	size_t i = 0;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	for (; n - i >= 8; i += 8) {
		uint64_t w;
		memcpy(&w, s + i, 8);
		memcpy(dst + i, &w, 8);
		uint64_t hit = special_bytes(w);
		if (hit)
			return i + (size_t)__builtin_ctzll(hit) / 8;
	}
#endif
	for (; i < n; i++) {
		unsigned char c = (unsigned char)s[i];
		if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\')
			break;
		dst[i] = s[i];
	}
	return i;
}

static char *put_u16(char *d, unsigned v)
{
	static const char hex[] = "0123456789abcdef";
	*d++ = '\\';
	*d++ = 'u';
	for (int shift = 12; shift >= 0; shift -= 4)
		*d++ = hex[v >> shift & 15];
	return d;
}

/* One UTF-8 sequence at s: its length, or 1 and U+FFFD when it is not one. */
static size_t decode(const unsigned char *s, size_t n, uint32_t *ret)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	*ret = 0xfffd;
	if (s[0] < 0xc2 || s[0] > 0xf4 || len > n)
		return 1;
	uint32_t c = s[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 1;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < smallest[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 1;
	*ret = c;
	return len;
}

static char *put_ascii(char *d, unsigned char c)
{
	static const char names[] = "\b\f\n\r\t\"\\", letters[] = "bfnrt\"\\";
	const char *at = c ? strchr(names, c) : NULL;
	if (!at)
		return put_u16(d, c);
	*d++ = '\\';
	*d++ = letters[at - names];
	return d;
}

/* The character at s that cannot stay as it is: bytes read. */
static size_t put_special(char **d, const unsigned char *s, size_t n)
{
	uint32_t c;
	if (s[0] < 0x80) {
		*d = put_ascii(*d, s[0]);
		return 1;
	}
	size_t len = decode(s, n, &c);
	if (c >= 0x10000) {
		*d = put_u16(*d, 0xd800 + ((c - 0x10000) >> 10));
		c = 0xdc00 + ((c - 0x10000) & 0x3ff);
	}
	*d = put_u16(*d, c);
	return len;
}

int json_escape(struct buf *dst, const char *s, size_t n)
{
	while (n > 0) {
		size_t slice = n < SLICE ? n : SLICE, at = 0;
		void *space;
		int r = buf_reserve(dst, (slice + MAX_SEQUENCE) * WORST + 8, &space);
		if (r < 0)
			return r;
		char *d = space;
		while (at < slice) {
			size_t plain = copy_plain(d, s + at, slice - at);
			at += plain;
			d += plain;
			/* A sequence may reach beyond the slice, for which there is space. */
			if (at < slice)
				at += put_special(&d, (const unsigned char *)s + at, n - at);
		}
		buf_commit(dst, (size_t)(d - (char *)space));
		s += at;
		n -= at;
	}
	return 0;
}

int json_escape_string(struct buf *dst, const char *s, size_t n)
{
	int r = buf_append_byte(dst, '"');
	if (r == 0)
		r = json_escape(dst, s, n);
	return r < 0 ? r : buf_append_byte(dst, '"');
}
