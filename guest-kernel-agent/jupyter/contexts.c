/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/jupyter/context_private.h"
#include "guest-kernel-agent/jupyter/kernelspec.h"
#include "guest-kernel-agent/jupyter/language.h"

#define RUN_DIR "/run/sandglass/kernels"
#define PYTHON_DIR "/run/sandglass/python"

/* ---- the ends of executions, told from a turn of their own ---- */

void contexts_tell_end(struct contexts *cs, struct exec *e)
{
	list_push_back(&cs->ended, &e->link);
	loop_defer_set(&cs->tell);
}

void contexts_forget_context(struct contexts *cs, const struct context *c)
{
	LIST_EACH(l, &cs->ended)
	{
		struct exec *e = container_of(l, struct exec, link);

		if (e->context == c)
			e->context = NULL;
	}
}

static void tell_silent_end(const struct exec *e)
{
	struct err err = ERR_INIT;

	if (e->how == EXEC_ERROR)
		(void)err_set(
		    &err, -EIO, "%s", e->detail[0] ? e->detail : "the code raised an error");
	else if (e->how != EXEC_OK)
		(void)err_set(&err, -ECHILD, "%s", e->detail);
	e->silent_done(err.code ? &err : NULL, e->context, e->arg);
}

static void on_tell(struct loop_defer *d, void *arg)
{
	struct contexts *cs = arg;

	for (struct link *l; (l = list_pop_front(&cs->ended));) {
		struct exec *e = container_of(l, struct exec, link);

		if (e->silent_done)
			tell_silent_end(e);
		else
			e->sink->on_end(e->arg, e->how, e->detail, e->count);
		exec_free(e);
	}
}

/* ---- settings ---- */

/* ("K=V", ..., NULL) as an object; names that cannot be set are left out. NULL: -ENOMEM, or not
 * UTF-8. */
static json_t *env_object(const char *const *env)
{
	json_t *o = json_object();

	for (; o && *env; env++) {
		const char *equal = strchr(*env, '=');
		CLEAN_FREE char *name = equal ? mem_strndup(*env, (size_t)(equal - *env)) : NULL;

		if (equal && (!name || json_object_set_new(o, name, json_string(equal + 1)) < 0)) {
			json_decref(o);
			return NULL;
		}
	}
	(void)json_object_del(o, "");
	return o;
}

static const char *home_of(const struct contexts *cs)
{
	return cs->user.home;
}

static int set_user(struct contexts *cs, const char *name)
{
	struct user user;
	int r = user_lookup(name, &user, NULL);

	if (r < 0)
		return r;
	user_fini(&cs->user);
	cs->user = user;
	return kernelspecs_scan(cs->specs, home_of(cs));
}

int contexts_configure(
    struct contexts *cs, const char *user, const char *workdir, const char *const *env)
{
	json_t *vars = env ? env_object(env) : NULL;
	CLEAN_FREE char *dir = workdir ? mem_strdup(workdir) : NULL;
	int r = 0;

	if (env && !vars)
		return -EINVAL;
	if (workdir && !dir)
		r = -ENOMEM;
	if (r == 0 && user && *user)
		r = set_user(cs, user);
	if (r < 0) {
		json_decref(vars);
		return r;
	}
	if (vars) {
		json_decref(cs->env);
		cs->env = vars;
	}
	if (dir) {
		mem_free(cs->workdir);
		cs->workdir = TAKE(dir);
	}
	return 0;
}

int contexts_use_dirs(struct contexts *cs, const char *run_dir, const char *python_dir)
{
	struct kernelspecs *specs = kernelspecs_new(python_dir);

	if (!specs || mem_set_str(&cs->run_dir, run_dir) < 0) {
		kernelspecs_free(specs);
		return -ENOMEM;
	}
	kernelspecs_free(cs->specs);
	cs->specs = specs;
	return kernelspecs_scan(specs, home_of(cs));
}

/* Kernels may be installed at any time: look again before saying no. */
static const struct language *find_language(struct contexts *cs, const char *name)
{
	const struct language *lang = language_find(name);

	if (!lang || kernelspecs_find(cs->specs, lang))
		return lang;
	(void)kernelspecs_scan(cs->specs, home_of(cs));
	return kernelspecs_find(cs->specs, lang) ? lang : NULL;
}

const char *contexts_language(struct contexts *cs, const char *name, struct err *reterr)
{
	const struct language *lang = find_language(cs, name);

	if (!lang)
		(void)language_missing(name, reterr);
	return lang ? lang->name : NULL;
}

/* ---- creation ---- */

static bool is_dir(const char *path)
{
	struct stat st;

	return path[0] == '/' && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Where kernels start when nobody said: the first of these that exists. */
static const char *default_cwd(const struct contexts *cs)
{
	if (cs->workdir && is_dir(cs->workdir))
		return cs->workdir;
	return is_dir(home_of(cs)) ? home_of(cs) : "/";
}

static void check_request(struct contexts *cs, const char *language, const struct language *lang,
    const char *cwd, struct err *err)
{
	if (!lang)
		(void)language_missing(language, err);
	else if (!is_dir(cwd))
		(void)err_set(err, -EINVAL, "directory '%s' does not exist", cwd);
	else if (cs->n > CONTEXTS_MAX)
		(void)err_set(err, -EAGAIN, "there are %d contexts already", CONTEXTS_MAX);
}

/* Also what cannot be started becomes a context, for the time until its creator was told. */
static struct context *create(
    struct contexts *cs, const char *language, const char *cwd, context_fn *done, void *arg)
{
	const struct language *lang = find_language(cs, language);
	const char *dir = cwd && *cwd ? cwd : default_cwd(cs);
	struct context *c = context_new(cs, lang, dir);

	if (!c || context_add_waiter(c, done, arg) < 0)
		return context_free(c);
	check_request(cs, language, lang, dir, &c->err);
	if (c->err.code)
		loop_defer_set(&c->turn);
	else
		context_begin_start(c);
	return c;
}

int context_create(
    struct contexts *cs, const char *language, const char *cwd, context_fn *done, void *arg)
{
	return create(cs, language, cwd, done, arg) ? 0 : -ENOMEM;
}

static struct context *find_default(const struct contexts *cs, const struct language *lang)
{
	LIST_EACH(l, &cs->all)
	{
		struct context *c = container_of(l, struct context, link);

		if (c->is_default && !c->deleting && c->language == lang)
			return c;
	}
	return NULL;
}

int context_default(struct contexts *cs, const char *language, context_fn *done, void *arg)
{
	const struct language *lang = language_find(language);
	struct context *c = lang ? find_default(cs, lang) : NULL;

	if (!c) {
		c = create(cs, language, NULL, done, arg);
		if (c)
			c->is_default = true;
		return c ? 0 : -ENOMEM;
	}
	loop_defer_set(&c->turn);
	return context_add_waiter(c, done, arg);
}

/* ---- looking ---- */

static bool context_is_visible(const struct context *c)
{
	return c->established && !c->deleting;
}

struct context *context_find(const struct contexts *cs, const char *id)
{
	LIST_EACH(l, &cs->all)
	{
		struct context *c = container_of(l, struct context, link);

		if (context_is_visible(c) && str_eq(c->id, id))
			return c;
	}
	return NULL;
}

struct context *contexts_at(const struct contexts *cs, size_t i)
{
	LIST_EACH(l, &cs->all)
	{
		struct context *c = container_of(l, struct context, link);

		if (context_is_visible(c) && i-- == 0)
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
	return c->language->name;
}

const char *context_cwd(const struct context *c)
{
	return c->cwd;
}

bool context_is_busy(const struct context *c)
{
	return c->running || c->n_queue;
}

/* ---- memory ---- */

struct contexts *contexts_new(struct loop *l)
{
	struct contexts *cs = mem_zalloc(sizeof(*cs));

	if (!cs)
		return NULL;
	cs->loop = l;
	link_init(&cs->all);
	link_init(&cs->ended);
	loop_defer_init(&cs->tell, l, on_tell, cs);
	oom_watch_init(&cs->oom, NULL);
	cs->env = json_object();
	if (!cs->env || user_lookup_uid(geteuid(), &cs->user, NULL) < 0 ||
	    contexts_use_dirs(cs, RUN_DIR, PYTHON_DIR) < 0)
		return contexts_free(cs);
	return cs;
}

bool contexts_know_of_ooms(const struct contexts *cs)
{
	return oom_watch_has_counter(&cs->oom);
}

struct contexts *contexts_free(struct contexts *cs)
{
	if (!cs)
		return NULL;
	while (!list_is_empty(&cs->all))
		context_free(container_of(list_first(&cs->all), struct context, link));
	for (struct link *l; (l = list_pop_front(&cs->ended));)
		exec_free(container_of(l, struct exec, link));
	loop_defer_fini(&cs->tell);
	kernelspecs_free(cs->specs);
	user_fini(&cs->user);
	oom_watch_fini(&cs->oom);
	json_decref(cs->env);
	mem_free(cs->run_dir);
	mem_free(cs->workdir);
	return mem_free(cs);
}
