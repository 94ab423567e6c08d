/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lifecycle. sandbox_set_state() alone changes a state, and with it everything that depends on
 * it: the lists of pools and teams, the expiry heap, counters, events, the row's state. Jobs ask
 * for moves; they never do these things themselves.
 *
 *   entered    lists                       also
 *   creating   (by_id)
 *   pooled     its pool's idle ones
 *   running    its team's, expiry          CREATED or RESUMED, unless it was adopted
 *   pausing    its team's
 *   paused     its team's                  PAUSED, unless a row said so
 *   resuming   its team's
 *   stopping                               row says so, ENDED if it was somebody's; the destroy
 *                                          job follows
 *   gone       none                        who waits is told, the registry's reference is dropped
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
	[SANDBOX_CREATING] = BIT(SANDBOX_POOLED) | BIT(SANDBOX_RUNNING) | BIT(SANDBOX_PAUSED) |
			     BIT(SANDBOX_STOPPING),
	[SANDBOX_POOLED] = BIT(SANDBOX_RUNNING) | BIT(SANDBOX_STOPPING),
	[SANDBOX_RUNNING] = BIT(SANDBOX_PAUSING) | BIT(SANDBOX_STOPPING),
	[SANDBOX_PAUSING] = BIT(SANDBOX_RUNNING) | BIT(SANDBOX_PAUSED) | BIT(SANDBOX_STOPPING),
	[SANDBOX_PAUSED] = BIT(SANDBOX_RESUMING) | BIT(SANDBOX_STOPPING),
	[SANDBOX_RESUMING] = BIT(SANDBOX_RUNNING) | BIT(SANDBOX_PAUSED) | BIT(SANDBOX_STOPPING),
	[SANDBOX_STOPPING] = BIT(SANDBOX_GONE),
};

static const char *const state_names[] = {
	[SANDBOX_CREATING] = "creating",
	[SANDBOX_POOLED] = "pooled",
	[SANDBOX_RUNNING] = "running",
	[SANDBOX_PAUSING] = "pausing",
	[SANDBOX_PAUSED] = "paused",
	[SANDBOX_RESUMING] = "resuming",
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

bool sandbox_state_is_owned(enum sandbox_state s)
{
	return s >= SANDBOX_RUNNING && s <= SANDBOX_RESUMING;
}

static bool takes_room(enum sandbox_state s)
{
	return s != SANDBOX_PAUSED && s != SANDBOX_GONE;
}

static void leave(struct sandbox *sb, enum sandbox_state next)
{
	pool_remove(sb);
	if (sb->state == SANDBOX_RUNNING) {
		expiry_remove(sb);
		sandbox_unwatch_limits(sb);
	}
	if (sb->state == SANDBOX_PAUSED)
		sb->who->team->n_paused--;
	if (sandbox_state_is_owned(sb->state) && !sandbox_state_is_owned(next))
		team_remove(sb->who->team, sb);
}

static void enter_running(struct sandbox *sb, enum sandbox_state before)
{
	expiry_add(sb);
	sandbox_watch_limits(sb);
	if (sb->create) /* not when it was adopted */
		events_publish(sb, SANDBOX_EVENT_CREATED);
	else if (before == SANDBOX_RESUMING)
		events_publish(sb, SANDBOX_EVENT_RESUMED);
}

/* Pauses and resumes that nothing comes of any more. */
static void tell_of_end(struct sandbox *sb)
{
	struct err err = ERR_INIT;
	(void)err_set(&err, SANDBOX_E_STATE, "sandbox %s ended: %s", sb->id, sb->end_detail);
	sandbox_tell_later(&sb->pausers, &err);
	sandbox_tell_later(&sb->resumers, &err);
}

static void enter(struct sandbox *sb, enum sandbox_state before)
{
	struct sandboxes *s = sb->reg;
	if (sandbox_state_is_owned(sb->state) && !sandbox_state_is_owned(before))
		team_add(sb->who->team, sb);
	switch (sb->state) {
	case SANDBOX_CREATING:
	case SANDBOX_PAUSING:
	case SANDBOX_RESUMING:
		break;
	case SANDBOX_POOLED:
		pool_add(sb);
		break;
	case SANDBOX_RUNNING:
		enter_running(sb, before);
		break;
	case SANDBOX_PAUSED:
		sb->who->team->n_paused++;
		if (before == SANDBOX_PAUSING)
			events_publish(sb, SANDBOX_EVENT_PAUSED);
		break;
	case SANDBOX_STOPPING:
		if (sb->has_row)
			(void)sandbox_write_row(sb, 0);
		if (sandbox_state_is_owned(before))
			events_publish(sb, SANDBOX_EVENT_ENDED);
		tell_of_end(sb);
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
	leave(sb, next);
	s->count[before]--;
	s->count[next]++;
	if (takes_room(before) != takes_room(next))
		s->promised += takes_room(next) ? sb->sizes.memory_bytes : -sb->sizes.memory_bytes;
	sb->state = next;
	enter(sb, before);
	sandboxes_pump(s);
	if (next == SANDBOX_GONE) {
		s->count[next]--; /* nobody counts the dead */
		sandbox_tell(&sb->killers, &no_error);
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
