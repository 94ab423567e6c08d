/* SPDX-License-Identifier: Apache-2.0 */
#include "service/detail_cache.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "sandbox/sandbox.h"
#include "service/sandbox_json.h"

struct entry {
	struct buf text;
	int64_t end_at_ns; /* events come a turn later than the change */
};

struct detail_cache {
	struct map *entries; /* id -> struct entry */
	struct sandbox_sub *sub;
};

static void entry_free(struct entry *e)
{
	if (!e)
		return;
	buf_fini(&e->text);
	(void)mem_free(e);
}

static struct entry *entry_new(const struct sandbox *sb, int64_t end_at_ns)
{
	CLEAN_JSON json_t *v = sandbox_json_detail(sb);
	struct entry *e = v ? mem_zalloc(sizeof(*e)) : NULL;
	if (!e)
		return NULL;
	e->end_at_ns = end_at_ns;
	if (json_write(&e->text, v, false) == 0)
		return e;
	entry_free(e);
	return NULL;
}

static void on_event(enum sandbox_event_kind kind, struct sandbox *sb, void *arg)
{
	struct detail_cache *c = arg;
	struct sandbox_view v;
	sandbox_view(sb, &v);
	entry_free(map_remove(c->entries, v.id));
}

struct detail_cache *detail_cache_new(struct sandboxes *s)
{
	struct detail_cache *c = mem_zalloc(sizeof(*c));
	if (!c)
		return NULL;
	c->entries = map_new();
	c->sub = sandboxes_subscribe(s, NULL, on_event, c);
	return c->entries && c->sub ? c : detail_cache_free(c);
}

struct detail_cache *detail_cache_free(struct detail_cache *c)
{
	if (!c)
		return NULL;
	if (c->sub)
		sandboxes_unsubscribe(c->sub);
	void *it = NULL;
	while (c->entries) {
		struct entry *e = map_next(c->entries, &it, NULL);
		if (!e)
			break;
		entry_free(e);
	}
	(void)map_free(c->entries);
	return mem_free(c);
}

const char *detail_cache_get(struct detail_cache *c, const struct sandbox *sb, size_t *ret_n)
{
	struct sandbox_view v;
	sandbox_view(sb, &v);
	struct entry *e = map_get(c->entries, v.id);
	if (e && e->end_at_ns != v.end_at_ns) {
		entry_free(map_remove(c->entries, v.id));
		e = NULL;
	}
	if (!e) {
		e = entry_new(sb, v.end_at_ns);
		if (!e || map_add(c->entries, v.id, e) < 0) {
			entry_free(e);
			return NULL;
		}
	}
	*ret_n = buf_len(&e->text);
	return (const char *)buf_data(&e->text);
}
