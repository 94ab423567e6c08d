/* SPDX-License-Identifier: Apache-2.0 */
/* Who a sandbox is: from a create's parameters, or from the row that such a create left. */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/id.h"
#include "base/json.h"
#include "base/mem.h"
#include "sandbox/object.h"
#include "store/store.h"

#define TOKEN_LEN 48 /* of 36 letters each: 248 bits */
#define ROW_JSON_MAX (4 * 1024 * 1024)

/* ---- vectors of texts ---- */

static char **strv_free(char **v)
{
	for (char **p = v; p && *p; p++)
		mem_free(*p);
	return mem_free(v);
}

static char **strv_copy(const char *const *v)
{
	size_t n = 0;
	while (v && v[n])
		n++;
	char **copy = mem_calloc(n + 1, sizeof(*copy));
	for (size_t i = 0; copy && i < n; i++) {
		copy[i] = mem_strdup(v[i]);
		if (!copy[i])
			return strv_free(copy);
	}
	return copy;
}

/* ---- objects in rows ---- */

static int set_pair(json_t *o, const char *key, size_t n, const char *value)
{
	return json_object_setn_new(o, key, n, json_string(value)) < 0 ? -EINVAL : 0;
}

static int metadata_object(json_t *o, char *const *v)
{
	int r = 0;
	for (; r == 0 && v[0]; v += 2)
		r = set_pair(o, v[0], strlen(v[0]), v[1]);
	return r;
}

static int env_object(json_t *o, char *const *v)
{
	int r = 0;
	for (; r == 0 && v[0]; v++) {
		size_t n = strcspn(v[0], "=");
		r = set_pair(o, v[0], n, v[0][n] ? v[0] + n + 1 : "");
	}
	return r;
}

static char *to_json(int (*fill)(json_t *o, char *const *v), char *const *v)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	CLEAN_JSON json_t *o = json_object();
	if (!o || fill(o, v) < 0 || json_write(&b, o, false) < 0)
		return NULL;
	return buf_steal(&b, NULL);
}

/* per: texts that one member becomes. */
static char **from_json(const char *text, size_t per)
{
	const char *key;
	json_t *value;
	size_t n = 0;
	CLEAN_JSON json_t *o = json_parse_object(text, strlen(text), ROW_JSON_MAX, false, NULL);
	char **v = o ? mem_calloc(json_object_size(o) * per + 1, sizeof(*v)) : NULL;
	if (!v)
		return NULL;
	json_object_foreach(o, key, value)
	{
		const char *s = json_is_string(value) ? json_string_value(value) : "";
		if (per == 1) {
			v[n] = mem_printf("%s=%s", key, s);
		} else {
			v[n] = mem_strdup(key);
			v[n + 1] = v[n] ? mem_strdup(s) : NULL;
		}
		if (!v[n + per - 1])
			return strv_free(v);
		n += per;
	}
	return v;
}

/* ---- the two sources ---- */

static char *make_token(void)
{
	char text[TOKEN_LEN + 1];
	id_random_text(text, TOKEN_LEN);
	return mem_strdup(text);
}

static int fill_from_params(
    struct identity *id, struct sandboxes *s, const struct sandbox_params *p)
{
	id->internet = p->internet;
	id->auto_pause = p->auto_pause;
	id->sizes = p->sizes;
	id->timeout_s = p->timeout_s;
	id->team = team_get(s, p->team_id);
	if (mem_set_str(&id->mask_host, p->mask_host) < 0)
		return -ENOMEM;
	id->metadata = strv_copy(p->metadata);
	id->env = strv_copy(p->env);
	if (!id->team || !id->metadata || !id->env)
		return -ENOMEM;
	id->metadata_json = to_json(metadata_object, id->metadata);
	id->env_json = to_json(env_object, id->env);
	if (p->secure)
		id->access_token = make_token();
	if (!p->allow_public_traffic)
		id->traffic_token = make_token();
	bool good = id->metadata_json && id->env_json && (!p->secure || id->access_token) &&
		    (p->allow_public_traffic || id->traffic_token);
	return good ? 0 : -ENOMEM;
}

static int fill_from_row(struct identity *id, struct sandboxes *s, const struct store_sandbox *r)
{
	id->internet = r->internet;
	id->auto_pause = r->auto_pause;
	id->sizes = (struct sandbox_sizes){ r->memory_bytes, r->disk_bytes, r->cpu_milli };
	id->team = team_get(s, r->team_id);
	id->metadata = from_json(r->metadata_json, 2);
	id->env = from_json(r->env_json, 1);
	if (!id->team || !id->metadata || !id->env ||
	    mem_set_str(&id->access_token, r->access_token) < 0 ||
	    mem_set_str(&id->traffic_token, r->traffic_token) < 0 ||
	    mem_set_str(&id->mask_host, r->mask_host) < 0 ||
	    mem_set_str(&id->metadata_json, r->metadata_json) < 0 ||
	    mem_set_str(&id->env_json, r->env_json) < 0)
		return -ENOMEM;
	return 0;
}

static struct identity *identity_new(void)
{
	struct identity *id = mem_zalloc(sizeof(*id));
	if (id)
		id->refs = 1;
	return id;
}

struct identity *identity_from_params(struct sandboxes *s, const struct sandbox_params *p)
{
	struct identity *id = identity_new();
	return id && fill_from_params(id, s, p) == 0 ? id : identity_unref(id);
}

struct identity *identity_from_row(struct sandboxes *s, const struct store_sandbox *r)
{
	struct identity *id = identity_new();
	return id && fill_from_row(id, s, r) == 0 ? id : identity_unref(id);
}

struct identity *identity_ref(struct identity *id)
{
	id->refs++;
	return id;
}

struct identity *identity_unref(struct identity *id)
{
	if (!id || --id->refs > 0)
		return NULL;
	(void)team_put(id->team);
	mem_free(id->access_token);
	mem_free(id->traffic_token);
	mem_free(id->mask_host);
	(void)strv_free(id->metadata);
	(void)strv_free(id->env);
	mem_free(id->metadata_json);
	mem_free(id->env_json);
	return mem_free(id);
}
