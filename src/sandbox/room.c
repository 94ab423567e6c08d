/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether this machine takes another sandbox. Three bounds, the first two known beforehand:
 *
 *   count     so many sandboxes, idle ones too
 *   promised  the memory that all of them may grow to, together
 *   free      what the machine really has left right now: promises are more than it has when the
 *             operator says so, because few sandboxes use what they may
 */
#include "base/err.h"
#include "base/meminfo.h"
#include "sandbox/object.h"

#define MIB (1024ull * 1024)

static bool has_free(const struct sandboxes *s)
{
	struct meminfo m;
	if (!s->conf.read_memory || s->conf.read_memory(&m) < 0)
		return true; /* nothing is known */
	return m.available >= s->conf.memory_reserve;
}

static bool can_promise(const struct sandboxes *s, uint64_t memory_bytes)
{
	return !s->conf.memory_budget || s->promised + memory_bytes <= s->conf.memory_budget;
}

bool room_to_grow(const struct sandbox *sb, uint64_t memory_bytes)
{
	return memory_bytes <= sb->sizes.memory_bytes ||
	       can_promise(sb->reg, memory_bytes - sb->sizes.memory_bytes);
}

enum room room_for(const struct sandboxes *s, uint64_t memory_bytes)
{
	if (sandboxes_total(s) >= s->conf.max_sandboxes)
		return ROOM_COUNT;
	if (!can_promise(s, memory_bytes))
		return ROOM_PROMISED;
	return has_free(s) ? ROOM_YES : ROOM_FREE;
}

int room_refuse(const struct sandboxes *s, uint64_t memory_bytes, enum room why, struct err *reterr)
{
	switch (why) {
	case ROOM_PROMISED:
		return err_set(reterr, SANDBOX_E_CAPACITY,
		    "this machine promises its sandboxes at most %llu MiB of memory, %llu MiB are "
		    "taken and this one may use %llu MiB",
		    (unsigned long long)(s->conf.memory_budget / MIB),
		    (unsigned long long)(s->promised / MIB),
		    (unsigned long long)(memory_bytes / MIB));
	case ROOM_FREE:
		return err_set(reterr, SANDBOX_E_CAPACITY,
		    "this machine has less than %llu MiB of memory left",
		    (unsigned long long)(s->conf.memory_reserve / MIB));
	case ROOM_COUNT:
	case ROOM_YES:
		break;
	}
	return err_set(reterr, SANDBOX_E_CAPACITY, "this machine takes no more than %u sandboxes",
	    s->conf.max_sandboxes);
}
