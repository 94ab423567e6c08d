/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/backoff.h"

void backoff_started(struct backoff *b, uint64_t now_ms)
{
	b->started_ms = now_ms;
	b->due_ms = 0;
}

void backoff_ended(struct backoff *b, uint64_t now_ms)
{
	if (b->due_ms)
		return;
	if (b->delay_ms == 0 || now_ms - b->started_ms >= BACKOFF_STABLE_MS)
		b->delay_ms = BACKOFF_FIRST_MS;
	else
		b->delay_ms = b->delay_ms > BACKOFF_LAST_MS / 2 ? BACKOFF_LAST_MS : 2 * b->delay_ms;
	b->due_ms = now_ms + b->delay_ms;
}

bool backoff_is_due(const struct backoff *b, uint64_t now_ms)
{
	return b->due_ms && now_ms >= b->due_ms;
}

int backoff_wait_ms(const struct backoff *b, uint64_t now_ms)
{
	if (!b->due_ms)
		return -1;
	return b->due_ms > now_ms ? (int)(b->due_ms - now_ms) : 0;
}
