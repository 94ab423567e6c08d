/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Events that only the host can see and tells us of (POST /notice), for naming the reason of a
 * death. */
#include <stdbool.h>
#include <stdint.h>

struct notices {
	int64_t ooms; /* processes killed for memory, as counted by the host */
	uint64_t oom_ms;
	bool oom_seen;
};

/* 0 or -EINVAL: unknown kind. */
int notices_add(struct notices *n, const char *kind, int64_t count);
/* The host spoke of a kill for memory within the last few seconds. */
bool notices_oom_recent(const struct notices *n);
/* It spoke of so many kills, and not within the last seconds. */
bool notices_oom_is_old(const struct notices *n, uint64_t kills);
