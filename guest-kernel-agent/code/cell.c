/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/code/cell.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "guest-kernel-agent/jupyter/context.h"

int cell_set(struct cell *c, const char *code, const char *context_id, const char *language)
{
	if (mem_set_str(&c->code, code) < 0 || mem_set_str(&c->context_id, context_id) < 0 ||
	    mem_set_str(&c->language, language) < 0)
		return -ENOMEM;
	c->n = strlen(code);
	return 0;
}

int cell_add_env(struct cell *c, const char *name, const char *value)
{
	char **env = mem_realloc(c->env, (c->n_env + 3) * sizeof(*env));
	if (!env)
		return -ENOMEM;
	c->env = env;
	env[c->n_env] = mem_strdup(name);
	env[c->n_env + 1] = env[c->n_env] ? mem_strdup(value) : NULL;
	if (!env[c->n_env + 1]) {
		env[c->n_env] = mem_free(env[c->n_env]);
		return -ENOMEM;
	}
	c->n_env += 2;
	env[c->n_env] = NULL;
	return 0;
}

void cell_fini(struct cell *c)
{
	for (size_t i = 0; i < c->n_env; i++)
		mem_free(c->env[i]);
	mem_free(c->env);
	mem_free(c->code);
	mem_free(c->context_id);
	mem_free(c->language);
	*c = (struct cell){ 0 };
}

enum cell_outcome cell_target(const struct cell *c, struct contexts *cs,
    struct context **ret_context, const char **ret_language, struct err *reterr)
{
	if (*c->context_id && *c->language) {
		(void)err_set(
		    reterr, -EINVAL, "Only one of context_id or language can be provided");
		return CELL_E_BOTH;
	}
	if (*c->context_id) {
		*ret_context = context_find(cs, c->context_id);
		if (*ret_context)
			return CELL_CONTEXT;
		(void)err_set(reterr, -ENOENT, "Context %s not found", c->context_id);
		return CELL_E_NO_CONTEXT;
	}
	const char *name = *c->language ? c->language : CELL_DEFAULT_LANGUAGE;
	*ret_language = contexts_language(cs, name, reterr);
	return *ret_language ? CELL_DEFAULT : CELL_E_NO_LANGUAGE;
}
