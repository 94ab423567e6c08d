/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/system/ready.h"

#include <assert.h>
#include <stdbool.h>

#include "base/list.h"
#include "base/mem.h"
#include "guest-kernel-agent/code/warmup.h"
#include "guest-kernel-agent/system/identity.h"
#include "guest-kernel-agent/system/reply.h"
#include "loop/loop.h"
#include "wire/http.h"

struct ready {
	struct loop *loop;
	const struct identity *identity;
	struct warmup *warmup;
	struct link waiters;
	struct loop_defer settle; /* not from inside the warm-up's callback */
};

struct waiter {
	struct ready *owner;
	struct link link; /* unlinked once it was answered */
	struct http_stream *st;
	struct loop_timer limit;
};

static void on_settle(struct loop_defer *d, void *arg);

struct ready *ready_new(struct loop *l, const struct identity *id)
{
	struct ready *r = mem_zalloc(sizeof(*r));
	if (!r)
		return NULL;
	r->loop = l;
	r->identity = id;
	link_init(&r->waiters);
	loop_defer_init(&r->settle, l, on_settle, r);
	return r;
}

struct ready *ready_free(struct ready *r)
{
	if (!r)
		return NULL;
	assert(list_is_empty(&r->waiters));
	loop_defer_fini(&r->settle);
	return mem_free(r);
}

void ready_set_warmup(struct ready *r, struct warmup *w)
{
	r->warmup = w;
}

/* True when there is nothing to wait for any more. */
static bool is_settled(struct ready *r, const char **ret_reason, bool *ret_ready)
{
	bool failed = false;
	*ret_ready = false;
	*ret_reason = "POST /boot has not come yet";
	if (!identity_is_booted(r->identity))
		return false;
	*ret_reason = warmup_reason(r->warmup, &failed);
	*ret_ready = warmup_is_ready(r->warmup);
	return *ret_ready || failed;
}

static void answer(struct http_stream *st, bool ready, const char *reason)
{
	if (ready)
		(void)reply_json(st, 200, json_pack("{s:b}", "ready", 1));
	else
		(void)reply_json(st, 503, json_pack("{s:b, s:s}", "ready", 0, "reason", reason));
}

static void waiter_answer(struct waiter *w)
{
	const char *reason;
	bool ready;
	(void)is_settled(w->owner, &reason, &ready);
	link_remove(&w->link);
	loop_timer_cancel(&w->limit);
	answer(w->st, ready, reason);
}

static void on_limit(struct loop_timer *t, void *arg)
{
	waiter_answer(arg);
}

static void on_settle(struct loop_defer *d, void *arg)
{
	struct ready *r = arg;
	const char *reason;
	bool ready;
	if (!is_settled(r, &reason, &ready))
		return;
	LIST_EACH_SAFE(k, &r->waiters)
	waiter_answer(container_of(k, struct waiter, link));
}

void ready_on_change(void *arg)
{
	struct ready *r = arg;
	loop_defer_set(&r->settle);
}

static void on_close(struct http_stream *st, int err, void *user)
{
	struct waiter *w = user;
	link_remove(&w->link);
	loop_timer_fini(&w->limit);
	mem_free(w);
}

static const struct http_handler handler = { .on_close = on_close };

void ready_handle(struct ready *r, struct http_stream *st, uint64_t wait_ms)
{
	const char *reason;
	bool ready;
	if (is_settled(r, &reason, &ready) || wait_ms == 0) {
		answer(st, ready, reason);
		return;
	}
	struct waiter *w = mem_zalloc(sizeof(*w));
	if (!w) {
		answer(st, false, "out of memory");
		return;
	}
	w->owner = r;
	w->st = st;
	list_push_back(&r->waiters, &w->link);
	loop_timer_init(&w->limit, r->loop, on_limit, w);
	loop_timer_set(&w->limit, wait_ms < READY_WAIT_MAX_MS ? wait_ms : READY_WAIT_MAX_MS);
	http_stream_set_handler(st, &handler, w);
}
