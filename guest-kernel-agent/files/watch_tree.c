/* SPDX-License-Identifier: Apache-2.0 */
/* The directories of a watch as a tree of names, so that a rename is one change. */
#include <errno.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/files/watch_private.h"

struct watch_node *watch_node_find(const struct watch *w, const char *name)
{
	char part[PATH_LEN_MAX];
	struct watch_node *node = w->root;
	while (node && *name) {
		size_t n = strcspn(name, "/");
		(void)str_copy(part, n + 1 < sizeof(part) ? n + 1 : sizeof(part), name);
		node = node->children ? map_get(node->children, part) : NULL;
		name += n + (name[n] == '/');
	}
	return node;
}

/* The directory above name, whose last part is returned. */
static const char *split(const struct watch *w, const char *name, struct watch_node **ret_parent)
{
	char above[PATH_LEN_MAX];
	const char *slash = strrchr(name, '/');
	size_t n = slash ? (size_t)(slash - name) : 0;
	(void)str_copy(above, n + 1 < sizeof(above) ? n + 1 : sizeof(above), name);
	*ret_parent = watch_node_find(w, above);
	return slash ? slash + 1 : name;
}

static void seen_free(struct watch_node *node)
{
	link_remove(&node->seen_link);
	node->seen = map_free(node->seen);
}

void watch_node_free(struct watch *w, struct watch_node *node)
{
	void *it = NULL;
	if (!node)
		return;
	for (struct watch_node *k; node->children && (k = map_next(node->children, &it, NULL));)
		watch_node_free(w, k);
	notifier_detach(w->conf.notifier, &node->notify);
	seen_free(node);
	map_free(node->children);
	mem_free(node->name);
	mem_free(node);
	w->n_nodes--;
}

struct watch_node *watch_node_take(struct watch_node *parent, const char *name)
{
	struct watch_node *node = parent->children ? map_remove(parent->children, name) : NULL;
	if (node)
		node->parent = NULL;
	return node;
}

int watch_node_put(
    struct watch *w, struct watch_node *parent, const char *name, struct watch_node *node_consume)
{
	int r = mem_set_str(&node_consume->name, name);
	watch_node_free(w, watch_node_take(parent, name));
	if (r == 0 && !parent->children)
		parent->children = map_new();
	if (r == 0)
		r = parent->children ? map_add(parent->children, name, node_consume) : -ENOMEM;
	if (r < 0) {
		watch_node_free(w, node_consume);
		return r;
	}
	node_consume->parent = parent;
	return 0;
}

int watch_node_add(struct watch *w, const char *name, int wd)
{
	struct watch_node *parent = NULL;
	const char *last = *name ? split(w, name, &parent) : "";
	if (*name && !parent)
		return -ENOENT;
	struct watch_node *node = mem_zalloc(sizeof(*node));
	if (!node)
		return -ENOMEM;
	w->n_nodes++;
	link_init(&node->seen_link);
	int r = notifier_attach(w->conf.notifier, &w->client, &node->notify, wd);
	if (r < 0) {
		watch_node_free(w, node);
		return r;
	}
	if (parent)
		return watch_node_put(w, parent, last, node);
	watch_node_free(w, w->root);
	w->root = node;
	return 0;
}

void watch_node_set_stale(struct watch *w, const char *name)
{
	struct watch_node *node;
	(void)split(w, name, &node);
	for (; node; node = node->parent)
		node->stale = true;
}

int watch_node_name(
    const struct watch *w, const struct watch_node *node, const char *entry, char dst[PATH_LEN_MAX])
{
	/* From the end to the beginning. */
	char *at = dst + PATH_LEN_MAX - 1;
	*at = '\0';
	const char *part = entry;
	for (;; part = node->name, node = node->parent) {
		size_t n = strlen(part), sep = *at ? 1 : 0;
		if (n + sep > (size_t)(at - dst))
			return -ENAMETOOLONG;
		if (sep)
			*--at = '/';
		at -= n;
		memcpy(at, part, n);
		if (!node->parent)
			break;
	}
	memmove(dst, at, strlen(at) + 1);
	return node == w->root ? 0 : -ENOENT;
}

static int add_known(const struct watch *w, const struct watch_node *node, struct map *known)
{
	char name[PATH_LEN_MAX];
	void *it = NULL;
	int r = 0;
	if (node->parent && watch_node_name(w, node->parent, node->name, name) == 0)
		r = map_add(known, name, known);
	for (const struct watch_node *k;
	     r == 0 && node->children && (k = map_next(node->children, &it, NULL));)
		r = add_known(w, k, known);
	return r;
}

struct map *watch_nodes_known(const struct watch *w)
{
	struct map *known = map_new();
	return known && w->root && add_known(w, w->root, known) < 0 ? map_free(known) : known;
}

/* ---- entries that were told before their event came ---- */

void watch_seen_add(struct watch *w, const char *name)
{
	struct watch_node *parent;
	const char *last = split(w, name, &parent);
	if (!parent)
		return;
	if (!parent->seen) {
		parent->seen = map_new();
		if (!parent->seen)
			return; /* the entry may be told twice */
		list_push_back(&w->seen, &parent->seen_link);
	}
	(void)map_add(parent->seen, last, parent);
}

bool watch_seen_remove(struct watch_node *node, const char *entry)
{
	return node->seen && map_remove(node->seen, entry);
}

void watch_seen_clear(struct watch *w)
{
	for (struct link *k; (k = list_first(&w->seen));)
		seen_free(container_of(k, struct watch_node, seen_link));
}
