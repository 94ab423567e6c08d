/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "image/template.h"
#include "sandbox/object.h"

struct team *team_get(struct sandboxes *s, const char *id)
{
	struct team *t = map_get(s->teams, id);
	if (t) {
		t->refs++;
		return t;
	}
	t = mem_zalloc(sizeof(*t));
	if (!t)
		return NULL;
	t->reg = s;
	t->refs = 1;
	link_init(&t->owned);
	t->id = mem_strdup(id);
	if (!t->id || map_add(s->teams, id, t) < 0) {
		mem_free(t->id);
		return mem_free(t);
	}
	return t;
}

struct team *team_put(struct team *t)
{
	if (!t || --t->refs > 0)
		return NULL;
	if (t->reg)
		(void)map_remove(t->reg->teams, t->id);
	mem_free(t->id);
	return mem_free(t);
}

/* ---- the order of listings: newest first, then id ascending ---- */

static int order(int64_t a_started, const char *a_id, int64_t b_started, const char *b_id)
{
	if (a_started != b_started)
		return a_started > b_started ? -1 : 1;
	return strcmp(a_id, b_id);
}

static struct sandbox *of_link(struct link *l)
{
	return container_of(l, struct sandbox, in_team);
}

/* A new one is the newest, so that this ends at the first comparison, nearly always. */
void team_add(struct team *t, struct sandbox *sb)
{
	struct link *at = t->owned.next;
	while (at != &t->owned &&
	       order(of_link(at)->started_ns, of_link(at)->id, sb->started_ns, sb->id) < 0)
		at = at->next;
	link_insert_(&sb->in_team, at);
	t->n_owned++;
}

void team_remove(struct team *t, struct sandbox *sb)
{
	link_remove(&sb->in_team);
	t->n_owned--;
}

unsigned team_running(const struct team *t)
{
	return t->n_owned - t->n_paused;
}

/* The first that comes after the cursor: by its id when that one is still there, else by looking.
 */
static struct link *behind(struct team *t, const struct sandbox_cursor *c, bool ascending)
{
	struct sandbox *sb = map_get(t->reg->by_id, c->id);
	if (sb && sandbox_state_is_owned(sb->state) && sb->who->team == t &&
	    sb->started_ns == c->started_ns)
		return ascending ? sb->in_team.prev : sb->in_team.next;
	struct link *at = ascending ? t->owned.prev : t->owned.next;
	while (at != &t->owned) {
		int o = order(of_link(at)->started_ns, of_link(at)->id, c->started_ns, c->id);
		if (ascending ? o < 0 : o > 0)
			break;
		at = ascending ? at->prev : at->next;
	}
	return at;
}

static bool has_pair(const struct sandbox *sb, const char *key, const char *value)
{
	for (char **m = sb->who->metadata; m && m[0]; m += 2) {
		if (strcmp(m[0], key) == 0)
			return strcmp(m[1], value) == 0;
	}
	return false;
}

static bool matches(const struct sandbox *sb, const struct sandbox_filter *f)
{
	if ((sb->state == SANDBOX_PAUSED ? f->hide_paused : f->hide_running) ||
	    (f->tmpl && sb->tmpl != f->tmpl) || sb->started_ns < f->started_after_ns)
		return false;
	for (const char *const *m = f->metadata; m && m[0]; m += 2) {
		if (!has_pair(sb, m[0], m[1]))
			return false;
	}
	return true;
}

size_t sandboxes_list(const struct sandboxes *s, const struct sandbox_filter *f,
    struct sandbox **out, size_t max, bool *ret_more)
{
	struct team *t = map_get(s->teams, f->team_id);
	size_t n = 0;
	*ret_more = false;
	if (!t)
		return 0;
	struct link *at = f->ascending ? t->owned.prev : t->owned.next;
	if (f->after)
		at = behind(t, f->after, f->ascending);
	for (; at != &t->owned; at = f->ascending ? at->prev : at->next) {
		if (!matches(of_link(at), f))
			continue;
		if (n == max) {
			*ret_more = true;
			break;
		}
		out[n++] = of_link(at);
	}
	return n;
}

size_t sandboxes_count(const struct sandboxes *s, const char *team_id)
{
	if (!team_id)
		return s->count[SANDBOX_RUNNING] + s->count[SANDBOX_PAUSING] +
		       s->count[SANDBOX_RESUMING];
	const struct team *t = map_get(s->teams, team_id);
	return t ? team_running(t) : 0;
}

size_t sandboxes_count_paused(const struct sandboxes *s, const char *team_id)
{
	const struct team *t = team_id ? map_get(s->teams, team_id) : NULL;
	return t ? t->n_paused : team_id ? 0 : s->count[SANDBOX_PAUSED];
}
