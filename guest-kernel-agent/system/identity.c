/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/system/identity.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/id.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

#define NAME_MAX_LEN 255     /* users, template ids */
#define WORKDIR_MAX 4096     /* directories */
#define TOKEN_MAX 1024	     /* access token */
#define ENV_ENTRIES_MAX 1024 /* variables of a sandbox */
#define ENV_BYTES_MAX (256 * 1024)

enum stage { STAGE_FRESH, STAGE_BOOTED, STAGE_INITIALISED };

struct identity {
	enum stage stage;
	char *sandbox_id, *template_id, *user, *workdir, *token;
	json_t *env;	   /* name to value */
	const char **list; /* "K=V" of the same */
	json_t *accepted;  /* what /init said, to recognise a repetition */
};

static int set_list(struct identity *id);

struct identity *identity_new(void)
{
	struct identity *id = mem_zalloc(sizeof(*id));
	if (!id)
		return NULL;
	id->sandbox_id = mem_strdup("");
	id->template_id = mem_strdup("");
	id->user = mem_strdup("");
	id->workdir = mem_strdup("");
	id->env = json_object();
	if (!id->sandbox_id || !id->template_id || !id->user || !id->workdir || !id->env ||
	    set_list(id) < 0)
		return identity_free(id);
	return id;
}

static const char **free_list(const char **list)
{
	for (const char **p = list; p && *p; p++)
		mem_free((char *)*p);
	mem_free(list);
	return NULL;
}

struct identity *identity_free(struct identity *id)
{
	if (!id)
		return NULL;
	mem_free(id->sandbox_id);
	mem_free(id->template_id);
	mem_free(id->user);
	mem_free(id->workdir);
	mem_free(id->token);
	free_list(id->list);
	json_decref(id->env);
	json_decref(id->accepted);
	return mem_free(id);
}

static int set_list(struct identity *id)
{
	const char *k;
	json_t *v;
	size_t n = 0;
	const char **list = mem_calloc(json_object_size(id->env) + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	json_object_foreach(id->env, k, v)
	{
		list[n] = mem_printf("%s=%s", k, json_string_value(v));
		if (!list[n++]) {
			free_list(list);
			return -ENOMEM;
		}
	}
	free_list(id->list);
	id->list = list;
	return 0;
}

/* Names and values that an environment can hold. */
static int check_env(const json_t *env, const char *field, struct err *reterr)
{
	const char *k;
	json_t *v;
	json_object_foreach((json_t *)env, k, v)
	{
		if (!*k || strchr(k, '='))
			return err_set(
			    reterr, -EINVAL, "%s: a name must not be empty or contain '='", field);
		if (strlen(json_string_value(v)) != json_string_length(v))
			return err_set(
			    reterr, -EINVAL, "%s.%s: a value must not contain NUL", field, k);
	}
	return 0;
}

static int get_env(const json_t *o, const char *key, json_t **ret, struct err *reterr)
{
	int r = json_get_str_map(o, key, ENV_ENTRIES_MAX, ENV_BYTES_MAX, ret, reterr);
	return r == 0 ? check_env(*ret, key, reterr) : r;
}

/* ---- template ---- */

int identity_boot(struct identity *id, const json_t *request, struct err *reterr)
{
	const char *template_id = id->template_id, *user = id->user, *workdir = id->workdir;
	json_t *env = NULL;
	if (id->stage == STAGE_INITIALISED)
		return err_set(reterr, -EBUSY, "this sandbox has its identity already");
	if (json_get_str(request, "templateId", NAME_MAX_LEN, &template_id, reterr) < 0 ||
	    json_get_str(request, "user", NAME_MAX_LEN, &user, reterr) < 0 ||
	    json_get_str(request, "workdir", WORKDIR_MAX, &workdir, reterr) < 0 ||
	    get_env(request, "env", &env, reterr) < 0)
		return -EINVAL;
	if ((template_id != id->template_id && mem_set_str(&id->template_id, template_id) < 0) ||
	    (user != id->user && mem_set_str(&id->user, user) < 0) ||
	    (workdir != id->workdir && mem_set_str(&id->workdir, workdir) < 0) ||
	    (env && json_object_update(id->env, env) < 0) || set_list(id) < 0)
		return err_set(reterr, -ENOMEM, "out of memory");
	id->stage = STAGE_BOOTED;
	return 0;
}

/* ---- sandbox ---- */

struct init_request {
	const char *sandbox_id, *template_id, *user, *workdir, *token;
	json_t *env;
};

static int parse_init(
    const struct identity *id, const json_t *o, struct init_request *q, struct err *reterr)
{
	*q = (struct init_request){
		.template_id = id->template_id, .user = id->user, .workdir = id->workdir
	};
	int r = json_get_str(o, "sandboxId", NAME_MAX_LEN, &q->sandbox_id, reterr);
	if (r < 0 || json_get_str(o, "templateId", NAME_MAX_LEN, &q->template_id, reterr) < 0 ||
	    json_get_str(o, "accessToken", TOKEN_MAX, &q->token, reterr) < 0 ||
	    json_get_str(o, "user", NAME_MAX_LEN, &q->user, reterr) < 0 ||
	    json_get_str(o, "workdir", WORKDIR_MAX, &q->workdir, reterr) < 0 ||
	    get_env(o, "envVars", &q->env, reterr) < 0)
		return -EINVAL;
	if (!id_sandbox_valid(q->sandbox_id ? q->sandbox_id : ""))
		return err_set(reterr, -EINVAL, "sandboxId: expected letters a-z and digits");
	if (q->token && !*q->token)
		return err_set(reterr, -EINVAL, "accessToken: must not be empty; null means none");
	return 0;
}

/* What makes two requests the same: everything but the clock and the entropy. */
static json_t *fingerprint(const struct init_request *q)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s?, s:O?}", "id", q->sandbox_id, "template",
	    q->template_id, "user", q->user, "workdir", q->workdir, "token", q->token, "env",
	    q->env);
}

static json_t *merge_env(const struct identity *id, const struct init_request *q)
{
	json_t *env = json_copy(id->env);
	if (!env)
		return NULL;
	if ((q->env && json_object_update(env, q->env) < 0) ||
	    json_object_set_new(env, "E2B_SANDBOX", json_string("true")) < 0 ||
	    json_object_set_new(env, "E2B_SANDBOX_ID", json_string(q->sandbox_id)) < 0 ||
	    json_object_set_new(env, "E2B_TEMPLATE_ID", json_string(q->template_id)) < 0) {
		json_decref(env);
		return NULL;
	}
	return env;
}

static int apply_init(struct identity *id, const struct init_request *q)
{
	json_t *env = merge_env(id, q);
	if (!env)
		return -ENOMEM;
	json_decref(id->env);
	id->env = env;
	if (mem_set_str(&id->sandbox_id, q->sandbox_id) < 0 ||
	    (q->template_id != id->template_id &&
		mem_set_str(&id->template_id, q->template_id) < 0) ||
	    (q->user != id->user && mem_set_str(&id->user, q->user) < 0) ||
	    (q->workdir != id->workdir && mem_set_str(&id->workdir, q->workdir) < 0) ||
	    mem_set_str(&id->token, q->token) < 0)
		return -ENOMEM;
	return set_list(id);
}

int identity_init(struct identity *id, const json_t *request, struct err *reterr)
{
	struct init_request q;
	if (parse_init(id, request, &q, reterr) < 0)
		return -EINVAL;
	CLEAN_JSON json_t *print = fingerprint(&q);
	if (!print)
		return err_set(reterr, -ENOMEM, "out of memory");
	if (id->stage == STAGE_INITIALISED) {
		if (json_equal(print, id->accepted))
			return 1;
		return err_set(reterr, -EBUSY, "this sandbox has its identity already");
	}
	if (apply_init(id, &q) < 0)
		return err_set(reterr, -ENOMEM, "out of memory");
	id->accepted = TAKE(print);
	id->stage = STAGE_INITIALISED;
	return 0;
}

/* ---- reading ---- */

bool identity_is_booted(const struct identity *id)
{
	return id->stage != STAGE_FRESH;
}

bool identity_is_initialised(const struct identity *id)
{
	return id->stage == STAGE_INITIALISED;
}

const char *identity_sandbox_id(const struct identity *id)
{
	return id->sandbox_id;
}

const char *identity_template_id(const struct identity *id)
{
	return id->template_id;
}

const char *identity_user(const struct identity *id)
{
	return id->user;
}

const char *identity_workdir(const struct identity *id)
{
	return id->workdir;
}

const char *const *identity_env(const struct identity *id)
{
	return id->list;
}

const json_t *identity_env_object(const struct identity *id)
{
	return id->env;
}

bool identity_token_ok(const struct identity *id, const char *token)
{
	if (!id->token)
		return true;
	return token && str_ct_eq(token, strlen(token), id->token, strlen(id->token));
}

bool identity_is_secured(const struct identity *id)
{
	return id->token != NULL;
}

const char *identity_token(const struct identity *id)
{
	return id->token;
}
