/* SPDX-License-Identifier: Apache-2.0 */
/* Every caller of a kill waits for the one destroy. */
#include <errno.h>

#include "base/err.h"
#include "base/mem.h"
#include "sandbox/object.h"

struct kill_wait {
	struct link link; /* of its sandbox, unless that is gone */
	sandbox_fn *done;
	void *arg;
	struct loop_defer now; /* when nothing is left to wait for */
};

static void answer(struct kill_wait *w, const struct err *err)
{
	loop_defer_fini(&w->now);
	w->done(err, w->arg);
	mem_free(w);
}

static void on_gone_already(struct loop_defer *d, void *arg)
{
	static const struct err no_error = ERR_INIT;
	answer(arg, &no_error);
}

void sandbox_tell_killers(struct sandbox *sb, const struct err *err)
{
	struct link todo = LINK_INIT(todo);
	for (struct link *l; (l = list_pop_front(&sb->killers));)
		list_push_back(&todo, l);
	for (struct link *l; (l = list_pop_front(&todo));)
		answer(container_of(l, struct kill_wait, link), err);
}

static void wait_for_end(struct sandbox *sb, sandbox_fn *done, void *arg)
{
	struct err err = ERR_INIT;
	struct kill_wait *w = mem_zalloc(sizeof(*w));
	if (!w) {
		(void)err_set(&err, -ENOMEM, "out of memory");
		done(&err, arg);
		return;
	}
	w->done = done;
	w->arg = arg;
	link_init(&w->link);
	loop_defer_init(&w->now, sb->loop, on_gone_already, w);
	if (sb->state == SANDBOX_GONE)
		loop_defer_set(&w->now);
	else
		list_push_back(&sb->killers, &w->link);
}

void sandbox_kill(struct sandbox *sb, enum sandbox_end why, sandbox_fn *done, void *arg)
{
	sandbox_end(sb, why, "it was ended: %s", sandbox_end_name(why));
	if (done)
		wait_for_end(sb, done, arg);
}
