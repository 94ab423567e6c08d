/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Output economy: caps one stream of bytes for one reader. The head of the stream passes at once,
 * of the rest the last part is kept and handed out when the stream has ended; what lies between is
 * counted and left out. Never more than the cap is delivered, and a stream that is not longer than
 * the cap is delivered whole.
 *
 * Of UTF-8, what is delivered depends on the stream and the cap alone, not on how it was cut into
 * records, and no character is split. Other bytes pass as they are, but up to three of them may be
 * left out at a cut.
 *
 * Memory: the kept part, taken when needed, never more than half of the cap or ECONOMY_TAIL_MAX
 * (and three bytes).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ECONOMY_MIN 64u /* a smaller cap leaves nothing that can be read */
#define ECONOMY_TAIL_MAX (1024u * 1024)

struct economy {
	uint64_t max;  /* 0 = everything passes */
	uint64_t end;  /* offset behind the last byte that was taken */
	uint64_t head; /* where the head ends; UINT64_MAX until it does */
	uint64_t base; /* offset of the byte at the start of the ring, when it first went round */
	unsigned char *ring; /* the byte at offset o lies at (o - base) % limit */
	size_t size, limit;
	uint64_t sent; /* economy_next(): offset of the next byte */
};

/* Is this a cap: 0 (none) or at least ECONOMY_MIN? */
bool economy_is_cap(uint64_t max_bytes);
void economy_init(struct economy *e, uint64_t max_bytes);
void economy_fini(struct economy *e); /* accepts zeroed memory */
/* The stream goes on at offset with n bytes: the first *ret_now of them are to be delivered. What
 * lies between the last call's end and offset is not there any more, and counts as left out.
 * 0 or -ENOMEM (the stream cannot go on). */
int economy_take(struct economy *e, uint64_t offset, const void *p, size_t n, size_t *ret_now);

struct economy_rest {
	uint64_t at;	  /* where the part that is left out begins */
	uint64_t omitted; /* its length; 0 = nothing is left out */
};
/* The stream has ended: nothing more is taken, economy_next() hands out the kept part. */
void economy_end(struct economy *e, struct economy_rest *ret);
/* The next piece of the kept part, at most cap (4 or more) bytes, into dst: its length, 0 behind
 * the last, and its offset in the stream. */
size_t economy_next(struct economy *e, void *dst, size_t cap, uint64_t *ret_offset);
