/* SPDX-License-Identifier: Apache-2.0 */
#include "launcher/slots.h"

#include <errno.h>

#include "base/fdutil.h"

#define REGIONS ((0x7fffffffu - SLOTS_FIRST_ID) / (SLOTS_MAX * USERNS_RANGE))

void slots_init(struct slots *s, const char *instance)
{
	uint32_t hash = 2166136261u; /* FNV-1a */
	for (const char *p = instance; *p; p++)
		hash = (hash ^ (unsigned char)*p) * 16777619u;
	*s = (struct slots){ 0 };
	s->first_id = SLOTS_FIRST_ID + hash % REGIONS * (SLOTS_MAX * USERNS_RANGE);
	for (unsigned i = 0; i < SLOTS_MAX; i++)
		s->userns_fd[i] = -1;
}

void slots_fini(struct slots *s)
{
	for (unsigned i = 0; i < SLOTS_MAX && s->first_id; i++)
		s->userns_fd[i] = fd_close(s->userns_fd[i]);
}

int slots_take(struct slots *s, unsigned *ret)
{
	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		unsigned slot = (s->next + i) % SLOTS_MAX;
		if (s->used[slot])
			continue;
		if (s->userns_fd[slot] < 0) {
			int fd = userns_new(slots_base(s, slot));
			if (fd < 0)
				return fd;
			s->userns_fd[slot] = fd;
		}
		s->used[slot] = true;
		s->next = slot + 1;
		*ret = slot;
		return 0;
	}
	return -ENOSPC;
}

int slots_adopt(struct slots *s, unsigned slot)
{
	if (slot >= SLOTS_MAX)
		return -EINVAL;
	if (s->used[slot])
		return -EEXIST;
	s->used[slot] = true;
	return 0;
}

void slots_return(struct slots *s, unsigned slot)
{
	s->used[slot] = false;
	if (slot < s->next)
		s->next = slot; /* its namespace exists already */
}

uint32_t slots_base(const struct slots *s, unsigned slot)
{
	return s->first_id + slot * USERNS_RANGE;
}

int slots_userns(const struct slots *s, unsigned slot)
{
	return s->userns_fd[slot];
}
