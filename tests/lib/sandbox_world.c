/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/sandbox_world.h"

#include <poll.h>

#include "base/map.h"
#include "base/mem.h"
#include "image/template.h"
#include "store/store.h"

/* ---- life ---- */

void world_open(struct world *w)
{
	struct err err = ERR_INIT;
	w->store = store_open(w->loop, w->db, &err);
	ck_assert_msg(w->store != NULL, "%s", err.text);
	struct sandboxes_conf c = {
		.loop = w->loop,
		.store = w->store,
		.templates = w->templates,
		.driver = w->conf.driver ? w->conf.driver : &fake_vmm_driver,
		.vmm = w->vmm,
		.max_sandboxes = w->conf.max ? w->conf.max : 50,
		.create_parallel = w->conf.parallel ? w->conf.parallel : 2,
		.pool = w->conf.pool,
		.memory_budget = w->conf.memory_budget,
	};
	w->boxes = sandboxes_new(&c, &err);
	ck_assert_msg(w->boxes != NULL, "%s", err.text);
	if (w->conf.pool)
		sandboxes_pump(w->boxes);
}

void world_start(struct world *w, const struct world_conf *c)
{
	struct err err = ERR_INIT;
	*w = (struct world){ .conf = c ? *c : (struct world_conf){ 0 } };
	fake_guests_reset();
	tmpdir_make(&w->dir);
	(void)tmpdir_at(&w->dir, "s.db", w->db);
	tmpdir_write(&w->dir, "py.yaml", "name: py\naliases: [python]\npool: {size: 2, max: 3}\n");
	tmpdir_write(&w->dir, "bare.yaml", "name: bare\n");
	tmpdir_write(&w->dir, "quiet.yaml",
	    "name: quiet\nnetwork: {internet: false}\npool: {size: 1, max: 1}\n"
	    "timeout: {default: 60, max: 600}\n");
	w->loop = loop_new();
	w->vmm = fake_vmm_new(w->loop);
	w->templates = templates_load(w->dir.path, &err);
	ck_assert_msg(w->templates != NULL, "%s", err.text);
	world_open(w);
}

static void on_closed(void *arg)
{
	++*(unsigned *)arg;
}

void world_close(struct world *w, bool kill)
{
	w->closed = 0;
	sandboxes_shutdown(w->boxes, kill, on_closed, &w->closed);
	world_until(w, w->closed == 1);
	w->boxes = sandboxes_free(w->boxes);
	w->store = store_close(w->store);
}

void world_stop(struct world *w)
{
	struct err err = ERR_INIT;
	struct store_sandbox *rows;
	size_t n;
	world_close(w, true);
	ck_assert_uint_eq(fake_vmm_live(w->vmm), 0);
	ck_assert_uint_eq(fake_vmm_pending(w->vmm), 0);
	ck_assert_uint_eq(fake_guests.live, 0);
	w->store = store_open(w->loop, w->db, &err);
	ck_assert_int_eq(store_load_sandboxes(w->store, &rows, &n, &err), 0);
	ck_assert_uint_eq(n, 0);
	mem_free(rows);
	(void)store_close(w->store);
	fake_vmm_free(w->vmm);
	(void)templates_free(w->templates);
	(void)loop_free(w->loop);
	tmpdir_remove(&w->dir);
}

void world_restart(struct world *w)
{
	world_close(w, false);
	world_open(w);
}

/* ---- turns ---- */

/* What must hold whenever nobody is in the middle of something. */
void world_check(struct world *w)
{
	const struct sandboxes *s = w->boxes;
	unsigned count[SANDBOX_GONE + 1] = { 0 }, jobs = 0, boots = 0;
	void *it = NULL;
	for (struct sandbox *sb; (sb = map_next(s->by_id, &it, NULL));) {
		count[sb->state]++;
		jobs += sb->job != JOB_NONE;
		boots += sb->job == JOB_BOOT || sb->job == JOB_WARM;
		ck_assert(sb->state != SANDBOX_GONE);
		ck_assert(sandbox_state_is_owned(sb->state) == link_is_linked(&sb->in_team));
		ck_assert(sb->state != SANDBOX_PAUSED || (!sb->guest && sb->has_row));
		ck_assert(sb->state != SANDBOX_RUNNING || s->heap[sb->heap_at] == sb);
		ck_assert(sb->state != SANDBOX_RUNNING || (sb->inst && sb->guest && sb->who));
		ck_assert(
		    sb->state != SANDBOX_POOLED || sb->create || link_is_linked(&sb->in_pool));
		ck_assert(!sb->create || sb->create->sb == sb);
	}
	for (size_t i = 0; i <= SANDBOX_GONE; i++)
		ck_assert_uint_eq(count[i], s->count[i]);
	ck_assert_uint_le(jobs, s->n_jobs);
	ck_assert_uint_eq(boots, s->n_boots);
	ck_assert_uint_eq(s->n_heap, count[SANDBOX_RUNNING]);
	ck_assert_uint_le(s->n_boots, s->conf.create_parallel);
	/* A resume that makes one of a pool give way does not wait until that is gone. */
	ck_assert_uint_le(sandboxes_total(s) - count[SANDBOX_STOPPING], s->conf.max_sandboxes);
	uint64_t promised = 0;
	it = NULL;
	for (struct sandbox *sb; (sb = map_next(s->by_id, &it, NULL));)
		promised += sb->state == SANDBOX_PAUSED ? 0 : sb->sizes.memory_bytes;
	ck_assert_uint_eq(promised, s->promised);
	for (size_t i = 0; i < s->n_pools; i++)
		ck_assert_uint_le(
		    s->pools[i].n_idle + s->pools[i].n_booting, s->pools[i].tmpl->pool_max);
}

void world_turn(struct world *w, bool nap)
{
	if (nap)
		(void)poll(NULL, 0, 1);
	ck_assert_int_eq(loop_turn(w->loop, false), 0);
	world_check(w);
}

void world_settle(struct world *w)
{
	for (unsigned i = 0; i < 30; i++)
		world_turn(w, i % 4 == 0);
}

size_t world_rows(struct world *w, struct store_sandbox *ret_first)
{
	struct store_sandbox *rows;
	struct err err = ERR_INIT;
	size_t n;
	ck_assert_msg(store_load_sandboxes(w->store, &rows, &n, &err) == 0, "%s", err.text);
	for (size_t i = 0; i < n; i++) {
		if (i == 0 && ret_first)
			*ret_first = rows[0];
		else
			store_sandbox_fini(&rows[i]);
	}
	mem_free(rows);
	return n;
}

/* ---- creates ---- */

struct sandbox_params world_params(const char *template_ref, const char *team)
{
	return (struct sandbox_params){
		.template_ref = template_ref,
		.team_id = team,
		.secure = true,
		.internet = true,
		.allow_public_traffic = true,
	};
}

static void on_made(const struct err *err, struct sandbox *sb, void *arg)
{
	struct made *m = arg;
	m->calls++;
	m->err = *err;
	m->sb = sb ? sandbox_ref(sb) : NULL;
	m->handle = NULL;
}

void made_begin(struct world *w, struct made *m, const struct sandbox_params *p)
{
	*m = (struct made){ 0 };
	m->handle = sandbox_create(w->boxes, p, on_made, m);
	ck_assert_ptr_nonnull(m->handle);
	ck_assert_uint_eq(m->calls, 0);
}

struct sandbox *made_wait(struct world *w, struct made *m)
{
	world_until(w, m->calls > 0);
	ck_assert_uint_eq(m->calls, 1);
	ck_assert((m->sb != NULL) == (m->err.code == 0));
	return m->sb;
}

void made_forget(struct made *m)
{
	m->sb = sandbox_unref(m->sb);
}

struct sandbox *world_create(struct world *w, const char *template_ref, const char *team)
{
	struct made m;
	struct sandbox_params p = world_params(template_ref, team);
	made_begin(w, &m, &p);
	struct sandbox *sb = made_wait(w, &m);
	ck_assert_msg(sb != NULL, "%s", m.err.text);
	made_forget(&m);
	return sb;
}

void on_ended(const struct err *err, void *arg)
{
	struct ended *e = arg;
	e->calls++;
	e->err = *err;
}

void world_fire_limit(struct sandbox *sb)
{
	ck_assert(sb->job != JOB_NONE && loop_timer_is_armed(&sb->op.limit));
	loop_timer_cancel(&sb->op.limit);
	sb->op.limit.cb(&sb->op.limit, sb->op.limit.arg);
}
