/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools keep idle sandboxes ready. What is refilled when:
 *
 *   - never while a create is in progress, and not within QUIET_MS after one, when its owner
 * probably runs the first code: boots would compete with it. Creates that come without a pause
 * cannot hold refills back for ever: one boot every HELD_MAX_MS goes ahead.
 *   - at most create_parallel boots at once, of creates and pools together; creates choose first.
 *   - after a failure later and later, up to BACKOFF_MAX_MS.
 *   - idle ones and those being made never exceed the template's pool.max.
 *
 * Drivers that clone (VMM_CAP_WARM) get something to clone first: one instance is booted for that
 * alone, see op_warm.c. Drivers that can pause let idle ones stand still.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/template.h"
#include "sandbox/object.h"

#define QUIET_MS 250
#define HELD_MAX_MS 2000
#define BACKOFF_FIRST_MS 500
#define BACKOFF_MAX_MS 60000

/* ---- membership ---- */

static void on_refill_due(struct loop_timer *t, void *arg)
{
	sandboxes_pump(arg);
}

int pools_init(struct sandboxes *s)
{
	size_t n = templates_count(s->conf.templates);
	loop_timer_init(&s->refill, s->conf.loop, on_refill_due, s);
	s->pools = mem_calloc(n, sizeof(*s->pools));
	if (!s->pools)
		return -ENOMEM;
	s->n_pools = n;
	for (size_t i = 0; i < n; i++) {
		s->pools[i].reg = s;
		s->pools[i].tmpl = templates_at(s->conf.templates, i);
		link_init(&s->pools[i].idle);
		link_init(&s->pools[i].booting);
	}
	return 0;
}

void pools_fini(struct sandboxes *s)
{
	loop_timer_fini(&s->refill);
	s->pools = mem_free(s->pools);
}

struct pool *pool_find(const struct sandboxes *s, const struct template *t)
{
	for (size_t i = 0; i < s->n_pools; i++) {
		if (s->pools[i].tmpl == t)
			return &s->pools[i];
	}
	return NULL;
}

void pool_add(struct sandbox *sb)
{
	struct pool *p = sb->pool;
	bool idle = sb->state == SANDBOX_POOLED;
	list_push_back(idle ? &p->idle : &p->booting, &sb->in_pool);
	++*(idle ? &p->n_idle : &p->n_booting);
}

void pool_remove(struct sandbox *sb)
{
	struct pool *p = sb->pool;
	if (!link_is_linked(&sb->in_pool))
		return;
	link_remove(&sb->in_pool);
	--*(sb->state == SANDBOX_POOLED ? &p->n_idle : &p->n_booting);
}

static bool can_have(const struct sandbox *sb, const struct sandbox_sizes *want)
{
	const struct vmm_driver *d = sb->reg->conf.driver;
	const struct vmm_sizes has = sandbox_vmm_sizes(&sb->sizes), to = sandbox_vmm_sizes(want);
	if (sandbox_sizes_equal(&sb->sizes, want))
		return true;
	return d->can_resize && d->can_resize(&has, &to) && room_to_grow(sb, to.memory_bytes);
}

/* Is it, or can the driver make it, what is wanted? */
static bool can_be(const struct sandbox *sb, const struct identity *who)
{
	const struct vmm_driver *d = sb->reg->conf.driver;
	return (sb->internet == who->internet || d->set_internet) && can_have(sb, &who->sizes);
}

static struct sandbox *claim_from(struct link *list, const struct identity *who, uint64_t *counter)
{
	LIST_EACH(l, list)
	{
		struct sandbox *sb = container_of(l, struct sandbox, in_pool);
		if (!can_be(sb, who))
			continue;
		pool_remove(sb);
		++*counter;
		return sb;
	}
	return NULL;
}

/* One that is still booting is ahead of one that would be started now. */
struct sandbox *pool_claim(struct pool *p, const struct identity *who)
{
	struct sandbox *sb = claim_from(&p->idle, who, &p->hits);
	return sb ? sb : claim_from(&p->booting, who, &p->joined);
}

void pool_note_miss(struct pool *p)
{
	p->misses++;
}

bool pools_evict(struct sandboxes *s)
{
	struct pool *largest = NULL;
	for (size_t i = 0; i < s->n_pools; i++) {
		struct pool *p = &s->pools[i];
		if (p->n_idle && (!largest || p->n_idle > largest->n_idle))
			largest = p;
	}
	if (!largest)
		return false;
	sandbox_end(container_of(list_first(&largest->idle), struct sandbox, in_pool),
	    SANDBOX_END_SHUTDOWN, "it made room for another template");
	return true;
}

size_t sandboxes_pool_ready(const struct sandboxes *s, const struct template *t)
{
	const struct pool *p = pool_find(s, t);
	return p ? p->n_idle : 0;
}

/* ---- boots ---- */

static bool has_room(const struct pool *p)
{
	const struct sandboxes *s = p->reg;
	return s->n_boots < s->conf.create_parallel &&
	       room_for(s, p->tmpl->memory_bytes) == ROOM_YES;
}

bool pool_needs_warm(const struct pool *p)
{
	return p->stage != POOL_STAGE_READY && (p->reg->conf.driver->caps & VMM_CAP_WARM);
}

/* The first boot of a template prepares it; others wait for that. */
bool pool_may_boot(const struct pool *p)
{
	bool ready = p->stage == POOL_STAGE_READY;
	return has_room(p) && !pool_needs_warm(p) && (ready || p->n_boots == 0);
}

static struct sandbox *new_member(struct pool *p)
{
	char id[ID_SANDBOX_LEN + 1];
	id_sandbox(id);
	return sandbox_new(p->reg, id, p->tmpl);
}

int pool_warm_up(struct pool *p)
{
	if (p->stage != POOL_STAGE_NEW || !has_room(p))
		return 0;
	struct sandbox *sb = new_member(p);
	if (!sb)
		return -ENOMEM;
	p->stage = POOL_STAGE_WARMING;
	sandbox_warm(sb);
	return 0;
}

/* Later and later, up to BACKOFF_MAX_MS. */
static void back_off(struct pool *p, const struct err *err)
{
	uint64_t wait = BACKOFF_FIRST_MS;
	for (unsigned i = 0; i < p->failures && wait < BACKOFF_MAX_MS; i++)
		wait *= 2;
	wait = wait < BACKOFF_MAX_MS ? wait : BACKOFF_MAX_MS;
	p->failures++;
	(void)str_copy(p->last_failure, sizeof(p->last_failure), err_text(err));
	p->retry_ms = clock_mono_ms() + wait;
	log_warn("pool of %s: %s; next try in %llu ms", p->tmpl->name, err_text(err),
	    (unsigned long long)wait);
}

static void forget_failures(struct pool *p)
{
	p->failures = 0;
	p->retry_ms = 0;
}

/* What the template needs is looked for again before the next boot. One that is being made is
 * finished first, and then found to be past. */
static void renew(struct pool *p)
{
	p->age++;
	if (p->stage == POOL_STAGE_READY)
		p->stage = POOL_STAGE_NEW;
}

bool pool_is_past(const struct sandbox *sb)
{
	return sb->age != sb->pool->age;
}

void sandboxes_image_changed(struct sandboxes *s, const char *template_name)
{
	const struct template *t = templates_find(s->conf.templates, template_name);
	struct pool *p = t ? pool_find(s, t) : NULL;
	if (!p)
		return;
	renew(p);
	forget_failures(p);
	LIST_EACH_SAFE(l, &p->idle)
	sandbox_end(container_of(l, struct sandbox, in_pool), SANDBOX_END_SHUTDOWN, POOL_PAST);
	sandboxes_pump(s);
}

/* Who waits for the template hears at once why it cannot be had; the next create tries again. */
void pool_note_warm(struct sandbox *sb, const struct err *err)
{
	struct pool *p = sb->pool;
	bool ready = err->code == 0 && !pool_is_past(sb);
	p->stage = ready ? POOL_STAGE_READY : POOL_STAGE_NEW;
	++*(err->code ? &p->warm_failures : &p->warms);
	if (err->code == 0) {
		if (sb->inst) /* made now; one that was there already may be what failed */
			forget_failures(p);
		return;
	}
	back_off(p, err);
	creates_fail_waiting(p->reg, p, err);
}

/* The driver has found that what it was to clone is not there, or fits no longer. */
static bool lost_warm(const struct pool *p)
{
	const struct sandboxes_conf *c = &p->reg->conf;
	return (c->driver->caps & VMM_CAP_WARM) && !c->driver->has_warm(c->vmm, p->tmpl);
}

void pool_note_boot(struct sandbox *sb, bool refill, const struct err *err)
{
	struct pool *p = sb->pool;
	p->boots++;
	if (err->code && sb->state != SANDBOX_STOPPING) {
		p->boot_failures++;
		(void)str_copy(p->last_failure, sizeof(p->last_failure), err_text(err));
	}
	if (pool_is_past(sb))
		return; /* it says nothing about what is made now */
	if (p->stage == POOL_STAGE_READY && lost_warm(p))
		renew(p);
	if (err->code == 0)
		forget_failures(p);
	else if (refill && sb->state != SANDBOX_STOPPING)
		back_off(p, err);
}

/* ---- refills ---- */

static bool is_short(const struct pool *p)
{
	unsigned have = p->n_idle + p->n_booting;
	return have < p->tmpl->pool_size && have < p->tmpl->pool_max;
}

static bool is_quiet(const struct sandboxes *s, uint64_t now)
{
	return s->last_create_ms == 0 || now - s->last_create_ms >= QUIET_MS;
}

/* How long the next refill must wait for the last create; counts how long it has waited. */
static uint64_t held_for(struct sandboxes *s, uint64_t now)
{
	if (is_quiet(s, now)) {
		s->held_ms = 0;
		return 0;
	}
	if (s->held_ms == 0)
		s->held_ms = now;
	if (now - s->held_ms >= HELD_MAX_MS) {
		s->held_ms = now;
		return 0;
	}
	return QUIET_MS - (now - s->last_create_ms);
}

static int start_refill(struct pool *p)
{
	struct sandbox *sb = new_member(p);
	if (!sb)
		return -ENOMEM;
	pool_add(sb);
	sandbox_boot(sb);
	return 0;
}

/* Fill one pool as far as it may be; the milliseconds until there is more to do, 0 = nothing. */
static uint64_t refill(struct pool *p, uint64_t now, bool one_only, unsigned *started)
{
	while (is_short(p)) {
		if (now < p->retry_ms)
			return p->retry_ms - now;
		if (pool_needs_warm(p))
			return pool_warm_up(p) < 0 ? BACKOFF_FIRST_MS : 0;
		if (!pool_may_boot(p) || (one_only && *started))
			return 0; /* the end of a job pumps again */
		if (start_refill(p) < 0)
			return BACKOFF_FIRST_MS;
		++*started;
	}
	return 0;
}

static bool is_any_short(const struct sandboxes *s)
{
	for (size_t i = 0; i < s->n_pools; i++) {
		if (is_short(&s->pools[i]))
			return true;
	}
	return false;
}

void pools_refill(struct sandboxes *s)
{
	uint64_t now = clock_mono_ms();
	unsigned started = 0;
	if (!s->conf.pool || s->n_creates > 0 || !is_any_short(s))
		return;
	bool quiet = is_quiet(s, now);
	uint64_t next = held_for(s, now);
	bool held = next != 0;
	for (size_t i = 0; !held && i < s->n_pools; i++) {
		uint64_t wait = refill(&s->pools[i], now, !quiet, &started);
		if (wait && (!next || wait < next))
			next = wait;
	}
	if (next)
		loop_timer_set(&s->refill, next);
}
