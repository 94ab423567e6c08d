/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/err.h"
#include "base/mem.h"
#include "sandbox/object.h"
#include "vmm/vmm.h"

struct usage_call {
	struct sandbox *sb; /* reference */
	void (*done)(const struct err *err, const struct vmm_usage *u, void *arg);
	void *arg;
	struct loop_defer refuse;
};

static void answer(struct usage_call *c, const struct err *err, const struct vmm_usage *u)
{
	loop_defer_fini(&c->refuse);
	c->done(err, u, c->arg);
	(void)sandbox_unref(c->sb);
	mem_free(c);
}

static void on_usage(const struct err *err, const struct vmm_usage *u, void *arg)
{
	answer(arg, err, err->code ? NULL : u);
}

static void on_refuse(struct loop_defer *d, void *arg)
{
	struct usage_call *c = arg;
	struct err err = ERR_INIT;
	(void)err_set(
	    &err, SANDBOX_E_STATE, "sandbox %s is %s", c->sb->id, sandbox_state_name(c->sb->state));
	answer(c, &err, NULL);
}

void sandbox_usage(struct sandbox *sb,
    void (*done)(const struct err *err, const struct vmm_usage *u, void *arg), void *arg)
{
	struct err err = ERR_INIT;
	struct usage_call *c = mem_zalloc(sizeof(*c));
	if (!c) {
		(void)err_set(&err, -ENOMEM, "out of memory");
		done(&err, NULL, arg);
		return;
	}
	c->sb = sandbox_ref(sb);
	c->done = done;
	c->arg = arg;
	loop_defer_init(&c->refuse, sb->loop, on_refuse, c);
	if (sb->state == SANDBOX_RUNNING)
		sb->reg->conf.driver->usage(sb->inst, on_usage, c);
	else
		loop_defer_set(&c->refuse);
}

/* ---- numbers of all ---- */

void sandboxes_stats(const struct sandboxes *s, struct sandboxes_stats *ret)
{
	*ret = (struct sandboxes_stats){
		.running = s->count[SANDBOX_RUNNING] + s->count[SANDBOX_PAUSING] +
			   s->count[SANDBOX_RESUMING],
		.paused = s->count[SANDBOX_PAUSED],
		.pooled = s->count[SANDBOX_POOLED],
		.creating = s->count[SANDBOX_CREATING],
		.stopping = s->count[SANDBOX_STOPPING],
		.memory_promised = s->promised,
		.memory_budget = s->conf.memory_budget,
		.created = s->created,
		.refused = s->refused,
	};
}

size_t sandboxes_pools(const struct sandboxes *s)
{
	return s->n_pools;
}

void sandboxes_pool_stats(const struct sandboxes *s, size_t i, struct sandboxes_pool_stats *ret)
{
	const struct pool *p = &s->pools[i];
	*ret = (struct sandboxes_pool_stats){
		.tmpl = p->tmpl,
		.idle = p->n_idle,
		.booting = p->n_booting,
		.hits = p->hits,
		.joined = p->joined,
		.misses = p->misses,
		.boots = p->boots,
		.boot_failures = p->boot_failures,
		.warms = p->warms,
		.warm_failures = p->warm_failures,
		.last_failure = p->last_failure,
	};
}
