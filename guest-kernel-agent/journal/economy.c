/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/journal/economy.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

#define RING_FIRST 4096

bool economy_is_cap(uint64_t max_bytes)
{
	return max_bytes == 0 || max_bytes >= ECONOMY_MIN;
}

void economy_init(struct economy *e, uint64_t max_bytes)
{
	*e = (struct economy){ .max = max_bytes, .head = UINT64_MAX };
}

void economy_fini(struct economy *e)
{
	mem_free(e->ring);
	*e = (struct economy){ 0 };
}

/* The head may not pass this offset. */
static uint64_t head_limit(const struct economy *e)
{
	uint64_t tail = e->max / 2 < ECONOMY_TAIL_MAX ? e->max / 2 : ECONOMY_TAIL_MAX;
	return e->max - tail;
}

static void end_head(struct economy *e, uint64_t at, uint64_t base)
{
	e->head = at;
	e->base = base;
	/* The head was at most three bytes shorter than it might have been, or much, by a gap. */
	uint64_t left = e->max - at;
	e->limit = left < ECONOMY_TAIL_MAX + 3 ? (size_t)left : ECONOMY_TAIL_MAX + 3;
}

/* How many of n bytes behind e->end belong to the head; ends it when it is over. */
static size_t take_head(struct economy *e, const void *p, size_t n)
{
	uint64_t left = head_limit(e) - e->end;
	size_t part = n < left ? n : (size_t)left, missing;
	size_t whole = str_utf8_whole(p, part, &missing);
	if (part < n || part + missing > left) {
		part = whole;
		end_head(e, e->end + part, e->end + part);
	}
	return part;
}

static int ring_reserve(struct economy *e, uint64_t end)
{
	size_t size = e->size ? e->size : RING_FIRST;
	uint64_t need = end - e->base;
	if (need > e->limit)
		need = e->limit;
	if (need <= e->size)
		return 0;
	while (size < need)
		size *= 2;
	if (size > e->limit)
		size = e->limit;
	unsigned char *ring = mem_realloc(e->ring, size);
	if (!ring)
		return -ENOMEM;
	e->ring = ring;
	e->size = size;
	return 0;
}

static void ring_put(struct economy *e, uint64_t offset, const unsigned char *p, size_t n)
{
	if (n > e->limit) {
		offset += n - e->limit;
		p += n - e->limit;
		n = e->limit;
	}
	while (n > 0) {
		size_t at = (size_t)((offset - e->base) % e->limit);
		size_t part = n < e->limit - at ? n : e->limit - at;
		memcpy(e->ring + at, p, part);
		offset += part;
		p += part;
		n -= part;
	}
}

int economy_take(struct economy *e, uint64_t offset, const void *p, size_t n, size_t *ret_now)
{
	size_t now = n;
	if (e->max > 0 && offset > e->end) {
		if (e->head == UINT64_MAX)
			end_head(e, e->end, offset);
		e->base = e->end = offset; /* the ring starts again */
	}
	if (e->max > 0)
		now = e->head == UINT64_MAX ? take_head(e, p, n) : 0;
	if (now < n) {
		int r = ring_reserve(e, e->end + n);
		if (r < 0)
			return r;
		ring_put(e, e->end + now, (const unsigned char *)p + now, n - now);
	}
	e->end += n;
	*ret_now = now;
	return 0;
}

/* The byte of the ring at an offset that it holds. */
static unsigned char byte_at(const struct economy *e, uint64_t offset)
{
	return e->ring[(offset - e->base) % e->limit];
}

void economy_end(struct economy *e, struct economy_rest *ret)
{
	*ret = (struct economy_rest){ .at = e->end };
	e->sent = e->end;
	if (e->max == 0 || e->head == UINT64_MAX)
		return;
	e->sent = e->end - e->base > e->limit ? e->end - e->limit : e->base;
	if (e->sent > e->head)
		for (int i = 0; i < 3 && e->sent < e->end; i++, e->sent++)
			if ((byte_at(e, e->sent) & 0xc0) != 0x80)
				break;
	ret->at = e->head;
	ret->omitted = e->sent - e->head;
}

size_t economy_next(struct economy *e, void *dst, size_t cap, uint64_t *ret_offset)
{
	unsigned char *d = dst;
	uint64_t left = e->end - e->sent;
	size_t n = left < cap ? (size_t)left : cap;
	for (size_t i = 0; i < n; i++)
		d[i] = byte_at(e, e->sent + i);
	if (n < left)
		n = str_utf8_whole(dst, n, NULL);
	*ret_offset = e->sent;
	e->sent += n;
	return n;
}
