/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/timers.h"

#include <errno.h>
#include <stddef.h>
#include <sys/timerfd.h>
#include <time.h>

#include "base/clock.h"
#include "base/fdutil.h"
#include "loop/loop.h"

#define NS_PER_MS 1000000u
#define NS_PER_S 1000000000u
#define MS_MAX (UINT64_MAX / 4 / NS_PER_MS)

/* ---- the heap: a first child and its siblings; prev is the one before, or the parent ---- */

static struct loop_timer *meld(struct loop_timer *a, struct loop_timer *b)
{
	if (!a || !b)
		return a ? a : b;
	struct loop_timer *top = b->end_ns < a->end_ns ? b : a, *under = top == a ? b : a;
	under->prev = top;
	under->next = top->child;
	if (under->next)
		under->next->prev = under;
	top->child = under;
	return top;
}

/* Siblings to one heap: pairs from the front on, then these from the back. */
static struct loop_timer *meld_all(struct loop_timer *at)
{
	struct loop_timer *pairs = NULL, *top = NULL;
	while (at) {
		struct loop_timer *a = at, *b = a->next;
		at = b ? b->next : NULL;
		a->next = NULL;
		if (b)
			b->next = NULL;
		a = meld(a, b);
		a->next = pairs;
		pairs = a;
	}
	while (pairs) {
		struct loop_timer *a = pairs;
		pairs = a->next;
		a->next = NULL;
		top = meld(a, top);
	}
	if (top)
		top->prev = NULL;
	return top;
}

static void unlink_timer(struct timers *ts, struct loop_timer *t)
{
	struct loop_timer *below = meld_all(t->child);
	if (ts->first == t) {
		ts->first = below;
	} else {
		if (t->prev->child == t)
			t->prev->child = t->next;
		else
			t->prev->next = t->next;
		if (t->next)
			t->next->prev = t->prev;
		ts->first = meld(ts->first, below);
	}
	t->child = t->next = t->prev = NULL;
}

/* ---- the kernel's ---- */

static void set_kernel(struct timers *ts, uint64_t ns)
{
	const struct itimerspec at = {
		.it_value = { .tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S) },
	};
	/* Fails for no reason that we can give: the descriptor is ours, the time is valid. */
	(void)timerfd_settime(ts->fd, TFD_TIMER_ABSTIME, &at, NULL);
	ts->kernel_ns = ns;
}

/* ---- interface ---- */

int timers_init(struct timers *ts)
{
	*ts = (struct timers){ .fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC) };
	return ts->fd < 0 ? -errno : 0;
}

void timers_fini(struct timers *ts)
{
	while (ts->first)
		loop_timer_cancel(ts->first);
	ts->fd = fd_close(ts->fd);
}

void timers_add(struct timers *ts, struct loop_timer *t, uint64_t ms)
{
	t->end_ns = clock_kernel_ns() + (ms < MS_MAX ? ms : MS_MAX) * NS_PER_MS;
	ts->first = meld(ts->first, t);
	if (ts->kernel_ns == 0 || t->end_ns < ts->kernel_ns)
		set_kernel(ts, t->end_ns);
}

void timers_remove(struct timers *ts, struct loop_timer *t)
{
	unlink_timer(ts, t);
}

void timers_run(struct timers *ts)
{
	uint64_t now = clock_kernel_ns();
	for (struct loop_timer *t; (t = ts->first) && t->end_ns <= now;) {
		unlink_timer(ts, t);
		t->armed = false;
		t->cb(t, t->arg);
	}
	set_kernel(ts, ts->first ? ts->first->end_ns : 0); /* also takes back that it has fired */
}
