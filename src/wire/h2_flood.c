/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Floods of frames that cost the peer nothing.
 *
 * Resets, whoever sends them: a client that opens and cancels streams (CVE-2023-44487), or makes us
 * cancel them by breaking rules (CVE-2025-8671), pays a token for each.
 *
 * Control frames: PING, SETTINGS, PRIORITY, WINDOW_UPDATE, unknown types, empty DATA. A peer that
 * reads what we send must update its windows and may probe the path, so the bytes that we send earn
 * credit for such frames; only what exceeds it is rated.
 */
#include "base/limits.h"
#include "wire/h2.h"

#define CREDIT_MAX 1000000
#define CREDIT_FRAME 2	 /* for a frame of ours: both windows */
#define CREDIT_BYTES 512 /* that earn one more */

void h2_bucket_init(struct h2_bucket *b, uint32_t burst, uint32_t rate)
{
	*b = (struct h2_bucket){ .milli = 1000ull * burst, .rate = rate, .burst = burst };
}

void h2_bucket_refill(struct h2_bucket *b, uint64_t elapsed_ms)
{
	uint64_t full = 1000ull * b->burst;
	if (elapsed_ms >= (full - b->milli) / b->rate)
		b->milli = full;
	else
		b->milli += elapsed_ms * b->rate;
}

bool h2_bucket_take(struct h2_bucket *b)
{
	if (b->milli < 1000)
		return false;
	b->milli -= 1000;
	return true;
}

void h2_set_time(struct h2_session *h, uint64_t now_ms)
{
	if (h->timed && now_ms > h->now_ms) {
		h2_bucket_refill(&h->resets, now_ms - h->now_ms);
		h2_bucket_refill(&h->controls, now_ms - h->now_ms);
	}
	if (!h->timed || now_ms > h->now_ms)
		h->now_ms = now_ms;
	h->timed = true;
}

bool h2_allow_control(struct h2_session *h)
{
	if (h->credit > 0) {
		h->credit--;
		return true;
	}
	return h2_bucket_take(&h->controls);
}

bool h2_allow_reset(struct h2_session *h)
{
	return h2_bucket_take(&h->resets);
}

void h2_earn_credit(struct h2_session *h, size_t sent)
{
	h->credit += CREDIT_FRAME + sent / CREDIT_BYTES;
	if (h->credit > CREDIT_MAX)
		h->credit = CREDIT_MAX;
}
