/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* GET /ready: requests that wait for the kernels. */
#include <stdint.h>

struct http_stream;
struct identity;
struct loop;
struct ready;
struct warmup;

/* warmup is set later, because it tells its changes to this. */
struct ready *ready_new(struct loop *l, const struct identity *id);
struct ready *ready_free(struct ready *r); /* no request waits any more */
void ready_set_warmup(struct ready *r, struct warmup *w);
/* Answer now, or when something changes within wait_ms (at most HELD_MAX_MS). */
void ready_handle(struct ready *r, struct http_stream *st, uint64_t wait_ms);
/* A kernel answered or failed; arg is the ready. */
void ready_on_change(void *arg);
