/* SPDX-License-Identifier: Apache-2.0 */
/* Who waits for what happens to a sandbox: every caller of a kill for the one destroy, and so on.
 */
#include <errno.h>

#include "base/err.h"
#include "base/mem.h"
#include "sandbox/object.h"

struct sandbox_wait {
	struct link link; /* of its sandbox, unless that is gone */
	sandbox_fn *done;
	void *arg;
	struct err err;
	struct loop_defer now; /* when nothing is left to wait for */
};

static void answer(struct sandbox_wait *w, const struct err *err)
{
	loop_defer_fini(&w->now);
	w->done(err, w->arg);
	mem_free(w);
}

static void on_now(struct loop_defer *d, void *arg)
{
	struct sandbox_wait *w = arg;
	struct err err = w->err;
	answer(w, &err);
}

void sandbox_tell(struct link *list, const struct err *err)
{
	struct link todo = LINK_INIT(todo);
	for (struct link *l; (l = list_pop_front(list));)
		list_push_back(&todo, l);
	for (struct link *l; (l = list_pop_front(&todo));)
		answer(container_of(l, struct sandbox_wait, link), err);
}

void sandbox_tell_later(struct link *list, const struct err *err)
{
	for (struct link *l; (l = list_pop_front(list));) {
		struct sandbox_wait *w = container_of(l, struct sandbox_wait, link);
		w->err = *err;
		loop_defer_set(&w->now);
	}
}

static struct sandbox_wait *wait_new(struct sandbox *sb, sandbox_fn *done, void *arg)
{
	struct err err = ERR_INIT;
	struct sandbox_wait *w = mem_zalloc(sizeof(*w));
	if (!w) {
		(void)err_set(&err, -ENOMEM, "out of memory");
		done(&err, arg);
		return NULL;
	}
	w->done = done;
	w->arg = arg;
	link_init(&w->link);
	loop_defer_init(&w->now, sb->loop, on_now, w);
	return w;
}

void sandbox_wait(struct sandbox *sb, struct link *list, sandbox_fn *done, void *arg)
{
	struct sandbox_wait *w = wait_new(sb, done, arg);
	if (w)
		list_push_back(list, &w->link);
}

void sandbox_answer_later(struct sandbox *sb, const struct err *err, sandbox_fn *done, void *arg)
{
	struct sandbox_wait *w = wait_new(sb, done, arg);
	if (!w)
		return;
	w->err = *err;
	loop_defer_set(&w->now);
}

void sandbox_kill(struct sandbox *sb, enum sandbox_end why, sandbox_fn *done, void *arg)
{
	static const struct err no_error = ERR_INIT;
	sandbox_end(sb, why, "it was ended: %s", sandbox_end_name(why));
	if (done && sb->state == SANDBOX_GONE)
		sandbox_answer_later(sb, &no_error, done, arg);
	else if (done)
		sandbox_wait(sb, &sb->killers, done, arg);
}
