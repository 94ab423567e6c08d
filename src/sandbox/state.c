/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lifecycle. sandbox_set_state() alone changes a state, and with it everything that depends on
 * it: the lists of pools and teams, the expiry heap, counters, events, the row's state. Jobs ask
 * for moves; they never do these things themselves.
 *
 *   entered      lists                     also
 *   creating     (by_id)
 *   pooled       its pool's idle ones
 *   running      its team's, expiry        CREATED, unless it was adopted
 *   stopping                               row says so, ENDED if it was running; the destroy job
 * follows gone         none                      killers are told, the registry's reference is
 * dropped
 */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "sandbox/object.h"

#define BIT(state) (1u << (state))

static const unsigned allowed[SANDBOX_GONE + 1] = {
	[SANDBOX_CREATING] = BIT(SANDBOX_POOLED) | BIT(SANDBOX_RUNNING) | BIT(SANDBOX_STOPPING),
	[SANDBOX_POOLED] = BIT(SANDBOX_RUNNING) | BIT(SANDBOX_STOPPING),
	[SANDBOX_RUNNING] = BIT(SANDBOX_STOPPING),
	[SANDBOX_STOPPING] = BIT(SANDBOX_GONE),
};

static const char *const state_names[] = {
	[SANDBOX_CREATING] = "creating",
	[SANDBOX_POOLED] = "pooled",
	[SANDBOX_RUNNING] = "running",
	[SANDBOX_STOPPING] = "stopping",
	[SANDBOX_GONE] = "gone",
};

static const char *const end_names[] = {
	[SANDBOX_END_NONE] = "",
	[SANDBOX_END_KILLED] = "killed",
	[SANDBOX_END_TIMEOUT] = "timeout",
	[SANDBOX_END_CRASHED] = "crashed",
	[SANDBOX_END_OUT_OF_MEMORY] = "out_of_memory",
	[SANDBOX_END_FAILED] = "failed",
	[SANDBOX_END_SHUTDOWN] = "shutdown",
	[SANDBOX_END_LOST] = "lost",
};

const char *sandbox_state_name(enum sandbox_state s)
{
	return state_names[s];
}

const char *sandbox_end_name(enum sandbox_end e)
{
	return end_names[e];
}

static void leave(struct sandbox *sb)
{
	pool_remove(sb);
	if (sb->state == SANDBOX_RUNNING) {
		team_remove(sb->who->team, sb);
		expiry_remove(sb);
	}
}

static void enter(struct sandbox *sb, enum sandbox_state before)
{
	struct sandboxes *s = sb->reg;
	switch (sb->state) {
	case SANDBOX_CREATING:
		break;
	case SANDBOX_POOLED:
		pool_add(sb);
		break;
	case SANDBOX_RUNNING:
		team_add(sb->who->team, sb);
		expiry_add(sb);
		if (sb->create) /* not when it was adopted */
			events_publish(sb, SANDBOX_EVENT_CREATED);
		break;
	case SANDBOX_STOPPING:
		if (sb->has_row)
			(void)sandbox_write_row(sb, 0);
		if (before == SANDBOX_RUNNING)
			events_publish(sb, SANDBOX_EVENT_ENDED);
		break;
	case SANDBOX_GONE:
		(void)map_remove(s->by_id, sb->id);
		break;
	}
}

void sandbox_set_state(struct sandbox *sb, enum sandbox_state next)
{
	static const struct err no_error = ERR_INIT;
	struct sandboxes *s = sb->reg;
	enum sandbox_state before = sb->state;
	assert(allowed[before] & BIT(next));
	log_debug("sandbox %s: %s -> %s%s%s", sb->id, state_names[before], state_names[next],
	    sb->end ? ", " : "", end_names[sb->end]);
	leave(sb);
	s->count[before]--;
	s->count[next]++;
	sb->state = next;
	enter(sb, before);
	sandboxes_pump(s);
	if (next == SANDBOX_GONE) {
		s->count[next]--; /* nobody counts the dead */
		sandbox_tell_killers(sb, &no_error);
		(void)sandbox_unref(sb);
	}
}

void sandbox_end(struct sandbox *sb, enum sandbox_end why, const char *fmt, ...)
{
	va_list ap;
	if (sb->state >= SANDBOX_STOPPING)
		return;
	sb->end = why;
	va_start(ap, fmt);
	(void)vsnprintf(sb->end_detail, sizeof(sb->end_detail), fmt, ap);
	va_end(ap);
	sandbox_set_state(sb, SANDBOX_STOPPING);
	if (sb->job == JOB_NONE)
		sandbox_destroy(sb);
	else
		op_cancel(&sb->op); /* its done function goes on with the destroy */
}

void sandbox_job_failed(struct sandbox *sb, enum sandbox_end why, const struct err *err)
{
	struct sandbox_create *c = TAKE(sb->create);
	struct err told = *err;
	if (sb->state == SANDBOX_STOPPING) {
		err_reset(&told); /* the cancelled job does not know why it was */
		(void)err_set(&told, sb->end == SANDBOX_END_SHUTDOWN ? -ESHUTDOWN : -EIO, "%s",
		    sb->end_detail);
		sandbox_destroy(sb);
	} else {
		sandbox_end(sb, why, "%s", err_text(err));
	}
	if (c)
		create_failed(c, &told);
}
