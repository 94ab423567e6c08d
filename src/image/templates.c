/* SPDX-License-Identifier: Apache-2.0 */
/* All templates of a directory, and how requests name them. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "image/template.h"
#include "image/yaml.h"

#define TEMPLATES_MAX 256

struct templates {
	struct template **v;
	size_t n;
	struct map *by_ref; /* name, aliases and id of each */
};

static int add_ref(struct templates *ts, struct template *t, const char *ref,
    const struct yaml_node *at, struct err *reterr)
{
	int r = map_add(ts->by_ref, ref, t);
	if (r == -EEXIST) {
		const struct template *owner = map_get(ts->by_ref, ref);
		if (owner == t)
			return yaml_node_error(at, reterr, "\"%s\" is given twice", ref);
		return yaml_node_error(
		    at, reterr, "\"%s\" already stands for template %s", ref, owner->name);
	}
	return r < 0 ? err_set(reterr, r, "template %s: %s", t->name, err_name(r)) : 0;
}

static int add_refs(
    struct templates *ts, struct template *t, const struct yaml_node *root, struct err *reterr)
{
	const struct yaml_node *aliases = yaml_node_get(root, "aliases");
	const struct yaml_node *at = aliases ? yaml_node_first(aliases) : NULL;
	int r = add_ref(ts, t, t->name, yaml_node_get(root, "name"), reterr);
	if (r == 0)
		r = add_ref(ts, t, t->id, yaml_node_get(root, "name"), reterr);
	for (char **a = t->aliases; r == 0 && a && *a; a++, at = yaml_node_next(at))
		r = add_ref(ts, t, *a, at, reterr);
	return r;
}

static int load_one(struct templates *ts, const char *dir, const char *file, struct err *reterr)
{
	char path[PATH_LEN_MAX];
	struct err err = ERR_INIT;
	int r = path_join(path, sizeof(path), dir, file);
	if (r < 0)
		return err_set(reterr, r, "%s/%.64s: %s", dir, file, err_name(r));
	struct yaml_doc *doc = yaml_doc_load(path, &err);
	struct template *t = doc ? template_read(yaml_doc_root(doc), &err) : NULL;
	if (t) {
		ts->v[ts->n++] = t;
		(void)add_refs(ts, t, yaml_doc_root(doc), &err);
	}
	(void)yaml_doc_free(doc);
	return err.code ? err_set(reterr, err.code, "%s", err_text(&err)) : 0;
}

static int is_template_file(const struct dirent *e)
{
	return e->d_name[0] != '.' && str_ends(e->d_name, ".yaml");
}

static int load_all(
    struct templates *ts, const char *dir, struct dirent **files, size_t n, struct err *reterr)
{
	if (n > TEMPLATES_MAX)
		return err_set(reterr, -E2BIG, "%s: more than %d templates", dir, TEMPLATES_MAX);
	ts->by_ref = map_new();
	ts->v = mem_calloc(n, sizeof(struct template *));
	if (!ts->by_ref || (n && !ts->v))
		return err_set(reterr, -ENOMEM, "%s: out of memory", dir);
	for (size_t i = 0; i < n; i++) {
		int r = load_one(ts, dir, files[i]->d_name, reterr);
		if (r < 0)
			return r;
	}
	return 0;
}

struct templates *templates_load(const char *dir, struct err *reterr)
{
	struct dirent **files = NULL;
	int n = scandir(dir, &files, is_template_file, alphasort);
	if (n < 0) {
		(void)err_set(reterr, -errno, "%s: cannot be read: %s", dir, err_name(-errno));
		return NULL;
	}
	struct templates *ts = mem_zalloc(sizeof(*ts));
	int r = ts ? load_all(ts, dir, files, (size_t)n, reterr)
		   : err_set(reterr, -ENOMEM, "%s: out of memory", dir);
	for (int i = 0; i < n; i++)
		free(files[i]);
	free(files);
	return r < 0 ? templates_free(ts) : ts;
}

struct templates *templates_free(struct templates *ts)
{
	if (!ts)
		return NULL;
	for (size_t i = 0; i < ts->n; i++)
		(void)template_free(ts->v[i]);
	mem_free(ts->v);
	(void)map_free(ts->by_ref);
	return mem_free(ts);
}

#define REF_MAX 200

const struct template *templates_find(const struct templates *ts, const char *ref)
{
	char name[REF_MAX];
	if (!ref || str_copy(name, sizeof(name), ref) >= sizeof(name))
		return NULL;
	str_lower(name);
	char *slash = strrchr(name, '/');
	char *at = slash ? slash + 1 : name;
	char *tag = strchr(at, ':');
	if (tag) {
		if (!str_eq(tag, ":default"))
			return NULL;
		*tag = '\0';
	}
	if (slash && (slash == name || strchr(name, '/') != slash))
		return NULL;
	return map_get(ts->by_ref, at);
}

size_t templates_count(const struct templates *ts)
{
	return ts->n;
}

const struct template *templates_at(const struct templates *ts, size_t i)
{
	return i < ts->n ? ts->v[i] : NULL;
}
