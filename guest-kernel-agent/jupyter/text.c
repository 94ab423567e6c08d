/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/jupyter/text.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"

#define REPLACEMENT 0xfffd
#define REPLACEMENT_UTF8 "\xef\xbf\xbd"
#define CHAR_BYTES_MAX 4
#define SKIP_DEPTH_MAX 64

struct cursor {
	const unsigned char *p, *end;
};

/* ---- UTF-8 ---- */

/* Length of the valid character at p, or 0. */
static size_t utf8_valid_len(const unsigned char *p, const unsigned char *end)
{
	/* Lead byte ranges with the bounds of the second byte (RFC 3629, section 4). */
	static const struct {
		unsigned char first, last, len, low, high;
	} rows[] = {
		{ 0x00, 0x7f, 1, 0, 0 },
		{ 0xc2, 0xdf, 2, 0x80, 0xbf },
		{ 0xe0, 0xe0, 3, 0xa0, 0xbf },
		{ 0xe1, 0xec, 3, 0x80, 0xbf },
		{ 0xed, 0xed, 3, 0x80, 0x9f },
		{ 0xee, 0xef, 3, 0x80, 0xbf },
		{ 0xf0, 0xf0, 4, 0x90, 0xbf },
		{ 0xf1, 0xf3, 4, 0x80, 0xbf },
		{ 0xf4, 0xf4, 4, 0x80, 0x8f },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (*p < rows[i].first || *p > rows[i].last)
			continue;
		if ((size_t)(end - p) < rows[i].len)
			return 0;
		for (size_t k = 1; k < rows[i].len; k++)
			if (p[k] < (k == 1 ? rows[i].low : 0x80) ||
			    p[k] > (k == 1 ? rows[i].high : 0xbf))
				return 0;
		return rows[i].len;
	}
	return 0;
}

static size_t utf8_put(char *dst, uint32_t c)
{
	if (c < 0x80) {
		dst[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		dst[0] = (char)(0xc0 | c >> 6);
		dst[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		dst[0] = (char)(0xe0 | c >> 12);
		dst[1] = (char)(0x80 | (c >> 6 & 0x3f));
		dst[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	dst[0] = (char)(0xf0 | c >> 18);
	dst[1] = (char)(0x80 | (c >> 12 & 0x3f));
	dst[2] = (char)(0x80 | (c >> 6 & 0x3f));
	dst[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

int text_repair(struct buf *dst, const void *p, size_t n)
{
	struct cursor c = { p, (const unsigned char *)p + n };
	const unsigned char *good = c.p;
	int r = 0;

	while (c.p < c.end && r == 0) {
		size_t len = utf8_valid_len(c.p, c.end);

		if (len == 0) {
			r = buf_append(dst, good, (size_t)(c.p - good));
			if (r == 0)
				r = buf_append_str(dst, REPLACEMENT_UTF8);
			good = c.p + 1;
		}
		c.p += len ? len : 1;
	}
	return r < 0 ? r : buf_append(dst, good, (size_t)(c.end - good));
}

/* ---- whole objects ---- */

json_t *text_parse_object(const void *p, size_t n, struct err *reterr)
{
	CLEAN_BUF struct buf repaired = BUF_INIT;
	size_t flags = JSON_ALLOW_NUL;
	json_error_t why;
	json_t *v = json_loadb(p, n, flags, &why);

	if (!v && json_error_code(&why) == json_error_invalid_utf8) {
		if (text_repair(&repaired, p, n) < 0) {
			(void)err_set(reterr, -ENOMEM, "no memory for a message of the kernel");
			return NULL;
		}
		p = buf_data(&repaired);
		n = buf_len(&repaired);
		v = json_loadb(p, n, flags, &why);
	}
	if (!v && json_error_code(&why) == json_error_numeric_overflow)
		v = json_loadb(p, n, flags | JSON_DECODE_INT_AS_REAL, &why);
	if (!json_is_object(v)) {
		(void)err_set(reterr, -EINVAL, "the kernel sent invalid JSON: %s",
		    v ? "expected an object" : why.text);
		json_decref(v);
		return NULL;
	}
	return v;
}

/* ---- shape of a stream message ---- */

static unsigned char next_token(struct cursor *c)
{
	while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\n' || *c->p == '\r'))
		c->p++;
	return c->p < c->end ? *c->p : '\0';
}

static bool take_char(struct cursor *c, unsigned char want)
{
	if (next_token(c) != want || c->p == c->end)
		return false;
	c->p++;
	return true;
}

/* The next token is a string: *ret_body spans what is between its quotes. */
static bool take_string(struct cursor *c, struct cursor *ret_body)
{
	if (!take_char(c, '"'))
		return false;
	ret_body->p = c->p;
	for (const unsigned char *q = c->p; q < c->end; q++) {
		q = memchr(q, '"', (size_t)(c->end - q));
		if (!q)
			return false;
		const unsigned char *back = q;
		while (back > ret_body->p && back[-1] == '\\')
			back--;
		if ((q - back) % 2 == 0) {
			ret_body->end = q;
			c->p = q + 1;
			return true;
		}
	}
	return false;
}

/* Pass over a value of any type: brackets are balanced, nothing else is checked. */
static bool skip_value(struct cursor *c)
{
	struct cursor body;
	unsigned depth = 0;

	for (;;) {
		unsigned char t = next_token(c);

		if (c->p == c->end || depth > SKIP_DEPTH_MAX)
			return false;
		if (depth == 0 && (t == ',' || t == '}' || t == ']'))
			return true;
		if (t == '"') {
			if (!take_string(c, &body))
				return false;
			continue;
		}
		depth += t == '{' || t == '[';
		depth -= t == '}' || t == ']';
		c->p++;
	}
}

static bool body_is(struct cursor body, const char *text)
{
	size_t n = strlen(text);

	return (size_t)(body.end - body.p) == n && memcmp(body.p, text, n) == 0;
}

bool text_stream_open(struct text_stream *t, const void *content, size_t n)
{
	struct cursor c = { content, (const unsigned char *)content + n };
	struct cursor key, value, text = { 0 }, name = { 0 };

	if (!take_char(&c, '{'))
		return false;
	do {
		if (!take_string(&c, &key) || !take_char(&c, ':'))
			return false;
		if (next_token(&c) != '"') {
			if (!skip_value(&c))
				return false;
			continue;
		}
		if (!take_string(&c, &value))
			return false;
		if (body_is(key, "name"))
			name = value;
		else if (body_is(key, "text"))
			text = value;
	} while (take_char(&c, ','));
	if (!take_char(&c, '}') || next_token(&c) || c.p != c.end || !name.p || !text.p)
		return false;
	*t = (struct text_stream){ text.p, text.end, body_is(name, "stderr") };
	return true;
}

/* ---- decoding ---- */

/* Four hexadecimal digits behind \u, or UINT32_MAX. */
static uint32_t hex4(const unsigned char *p, const unsigned char *end)
{
	uint32_t v = 0;

	if (end - p < 4)
		return UINT32_MAX;
	for (int i = 0; i < 4; i++) {
		unsigned char c = p[i] | 0x20;
		if (p[i] >= '0' && p[i] <= '9')
			v = v << 4 | (uint32_t)(p[i] - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (uint32_t)(c - 'a' + 10);
		else
			return UINT32_MAX;
	}
	return v;
}

/* t->p is behind "\u". */
static uint32_t take_unicode_escape(struct text_stream *t)
{
	uint32_t c = hex4(t->p, t->end), low;

	if (c == UINT32_MAX)
		return REPLACEMENT;
	t->p += 4;
	if (c < 0xd800 || c > 0xdfff)
		return c;
	if (c > 0xdbff || t->end - t->p < 6 || t->p[0] != '\\' || t->p[1] != 'u')
		return REPLACEMENT;
	low = hex4(t->p + 2, t->end);
	if (low < 0xdc00 || low > 0xdfff)
		return REPLACEMENT;
	t->p += 6;
	return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
}

/* t->p is at a backslash, and at least one character follows. */
static uint32_t take_escape(struct text_stream *t)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	unsigned char kind = t->p[1];
	const char *at = kind ? strchr(from, kind) : NULL;

	t->p += 2;
	if (kind == 'u')
		return take_unicode_escape(t);
	return at ? (unsigned char)to[at - from] : REPLACEMENT;
}

/* Bytes at p that mean themselves, at most n. */
static size_t plain_run(const unsigned char *p, size_t n)
{
	size_t i = 0;

	while (i < n && p[i] != '\\' && p[i] < 0x80)
		i++;
	return i;
}

size_t text_stream_read(struct text_stream *t, char *dst, size_t cap)
{
	size_t n = 0;

	while (t->p < t->end && cap - n >= CHAR_BYTES_MAX) {
		size_t left = (size_t)(t->end - t->p);
		size_t run = plain_run(t->p, left < cap - n ? left : cap - n);

		memcpy(dst + n, t->p, run);
		t->p += run;
		n += run;
		if (t->p == t->end || cap - n < CHAR_BYTES_MAX)
			break;
		if (*t->p == '\\' && t->end - t->p >= 2) {
			n += utf8_put(dst + n, take_escape(t));
			continue;
		}
		size_t len = *t->p == '\\' ? 0 : utf8_valid_len(t->p, t->end);
		if (len)
			memcpy(dst + n, t->p, len);
		n += len ? len : utf8_put(dst + n, REPLACEMENT);
		t->p += len ? len : 1;
	}
	return n;
}
