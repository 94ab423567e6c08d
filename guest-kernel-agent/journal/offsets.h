/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Where in a journal a byte of a stream lies: a sparse list of (offset in the stream, sequence
 * number of the record that begins there), an entry for each OFFSETS_BYTES of the stream or
 * OFFSETS_RECORDS of the journal. From the entry on, a reader goes through the records.
 *
 * Nothing fails: without memory entries are missing, and the way is longer.
 */
#include <stddef.h>
#include <stdint.h>

#define OFFSETS_BYTES (64u * 1024)
#define OFFSETS_RECORDS 4096u

struct offsets_entry {
	uint64_t offset, seq;
};
/* Zeroed memory is valid and empty. */
struct offsets {
	struct offsets_entry *entries;
	size_t n, cap;
};

void offsets_fini(struct offsets *o);
/* Record seq begins at offset of the stream; first is the oldest record of the journal: entries
 * that only lead to older ones are dropped. In the order of both numbers. */
void offsets_note(struct offsets *o, uint64_t offset, uint64_t seq, uint64_t first);
/* The newest noted record that does not begin behind offset; 0 when there is none. */
uint64_t offsets_find(const struct offsets *o, uint64_t offset);
