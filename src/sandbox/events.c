/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events are bits of their sandbox until the next turn tells them, so that publishing allocates
 * nothing, calls nobody back and is bounded: what happens twice before it is told is told once. The
 * kinds are numbered in the order in which they can happen.
 */
#include "base/mem.h"
#include "base/str.h"
#include "sandbox/object.h"

struct sandbox_sub {
	struct sandboxes *reg;
	struct link link;
	char *team_id;	      /* NULL = all */
	sandbox_event_fn *fn; /* NULL once unsubscribed while events are being told */
	void *arg;
};

static void sub_free(struct sandbox_sub *sub)
{
	link_remove(&sub->link);
	mem_free(sub->team_id);
	mem_free(sub);
}

static void tell(struct sandboxes *s, struct sandbox *sb, enum sandbox_event_kind kind)
{
	LIST_EACH(l, &s->subs)
	{
		struct sandbox_sub *sub = container_of(l, struct sandbox_sub, link);
		if (sub->fn && (!sub->team_id || str_eq(sub->team_id, sb->who->team->id)))
			sub->fn(kind, sb, sub->arg);
	}
}

static void tell_all_of(struct sandboxes *s, struct sandbox *sb)
{
	unsigned events = sb->events;
	sb->events = 0;
	for (unsigned kind = 0; kind <= SANDBOX_EVENT_ENDED; kind++) {
		if (events & 1u << kind)
			tell(s, sb, kind);
	}
}

static void on_tell(struct loop_defer *d, void *arg)
{
	struct sandboxes *s = arg;
	struct link todo = LINK_INIT(todo);
	for (struct link *l; (l = list_pop_front(&s->told));)
		list_push_back(&todo, l);
	s->telling = true;
	for (struct link *l; (l = list_pop_front(&todo));) {
		struct sandbox *sb = container_of(l, struct sandbox, in_events);
		tell_all_of(s, sb);
		(void)sandbox_unref(sb);
	}
	s->telling = false;
	LIST_EACH_SAFE(l, &s->subs)
	{
		struct sandbox_sub *sub = container_of(l, struct sandbox_sub, link);
		if (!sub->fn)
			sub_free(sub);
	}
}

void events_init(struct sandboxes *s)
{
	link_init(&s->subs);
	link_init(&s->told);
	loop_defer_init(&s->tell, s->conf.loop, on_tell, s);
}

void events_fini(struct sandboxes *s)
{
	loop_defer_fini(&s->tell);
	for (struct link *l; (l = list_pop_front(&s->told));)
		(void)sandbox_unref(container_of(l, struct sandbox, in_events));
	for (struct link *l; (l = list_pop_front(&s->subs));)
		container_of(l, struct sandbox_sub, link)->reg = NULL; /* its owner frees it */
}

void events_publish(struct sandbox *sb, enum sandbox_event_kind kind)
{
	struct sandboxes *s = sb->reg;
	sb->events |= 1u << kind;
	if (link_is_linked(&sb->in_events))
		return;
	list_push_back(&s->told, &sb->in_events);
	(void)sandbox_ref(sb);
	loop_defer_set(&s->tell);
}

struct sandbox_sub *sandboxes_subscribe(
    struct sandboxes *s, const char *team_id, sandbox_event_fn *fn, void *arg)
{
	struct sandbox_sub *sub = mem_zalloc(sizeof(*sub));
	if (!sub)
		return NULL;
	if (mem_set_str(&sub->team_id, team_id) < 0)
		return mem_free(sub);
	sub->reg = s;
	sub->fn = fn;
	sub->arg = arg;
	list_push_back(&s->subs, &sub->link);
	return sub;
}

void sandboxes_unsubscribe(struct sandbox_sub *sub)
{
	if (!sub)
		return;
	if (sub->reg && sub->reg->telling)
		sub->fn = NULL;
	else
		sub_free(sub);
}
