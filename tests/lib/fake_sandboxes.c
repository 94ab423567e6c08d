/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/fake_sandboxes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest/guest.h"
#include "image/template.h"
#include "loop/loop.h"
#include "lib/test.h"
#include "vmm/vmm.h"

#define NS_PER_S 1000000000

struct guest {
	struct http_client *data;
};

struct sandbox {
	struct link link;
	struct sandboxes *owner;
	unsigned refs;
	char id[ID_SANDBOX_LEN + 1], team_id[40];
	const struct template *tmpl;
	char *access_token, *traffic_token, *mask_host, *end_detail;
	enum sandbox_state state;
	enum sandbox_end end;
	int64_t started_ns, end_at_ns;
	bool internet, auto_pause;
	char **metadata, **env;
	uint64_t oom_kills, pids_refused;
};

struct sandbox_sub {
	struct link link;
	struct sandboxes *owner;
	char team_id[40]; /* "" = all */
	sandbox_event_fn *fn;
	void *arg;
};

struct sandbox_create {
	struct link link;
	struct sandboxes *owner;
	struct loop_defer defer;
	struct sandbox *sb;
	struct err err;
	sandbox_create_fn *done;
	void *arg;
};

struct sandboxes {
	struct loop *loop;
	const struct templates *templates;
	struct link all, subs, creates;
	struct guest guest;
	bool hold, can_pause;
	struct err failure;
	struct fake_sandboxes_stats stats;
};

/* A later answer to a kill or a question for usage. */
struct answer {
	struct loop_defer defer;
	struct err err;
	sandbox_fn *done;
	void (*usage)(const struct err *err, const struct vmm_usage *u, void *arg);
	void *arg;
};

static void *must(void *p)
{
	ck_assert_ptr_nonnull(p);
	return p;
}

static char **copy_list(const char *const *v)
{
	size_t n = 0;
	while (v && v[n])
		n++;
	char **copy = must(calloc(n + 1, sizeof(*copy)));
	for (size_t i = 0; i < n; i++)
		copy[i] = must(strdup(v[i]));
	return copy;
}

static void free_list(char **v)
{
	for (char **s = v; s && *s; s++)
		free(*s);
	free(v);
}

/* ---- one sandbox ---- */

void sandbox_view(const struct sandbox *sb, struct sandbox_view *ret)
{
	*ret = (struct sandbox_view){ .id = sb->id,
		.tmpl = sb->tmpl,
		.team_id = sb->team_id,
		.access_token = sb->access_token,
		.traffic_token = sb->traffic_token,
		.mask_host = sb->mask_host,
		.state = sb->state,
		.end = sb->end,
		.end_detail = sb->end_detail,
		.isolation = "namespace",
		.started_ns = sb->started_ns,
		.end_at_ns = sb->end_at_ns,
		.cpu_milli = sb->tmpl->cpu_milli,
		.memory_bytes = sb->tmpl->memory_bytes,
		.disk_bytes = sb->tmpl->disk_bytes,
		.internet = sb->internet,
		.auto_pause = sb->auto_pause,
		.metadata = (const char *const *)sb->metadata,
		.env = (const char *const *)sb->env,
		.oom_kills = sb->oom_kills,
		.pids_refused = sb->pids_refused };
}

struct guest *sandbox_guest(const struct sandbox *sb)
{
	return sb->state == SANDBOX_RUNNING ? &sb->owner->guest : NULL;
}

struct http_client *guest_data(struct guest *g)
{
	return g->data;
}

struct sandbox *sandbox_ref(struct sandbox *sb)
{
	sb->refs++;
	return sb;
}

struct sandbox *sandbox_unref(struct sandbox *sb)
{
	if (!sb || --sb->refs > 0)
		return NULL;
	link_remove(&sb->link);
	free_list(sb->metadata);
	free_list(sb->env);
	free(sb->access_token);
	free(sb->traffic_token);
	free(sb->mask_host);
	free(sb->end_detail);
	free(sb);
	return NULL;
}

static struct sandbox *sandbox_new(struct sandboxes *s, const char *team_id)
{
	struct sandbox *sb = must(calloc(1, sizeof(*sb)));
	sb->owner = s;
	sb->refs = 1;
	sb->tmpl = must((void *)templates_at(s->templates, 0));
	sb->end_detail = must(strdup(""));
	sb->internet = true;
	id_sandbox(sb->id);
	(void)str_copy(sb->team_id, sizeof(sb->team_id), team_id);
	link_init(&sb->link);
	return sb;
}

/* ---- events ---- */

void fake_sandbox_emit(struct sandbox *sb, enum sandbox_event_kind kind)
{
	sb->oom_kills += kind == SANDBOX_EVENT_OOM;
	sb->pids_refused += kind == SANDBOX_EVENT_PIDS_LIMIT;
	LIST_EACH_SAFE(it, &sb->owner->subs)
	{
		struct sandbox_sub *sub = container_of(it, struct sandbox_sub, link);
		if (!*sub->team_id || str_eq(sub->team_id, sb->team_id))
			sub->fn(kind, sb, sub->arg);
	}
}

struct sandbox_sub *sandboxes_subscribe(
    struct sandboxes *s, const char *team_id, sandbox_event_fn *fn, void *arg)
{
	struct sandbox_sub *sub = mem_zalloc(sizeof(*sub));
	if (!sub)
		return NULL;
	sub->owner = s;
	sub->fn = fn;
	sub->arg = arg;
	(void)str_copy(sub->team_id, sizeof(sub->team_id), team_id ? team_id : "");
	list_push_back(&s->subs, &sub->link);
	s->stats.subscribers++;
	return sub;
}

void sandboxes_unsubscribe(struct sandbox_sub *sub)
{
	sub->owner->stats.subscribers--;
	link_remove(&sub->link);
	free(sub);
}

/* ---- registry ---- */

struct sandboxes *fake_sandboxes_new(struct loop *l, const struct templates *ts)
{
	struct sandboxes *s = must(calloc(1, sizeof(*s)));
	s->loop = l;
	s->templates = ts;
	link_init(&s->all);
	link_init(&s->subs);
	link_init(&s->creates);
	return s;
}

struct sandboxes *fake_sandboxes_free(struct sandboxes *s)
{
	ck_assert_msg(list_is_empty(&s->subs), "a subscription is left");
	ck_assert_msg(list_is_empty(&s->creates), "a create is left");
	for (struct link *l; (l = list_first(&s->all));)
		sandbox_unref(container_of(l, struct sandbox, link));
	free(s);
	return NULL;
}

void fake_sandboxes_set_data(struct sandboxes *s, struct http_client *data)
{
	s->guest.data = data;
}

void fake_sandboxes_fail(struct sandboxes *s, int code, const char *text)
{
	err_reset(&s->failure);
	if (code)
		(void)err_set(&s->failure, code, "%s", text);
}

const struct fake_sandboxes_stats *fake_sandboxes_stats(const struct sandboxes *s)
{
	return &s->stats;
}

struct sandbox *sandboxes_find(const struct sandboxes *s, const char *id)
{
	LIST_EACH(it, &s->all)
	{
		struct sandbox *sb = container_of(it, struct sandbox, link);
		if (str_eq(sb->id, id))
			return sb;
	}
	return NULL;
}

struct sandbox *fake_sandbox_add(struct sandboxes *s, const char *team_id, const char *id,
    int64_t started_ns, const char *const *metadata)
{
	struct sandbox *sb = sandbox_new(s, team_id);
	if (id)
		(void)str_copy(sb->id, sizeof(sb->id), id);
	sb->state = SANDBOX_RUNNING;
	sb->started_ns = started_ns;
	sb->end_at_ns = started_ns + 300ll * NS_PER_S;
	sb->metadata = copy_list(metadata);
	sb->env = copy_list(NULL);
	sb->access_token = must(strdup("accesstoken"));
	list_push_back(&s->all, &sb->link);
	return sb;
}

void fake_sandbox_set_mask_host(struct sandbox *sb, const char *mask)
{
	free(sb->mask_host);
	sb->mask_host = must(strdup(mask));
}

void fake_sandbox_set_traffic_token(struct sandbox *sb, const char *token)
{
	free(sb->traffic_token);
	sb->traffic_token = must(strdup(token));
}

void fake_sandbox_end(struct sandbox *sb, enum sandbox_end why, const char *detail)
{
	sb->state = SANDBOX_STOPPING;
	sb->end = why;
	free(sb->end_detail);
	sb->end_detail = must(strdup(detail));
	fake_sandbox_emit(sb, SANDBOX_EVENT_ENDED);
	sb->state = SANDBOX_GONE;
	link_remove(&sb->link);
	sandbox_unref(sb);
}

/* ---- create ---- */

static void on_create(struct loop_defer *d, void *arg)
{
	struct sandbox_create *c = arg;
	link_remove(&c->link);
	c->owner->stats.creating--;
	loop_defer_fini(&c->defer);
	if (c->err.code) {
		c->done(&c->err, NULL, c->arg);
		sandbox_unref(c->sb);
	} else {
		c->sb->state = SANDBOX_RUNNING;
		c->owner->stats.created++;
		list_push_back(&c->owner->all, &c->sb->link);
		fake_sandbox_emit(c->sb, SANDBOX_EVENT_CREATED);
		c->done(&c->err, c->sb, c->arg);
	}
	free(c);
}

static void remember(struct fake_sandboxes_stats *st, const struct sandbox_params *p)
{
	(void)str_copy(st->template_ref, sizeof(st->template_ref), p->template_ref);
	(void)str_copy(st->team_id, sizeof(st->team_id), p->team_id);
	(void)str_copy(st->env, sizeof(st->env), p->env[0] ? p->env[0] : "");
	st->timeout_s = p->timeout_s;
	st->team_limit = p->team_limit;
	st->secure = p->secure;
	st->internet = p->internet;
	st->allow_public_traffic = p->allow_public_traffic;
}

struct sandbox_create *sandbox_create(
    struct sandboxes *s, const struct sandbox_params *p, sandbox_create_fn *done, void *arg)
{
	struct sandbox_create *c = mem_zalloc(sizeof(*c));
	if (!c)
		return NULL;
	struct sandbox *sb = c->sb = sandbox_new(s, p->team_id);
	const struct template *t = templates_find(s->templates, p->template_ref);
	c->owner = s;
	c->done = done;
	c->arg = arg;
	c->err = s->failure;
	remember(&s->stats, p);
	s->stats.creating++;
	if (t)
		sb->tmpl = t;
	else
		(void)err_set(&c->err, SANDBOX_E_TEMPLATE, "template not found");
	if (p->team_limit && sandboxes_count(s, p->team_id) >= p->team_limit)
		(void)err_set(&c->err, SANDBOX_E_LIMIT,
		    "you have reached the maximum number of concurrent E2B sandboxes (%u)",
		    p->team_limit);
	sb->started_ns = clock_real_ns();
	sb->end_at_ns = sb->started_ns + (int64_t)(p->timeout_s ? p->timeout_s : 300) * NS_PER_S;
	sb->internet = p->internet;
	sb->auto_pause = p->auto_pause;
	if (p->auto_pause && !s->can_pause)
		(void)err_set(&c->err, SANDBOX_E_DRIVER,
		    "the driver 'fake' of this server cannot pause a sandbox");
	sb->metadata = copy_list(p->metadata);
	sb->env = copy_list(p->env);
	if (p->secure)
		sb->access_token = must(strdup("accesstoken"));
	if (p->mask_host)
		fake_sandbox_set_mask_host(sb, p->mask_host);
	if (!p->allow_public_traffic)
		sb->traffic_token = must(strdup("traffictoken"));
	loop_defer_init(&c->defer, s->loop, on_create, c);
	list_push_back(&s->creates, &c->link);
	if (!s->hold)
		loop_defer_set(&c->defer);
	return c;
}

void sandbox_create_cancel(struct sandbox_create *c)
{
	link_remove(&c->link);
	c->owner->stats.creating--;
	c->owner->stats.cancelled++;
	loop_defer_fini(&c->defer);
	sandbox_unref(c->sb);
	free(c);
}

void fake_sandboxes_hold(struct sandboxes *s, bool hold)
{
	s->hold = hold;
	if (!hold)
		LIST_EACH(it, &s->creates)
	loop_defer_set(&container_of(it, struct sandbox_create, link)->defer);
}

/* ---- kill, timeout, usage ---- */

static void on_answer(struct loop_defer *d, void *arg)
{
	static const struct vmm_usage usage = { .memory_bytes = 50 << 20,
		.memory_limit = 512 << 20,
		.cpu_usec = 1000,
		.disk_bytes = 4096,
		.disk_limit = 1 << 30,
		.pids = 3 };
	struct answer *a = arg;
	loop_defer_fini(&a->defer);
	if (a->usage)
		a->usage(&a->err, &usage, a->arg);
	else if (a->done)
		a->done(&a->err, a->arg);
	free(a);
}

static struct answer *answer_later(struct sandboxes *s, void *arg)
{
	struct answer *a = must(calloc(1, sizeof(*a)));
	a->err = s->failure;
	a->arg = arg;
	loop_defer_init(&a->defer, s->loop, on_answer, a);
	loop_defer_set(&a->defer);
	return a;
}

void sandbox_kill(struct sandbox *sb, enum sandbox_end why, sandbox_fn *done, void *arg)
{
	answer_later(sb->owner, arg)->done = done;
	sb->owner->stats.killed++;
	if (!sb->owner->failure.code)
		fake_sandbox_end(sb, why, "");
}

void sandbox_pause(struct sandbox *sb, sandbox_fn *done, void *arg)
{
	struct answer *a = answer_later(sb->owner, arg);
	a->done = done;
	if (!sb->owner->can_pause)
		(void)err_set(&a->err, SANDBOX_E_DRIVER,
		    "the driver 'fake' of this server cannot pause a sandbox");
	else if (sb->state != SANDBOX_RUNNING)
		(void)err_set(&a->err, SANDBOX_E_STATE, "sandbox %s is paused", sb->id);
	if (a->err.code)
		return;
	sb->state = SANDBOX_PAUSED;
	fake_sandbox_emit(sb, SANDBOX_EVENT_PAUSED);
}

void sandbox_resume(
    struct sandbox *sb, unsigned s, unsigned team_limit, sandbox_fn *done, void *arg)
{
	struct answer *a = answer_later(sb->owner, arg);
	a->done = done;
	if (sb->state != SANDBOX_PAUSED)
		(void)err_set(&a->err, SANDBOX_E_STATE, "sandbox %s is running", sb->id);
	else if (team_limit && sandboxes_count(sb->owner, sb->team_id) >= team_limit)
		(void)err_set(&a->err, SANDBOX_E_LIMIT, "the team has too many sandboxes");
	if (a->err.code)
		return;
	sb->state = SANDBOX_RUNNING;
	sb->end_at_ns = clock_real_ns() + (int64_t)(s ? s : 300) * NS_PER_S;
	fake_sandbox_emit(sb, SANDBOX_EVENT_RESUMED);
}

int sandbox_set_timeout(struct sandbox *sb, unsigned s, bool only_extend, struct err *reterr)
{
	int64_t end = clock_real_ns() + (int64_t)s * NS_PER_S;
	if (s > sb->tmpl->timeout_max_s)
		return err_set(
		    reterr, -ERANGE, "expected at most %u seconds", sb->tmpl->timeout_max_s);
	if (!only_extend || end > sb->end_at_ns)
		sb->end_at_ns = end;
	fake_sandbox_emit(sb, SANDBOX_EVENT_TIMEOUT_CHANGED);
	return 0;
}

void sandbox_usage(struct sandbox *sb,
    void (*done)(const struct err *err, const struct vmm_usage *u, void *arg), void *arg)
{
	answer_later(sb->owner, arg)->usage = done;
}

/* ---- queries ---- */

static bool has_pair(const struct sandbox *sb, const char *key, const char *value)
{
	for (char **kv = sb->metadata; kv[0]; kv += 2)
		if (str_eq(kv[0], key) && str_eq(kv[1], value))
			return true;
	return false;
}

/* Order of a listing: newest first, then id. */
static int compare(int64_t a_ns, const char *a_id, int64_t b_ns, const char *b_id)
{
	if (a_ns != b_ns)
		return a_ns > b_ns ? -1 : 1;
	return strcmp(a_id, b_id);
}

static bool matches(const struct sandbox *sb, const struct sandbox_filter *f)
{
	if ((sb->state == SANDBOX_PAUSED ? f->hide_paused : f->hide_running) ||
	    !str_eq(sb->team_id, f->team_id) || sb->started_ns < f->started_after_ns ||
	    (f->tmpl && f->tmpl != sb->tmpl))
		return false;
	for (const char *const *kv = f->metadata; kv && kv[0]; kv += 2)
		if (!has_pair(sb, kv[0], kv[1]))
			return false;
	if (!f->after)
		return true;
	int order = compare(sb->started_ns, sb->id, f->after->started_ns, f->after->id);
	return f->ascending ? order < 0 : order > 0;
}

static int by_newest(const void *a, const void *b)
{
	const struct sandbox *x = *(struct sandbox *const *)a, *y = *(struct sandbox *const *)b;
	return compare(x->started_ns, x->id, y->started_ns, y->id);
}

size_t sandboxes_list(const struct sandboxes *s, const struct sandbox_filter *f,
    struct sandbox **out, size_t max, bool *ret_more)
{
	size_t n = 0, total = 0;
	LIST_EACH(it, &s->all)
	total++;
	struct sandbox **v = must(calloc(total + 1, sizeof(*v)));
	LIST_EACH(it, &s->all)
	{
		struct sandbox *sb = container_of(it, struct sandbox, link);
		if (matches(sb, f))
			v[n++] = sb;
	}
	qsort(v, n, sizeof(*v), by_newest);
	*ret_more = n > max;
	for (size_t i = 0; i < n && i < max; i++)
		out[i] = v[f->ascending ? n - 1 - i : i];
	free(v);
	return n < max ? n : max;
}

static size_t count(const struct sandboxes *s, const char *team_id, enum sandbox_state state)
{
	size_t n = 0;
	LIST_EACH(it, &s->all)
	{
		const struct sandbox *sb = container_of(it, struct sandbox, link);
		n += str_eq(sb->team_id, team_id) && sb->state == state;
	}
	return n;
}

size_t sandboxes_count(const struct sandboxes *s, const char *team_id)
{
	return count(s, team_id, SANDBOX_RUNNING);
}

size_t sandboxes_count_paused(const struct sandboxes *s, const char *team_id)
{
	return count(s, team_id, SANDBOX_PAUSED);
}

void fake_sandboxes_let_pause(struct sandboxes *s)
{
	s->can_pause = true;
}

size_t sandboxes_pool_ready(const struct sandboxes *s, const struct template *t)
{
	return t->pool_size;
}

void sandboxes_stats(const struct sandboxes *s, struct sandboxes_stats *ret)
{
	*ret = (struct sandboxes_stats){ .created = s->stats.created, .memory_budget = 4096 };
	LIST_EACH(it, &s->all)
	{
		const struct sandbox *sb = container_of(it, struct sandbox, link);
		++*(sb->state == SANDBOX_PAUSED ? &ret->paused : &ret->running);
	}
}

size_t sandboxes_pools(const struct sandboxes *s)
{
	return templates_count(s->templates);
}

void sandboxes_pool_stats(const struct sandboxes *s, size_t i, struct sandboxes_pool_stats *ret)
{
	*ret = (struct sandboxes_pool_stats){
		.tmpl = templates_at(s->templates, i), .idle = 2, .hits = 7, .last_failure = ""
	};
}
