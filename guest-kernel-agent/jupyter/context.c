/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a context: when its kernel is started, stopped and started again.
 *
 *     DOWN -> STARTING -> READY <-> BUSY
 *      ^         |  ^       |        |
 *      |         |  `-dies--+--------'      restart and delete: any -> STOPPING -> STARTING or
 * freed
 *      `--fails--'
 *
 * A kernel that dies is replaced at once, unless it died without having run anything: then the
 * context is DOWN, and the next execution tries again. A context whose first kernel does not start
 * is freed.
 *
 * context_turn() is the one place that decides what happens next; everything else records what
 * happened and asks for a turn.
 */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "guest-kernel-agent/jupyter/context_private.h"
#include "guest-kernel-agent/jupyter/kernel.h"
#include "guest-kernel-agent/jupyter/kernelspec.h"
#include "guest-kernel-agent/jupyter/language.h"

#define SHUTDOWN_GRACE_MS 1000

#define MAY(s) (1u << CONTEXT_##s)
static const unsigned context_moves[] = {
	[CONTEXT_STARTING] = MAY(READY) | MAY(STOPPING) | MAY(DOWN),
	[CONTEXT_READY] = MAY(BUSY) | MAY(STARTING) | MAY(STOPPING) | MAY(DOWN),
	[CONTEXT_BUSY] = MAY(BUSY) | MAY(READY) | MAY(STARTING) | MAY(STOPPING),
	[CONTEXT_STOPPING] = MAY(STARTING) | MAY(DOWN),
	[CONTEXT_DOWN] = MAY(STARTING),
};

static void context_set_state(struct context *c, enum context_state to)
{
	assert(context_moves[c->state] & 1u << to);
	c->state = to;
}

/* ---- waiting for the kernel ---- */

int context_add_waiter(struct context *c, context_fn *done, void *arg)
{
	struct waiter *w = mem_zalloc(sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->done = done;
	w->arg = arg;
	list_push_back(&c->waiters, &w->link);
	return 0;
}

/* Those who wait now; who comes while they are told waits for the next event. */
static void tell_waiters(struct link *waiters, const struct err *err, struct context *c)
{
	struct link now = LINK_INIT(now);

	for (struct link *l; (l = list_pop_front(waiters));)
		list_push_back(&now, l);
	for (struct link *l; (l = list_pop_front(&now));) {
		struct waiter w = *container_of(l, struct waiter, link);

		mem_free(container_of(l, struct waiter, link));
		w.done(err, c, w.arg);
	}
}

/* The context goes first, so that those who are told cannot find it any more. */
static void context_end(struct context *c, const struct err *err)
{
	struct link waiters = LINK_INIT(waiters);
	struct err copy = err ? *err : (struct err)ERR_INIT;

	for (struct link *l; (l = list_pop_front(&c->waiters));)
		list_push_back(&waiters, l);
	exec_finish_all(c, err ? EXEC_KERNEL_DIED : EXEC_RESTARTED,
	    err ? err_text(err) : "the context was deleted");
	context_free(c);
	tell_waiters(&waiters, err ? &copy : NULL, NULL);
}

/* ---- start ---- */

static void context_start(struct context *c)
{
	struct contexts *cs = c->cs;
	struct kernel_config config = {
		.spec = kernelspecs_find(cs->specs, c->language),
		.user = &cs->user,
		.cwd = c->cwd,
		.env = cs->env,
		.run_dir = cs->run_dir,
	};

	if (!config.spec)
		(void)language_missing(c->language->name, &c->err);
	else
		c->kernel = kernel_new(cs->loop, &config, &context_kernel_ops, c, &c->err);
	json_decref(c->env_applied);
	c->env_applied = json_incref(cs->env);
	c->used = false;
	if (!c->kernel)
		context_set_state(c, CONTEXT_DOWN);
}

void context_begin_start(struct context *c)
{
	err_reset(&c->err);
	context_set_state(c, CONTEXT_STARTING);
	loop_defer_set(&c->turn);
}

void context_on_ready(struct kernel *k, void *arg)
{
	struct context *c = arg;

	c->established = true;
	context_set_state(c, CONTEXT_READY);
	loop_defer_set(&c->turn);
}

static void run_queue(struct context *c, const struct err *failed)
{
	if (failed->code)
		exec_finish_all(c, EXEC_KERNEL_DIED, err_text(failed));
	if (list_is_empty(&c->queue))
		return;
	if (c->state == CONTEXT_READY)
		exec_begin_next(c);
	else if (c->state == CONTEXT_DOWN)
		context_begin_start(c);
}

static void context_turn(struct loop_defer *d, void *arg)
{
	struct context *c = arg;
	struct err failed;

	if (c->deleting && !c->kernel) {
		context_end(c, NULL);
		return;
	}
	if (c->state == CONTEXT_STARTING && !c->kernel)
		context_start(c);
	if (c->state == CONTEXT_STARTING || c->state == CONTEXT_STOPPING)
		return;
	if (c->state == CONTEXT_DOWN && !c->established) {
		context_end(c, &c->err);
		return;
	}
	failed = c->err;
	err_reset(&c->err);
	run_queue(c, &failed);
	tell_waiters(&c->waiters, failed.code ? &failed : NULL, failed.code ? NULL : c);
}

/* ---- executions ---- */

void context_set_busy(struct context *c, enum context_phase phase)
{
	context_set_state(c, CONTEXT_BUSY);
	c->phase = phase;
}

void context_set_idle(struct context *c)
{
	loop_timer_cancel(&c->grace);
	if (c->state == CONTEXT_BUSY)
		context_set_state(c, CONTEXT_READY);
	loop_defer_set(&c->turn);
}

void context_force(struct context *c)
{
	if (c->state != CONTEXT_BUSY)
		return;
	c->phase = PHASE_FORCED;
	kernel_stop(c->kernel, 0);
}

static void on_grace(struct loop_timer *t, void *arg)
{
	context_force(arg);
}

/* ---- end of a kernel ---- */

void context_on_exit(struct kernel *k, int wait_status, const char *why, void *arg)
{
	struct context *c = arg;
	bool killed =
	    wait_status != -1 && WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGKILL;
	bool oom = killed && c->state == CONTEXT_BUSY && c->phase != PHASE_FORCED &&
		   oom_watch_grew(&c->cs->oom, c->ooms);

	log_info("context %s: %s", c->id, why);
	loop_timer_cancel(&c->grace);
	exec_on_kernel_end(c, oom, why);
	json_decref(c->leave);
	c->leave = NULL;
	if (c->state == CONTEXT_STARTING)
		(void)err_set(&c->err, -ECHILD, "%s", why);
	c->kernel = kernel_free(c->kernel);
	if (c->state == CONTEXT_STARTING || c->deleting ||
	    (c->state == CONTEXT_READY && !c->used)) {
		context_set_state(c, CONTEXT_DOWN);
		loop_defer_set(&c->turn);
	} else {
		context_begin_start(c);
	}
}

/* ---- restart and delete ---- */

/* A kernel that runs something cannot be asked: it is killed. */
static void context_stop(struct context *c)
{
	unsigned grace = c->state == CONTEXT_READY ? SHUTDOWN_GRACE_MS : 0;

	loop_timer_cancel(&c->grace);
	if (c->kernel && c->state != CONTEXT_STOPPING) {
		context_set_state(c, CONTEXT_STOPPING);
		kernel_stop(c->kernel, grace);
	}
	loop_defer_set(&c->turn);
}

int context_restart(struct context *c, context_fn *done, void *arg)
{
	if (context_add_waiter(c, done, arg) < 0)
		return -ENOMEM;
	exec_finish_all(c, EXEC_RESTARTED, "the context was restarted");
	context_stop(c);
	if (c->state == CONTEXT_DOWN)
		context_begin_start(c);
	return 0;
}

int context_delete(struct context *c, context_fn *done, void *arg)
{
	if (context_add_waiter(c, done, arg) < 0)
		return -ENOMEM;
	c->deleting = true;
	exec_finish_all(c, EXEC_RESTARTED, "the context was deleted");
	context_stop(c);
	return 0;
}

/* ---- memory ---- */

struct context *context_new(struct contexts *cs, const struct language *lang, const char *cwd)
{
	struct context *c = mem_zalloc(sizeof(*c));

	if (!c)
		return NULL;
	c->cs = cs;
	c->language = lang;
	c->state = CONTEXT_DOWN;
	id_uuid(c->id);
	link_init(&c->queue);
	link_init(&c->waiters);
	loop_timer_init(&c->grace, cs->loop, on_grace, c);
	loop_defer_init(&c->turn, cs->loop, context_turn, c);
	list_push_back(&cs->all, &c->link);
	cs->n++;
	c->cwd = mem_strdup(cwd);
	return c->cwd ? c : context_free(c);
}

struct context *context_free(struct context *c)
{
	if (!c)
		return NULL;
	contexts_forget_context(c->cs, c);
	if (c->running)
		exec_free(c->running);
	for (struct link *l; (l = list_pop_front(&c->queue));)
		exec_free(container_of(l, struct exec, link));
	for (struct link *l; (l = list_pop_front(&c->waiters));)
		mem_free(container_of(l, struct waiter, link));
	kernel_free(c->kernel);
	json_decref(c->env_applied);
	json_decref(c->leave);
	loop_timer_fini(&c->grace);
	loop_defer_fini(&c->turn);
	link_remove(&c->link);
	c->cs->n--;
	mem_free(c->cwd);
	return mem_free(c);
}
