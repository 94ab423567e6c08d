/* SPDX-License-Identifier: Apache-2.0 */
#include "service/params.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/template.h"
#include "service/auth.h"

static int list_push(struct params_list *l, char *text_consume)
{
	CLEAN_FREE char *text = text_consume;
	if (!text)
		return -ENOMEM;
	if (l->n + 1 >= l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 8;
		char **v = mem_realloc(l->v, cap * sizeof(*v));
		if (!v)
			return -ENOMEM;
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = TAKE(text);
	l->v[l->n] = NULL;
	return 0;
}

static int list_check(
    struct params_list *l, const char *field, const char *text, size_t entries, struct err *reterr)
{
	size_t n = strlen(text);
	if (l->n >= entries)
		return err_set(
		    reterr, -EINVAL, "%s: expected at most %d entries", field, PARAMS_MAX_ENTRIES);
	if (n > PARAMS_MAX_BYTES - l->bytes)
		return err_set(reterr, -EINVAL, "%s: expected at most %d bytes in all", field,
		    PARAMS_MAX_BYTES);
	if (!str_utf8_valid(text, n))
		return err_set(reterr, -EINVAL, "%s: expected UTF-8 text", field);
	l->bytes += n;
	return 0;
}

int params_list_add(struct params_list *l, const char *field, const char *text, struct err *reterr)
{
	int r = list_check(l, field, text, 2 * PARAMS_MAX_ENTRIES, reterr);
	return r < 0 ? r : list_push(l, mem_strdup(text));
}

void params_list_fini(struct params_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		(void)mem_free(l->v[i]);
	(void)mem_free(l->v);
	*l = (struct params_list){ 0 };
}

int params_add_metadata(
    struct params *p, const char *field, const char *key, const char *value, struct err *reterr)
{
	if (!*key)
		return err_set(reterr, -EINVAL, "%s: expected keys that are not empty", field);
	int r = params_list_add(&p->metadata, field, key, reterr);
	return r < 0 ? r : params_list_add(&p->metadata, field, value, reterr);
}

int params_add_env(
    struct params *p, const char *field, const char *name, const char *value, struct err *reterr)
{
	if (!*name || strchr(name, '='))
		return err_set(reterr, -EINVAL,
		    "%s: expected names that are not empty and have no '='", field);
	int r = list_check(&p->env, field, name, PARAMS_MAX_ENTRIES, reterr);
	if (r == 0)
		r = list_check(&p->env, field, value, PARAMS_MAX_ENTRIES, reterr);
	return r < 0 ? r : list_push(&p->env, mem_printf("%s=%s", name, value));
}

int params_set_template(
    struct params *p, const struct templates *ts, const char *ref, struct err *reterr)
{
	p->tmpl = templates_find(ts, ref);
	if (!p->tmpl)
		return err_set(reterr, SANDBOX_E_TEMPLATE, "template '%.128s' not found", ref);
	p->p.template_ref = p->tmpl->name;
	return 0;
}

int params_set_timeout(struct params *p, const char *field, int64_t seconds, struct err *reterr)
{
	if (seconds < 0 || seconds > p->tmpl->timeout_max_s)
		return err_set(reterr, -EINVAL,
		    "%s: expected a number of seconds up to %u, the maximum of template '%s'",
		    field, p->tmpl->timeout_max_s, p->tmpl->name);
	p->p.timeout_s = (unsigned)seconds;
	return 0;
}

int params_set_size(struct params *p, const char *field, enum params_size which, uint64_t number,
    uint64_t unit, struct err *reterr)
{
	static const struct {
		uint64_t min, max;
	} bounds[] = {
		[PARAMS_CPU] = { SANDBOX_CPU_MILLI_MIN, SANDBOX_CPU_MILLI_MAX },
		[PARAMS_MEMORY] = { SANDBOX_MEMORY_MIN, SANDBOX_MEMORY_MAX },
		[PARAMS_DISK] = { SANDBOX_DISK_MIN, SANDBOX_DISK_MAX },
	};
	uint64_t min = (bounds[which].min + unit - 1) / unit, max = bounds[which].max / unit;
	if (number == 0)
		return 0;
	if (number < min || number > max)
		return err_set(reterr, -EINVAL, "%s: expected a number from %llu to %llu", field,
		    (unsigned long long)min, (unsigned long long)max);
	if (which == PARAMS_CPU)
		p->p.sizes.cpu_milli = (unsigned)(number * unit);
	else
		*(which == PARAMS_MEMORY ? &p->p.sizes.memory_bytes : &p->p.sizes.disk_bytes) =
		    number * unit;
	return 0;
}

const struct sandbox_params *params_finish(struct params *p, const struct auth_team *team)
{
	static const char *const none[] = { NULL };
	p->p.team_id = team->id;
	p->p.team_limit = team->max_sandboxes;
	p->p.metadata = p->metadata.v ? (const char *const *)p->metadata.v : none;
	p->p.env = p->env.v ? (const char *const *)p->env.v : none;
	return &p->p;
}

void params_fini(struct params *p)
{
	params_list_fini(&p->metadata);
	params_list_fini(&p->env);
}
