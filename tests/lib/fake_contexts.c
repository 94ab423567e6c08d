/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/fake_contexts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/jupyter/context.h"
#include "guest-kernel-agent/python/install.h"
#include "loop/loop.h"

#define SPAM_LINE 1024

struct contexts {
	struct loop *loop;
	struct link all;
	unsigned made;
	json_t *env;
	struct buf silent;
};

struct waiter {
	struct link link;
	context_fn *done;
	void *arg;
	bool deleted; /* the context goes with this one */
	struct err err;
};

struct context {
	struct link link;
	struct contexts *cs;
	char id[32];
	char *language, *cwd;
	bool is_default;
	unsigned count;
	struct link queue; /* the first one runs */
	struct link waiters;
	struct loop_defer turn, tell;
	struct loop_timer sleep;
};

struct exec {
	struct link link;
	struct context *context;
	char *code;
	const char *at; /* next command */
	size_t spam;	/* bytes left */
	json_t *env;
	const struct exec_sink *sink;
	void *arg;
	context_fn *silent_done;
	bool begun, hanging, blocked, interrupted, ended;
	enum exec_end how;
	const char *detail;
};

static void on_turn(struct loop_defer *d, void *arg);
static void on_tell(struct loop_defer *d, void *arg);
static void on_wake(struct loop_timer *t, void *arg);

/* ---- contexts ---- */

struct contexts *contexts_new(struct loop *l)
{
	struct contexts *cs = mem_zalloc(sizeof(*cs));
	if (!cs)
		return NULL;
	cs->loop = l;
	link_init(&cs->all);
	cs->env = json_object();
	return cs;
}

static void exec_free(struct exec *e)
{
	link_remove(&e->link);
	mem_free(e->code);
	json_decref(e->env);
	mem_free(e);
}

static void context_free(struct context *c)
{
	for (struct link *k; (k = list_first(&c->queue));)
		exec_free(container_of(k, struct exec, link));
	for (struct link *k; (k = list_pop_front(&c->waiters));)
		mem_free(container_of(k, struct waiter, link));
	link_remove(&c->link);
	loop_defer_fini(&c->turn);
	loop_defer_fini(&c->tell);
	loop_timer_fini(&c->sleep);
	mem_free(c->language);
	mem_free(c->cwd);
	mem_free(c);
}

struct contexts *contexts_free(struct contexts *cs)
{
	if (!cs)
		return NULL;
	for (struct link *k; (k = list_first(&cs->all));)
		context_free(container_of(k, struct context, link));
	json_decref(cs->env);
	buf_fini(&cs->silent);
	return mem_free(cs);
}

bool contexts_know_of_ooms(const struct contexts *cs)
{
	return false;
}

int contexts_use_dirs(struct contexts *cs, const char *run_dir, const char *python_dir)
{
	return 0;
}

int contexts_configure(
    struct contexts *cs, const char *user, const char *workdir, const char *const *env)
{
	for (; env && *env; env++) {
		const char *equal = strchr(*env, '=');
		CLEAN_FREE char *name = mem_strndup(*env, (size_t)(equal - *env));
		json_object_set_new(cs->env, name, json_string(equal + 1));
	}
	return 0;
}

int python_files_install(const char *dir, struct err *reterr)
{
	return 0;
}

const char *contexts_language(struct contexts *cs, const char *name, struct err *reterr)
{
	static const char *const known[] = { "python", "javascript", "bash", "java" };
	for (size_t i = 0; i < 4; i++)
		if (strcasecmp(known[i], name) == 0)
			return known[i];
	if (strcasecmp(name, "js") == 0)
		return "javascript";
	(void)err_set(reterr, -EINVAL, "No kernel for language '%s' in this sandbox", name);
	return NULL;
}

const char *fake_contexts_silent(const struct contexts *cs)
{
	return buf_cstr((struct buf *)&cs->silent);
}

static void wait_for(struct context *c, context_fn *done, void *arg, int err, bool deleted)
{
	struct waiter *w = mem_zalloc(sizeof(*w));
	w->done = done;
	w->arg = arg;
	w->deleted = deleted;
	if (err)
		(void)err_set(&w->err, err, "the %s kernel could not be started", c->language);
	list_push_back(&c->waiters, &w->link);
	loop_defer_set(&c->tell);
}

static struct context *context_make(struct contexts *cs, const char *language, const char *cwd)
{
	struct context *c = mem_zalloc(sizeof(*c));
	c->cs = cs;
	(void)snprintf(c->id, sizeof(c->id), "ctx-%u", ++cs->made);
	c->language = mem_strdup(language);
	c->cwd = mem_strdup(cwd ? cwd : "/home/user");
	link_init(&c->queue);
	link_init(&c->waiters);
	loop_defer_init(&c->turn, cs->loop, on_turn, c);
	loop_defer_init(&c->tell, cs->loop, on_tell, c);
	loop_timer_init(&c->sleep, cs->loop, on_wake, c);
	list_push_back(&cs->all, &c->link);
	return c;
}

int context_create(
    struct contexts *cs, const char *language, const char *cwd, context_fn *done, void *arg)
{
	struct context *c = context_make(cs, language, cwd);
	if (str_eq(language, "java"))
		wait_for(c, done, arg, -ECHILD, true);
	else if (cwd && *cwd != '/')
		wait_for(c, done, arg, -EINVAL, true);
	else
		wait_for(c, done, arg, 0, false);
	return 0;
}

int context_default(struct contexts *cs, const char *language, context_fn *done, void *arg)
{
	LIST_EACH(k, &cs->all)
	{
		struct context *c = container_of(k, struct context, link);
		if (c->is_default && str_eq(c->language, language)) {
			wait_for(c, done, arg, 0, false);
			return 0;
		}
	}
	struct context *c = context_make(cs, language, NULL);
	bool fails = str_eq(language, "java");
	c->is_default = !fails;
	wait_for(c, done, arg, fails ? -ECHILD : 0, fails);
	return 0;
}

static bool is_going(const struct context *c)
{
	LIST_EACH(k, &c->waiters)
	if (container_of(k, struct waiter, link)->deleted)
		return true;
	return false;
}

struct context *context_find(const struct contexts *cs, const char *id)
{
	LIST_EACH(k, &cs->all)
	{
		struct context *c = container_of(k, struct context, link);
		if (str_eq(c->id, id) && !is_going(c))
			return c;
	}
	return NULL;
}

struct context *contexts_at(const struct contexts *cs, size_t i)
{
	LIST_EACH(k, &cs->all)
	{
		struct context *c = container_of(k, struct context, link);
		if (!is_going(c) && i-- == 0)
			return c;
	}
	return NULL;
}

const char *context_id(const struct context *c)
{
	return c->id;
}

const char *context_language(const struct context *c)
{
	return c->language;
}

const char *context_cwd(const struct context *c)
{
	return c->cwd;
}

bool context_is_busy(const struct context *c)
{
	return !list_is_empty(&c->queue);
}

/* ---- executions ---- */

static struct exec *first(const struct context *c)
{
	struct link *k = list_first(&c->queue);
	return k ? container_of(k, struct exec, link) : NULL;
}

static void end(struct exec *e, enum exec_end how, const char *detail)
{
	if (e->ended)
		return;
	e->ended = true;
	e->how = how;
	e->detail = detail;
	loop_defer_set(&e->context->tell);
}

static void end_all(struct context *c, enum exec_end how, const char *detail)
{
	LIST_EACH(k, &c->queue)
	end(container_of(k, struct exec, link), how, detail);
}

int context_restart(struct context *c, context_fn *done, void *arg)
{
	end_all(c, EXEC_RESTARTED, "");
	(void)buf_printf(&c->cs->silent, "[%s] restarted\n", c->language);
	c->count = 0;
	wait_for(c, done, arg, 0, false);
	return 0;
}

int context_delete(struct context *c, context_fn *done, void *arg)
{
	end_all(c, EXEC_RESTARTED, "");
	wait_for(c, done, arg, 0, true);
	return 0;
}

static struct exec *exec_make(struct context *c, const char *code, size_t n)
{
	struct exec *e = mem_zalloc(sizeof(*e));
	e->context = c;
	e->code = mem_strndup(code, n);
	e->at = e->code;
	list_push_back(&c->queue, &e->link);
	loop_defer_set(&c->turn);
	return e;
}

struct exec *context_execute(struct context *c, const char *code, size_t n, const char *const *env,
    const struct exec_sink *sink, void *arg)
{
	struct exec *e = exec_make(c, code, n);
	e->sink = sink;
	e->arg = arg;
	e->env = json_copy(c->cs->env);
	for (; env && *env; env += 2)
		json_object_set_new(e->env, env[0], json_string(env[1]));
	return e;
}

/* As a kernel that takes nothing along: what is wanted comes as code. */
bool context_reseed(struct context *c)
{
	return false;
}

int context_run_silent(struct context *c, const char *code, size_t n, context_fn *done, void *arg)
{
	struct exec *e = exec_make(c, code, n);
	e->silent_done = done;
	e->arg = arg;
	return 0;
}

void exec_interrupt(struct exec *e, enum exec_end how)
{
	if (e->ended)
		return;
	e->interrupted = true;
	loop_timer_cancel(&e->context->sleep);
	end(e, how, "");
}

void context_resume_output(struct context *c)
{
	if (first(c) && first(c)->blocked) {
		first(c)->blocked = false;
		loop_defer_set(&c->turn);
	}
}

/* ---- commands ---- */

static void print(struct exec *e, bool is_stderr, const char *text, size_t n)
{
	e->sink->on_stream(e->arg, is_stderr, text, n);
}

static void print_line(struct exec *e, bool is_stderr, const char *text)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	(void)buf_printf(&b, "%s\n", text);
	print(e, is_stderr, (const char *)buf_data(&b), buf_len(&b));
}

static void show(struct exec *e, bool main_result, const char *mime, json_t *v)
{
	json_t *data = json_object();
	json_object_set_new(data, mime, v);
	e->sink->on_result(e->arg, main_result, data, NULL);
	json_decref(data);
}

static void spam(struct exec *e)
{
	char line[SPAM_LINE];
	memset(line, 'x', sizeof(line));
	line[SPAM_LINE - 1] = '\n';
	for (int i = 0; i < 64 && e->spam > 0; i++) {
		size_t n = e->spam < SPAM_LINE ? e->spam : SPAM_LINE;
		if (!e->sink->may_take(e->arg)) {
			e->blocked = true;
			return;
		}
		print(e, false, line + SPAM_LINE - n, n);
		e->spam -= n;
	}
}

static const char *rest_after_word(const char *s, char word[64])
{
	size_t n = strcspn(s, " ");
	(void)snprintf(word, 64, "%.*s", (int)n, s);
	return s[n] ? s + n + 1 : s + n;
}

/* False when the cell waits or has ended. */
static bool run_command(struct exec *e, const char *name, const char *rest)
{
	char word[64];
	if (str_eq(name, "print")) {
		print_line(e, false, rest);
	} else if (str_eq(name, "err")) {
		print_line(e, true, rest);
	} else if (str_eq(name, "env")) {
		const char *v = json_string_value(json_object_get(e->env, rest));
		print_line(e, false, v ? v : "(none)");
	} else if (str_eq(name, "nul")) {
		print(e, false, "a\0b\x01\"\\\xc3\xa9\xf0\x9f\x98\x80", 12);
	} else if (str_eq(name, "main")) {
		show(e, true, "text/plain", json_string(rest));
	} else if (str_eq(name, "show")) {
		rest = rest_after_word(rest, word);
		show(e, false, word, json_string(rest));
	} else if (str_eq(name, "json")) {
		rest = rest_after_word(rest, word);
		show(e, false, word, json_loads(rest, JSON_DECODE_ANY, NULL));
	} else if (str_eq(name, "raise")) {
		rest = rest_after_word(rest, word);
		e->sink->on_error(e->arg, word, rest, "Traceback");
		end(e, EXEC_ERROR, "");
		return false;
	} else if (str_eq(name, "sleep")) {
		loop_timer_set(&e->context->sleep, strtoull(rest, NULL, 10));
		return false;
	} else if (str_eq(name, "hang")) {
		e->hanging = true;
		return false;
	} else if (str_eq(name, "die")) {
		end(e, EXEC_KERNEL_DIED, "");
		return false;
	} else if (str_eq(name, "stall")) {
		e->sink->on_stall(e->arg, str_eq(rest, "1"));
	} else if (str_eq(name, "spam")) {
		e->spam = strtoull(rest, NULL, 10);
	}
	return true;
}

static bool run_next(struct exec *e)
{
	char line[1024], name[64];
	if (e->spam > 0) {
		spam(e);
		return !e->blocked;
	}
	if (!*e->at) {
		end(e, EXEC_OK, "");
		return false;
	}
	size_t n = strcspn(e->at, "\n");
	(void)snprintf(line, sizeof(line), "%.*s", (int)n, e->at);
	e->at += n + (e->at[n] == '\n');
	return run_command(e, name, rest_after_word(line, name));
}

static void on_wake(struct loop_timer *t, void *arg)
{
	struct context *c = arg;
	loop_defer_set(&c->turn);
}

/* One command a turn, so that others come to their turn too. */
static void on_turn(struct loop_defer *d, void *arg)
{
	struct context *c = arg;
	struct exec *e = first(c);
	if (!e || e->ended || e->hanging || e->blocked || loop_timer_is_armed(&c->sleep))
		return;
	if (e->silent_done) {
		(void)buf_printf(&c->cs->silent, "[%s] %s\n", c->language, e->code);
		end(e, EXEC_OK, "");
		return;
	}
	if (!e->begun) {
		e->begun = true;
		e->sink->on_busy(e->arg, ++c->count);
	}
	if (run_next(e))
		loop_timer_set(&c->sleep, 0);
}

static void tell_ends(struct context *c)
{
	LIST_EACH_SAFE(k, &c->queue)
	{
		struct exec *e = container_of(k, struct exec, link);
		if (!e->ended)
			continue;
		link_remove(&e->link);
		if (e->interrupted && e->begun)
			e->sink->on_error(e->arg, "KeyboardInterrupt", "", "Traceback");
		if (e->silent_done)
			e->silent_done(NULL, c, e->arg);
		else
			e->sink->on_end(e->arg, e->how, e->detail, e->begun ? c->count : 0);
		exec_free(e);
	}
}

static void on_tell(struct loop_defer *d, void *arg)
{
	struct context *c = arg;
	bool going = is_going(c);
	tell_ends(c);
	for (struct link *k; (k = list_pop_front(&c->waiters));) {
		struct waiter w = *container_of(k, struct waiter, link);
		mem_free(container_of(k, struct waiter, link));
		w.done(w.err.code ? &w.err : NULL, w.deleted ? NULL : c, w.arg);
	}
	if (going)
		context_free(c);
	else
		loop_defer_set(&c->turn);
}
