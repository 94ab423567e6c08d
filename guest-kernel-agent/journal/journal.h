/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Journal of one execution or process: records numbered from 1 without gaps, read by any number of
 * readers that each have their own place.
 *
 * Records live in segments. The newest segments are in memory; older ones go to an unlinked
 * temporary file (a memfd where that is not possible) up to a cap. Memory is bounded by
 * conf.memory, plus one segment for each reader that reads from the file, plus one record of any
 * size.
 *
 * What may go: without conf.keep a segment is dropped as soon as every reader is past it, so that
 * any amount of output passes a live reader in bounded space. With conf.keep it is dropped only
 * when the cap is reached, oldest first, and only what all readers have seen; while nobody reads,
 * the last part that was read before is spared too, because a client that lost its connection may
 * not have received it. With conf.drop_oldest nothing at all is spared while nobody reads: the
 * oldest goes when the cap is reached or the file cannot grow, so that there is always room.
 *
 * The writer asks journal_has_room() before it takes more from its source; false means that
 * conf.on_room will be called when it is worth asking again. An append is never refused for lack of
 * room.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/list.h"

struct journal;
struct journal_segment;

#define JOURNAL_MEMORY (272 * 1024) /* four segments, each with room for two 32 KiB records */
#define JOURNAL_CAP (256ull * 1024 * 1024)
#define JOURNAL_RECORD_MAX (64u * 1024 * 1024)

struct journal_conf {
	size_t memory;		    /* 0 = JOURNAL_MEMORY */
	uint64_t cap;		    /* 0 = JOURNAL_CAP */
	bool keep;		    /* for readers that come later */
	bool drop_oldest;	    /* while nobody reads, keep what is newest */
	const char *spill_dir;	    /* NULL = "/tmp" */
	void (*on_room)(void *arg); /* from inside calls on readers */
	void *arg;
};

struct journal_record {
	uint64_t seq;
	int64_t time_ns;
	unsigned type;
	const void *data;
	size_t n;
};

struct journal *journal_new(const struct journal_conf *c); /* NULL on -ENOMEM */
struct journal *journal_free(struct journal *j);	   /* no reader is left */

/* 0, -EMSGSIZE (more than JOURNAL_RECORD_MAX; nothing was added), or -ENOMEM: as something is
 * missing then, the journal is broken from here on, and readers get the error behind the last
 * record. */
int journal_append(
    struct journal *j, unsigned type, int64_t time_ns, const struct iovec *iov, unsigned n_iov);
/* Nothing more will be appended. */
void journal_close(struct journal *j);
bool journal_has_room(struct journal *j);
bool journal_has_readers(const struct journal *j);
/* Sequence numbers that it holds: first .. last; last is first - 1 while it is empty. */
uint64_t journal_first(const struct journal *j);
uint64_t journal_last(const struct journal *j);
uint64_t journal_bytes(const struct journal *j); /* held, in memory and file */
size_t journal_memory(const struct journal *j);	 /* held in memory, without readers' segments */
/* 0, or the first -errno of writing to the file: since then memory alone may have been the bound.
 */
int journal_spill_error(const struct journal *j);

/* ---- readers: embedded, zeroed memory is valid ---- */
enum journal_outcome {
	JOURNAL_WAIT = 0, /* nothing now: on_more is called, once, when it is worth reading again */
	JOURNAL_RECORD = 1,
	JOURNAL_CLOSED = 2, /* all was read */
};

struct journal_reader {
	struct journal *journal;
	struct link link;
	/* From inside journal_append() and journal_close(): only notes that there is work. */
	void (*on_more)(void *arg);
	void *arg;
	uint64_t next; /* sequence number of the next record */
	struct journal_segment *segment;
	size_t offset, step; /* of the next record; length of the one that was handed out last */
	bool waiting, peeks;
	void *load; /* bytes of a segment that is in the file */
	struct journal_segment *loaded;
};

/* from is the first sequence number wanted (0 counts as 1): 0, or -ERANGE when it was dropped
 * already or is more than one beyond the last. */
int journal_reader_init(struct journal_reader *r, struct journal *j, uint64_t from,
    void (*on_more)(void *arg), void *arg);
/* The same for one who looks only: it does not count as a reader of what it reads, and nothing is
 * kept for it. journal_read() returns -ERANGE when its place was dropped. */
int journal_peeker_init(struct journal_reader *r, struct journal *j, uint64_t from,
    void (*on_more)(void *arg), void *arg);
void journal_reader_fini(struct journal_reader *r);
/* An enum journal_outcome or -errno (broken journal, file not readable). The record's bytes are
 * valid until the next call on this journal or one of its readers; only then does it count as read.
 */
int journal_read(struct journal_reader *r, struct journal_record *ret);
