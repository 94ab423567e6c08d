/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables over a document's tree. A text is taken as it is written, quoted or not, so nothing can
 * turn "no" into false or "1.10" into 1.1; numbers and booleans must not be quoted.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/unit.h"
#include "image/yaml.h"
#include "image/yaml_doc.h"
#include "image/yaml_typo.h"

typedef int read_fn(const struct yaml_node *v, const struct yaml_key *k, void *at, struct err *err);

static int no_memory(struct err *reterr)
{
	return err_set(reterr, -ENOMEM, "out of memory");
}

/* ---- texts ---- */

static bool is_null(const struct yaml_node *v)
{
	return v->plain && (!v->text[0] || str_eq(v->text, "~") || str_eq(v->text, "null"));
}

static uint64_t text_limit(const struct yaml_key *k)
{
	return k->max && k->type != YAML_STR_LIST && k->type != YAML_STR_MAP ? k->max
									     : YAML_MAX_TEXT;
}

/* The node's text, judged by the key's row; NULL and reterr otherwise. */
static const char *text_of(const struct yaml_node *v, const struct yaml_key *k, struct err *reterr)
{
	const char *expected = k->expected ? k->expected : "a text";
	bool single = k->type == YAML_STR || k->type == YAML_CHARS;
	uint64_t max = text_limit(k), min = single ? k->min : 0;
	if (v->kind != YAML_KIND_TEXT || is_null(v)) {
		(void)yaml_node_error(v, reterr, "expected %s", expected);
		return NULL;
	}
	size_t n = strlen(v->text);
	if (n < min || n > max) {
		(void)yaml_node_error(
		    v, reterr, "expected a text of %" PRIu64 " to %" PRIu64 " bytes", min, max);
		return NULL;
	}
	if (k->ok && k->type != YAML_STR_MAP && !k->ok(v->text)) {
		(void)yaml_node_error(v, reterr, "expected %s", expected);
		return NULL;
	}
	return v->text;
}

static int read_str(
    const struct yaml_node *v, const struct yaml_key *k, void *at, struct err *reterr)
{
	const char *s = text_of(v, k, reterr);
	if (!s)
		return -EINVAL;
	return mem_set_str(at, s) < 0 ? no_memory(reterr) : 0;
}

static int read_chars(
    const struct yaml_node *v, const struct yaml_key *k, void *at, struct err *reterr)
{
	const char *s = text_of(v, k, reterr);
	if (!s)
		return -EINVAL;
	(void)str_copy(at, k->max + 1, s);
	return 0;
}

/* ---- numbers and choices ---- */

static bool is_plain(const struct yaml_node *v)
{
	return v->kind == YAML_KIND_TEXT && v->plain;
}

static int read_bool(
    const struct yaml_node *v, const struct yaml_key *k, void *at, struct err *reterr)
{
	bool yes = is_plain(v) && str_eq(v->text, "true");
	if (!yes && !(is_plain(v) && str_eq(v->text, "false")))
		return yaml_node_error(v, reterr, "expected true or false");
	*(bool *)at = yes;
	return 0;
}

static int read_uint(
    const struct yaml_node *v, const struct yaml_key *k, void *at, struct err *reterr)
{
	uint64_t max = k->max ? k->max : UINT32_MAX, n;
	if (!is_plain(v) || str_u64(v->text, max, &n) < 0 || n < k->min)
		return yaml_node_error(
		    v, reterr, "expected an integer from %" PRIu64 " to %" PRIu64, k->min, max);
	*(unsigned *)at = (unsigned)n;
	return 0;
}

static int read_milli(
    const struct yaml_node *v, const struct yaml_key *k, void *at, struct err *reterr)
{
	char lo[32], hi[32];
	uint64_t max = k->max ? k->max : UINT32_MAX, n;
	if (!is_plain(v) || unit_parse_milli(v->text, &n) < 0 || n < k->min || n > max)
		return yaml_node_error(v, reterr,
		    "expected a number from %s to %s with at most three decimals",
		    unit_format_milli(k->min, lo, sizeof(lo)),
		    unit_format_milli(max, hi, sizeof(hi)));
	*(unsigned *)at = (unsigned)n;
	return 0;
}

static int read_unit(const struct yaml_node *v, const struct yaml_key *k, void *at,
    const struct unit *units, const char *what, struct err *reterr)
{
	char lo[32], hi[32];
	uint64_t max = k->max ? k->max : UINT64_MAX, n;
	if (is_plain(v) && unit_parse(v->text, units, &n) == 0 && n >= k->min && n <= max) {
		*(uint64_t *)at = n;
		return 0;
	}
	unit_format(k->min, units, lo, sizeof(lo));
	if (!k->max)
		return yaml_node_error(v, reterr, "expected a %s of at least %s", what, lo);
	return yaml_node_error(v, reterr, "expected a %s from %s to %s", what, lo,
	    unit_format(max, units, hi, sizeof(hi)));
}

static int read_size(
    const struct yaml_node *v, const struct yaml_key *k, void *at, struct err *reterr)
{
	return read_unit(v, k, at, unit_sizes, UNIT_SIZE_EXPECTED, reterr);
}

static int read_duration(
    const struct yaml_node *v, const struct yaml_key *k, void *at, struct err *reterr)
{
	return read_unit(v, k, at, unit_durations, "duration with a unit (ms, s, m, h, d)", reterr);
}

static int read_enum(
    const struct yaml_node *v, const struct yaml_key *k, void *at, struct err *reterr)
{
	char names[200] = "";
	for (const struct yaml_choice *c = k->choices; c->name; c++) {
		if (v->kind == YAML_KIND_TEXT && str_eq(v->text, c->name)) {
			*(int *)at = c->value;
			return 0;
		}
		size_t n = strlen(names);
		(void)snprintf(names + n, sizeof(names) - n, "%s%s", n ? ", " : "", c->name);
	}
	return yaml_node_error(v, reterr, "expected one of %s", names);
}

/* ---- lists and maps of texts ---- */

char **yaml_strv_free(char **v)
{
	for (char **s = v; s && *s; s++)
		mem_free(*s);
	return mem_free(v);
}

static void strv_replace(char ***at, char **v)
{
	(void)yaml_strv_free(*at);
	*at = v;
}

static int check_count(const struct yaml_node *v, const struct yaml_key *k, struct err *reterr)
{
	uint64_t max = k->max ? k->max : YAML_MAX_ITEMS;
	if (v->count >= k->min && v->count <= max)
		return 0;
	return yaml_node_error(
	    v, reterr, "expected %" PRIu64 " to %" PRIu64 " entries", k->min, max);
}

/* Every child through one(): an owned text, or NULL with reterr. */
static int read_strv(const struct yaml_node *v, const struct yaml_key *k, char ***at,
    char *(*one)(const struct yaml_node *v, const struct yaml_key *k, struct err *reterr),
    struct err *reterr)
{
	struct err err = ERR_INIT;
	if (check_count(v, k, reterr) < 0)
		return -EINVAL;
	char **out = mem_calloc(v->count + 1, sizeof(*out));
	if (!out)
		return no_memory(reterr);
	size_t n = 0;
	for (const struct yaml_node *c = v->first; c; c = c->next, n++) {
		out[n] = one(c, k, &err);
		if (!out[n]) {
			(void)yaml_strv_free(out);
			return err_set(reterr, err.code, "%s", err.text);
		}
	}
	strv_replace(at, out);
	return 0;
}

static char *list_entry(const struct yaml_node *v, const struct yaml_key *k, struct err *reterr)
{
	const char *s = text_of(v, k, reterr);
	char *copy = s ? mem_strdup(s) : NULL;
	if (s && !copy)
		(void)no_memory(reterr);
	return copy;
}

static int read_list(
    const struct yaml_node *v, const struct yaml_key *k, void *at, struct err *reterr)
{
	if (v->kind != YAML_KIND_LIST)
		return yaml_node_error(v, reterr, "expected a list");
	return read_strv(v, k, at, list_entry, reterr);
}

static char *map_entry(const struct yaml_node *v, const struct yaml_key *k, struct err *reterr)
{
	if (k->ok && !k->ok(v->key)) {
		(void)yaml_node_error(v, reterr, "expected %s as key", k->expected);
		return NULL;
	}
	/* The row describes the keys, so the value is any text. */
	const struct yaml_key value = { .type = YAML_STR };
	const char *s = text_of(v, &value, reterr);
	char *pair = s ? mem_printf("%s=%s", v->key, s) : NULL;
	if (s && !pair)
		(void)no_memory(reterr);
	return pair;
}

static int read_str_map(
    const struct yaml_node *v, const struct yaml_key *k, void *at, struct err *reterr)
{
	if (v->kind != YAML_KIND_MAP)
		return yaml_node_error(v, reterr, "expected a mapping of keys to texts");
	return read_strv(v, k, at, map_entry, reterr);
}

/* ---- mappings ---- */

static int read_map(
    const struct yaml_node *v, const struct yaml_key *k, void *at, struct err *reterr)
{
	return yaml_read(v, k->keys, at, reterr);
}

static int read_call(
    const struct yaml_node *v, const struct yaml_key *k, void *at, struct err *reterr)
{
	return k->set(v, at, reterr);
}

static read_fn *const readers[] = {
	[YAML_STR] = read_str,
	[YAML_CHARS] = read_chars,
	[YAML_BOOL] = read_bool,
	[YAML_UINT] = read_uint,
	[YAML_MILLI] = read_milli,
	[YAML_SIZE] = read_size,
	[YAML_DURATION] = read_duration,
	[YAML_ENUM] = read_enum,
	[YAML_STR_LIST] = read_list,
	[YAML_STR_MAP] = read_str_map,
	[YAML_MAP] = read_map,
	[YAML_CALL] = read_call,
};

#define TYPO_EDITS 2 /* an unknown key this close to a known one was probably meant to be it */

static int unknown_key(const struct yaml_node *v, const struct yaml_key *keys, struct err *reterr)
{
	const char *nearest = NULL;
	unsigned least = TYPO_EDITS + 1;
	for (const struct yaml_key *k = keys; k->key; k++) {
		unsigned d = yaml_typo_distance(v->key, k->key, TYPO_EDITS);
		if (d < least && d < strlen(k->key)) {
			least = d;
			nearest = k->key;
		}
	}
	if (nearest)
		return yaml_node_error(v, reterr, "unknown key; did you mean \"%s\"?", nearest);
	return yaml_node_error(v, reterr, "unknown key");
}

static const struct yaml_key *find_row(const struct yaml_key *keys, const char *key)
{
	for (const struct yaml_key *k = keys; k->key; k++) {
		if (str_eq(k->key, key))
			return k;
	}
	return NULL;
}

int yaml_read(
    const struct yaml_node *map, const struct yaml_key *keys, void *target, struct err *reterr)
{
	if (map->kind != YAML_KIND_MAP)
		return yaml_node_error(map, reterr, "expected a mapping of keys to values");
	for (const struct yaml_node *v = map->first; v; v = v->next) {
		const struct yaml_key *k = find_row(keys, v->key);
		if (!k)
			return unknown_key(v, keys, reterr);
		int r = readers[k->type](v, k, (char *)target + k->offset, reterr);
		if (r < 0)
			return r;
	}
	for (const struct yaml_key *k = keys; k->key; k++) {
		if (k->required && !yaml_node_get(map, k->key))
			return yaml_node_error(map, reterr, "the key \"%s\" is missing", k->key);
	}
	return 0;
}

void yaml_read_fini(const struct yaml_key *keys, void *target)
{
	for (const struct yaml_key *k = keys; k->key; k++) {
		void *at = (char *)target + k->offset;
		if (k->type == YAML_STR)
			*(char **)at = mem_free(*(char **)at);
		else if (k->type == YAML_STR_LIST || k->type == YAML_STR_MAP)
			strv_replace(at, NULL);
		else if (k->type == YAML_MAP)
			yaml_read_fini(k->keys, at);
	}
}
