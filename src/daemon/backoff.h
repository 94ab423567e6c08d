/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * When to start a process again that ended by itself: soon after the first end, later and later
 * while it keeps ending early, never not at all. What ends while a start is due already counts
 * once.
 */
#include <stdbool.h>
#include <stdint.h>

#define BACKOFF_FIRST_MS 20 /* so that processes that go together are seen together */
#define BACKOFF_LAST_MS 10000
#define BACKOFF_STABLE_MS 5000 /* one that lived this long starts afresh */

struct backoff {
	uint64_t started_ms;
	uint64_t due_ms; /* 0: nothing is due */
	unsigned delay_ms;
};

void backoff_started(struct backoff *b, uint64_t now_ms);
/* Sets b->due_ms, unless it is set. */
void backoff_ended(struct backoff *b, uint64_t now_ms);
bool backoff_is_due(const struct backoff *b, uint64_t now_ms);
/* For poll(): milliseconds until then, -1 when nothing is due. */
int backoff_wait_ms(const struct backoff *b, uint64_t now_ms);
