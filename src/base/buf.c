/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define BUF_MIN 256
#define BUF_KEEP (64 * 1024)

void buf_fini(struct buf *b)
{
	free(b->mem);
	*b = (struct buf)BUF_INIT;
}

void buf_reset(struct buf *b)
{
	if (b->cap > BUF_KEEP)
		buf_fini(b);
	b->start = b->end = 0;
}

int buf_reserve(struct buf *b, size_t n, void **ret_space)
{
	size_t len = buf_len(b);
	if (n > SIZE_MAX / 4 - len)
		return -ENOMEM;
	if (!b->mem || b->cap - b->end < n) {
		/* Moving down is worth it only when at least half of the memory is free in front.
		 */
		if (b->start > 0 && len + n <= b->cap && b->start >= b->cap / 2) {
			memmove(b->mem, b->mem + b->start, len);
		} else {
			size_t cap = b->cap ? b->cap : BUF_MIN;
			while (cap < len + n)
				cap *= 2;
			unsigned char *mem = mem_alloc(cap);
			if (!mem)
				return -ENOMEM;
			if (len)
				memcpy(mem, b->mem + b->start, len);
			free(b->mem);
			b->mem = mem;
			b->cap = cap;
		}
		b->start = 0;
		b->end = len;
	}
	if (ret_space)
		*ret_space = b->mem + b->end;
	return 0;
}

void buf_commit(struct buf *b, size_t n)
{
	b->end += n;
}

int buf_append(struct buf *b, const void *p, size_t n)
{
	void *space;
	if (n == 0)
		return 0;
	int r = buf_reserve(b, n, &space);
	if (r < 0)
		return r;
	memcpy(space, p, n);
	b->end += n;
	return 0;
}

int buf_append_str(struct buf *b, const char *s)
{
	return buf_append(b, s, strlen(s));
}

int buf_append_byte(struct buf *b, unsigned char c)
{
	return buf_append(b, &c, 1);
}

static int append_be(struct buf *b, uint64_t v, unsigned bytes)
{
	unsigned char p[8];
	for (unsigned i = 0; i < bytes; i++)
		p[i] = (unsigned char)(v >> (8 * (bytes - 1 - i)));
	return buf_append(b, p, bytes);
}

int buf_append_u16be(struct buf *b, uint16_t v)
{
	return append_be(b, v, 2);
}

int buf_append_u32be(struct buf *b, uint32_t v)
{
	return append_be(b, v, 4);
}

int buf_append_u64be(struct buf *b, uint64_t v)
{
	return append_be(b, v, 8);
}

int buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	int r = n < 0 ? -EINVAL : 0;
	void *space;
	if (r == 0)
		r = buf_reserve(b, (size_t)n + 1, &space);
	if (r == 0) {
		(void)vsnprintf(space, (size_t)n + 1, fmt, again);
		b->end += (size_t)n;
	}
	va_end(again);
	return r;
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int r = buf_vprintf(b, fmt, ap);
	va_end(ap);
	return r;
}

void buf_consume(struct buf *b, size_t n)
{
	b->start += n;
	if (b->start == b->end)
		b->start = b->end = 0;
}

void buf_truncate(struct buf *b, size_t n)
{
	b->end = b->start + n;
}

char *buf_cstr(struct buf *b)
{
	void *space;
	if (buf_reserve(b, 1, &space) < 0)
		return NULL;
	*(char *)space = '\0';
	return (char *)b->mem + b->start;
}

char *buf_steal(struct buf *b, size_t *ret_len)
{
	size_t len = buf_len(b);
	char *s = buf_cstr(b);
	if (!s)
		return NULL;
	if (b->start)
		memmove(b->mem, s, len + 1);
	s = (char *)b->mem;
	*b = (struct buf)BUF_INIT;
	if (ret_len)
		*ret_len = len;
	return s;
}
