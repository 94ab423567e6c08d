/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Requests that are answered when something happens, or when the time that their sender gave runs
 * out. */
#include <stdint.h>

#include "base/list.h"

struct http_stream;
struct loop;

#define HELD_MAX_MS 60000

struct held {
	struct loop *loop;
	struct link streams;
	void (*answer)(struct http_stream *st, void *arg); /* now, however things stand */
	void *arg;
};

void held_init(
    struct held *h, struct loop *l, void (*answer)(struct http_stream *st, void *arg), void *arg);
void held_fini(struct held *h); /* no request is held any more */
/* Answer it later, after wait_ms (at most HELD_MAX_MS) at the latest; at once when there is no
 * memory to remember it. */
void held_add(struct held *h, struct http_stream *st, uint64_t wait_ms);
/* All of them. Not from inside a callback of one of them. */
void held_answer(struct held *h);
