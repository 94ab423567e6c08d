/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Byte queue: append at the end, consume at the front, contiguous in memory. Zero value is valid
 * and empty. Pointers from buf_data() live until the next call that changes the buffer.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	unsigned char *mem;
	size_t start, end, cap;
};

#define BUF_INIT  \
	{         \
		0 \
	}

static inline size_t buf_len(const struct buf *b)
{
	return b->end - b->start;
}
static inline unsigned char *buf_data(const struct buf *b)
{
	return b->mem ? b->mem + b->start : NULL;
}

void buf_fini(struct buf *b);  /* frees; leaves a valid empty buffer */
void buf_reset(struct buf *b); /* empties, keeps memory up to 64 KiB */
/* All of these: 0 or -ENOMEM with the buffer unchanged. */
int buf_reserve(struct buf *b, size_t n, void **ret_space); /* n writable bytes at the end */
void buf_commit(struct buf *b, size_t n); /* n of the reserved bytes were filled */
int buf_append(struct buf *b, const void *p, size_t n);
int buf_append_str(struct buf *b, const char *s);
int buf_append_byte(struct buf *b, unsigned char c);
int buf_append_u16be(struct buf *b, uint16_t v);
int buf_append_u32be(struct buf *b, uint32_t v);
int buf_append_u64be(struct buf *b, uint64_t v);
int buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int buf_vprintf(struct buf *b, const char *fmt, va_list ap);
void buf_consume(struct buf *b, size_t n);  /* n <= buf_len() */
void buf_truncate(struct buf *b, size_t n); /* keep the first n <= buf_len() */
/* NUL-terminate (not counted) and return the text. NULL on -ENOMEM. */
char *buf_cstr(struct buf *b);
/* Hand the bytes over as malloc'ed, NUL-terminated text; the buffer is empty then. */
char *buf_steal(struct buf *b, size_t *ret_len);

static inline void buf_fini_p(struct buf *b)
{
	buf_fini(b);
}
#define CLEAN_BUF __attribute__((cleanup(buf_fini_p)))
