/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/system/ready.h"

#include <stdbool.h>

#include "base/mem.h"
#include "guest-kernel-agent/code/warmup.h"
#include "guest-kernel-agent/system/held.h"
#include "guest-kernel-agent/system/identity.h"
#include "guest-kernel-agent/system/reply.h"
#include "loop/loop.h"

struct ready {
	struct loop *loop;
	const struct identity *identity;
	struct warmup *warmup;
	struct held held;
	struct loop_defer settle; /* not from inside the warm-up's callback */
};

static void answer(struct http_stream *st, void *arg);
static void on_settle(struct loop_defer *d, void *arg);

struct ready *ready_new(struct loop *l, const struct identity *id)
{
	struct ready *r = mem_zalloc(sizeof(*r));
	if (!r)
		return NULL;
	r->loop = l;
	r->identity = id;
	held_init(&r->held, l, answer, r);
	loop_defer_init(&r->settle, l, on_settle, r);
	return r;
}

struct ready *ready_free(struct ready *r)
{
	if (!r)
		return NULL;
	held_fini(&r->held);
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

static void answer(struct http_stream *st, void *arg)
{
	const char *reason;
	bool ready;
	(void)is_settled(arg, &reason, &ready);
	if (ready)
		(void)reply_json(st, 200, json_pack("{s:b}", "ready", 1));
	else
		(void)reply_json(st, 503, json_pack("{s:b, s:s}", "ready", 0, "reason", reason));
}

static void on_settle(struct loop_defer *d, void *arg)
{
	struct ready *r = arg;
	const char *reason;
	bool ready;
	if (is_settled(r, &reason, &ready))
		held_answer(&r->held);
}

void ready_on_change(void *arg)
{
	struct ready *r = arg;
	loop_defer_set(&r->settle);
}

void ready_handle(struct ready *r, struct http_stream *st, uint64_t wait_ms)
{
	const char *reason;
	bool ready;
	if (is_settled(r, &reason, &ready) || wait_ms == 0)
		answer(st, r);
	else
		held_add(&r->held, st, wait_ms);
}
