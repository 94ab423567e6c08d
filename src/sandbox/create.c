/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A create waits in one line until there is a sandbox for it, in this order: an idle one of its
 * template's pool, one that is just being made for that pool, a boot of its own when a slot is
 * free. With a driver that clones, the first of a template waits until there is what to clone. What
 * fails before its owner has seen it is replaced: only a create's own boot, or TRIES_MAX failures,
 * fail it.
 *
 * Charged before anything is made: the team's limit counts creates in progress, the machine's limit
 * all sandboxes. A full machine gives up idle members of other pools first.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/id.h"
#include "base/mem.h"
#include "image/template.h"
#include "sandbox/object.h"

#define WAIT_LIMIT_MS 60000
#define TRIES_MAX 3

/* ---- ends ---- */

static void create_free(struct sandbox_create *c)
{
	struct sandboxes *s = c->reg;
	link_remove(&c->in_waiting);
	loop_timer_fini(&c->limit);
	loop_defer_fini(&c->answer);
	if (c->who)
		c->who->team->n_creating--;
	(void)identity_unref(c->who);
	mem_free(c);
	s->n_creates--;
	sandboxes_pump(s);
}

/* From a fresh turn. */
static void fail(struct sandbox_create *c, const struct err *err)
{
	sandbox_create_fn *done = c->done;
	void *arg = c->arg;
	struct err told = *err;
	c->reg->refused++;
	create_free(c);
	done(&told, NULL, arg);
}

static void on_answer(struct loop_defer *d, void *arg)
{
	struct sandbox_create *c = arg;
	fail(c, &c->err);
}

static void on_limit(struct loop_timer *t, void *arg)
{
	struct sandbox_create *c = arg;
	if (c->pool->stage == POOL_STAGE_WARMING) { /* has limits of its own */
		loop_timer_set(&c->limit, WAIT_LIMIT_MS);
		return;
	}
	(void)err_set(&c->err, SANDBOX_E_CAPACITY,
	    "no room for another sandbox became free within %d s", WAIT_LIMIT_MS / 1000);
	fail(c, &c->err);
}

void create_succeeded(struct sandbox_create *c)
{
	static const struct err no_error = ERR_INIT;
	struct sandbox *sb = c->sb;
	sandbox_create_fn *done = c->done;
	void *arg = c->arg;
	c->reg->created++;
	sb->create = NULL;
	sb->reg->last_create_ms = clock_mono_ms();
	create_free(c);
	done(&no_error, sb, arg);
}

static void wait(struct sandbox_create *c, bool first)
{
	c->sb = NULL;
	if (first)
		list_push_front(&c->reg->waiting, &c->in_waiting);
	else
		list_push_back(&c->reg->waiting, &c->in_waiting);
	loop_timer_set(&c->limit, WAIT_LIMIT_MS);
	sandboxes_pump(c->reg);
}

void create_failed(struct sandbox_create *c, const struct err *err)
{
	bool may_be_better = !c->own_boot || pool_is_past(c->sb);
	bool again = may_be_better && ++c->tries < TRIES_MAX && c->reg->state == SANDBOXES_OPEN;
	if (again)
		wait(c, true);
	else
		fail(c, err);
}

/* c->err is set; done hears of it in a later turn. */
static void refuse(struct sandbox_create *c)
{
	link_remove(&c->in_waiting);
	loop_timer_cancel(&c->limit);
	loop_defer_set(&c->answer);
}

void creates_fail_waiting(struct sandboxes *s, const struct pool *p, const struct err *err)
{
	LIST_EACH_SAFE(l, &s->waiting)
	{
		struct sandbox_create *c = container_of(l, struct sandbox_create, in_waiting);
		if (p && c->pool != p)
			continue;
		(void)err_set(&c->err, err->code, "%s", err_text(err));
		refuse(c);
	}
}

/* ---- the line ---- */

static void attach(struct sandbox_create *c, struct sandbox *sb)
{
	link_remove(&c->in_waiting);
	loop_timer_cancel(&c->limit);
	c->sb = sb;
	sb->create = c;
	if (sb->job == JOB_NONE)
		sandbox_hand_out(sb); /* else the end of its boot does */
}

/* What a driver clones has the sizes of its template, and others from its hand-out on. */
static bool changes_later(const struct sandbox_create *c, const struct sandbox *sb)
{
	const struct vmm_driver *d = c->reg->conf.driver;
	const struct vmm_sizes has = sandbox_vmm_sizes(&sb->sizes),
			       to = sandbox_vmm_sizes(&c->who->sizes);
	return (d->caps & VMM_CAP_WARM) && d->can_resize && d->can_resize(&has, &to);
}

static int start_own(struct sandbox_create *c)
{
	char id[ID_SANDBOX_LEN + 1];
	id_sandbox(id);
	struct sandbox *sb = sandbox_new(c->reg, id, c->tmpl);
	if (!sb)
		return -ENOMEM;
	sb->internet = c->who->internet;
	if (!changes_later(c, sb))
		sandbox_set_sizes(sb, &c->who->sizes);
	c->own_boot = true;
	pool_note_miss(c->pool);
	sandbox_boot(sb);
	attach(c, sb);
	return 0;
}

/* Full, and nothing is on its way out: make room, or fail the create. */
static void serve_when_full(struct sandbox_create *c, enum room why)
{
	struct sandboxes *s = c->reg;
	if (s->count[SANDBOX_STOPPING] > 0 || pools_evict(s))
		return;
	(void)room_refuse(s, c->who->sizes.memory_bytes, why, &c->err);
	refuse(c);
}

static void serve(struct sandbox_create *c)
{
	struct sandbox *sb = pool_claim(c->pool, c->who);
	enum room room = sb ? ROOM_YES : room_for(c->reg, c->who->sizes.memory_bytes);
	if (sb) {
		c->own_boot = false;
		attach(c, sb);
	} else if (room != ROOM_YES) {
		serve_when_full(c, room);
	} else if (pool_needs_warm(c->pool) ? pool_warm_up(c->pool) < 0
					    : pool_may_boot(c->pool) && start_own(c) < 0) {
		(void)err_set(&c->err, -ENOMEM, "out of memory");
		refuse(c);
	}
}

void creates_serve(struct sandboxes *s)
{
	LIST_EACH_SAFE(l, &s->waiting)
	serve(container_of(l, struct sandbox_create, in_waiting));
}

/* ---- requests ---- */

static int check(struct sandbox_create *c, const struct sandbox_params *p)
{
	const struct team *t = c->who->team;
	if (p->timeout_s > c->tmpl->timeout_max_s)
		return err_set(&c->err, -ERANGE, "timeout: at most %u seconds are allowed",
		    c->tmpl->timeout_max_s);
	if (p->team_limit && team_running(t) + t->n_creating > p->team_limit)
		return err_set(&c->err, SANDBOX_E_LIMIT, "the team has %u sandboxes, of at most %u",
		    team_running(t) + t->n_creating - 1, p->team_limit);
	if (p->auto_pause && !(c->reg->conf.driver->caps & VMM_CAP_SNAPSHOT))
		return err_set(&c->err, SANDBOX_E_DRIVER,
		    "the driver '%s' of this server cannot pause a sandbox",
		    c->reg->conf.driver->name);
	if (c->reg->state != SANDBOXES_OPEN)
		return err_set(&c->err, -ESHUTDOWN, "the server is stopping");
	return 0;
}

static struct sandbox_create *create_new(
    struct sandboxes *s, const struct sandbox_params *p, sandbox_create_fn *done, void *arg)
{
	struct sandbox_create *c = mem_zalloc(sizeof(*c));
	if (!c)
		return NULL;
	s->n_creates++;
	c->reg = s;
	c->done = done;
	c->arg = arg;
	link_init(&c->in_waiting);
	loop_timer_init(&c->limit, s->conf.loop, on_limit, c);
	loop_defer_init(&c->answer, s->conf.loop, on_answer, c);
	c->who = identity_from_params(s, p);
	if (!c->who) {
		create_free(c);
		return NULL;
	}
	c->who->team->n_creating++;
	return c;
}

struct sandbox_create *sandbox_create(
    struct sandboxes *s, const struct sandbox_params *p, sandbox_create_fn *done, void *arg)
{
	struct sandbox_create *c = create_new(s, p, done, arg);
	if (!c)
		return NULL;
	c->tmpl = templates_find(s->conf.templates, p->template_ref);
	if (!c->tmpl) {
		(void)err_set(&c->err, SANDBOX_E_TEMPLATE, "there is no template %.100s",
		    p->template_ref ? p->template_ref : "");
		refuse(c);
		return c;
	}
	c->pool = pool_find(s, c->tmpl);
	c->who->internet = p->internet && c->tmpl->internet;
	sandbox_sizes_complete(&c->who->sizes, c->tmpl);
	if (c->who->timeout_s == 0)
		c->who->timeout_s = c->tmpl->timeout_default_s;
	if (check(c, p) == 0)
		wait(c, false);
	else
		refuse(c);
	return c;
}

void sandbox_create_cancel(struct sandbox_create *c)
{
	struct sandbox *sb = c->sb;
	create_free(c);
	if (sb) {
		sb->create = NULL;
		sandbox_end(sb, SANDBOX_END_KILLED, "its creator went away");
	}
}
