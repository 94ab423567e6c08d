/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/system/held.h"

#include <assert.h>

#include "base/mem.h"
#include "loop/loop.h"
#include "wire/http.h"

struct holding {
	struct held *owner;
	struct link link; /* unlinked once it was answered */
	struct http_stream *st;
	struct loop_timer limit;
};

void held_init(
    struct held *h, struct loop *l, void (*answer)(struct http_stream *st, void *arg), void *arg)
{
	*h = (struct held){ .loop = l, .answer = answer, .arg = arg };
	link_init(&h->streams);
}

void held_fini(struct held *h)
{
	assert(list_is_empty(&h->streams));
}

static void let_go(struct holding *w)
{
	link_remove(&w->link);
	loop_timer_cancel(&w->limit);
	w->owner->answer(w->st, w->owner->arg);
}

static void on_limit(struct loop_timer *t, void *arg)
{
	let_go(arg);
}

static void on_close(struct http_stream *st, int err, void *user)
{
	struct holding *w = user;
	link_remove(&w->link);
	loop_timer_fini(&w->limit);
	mem_free(w);
}

static const struct http_handler handler = { .on_close = on_close };

void held_add(struct held *h, struct http_stream *st, uint64_t wait_ms)
{
	struct holding *w = mem_zalloc(sizeof(*w));
	if (!w) {
		h->answer(st, h->arg);
		return;
	}
	w->owner = h;
	w->st = st;
	list_push_back(&h->streams, &w->link);
	loop_timer_init(&w->limit, h->loop, on_limit, w);
	loop_timer_set(&w->limit, wait_ms < HELD_MAX_MS ? wait_ms : HELD_MAX_MS);
	http_stream_set_handler(st, &handler, w);
}

void held_answer(struct held *h)
{
	LIST_EACH_SAFE(k, &h->streams)
	let_go(container_of(k, struct holding, link));
}
