/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time to live: a binary heap of the running sandboxes by the monotonic time of their end, and one
 * timer for its top. The wall clock only names the end to people; setting it ends nobody. The heap
 * has room for as many as the machine takes, so adding one cannot fail.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/mem.h"
#include "image/template.h"
#include "sandbox/object.h"
#include "store/store.h"

#define WAIT_MAX_MS (60 * 60 * 1000)

static void place(struct sandboxes *s, size_t at, struct sandbox *sb)
{
	s->heap[at] = sb;
	sb->heap_at = at;
}

static void sift_up(struct sandboxes *s, size_t at)
{
	struct sandbox *sb = s->heap[at];
	while (at > 0 && s->heap[(at - 1) / 2]->end_mono_ms > sb->end_mono_ms) {
		place(s, at, s->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	place(s, at, sb);
}

static void sift_down(struct sandboxes *s, size_t at)
{
	struct sandbox *sb = s->heap[at];
	for (;;) {
		size_t child = 2 * at + 1;
		if (child >= s->n_heap)
			break;
		if (child + 1 < s->n_heap &&
		    s->heap[child + 1]->end_mono_ms < s->heap[child]->end_mono_ms)
			child++;
		if (s->heap[child]->end_mono_ms >= sb->end_mono_ms)
			break;
		place(s, at, s->heap[child]);
		at = child;
	}
	place(s, at, sb);
}

static void arm(struct sandboxes *s)
{
	if (s->n_heap == 0) {
		loop_timer_cancel(&s->expiry);
		return;
	}
	uint64_t now = clock_mono_ms(), due = s->heap[0]->end_mono_ms;
	uint64_t wait = due > now ? due - now : 0;
	loop_timer_set(&s->expiry, wait < WAIT_MAX_MS ? wait : WAIT_MAX_MS);
}

static void on_timer(struct loop_timer *t, void *arg)
{
	expiry_run(arg);
}

int expiry_init(struct sandboxes *s)
{
	loop_timer_init(&s->expiry, s->conf.loop, on_timer, s);
	s->heap = mem_calloc(s->conf.max_sandboxes, sizeof(struct sandbox *));
	return s->heap ? 0 : -ENOMEM;
}

void expiry_fini(struct sandboxes *s)
{
	loop_timer_fini(&s->expiry);
	s->heap = mem_free(s->heap);
}

void expiry_add(struct sandbox *sb)
{
	struct sandboxes *s = sb->reg;
	place(s, s->n_heap++, sb);
	sift_up(s, sb->heap_at);
	arm(s);
}

void expiry_remove(struct sandbox *sb)
{
	struct sandboxes *s = sb->reg;
	struct sandbox *last = s->heap[--s->n_heap];
	if (last != sb) {
		place(s, sb->heap_at, last);
		expiry_update(last);
	}
	arm(s);
}

void expiry_update(struct sandbox *sb)
{
	sift_up(sb->reg, sb->heap_at);
	sift_down(sb->reg, sb->heap_at);
	arm(sb->reg);
}

void expiry_run(struct sandboxes *s)
{
	uint64_t now = clock_mono_ms();
	while (s->n_heap && s->heap[0]->end_mono_ms <= now) {
		struct sandbox *sb = s->heap[0];
		if (sb->who->auto_pause && sb->job == JOB_NONE)
			sandbox_begin_pause(sb);
		else
			sandbox_end(sb, SANDBOX_END_TIMEOUT, "its time to live ran out");
	}
	arm(s);
}

int sandbox_set_timeout(struct sandbox *sb, unsigned s, bool only_extend, struct err *reterr)
{
	if (sb->state != SANDBOX_RUNNING)
		return err_set(reterr, SANDBOX_E_STATE, "sandbox %s is %s", sb->id,
		    sandbox_state_name(sb->state));
	if (s > sb->tmpl->timeout_max_s)
		return err_set(
		    reterr, -ERANGE, "at most %u seconds are allowed", sb->tmpl->timeout_max_s);
	uint64_t end = clock_mono_ms() + (uint64_t)s * 1000;
	if (only_extend && end <= sb->end_mono_ms)
		return 0;
	int64_t before_ns = sb->end_at_ns;
	sb->end_at_ns = clock_real_ns() + (int64_t)s * 1000000000;
	int r = sandbox_write_row(sb, 0);
	if (r < 0) {
		sb->end_at_ns = before_ns;
		return err_set(reterr, r, "sandbox %s: out of memory", sb->id);
	}
	sb->end_mono_ms = end;
	expiry_update(sb);
	events_publish(sb, SANDBOX_EVENT_TIMEOUT_CHANGED);
	return 0;
}
