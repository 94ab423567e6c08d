/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <unistd.h>

#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "guest/guest.h"
#include "sandbox/object.h"

/* ---- the pump ---- */

void sandboxes_pump(struct sandboxes *s)
{
	loop_defer_set(&s->pump);
}

/* Nothing is left to end. What could not be destroyed is left to the next start. */
static bool is_settled(const struct sandboxes *s)
{
	return s->n_jobs == 0 && s->n_creates == 0 && !s->recover;
}

void sandboxes_run_pump(struct sandboxes *s)
{
	if (s->state == SANDBOXES_OPEN && !s->recover) {
		creates_serve(s);
		pools_refill(s);
	} else if (s->state == SANDBOXES_CLOSING && is_settled(s)) {
		s->state = SANDBOXES_CLOSED;
		s->on_closed(s->on_closed_arg);
	}
}

static void on_pump(struct loop_defer *d, void *arg)
{
	sandboxes_run_pump(arg);
}

/* ---- life ---- */

static unsigned processors(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	return n > 0 ? (unsigned)n : 1;
}

struct sandboxes *sandboxes_new(const struct sandboxes_conf *c, struct err *reterr)
{
	struct sandboxes *s = mem_zalloc(sizeof(*s));
	if (!s) {
		(void)err_set(reterr, -ENOMEM, "out of memory");
		return NULL;
	}
	s->conf = *c;
	if (s->conf.create_parallel == 0)
		s->conf.create_parallel = processors();
	link_init(&s->waiting);
	events_init(s);
	loop_defer_init(&s->pump, c->loop, on_pump, s);
	s->by_id = map_new();
	s->teams = map_new();
	int pools = pools_init(s), expiry = expiry_init(s);
	if (!s->by_id || !s->teams || pools < 0 || expiry < 0) {
		(void)err_set(reterr, -ENOMEM, "out of memory");
		return sandboxes_free(s);
	}
	return s;
}

/* References of others keep the object, but it knows nobody any more. */
static void abandon(struct sandbox *sb)
{
	assert(sb->job == JOB_NONE && !sb->create);
	sb->guest = guest_free(sb->guest);
	loop_timer_cancel(&sb->retry);
	link_remove(&sb->in_pool);
	link_remove(&sb->in_team);
	sb->state = SANDBOX_GONE;
	sb->reg = NULL;
	(void)sandbox_unref(sb);
}

struct sandboxes *sandboxes_free(struct sandboxes *s)
{
	if (!s)
		return NULL;
	assert(is_settled(s));
	events_fini(s);
	loop_defer_fini(&s->pump);
	void *it = NULL;
	for (struct sandbox *sb; s->by_id && (sb = map_next(s->by_id, &it, NULL));)
		abandon(sb);
	it = NULL;
	for (struct team *t; s->teams && (t = map_next(s->teams, &it, NULL));)
		t->reg = NULL; /* somebody still refers to one of its sandboxes */
	expiry_fini(s);
	pools_fini(s);
	(void)map_free(s->by_id);
	(void)map_free(s->teams);
	return mem_free(s);
}

/* ---- shutdown ---- */

void sandboxes_shutdown(struct sandboxes *s, bool kill, void (*done)(void *arg), void *arg)
{
	static const char why[] = "the server stopped";
	struct err err = ERR_INIT;
	void *it = NULL;
	assert(s->state == SANDBOXES_OPEN);
	s->state = SANDBOXES_CLOSING;
	s->on_closed = done;
	s->on_closed_arg = arg;
	(void)err_set(&err, -ESHUTDOWN, "the server is stopping");
	creates_fail_waiting(s, NULL, &err);
	recover_cancel(s);
	for (struct sandbox *sb; (sb = map_next(s->by_id, &it, NULL));) {
		bool stays = sandbox_state_is_owned(sb->state) || sb->job == JOB_ADOPT;
		bool stored = sb->state == SANDBOX_PAUSED;
		if (!stays || (kill && !stored))
			sandbox_end(sb, SANDBOX_END_SHUTDOWN, why);
	}
	sandboxes_pump(s);
}

/* ---- queries ---- */

unsigned sandboxes_total(const struct sandboxes *s)
{
	return (unsigned)map_size(s->by_id) - s->count[SANDBOX_PAUSED];
}

struct sandbox *sandboxes_find(const struct sandboxes *s, const char *id)
{
	struct sandbox *sb = map_get(s->by_id, id);
	bool owned = sb && (sandbox_state_is_owned(sb->state) ||
			       (sb->state == SANDBOX_STOPPING && sb->has_row));
	return owned ? sb : NULL;
}
