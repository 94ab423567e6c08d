/* SPDX-License-Identifier: Apache-2.0 */
/* All processes: those that run, and those that ended and are kept for a while. */
#include <assert.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/journal/journal.h"
#include "guest-kernel-agent/process/process_private.h"
#include "guest-kernel-agent/system/tree.h"

#define SWEEP_MS (60 * 1000)

static struct process *process_of(const struct link *k)
{
	return container_of(k, struct process, link);
}

/* ---- those that ended ---- */

static void forget(struct processes *ps, struct process *p)
{
	link_remove(&p->link);
	ps->n_kept--;
	process_unref(p);
}

static void forget_surplus(struct processes *ps)
{
	uint64_t bytes = 0, memory = 0, now = clock_mono_ms();
	LIST_EACH(k, &ps->kept)
	{
		bytes += journal_bytes(process_of(k)->journal);
		memory += journal_memory(process_of(k)->journal);
	}
	for (struct link *k; (k = list_first(&ps->kept));) {
		struct process *p = process_of(k);
		if (ps->n_kept <= ps->conf.kept && bytes <= ps->conf.kept_bytes &&
		    memory <= PROCESSES_KEPT_MEMORY && now - p->ended_ms < ps->conf.kept_ms)
			break;
		bytes -= journal_bytes(p->journal);
		memory -= journal_memory(p->journal);
		forget(ps, p);
	}
	if (ps->n_kept > 0 && !loop_timer_is_armed(&ps->sweep))
		loop_timer_set(
		    &ps->sweep, ps->conf.kept_ms < SWEEP_MS ? ps->conf.kept_ms : SWEEP_MS);
}

static void on_sweep(struct loop_timer *t, void *arg)
{
	forget_surplus(arg);
}

void processes_set_retention(struct processes *ps, uint64_t ms, uint64_t bytes)
{
	ps->conf.kept_ms = ms;
	ps->conf.kept_bytes = bytes;
	loop_timer_cancel(&ps->sweep);
	forget_surplus(ps);
}

void processes_keep(struct processes *ps, struct process *p)
{
	link_remove(&p->link);
	ps->n_live--;
	if (p->state != PROCESS_STATE_ENDED) {
		process_unref(p);
		return;
	}
	list_push_back(&ps->kept, &p->link); /* the table's reference is the list's now */
	ps->n_kept++;
	forget_surplus(ps);
}

/* ---- the table ---- */

/* Marks of another agent that sees the same processes, as in tests, are never ours. */
static uint64_t first_mark(void)
{
	uint64_t random;
	id_random(&random, sizeof(random));
	return TREE_MARK_MIN | (random >> 1 & ~(uint64_t)UINT32_MAX);
}

struct processes *processes_new(const struct processes_conf *c)
{
	struct processes *ps = mem_zalloc(sizeof(*ps));
	if (!ps)
		return NULL;
	ps->conf = *c;
	ps->conf.kept_ms = c->kept_ms ? c->kept_ms : PROCESSES_KEPT_MS;
	ps->conf.kept = c->kept ? c->kept : PROCESSES_KEPT;
	ps->conf.kept_bytes = c->kept_bytes ? c->kept_bytes : PROCESSES_KEPT_BYTES;
	ps->next_mark = first_mark();
	link_init(&ps->live);
	link_init(&ps->kept);
	oom_watch_init(&ps->oom, c->oom_file);
	loop_timer_init(&ps->sweep, c->loop, on_sweep, ps);
	ps->killers = work_new(c->loop, 1);
	return ps->killers ? ps : processes_free(ps);
}

struct processes *processes_free(struct processes *ps)
{
	if (!ps)
		return NULL;
	LIST_EACH(k, &ps->live)
	(void)process_kill(process_of(k), PROCESS_END_KILLED);
	work_free(ps->killers);
	for (struct link *k; (k = list_pop_front(&ps->live));) {
		struct process *p = process_of(k);
		if (!p->reaped)
			(void)waitpid(p->pid, NULL, WNOHANG);
		process_unref(p);
	}
	for (struct link *k; (k = list_first(&ps->kept));)
		forget(ps, process_of(k));
	loop_timer_fini(&ps->sweep);
	oom_watch_fini(&ps->oom);
	return mem_free(ps);
}

/* ---- finding ---- */

static bool is_visible(const struct process *p)
{
	return p->state != PROCESS_STATE_STARTING && p->state != PROCESS_STATE_REFUSED;
}

enum key { KEY_PID, KEY_TAG, KEY_ID };

static bool matches(const struct process *p, enum key key, uint32_t pid, const char *text)
{
	switch (key) {
	case KEY_PID:
		return (uint32_t)p->pid == pid;
	case KEY_TAG:
		return str_eq(p->command.tag, text);
	case KEY_ID:
		return str_eq(p->id, text);
	}
	return false;
}

static struct process *find(
    const struct processes *ps, enum key key, uint32_t pid, const char *text)
{
	LIST_EACH(k, &ps->live)
	if (is_visible(process_of(k)) && matches(process_of(k), key, pid, text))
		return process_of(k);
	for (const struct link *k = ps->kept.prev; k != &ps->kept; k = k->prev)
		if (matches(process_of(k), key, pid, text))
			return process_of(k);
	return NULL;
}

struct process *processes_find_pid(const struct processes *ps, uint32_t pid)
{
	return find(ps, KEY_PID, pid, NULL);
}

struct process *processes_find_tag(const struct processes *ps, const char *tag)
{
	return *tag ? find(ps, KEY_TAG, 0, tag) : NULL;
}

struct process *processes_find_id(const struct processes *ps, const char *id)
{
	return find(ps, KEY_ID, 0, id);
}

struct process *processes_next(const struct processes *ps, const struct process *p)
{
	for (const struct link *k = p ? p->link.next : ps->live.next; k != &ps->live; k = k->next)
		if (is_visible(process_of(k)))
			return process_of(k);
	return NULL;
}
