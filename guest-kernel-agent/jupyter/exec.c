/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One execution from queue to end. Environment variables go along with the user's code to a kernel
 * that takes them; for others there is silent code around it that sets them (PHASE_ENV) and
 * restores them (PHASE_LEAVE); the execution's end is told before the latter, and only the next
 * execution waits for it.
 *
 * After an interrupt the kernel has a grace period to become idle, and so has silent code; then the
 * kernel is killed (PHASE_FORCED). Once interrupted, an execution no longer waits for a slow
 * reader: what the reader has no room for is dropped, and the end says so.
 */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/jupyter/context_private.h"
#include "guest-kernel-agent/jupyter/kernel.h"
#include "guest-kernel-agent/jupyter/language.h"
#include "guest-kernel-agent/jupyter/text.h"

#define INTERRUPT_GRACE_MS 5000
#define ENV_LIMIT_MS 30000
#define SILENT_LIMIT_MS 120000 /* context_run_silent() */
#define EXIT_GRACE_MS 2000     /* for a kernel that was told to exit by the code it ran */

struct exec *exec_free(struct exec *e)
{
	if (!e)
		return NULL;
	mem_free(e->code);
	json_decref(e->env);
	return mem_free(e);
}

/* ---- ends ---- */

void exec_finish(struct exec *e, enum exec_end how, const char *detail)
{
	struct context *c = e->context;

	if (c->running == e) {
		c->running = NULL;
		loop_timer_cancel(&c->grace);
	} else {
		c->n_queue--;
	}
	link_remove(&e->link);
	e->how = how;
	(void)str_copy(e->detail, sizeof(e->detail), detail);
	contexts_tell_end(c->cs, e);
}

void exec_finish_all(struct context *c, enum exec_end how, const char *detail)
{
	if (c->running)
		exec_finish(c->running, how, detail);
	LIST_EACH_SAFE(l, &c->queue)
	exec_finish(container_of(l, struct exec, link), how, detail);
}

static enum exec_end natural_end(const struct exec *e, bool ok)
{
	if (e->interrupted)
		return e->interrupted_how;
	return ok ? EXEC_OK : EXEC_ERROR;
}

void exec_on_kernel_end(struct context *c, bool oom, const char *why)
{
	struct exec *e = c->running;

	if (!e)
		return;
	if (oom)
		exec_finish(e, EXEC_OUT_OF_MEMORY, "the kernel was killed because memory ran out");
	else if (c->phase != PHASE_FORCED)
		exec_finish(e, EXEC_KERNEL_DIED, why);
	else if (e->interrupted)
		exec_finish(e, e->interrupted_how,
		    "the code did not react to the interrupt; the kernel was restarted");
	else
		exec_finish(e, EXEC_KERNEL_DIED,
		    "silent code around the execution did not end; the kernel was restarted");
}

/* ---- phases ---- */

/* Silent code always ends within a limit, whoever waits for it. */
static int run_silent(struct context *c, enum context_phase phase, const struct buf *code)
{
	int r = kernel_execute(c->kernel, (char *)buf_data(code), buf_len(code), true, NULL);

	if (r < 0)
		return r;
	context_set_busy(c, phase);
	loop_timer_set(&c->grace, ENV_LIMIT_MS);
	return 0;
}

static void begin_leave(struct context *c)
{
	CLEAN_BUF struct buf code = BUF_INIT;
	CLEAN_JSON json_t *vars = TAKE(c->leave);

	if (!vars || c->language->env_leave(&code, vars) < 0 ||
	    run_silent(c, PHASE_LEAVE, &code) < 0)
		context_set_idle(c);
}

static void give_up(struct exec *e, const char *detail)
{
	struct context *c = e->context;

	exec_finish(e, EXEC_ERROR, detail);
	begin_leave(c);
}

/* What the kernel shall do around the code; *ret stays NULL when nothing. */
static int pack_along(const struct exec *e, json_t **ret)
{
	const struct context *c = e->context;
	bool vars = c->env_applied != c->cs->env && json_object_size(c->cs->env);

	if (!kernel_takes_along(c->kernel) || (!vars && !e->env && !c->reseed))
		return 0;
	*ret = json_pack(
	    "{s:O*, s:O*, s:b}", "set", vars ? c->cs->env : NULL, "env", e->env, "seed", c->reseed);
	return *ret ? 0 : -ENOMEM;
}

static int send_code(struct exec *e)
{
	struct context *c = e->context;
	CLEAN_JSON json_t *along = NULL;
	int r = pack_along(e, &along);

	if (r == 0)
		r = kernel_execute(c->kernel, e->code, e->n, e->silent_done != NULL, along);
	if (r < 0 || !along)
		return r;
	c->reseed = false;
	json_decref(c->env_applied);
	c->env_applied = json_incref(c->cs->env);
	return 0;
}

static void begin_code(struct exec *e)
{
	struct context *c = e->context;

	loop_timer_cancel(&c->grace);
	if (e->interrupted) {
		exec_finish(e, e->interrupted_how, "");
		begin_leave(c);
	} else if (send_code(e) < 0) {
		give_up(e, "no memory to run the code");
	} else {
		context_set_busy(c, PHASE_CODE);
		if (e->silent_done)
			loop_timer_set(&c->grace, SILENT_LIMIT_MS);
	}
}

/* Code for what the kernel's environment still lacks; empty when nothing. Silent code goes with it:
 * each request costs a round trip through the kernel, and somebody's first cell waits behind it. */
static int env_code(struct exec *e, struct buf *dst)
{
	struct context *c = e->context;
	int r = 0;

	if (c->env_applied != c->cs->env && json_object_size(c->cs->env))
		r = c->language->env_enter(dst, c->cs->env);
	if (r == 0 && e->env)
		r = c->language->env_enter(dst, e->env);
	if (r == 0 && e->silent_done && buf_len(dst))
		r = buf_append_byte(dst, '\n');
	if (r == 0 && e->silent_done && buf_len(dst))
		r = buf_append(dst, e->code, e->n);
	return r;
}

void exec_begin_next(struct context *c)
{
	CLEAN_BUF struct buf code = BUF_INIT;
	struct exec *e = container_of(list_pop_front(&c->queue), struct exec, link);

	c->n_queue--;
	c->running = e;
	c->used = true;
	c->ooms = oom_watch_count(&c->cs->oom);
	if (kernel_takes_along(c->kernel))
		begin_code(e);
	else if (env_code(e, &code) < 0 || (buf_len(&code) && run_silent(c, PHASE_ENV, &code) < 0))
		give_up(e, "no memory to set environment variables");
	else if (buf_len(&code))
		c->leave = json_incref(e->env);
	else
		begin_code(e);
}

static void env_done(struct context *c, bool ok)
{
	struct exec *e = c->running;

	if (!ok && !e->interrupted) {
		give_up(e, "the environment variables could not be set");
		return;
	}
	json_decref(c->env_applied);
	c->env_applied = json_incref(c->cs->env);
	if (!e->silent_done) {
		begin_code(e);
		return;
	}
	loop_timer_cancel(&c->grace);
	exec_finish(e, natural_end(e, ok), "");
	begin_leave(c);
}

static void code_done(struct context *c, const struct kernel_reply *reply)
{
	struct exec *e = c->running;

	if (reply->execution_count && !e->silent_done)
		e->count = reply->execution_count;
	if (reply->exiting) {
		kernel_stop(c->kernel, EXIT_GRACE_MS);
		return;
	}
	/* An interrupt at an unlucky instant costs the reply: nobody need know. */
	const char *detail = reply->lost && !e->interrupted ? reply->lost : "";
	exec_finish(e, natural_end(e, reply->ok),
	    e->dropped ? "output after the interrupt was left out: nobody read it" : detail);
	begin_leave(c);
}

/* ---- output ---- */

static struct exec *audible(struct context *c)
{
	return c->phase == PHASE_CODE && c->running && !c->running->silent_done ? c->running : NULL;
}

static bool sink_has_room(const struct exec *e)
{
	return !e->sink->may_take || e->sink->may_take(e->arg);
}

/* Whom output goes to. When there is no room any more, an interrupted cell loses it. */
static struct exec *taker(struct context *c)
{
	struct exec *e = audible(c);

	if (!e || !e->interrupted || sink_has_room(e))
		return e;
	e->dropped = true;
	return NULL;
}

static void on_busy(struct kernel *k, unsigned count, void *arg)
{
	struct exec *e = audible(arg);

	if (!e)
		return;
	e->count = count;
	e->sink->on_busy(e->arg, count);
}

static void on_stream(struct kernel *k, bool is_stderr, const char *text, size_t n, void *arg)
{
	struct exec *e = taker(arg);

	if (e)
		e->sink->on_stream(e->arg, is_stderr, text, n);
}

static void on_result(
    struct kernel *k, bool main_result, const json_t *data, const json_t *metadata, void *arg)
{
	struct exec *e = taker(arg);

	if (e)
		e->sink->on_result(e->arg, main_result, data, metadata);
}

static void on_error(
    struct kernel *k, const char *name, const char *value, const char *traceback, void *arg)
{
	struct exec *e = audible(arg);

	if (e)
		e->sink->on_error(e->arg, name, value, traceback);
}

static void on_stall(struct kernel *k, bool stalled, void *arg)
{
	struct exec *e = audible(arg);

	if (e && e->sink->on_stall)
		e->sink->on_stall(e->arg, stalled);
}

static bool may_take(struct kernel *k, void *arg)
{
	struct exec *e = audible(arg);

	return !e || e->interrupted || sink_has_room(e);
}

static void on_done(struct kernel *k, const struct kernel_reply *reply, void *arg)
{
	struct context *c = arg;

	switch (c->phase) {
	case PHASE_ENV:
		env_done(c, reply->ok);
		break;
	case PHASE_CODE:
		code_done(c, reply);
		break;
	case PHASE_LEAVE:
		context_set_idle(c);
		break;
	case PHASE_FORCED:
		break;
	}
}

const struct kernel_ops context_kernel_ops = {
	.on_ready = context_on_ready,
	.on_busy = on_busy,
	.on_stream = on_stream,
	.on_result = on_result,
	.on_error = on_error,
	.on_stall = on_stall,
	.may_take = may_take,
	.on_done = on_done,
	.on_exit = context_on_exit,
};

/* ---- for users of contexts ---- */

/* ("K", "V", ..., NULL) as an object; names that cannot be set are left out. NULL with *ret_failed.
 */
static json_t *env_object(const char *const *env, bool *ret_failed)
{
	json_t *o = json_object();

	for (; o && env[0] && env[1]; env += 2)
		if (language_env_name_ok(env[0]) &&
		    json_object_set_new(o, env[0], json_string(env[1])) < 0) {
			json_decref(o);
			o = NULL;
			break;
		}
	*ret_failed = !o;
	if (json_object_size(o))
		return o;
	json_decref(o);
	return NULL;
}

static struct exec *exec_new(struct context *c, const char *code, size_t n)
{
	CLEAN_BUF struct buf text = BUF_INIT;
	struct exec *e;

	if (c->n_queue >= CONTEXT_QUEUE_MAX || text_repair(&text, code, n) < 0)
		return NULL;
	e = mem_zalloc(sizeof(*e));
	if (!e)
		return NULL;
	e->context = c;
	link_init(&e->link);
	e->code = buf_steal(&text, &e->n);
	return e->code ? e : exec_free(e);
}

static void exec_queue(struct exec *e)
{
	struct context *c = e->context;

	list_push_back(&c->queue, &e->link);
	c->n_queue++;
	loop_defer_set(&c->turn);
}

struct exec *context_execute(struct context *c, const char *code, size_t n, const char *const *env,
    const struct exec_sink *sink, void *arg)
{
	struct exec *e = exec_new(c, code, n);
	bool failed = false;

	if (!e)
		return NULL;
	e->sink = sink;
	e->arg = arg;
	e->env = env ? env_object(env, &failed) : NULL;
	if (failed)
		return exec_free(e);
	exec_queue(e);
	return e;
}

int context_run_silent(struct context *c, const char *code, size_t n, context_fn *done, void *arg)
{
	struct exec *e = exec_new(c, code, n);

	if (!e)
		return -ENOMEM;
	e->silent_done = done;
	e->arg = arg;
	exec_queue(e);
	return 0;
}

bool context_reseed(struct context *c)
{
	if (!c->kernel || !kernel_takes_along(c->kernel))
		return false;
	c->reseed = true;
	return true;
}

void exec_interrupt(struct exec *e, enum exec_end how)
{
	struct context *c = e->context;

	if (e->how || e->interrupted)
		return;
	e->interrupted = true;
	e->interrupted_how = how;
	if (e != c->running) {
		exec_finish(e, how, "");
		return;
	}
	loop_timer_set(&c->grace, INTERRUPT_GRACE_MS);
	if (c->phase == PHASE_CODE) {
		kernel_interrupt(c->kernel);
		kernel_resume_output(c->kernel);
	}
}

void context_resume_output(struct context *c)
{
	if (c->kernel)
		kernel_resume_output(c->kernel);
}
