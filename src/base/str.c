/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"

bool str_ieq(const char *a, const char *b)
{
	return a == b || (a && b && strcasecmp(a, b) == 0);
}

bool str_empty(const char *s)
{
	return !s || !*s;
}

const char *str_after(const char *s, const char *prefix)
{
	size_t n = strlen(prefix);
	return s && strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

bool str_ends(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);
	return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

char *str_lower(char *s)
{
	for (char *p = s; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p + 32);
	return s;
}

/* Length of the well-formed sequence at p (RFC 3629), 0 when there is none. */
static size_t utf8_sequence(const unsigned char *p, size_t n)
{
	if (p[0] < 0x80)
		return 1;
	size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (p[0] < 0xc2 || p[0] > 0xf4 || n < len)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return len;
}

bool str_utf8_valid(const void *p, size_t n)
{
	const unsigned char *s = p;
	while (n > 0) {
		size_t len = utf8_sequence(s, n);
		if (len == 0)
			return false;
		s += len;
		n -= len;
	}
	return true;
}

size_t str_utf8_whole(const void *p, size_t n, size_t *ret_missing)
{
	const unsigned char *s = p;
	size_t back = 1;
	while (back < 4 && back < n && (s[n - back] & 0xc0) == 0x80)
		back++;
	unsigned char lead = n > 0 ? s[n - back] : 0;
	size_t len = lead < 0xc2 || lead > 0xf4 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
	size_t missing = len > back ? len - back : 0;
	if (ret_missing)
		*ret_missing = missing;
	return missing ? n - back : n;
}

bool str_only(const char *s, const char *set)
{
	return s[strspn(s, set)] == '\0';
}

size_t str_copy(char *dst, size_t cap, const char *src)
{
	size_t n = strlen(src);
	if (cap > 0) {
		size_t m = n < cap ? n : cap - 1;
		memcpy(dst, src, m);
		dst[m] = '\0';
	}
	return n;
}

int str_u64(const char *s, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;
	if (str_empty(s))
		return -EINVAL;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return -EINVAL;
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return -ERANGE;
	}
	if (v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

int str_i64(const char *s, int64_t min, int64_t max, int64_t *ret)
{
	uint64_t v;
	bool minus = s && *s == '-';
	int r = str_u64(minus ? s + 1 : s, minus ? (uint64_t)INT64_MAX + 1 : INT64_MAX, &v);
	if (r < 0)
		return r;
	int64_t i = minus ? (int64_t)(0 - v) : (int64_t)v;
	if (i < min || i > max)
		return -ERANGE;
	*ret = i;
	return 0;
}

bool str_ct_eq(const void *a, size_t an, const void *b, size_t bn)
{
	const unsigned char *x = a, *y = b;
	unsigned char d = 0;
	if (an != bn)
		return false;
	for (size_t i = 0; i < an; i++)
		d |= x[i] ^ y[i];
	return d == 0;
}

void str_hex(const void *p, size_t n, char *dst)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *s = p;
	for (size_t i = 0; i < n; i++) {
		*dst++ = digits[s[i] >> 4];
		*dst++ = digits[s[i] & 15];
	}
	*dst = '\0';
}

static int hex_digit(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int str_unhex(const char *s, void *dst, size_t n)
{
	unsigned char *d = dst;
	if (strlen(s) != 2 * n)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		int hi = hex_digit((unsigned char)s[2 * i]);
		int lo = hex_digit((unsigned char)s[2 * i + 1]);
		if (hi < 0 || lo < 0)
			return -EINVAL;
		d[i] = (unsigned char)(hi << 4 | lo);
	}
	return 0;
}

int str_base64(struct buf *dst, const void *p, size_t n, bool pad)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *s = p;
	void *space;
	int r = buf_reserve(dst, (n + 2) / 3 * 4 + 1, &space);
	if (r < 0)
		return r;
	char *d = space;
	for (; n >= 3; n -= 3, s += 3) {
		*d++ = digits[s[0] >> 2];
		*d++ = digits[(s[0] & 3) << 4 | s[1] >> 4];
		*d++ = digits[(s[1] & 15) << 2 | s[2] >> 6];
		*d++ = digits[s[2] & 63];
	}
	if (n > 0) {
		unsigned char second = n > 1 ? s[1] : 0;
		*d++ = digits[s[0] >> 2];
		*d++ = digits[(s[0] & 3) << 4 | second >> 4];
		if (n > 1)
			*d++ = digits[(second & 15) << 2];
		else if (pad)
			*d++ = '=';
		if (pad)
			*d++ = '=';
	}
	buf_commit(dst, (size_t)(d - (char *)space));
	return 0;
}

static int base64_digit(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;
	return c == '/' || c == '_' ? 63 : -1;
}

int str_unbase64(struct buf *dst, const char *s, size_t n)
{
	void *space;
	for (int i = 0; i < 2 && n > 0 && s[n - 1] == '='; i++)
		n--;
	if (n % 4 == 1)
		return -EINVAL;
	int r = buf_reserve(dst, n / 4 * 3 + 3, &space);
	if (r < 0)
		return r;
	unsigned char *d = space;
	uint32_t acc = 0;
	unsigned bits = 0;
	for (size_t i = 0; i < n; i++) {
		int v = base64_digit((unsigned char)s[i]);
		if (v < 0)
			return -EINVAL;
		acc = acc << 6 | (uint32_t)v;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			*d++ = (unsigned char)(acc >> bits);
		}
	}
	buf_commit(dst, (size_t)(d - (unsigned char *)space));
	return 0;
}

int str_unpercent(struct buf *dst, const char *s, size_t n, bool plus_is_space)
{
	void *space;
	int r = buf_reserve(dst, n, &space); /* what it decodes to is no longer */
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];
		if (c == '%') {
			int hi = i + 2 < n ? hex_digit((unsigned char)s[i + 1]) : -1;
			int lo = i + 2 < n ? hex_digit((unsigned char)s[i + 2]) : -1;
			if (hi < 0 || lo < 0 || (hi | lo) == 0)
				return -EINVAL;
			c = (unsigned char)(hi << 4 | lo);
			i += 2;
		} else if (c == '+' && plus_is_space) {
			c = ' ';
		}
		*(unsigned char *)space = c;
		space = (unsigned char *)space + 1;
		buf_commit(dst, 1);
	}
	return 0;
}

int str_percent(struct buf *dst, const char *s, size_t n)
{
	static const char plain[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];
		int r =
		    c && strchr(plain, c) ? buf_append_byte(dst, c) : buf_printf(dst, "%%%02X", c);
		if (r < 0)
			return r;
	}
	return 0;
}
