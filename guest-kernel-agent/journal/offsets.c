/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/journal/offsets.h"

#include <string.h>

#include "base/mem.h"

#define ENTRIES_FIRST 16

void offsets_fini(struct offsets *o)
{
	mem_free(o->entries);
	*o = (struct offsets){ 0 };
}

/* Entries whose successor begins with the journal, or before it. */
static void drop_old(struct offsets *o, uint64_t first)
{
	size_t old = 0;
	while (old + 1 < o->n && o->entries[old + 1].seq <= first)
		old++;
	o->n -= old;
	memmove(o->entries, o->entries + old, o->n * sizeof(*o->entries));
}

static int make_room(struct offsets *o, uint64_t first)
{
	if (o->n < o->cap)
		return 0;
	if (o->n > 0)
		drop_old(o, first);
	if (o->n <= o->cap / 2 && o->n < o->cap)
		return 0;
	size_t cap = o->cap ? o->cap * 2 : ENTRIES_FIRST;
	struct offsets_entry *entries = mem_realloc(o->entries, cap * sizeof(*entries));
	if (!entries)
		return -1;
	o->entries = entries;
	o->cap = cap;
	return 0;
}

void offsets_note(struct offsets *o, uint64_t offset, uint64_t seq, uint64_t first)
{
	const struct offsets_entry *last = o->n ? &o->entries[o->n - 1] : NULL;
	if (last && offset - last->offset < OFFSETS_BYTES && seq - last->seq < OFFSETS_RECORDS)
		return;
	if (make_room(o, first) == 0)
		o->entries[o->n++] = (struct offsets_entry){ offset, seq };
}

uint64_t offsets_find(const struct offsets *o, uint64_t offset)
{
	size_t low = 0, high = o->n;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (o->entries[mid].offset <= offset)
			low = mid + 1;
		else
			high = mid;
	}
	return low ? o->entries[low - 1].seq : 0;
}
