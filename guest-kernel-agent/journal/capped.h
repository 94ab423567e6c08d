/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The output of an execution or a process for one client that caps it: an economy (economy.h) for
 * each of its streams, and the order in which what they kept is told at the end: of each stream the
 * part that is left out, if any, then the kept text in pieces.
 */
#include "base/buf.h"
#include "guest-kernel-agent/journal/economy.h"

#define CAPPED_STREAMS 2 /* stdout, stderr */

enum capped_step { CAPPED_MARK, CAPPED_KEPT, CAPPED_DONE };

struct capped {
	struct economy streams[CAPPED_STREAMS];
	enum capped_step step; /* of the stream that is at its turn at the end */
	unsigned stream;
	struct buf piece;
};

void capped_init(struct capped *c, uint64_t max_bytes); /* economy_is_cap() */
void capped_fini(struct capped *c);			/* accepts zeroed memory */

struct capped_text {
	unsigned stream;
	uint64_t offset;
	const char *text; /* terminated behind n bytes; until the next call */
	uint64_t n;
};
/* Output that is written: t->n and t->text become what of it is to be delivered now. 0 or -ENOMEM.
 */
int capped_take(struct capped *c, struct capped_text *t);

enum capped_part {
	CAPPED_NOTHING, /* all was told */
	CAPPED_OMITTED, /* of the stream n bytes from offset on are left out */
	CAPPED_TEXT,
};
/* All was taken: the next part of what is to be told. An enum capped_part or -ENOMEM. */
int capped_next(struct capped *c, struct capped_text *ret);
