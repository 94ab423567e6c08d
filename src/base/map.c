/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open hashing with chains; grows by doubling. FNV-1a over a per-process random seed is enough
 * here: keys that an outsider chooses are bounded in number by the limits of their owners.
 */
#include "base/map.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/id.h"
#include "base/mem.h"

struct entry {
	struct entry *next;
	void *value;
	uint64_t hash;
	char key[];
};

struct map {
	struct entry **slots;
	size_t n_slots; /* power of two */
	size_t n;
	uint64_t seed;
};

static uint64_t hash_key(const struct map *m, const char *key)
{
	uint64_t h = m->seed ^ 0xcbf29ce484222325u;
	for (; *key; key++)
		h = (h ^ (unsigned char)*key) * 0x100000001b3u;
	return h ^ h >> 29;
}

struct map *map_new(void)
{
	struct map *m = mem_zalloc(sizeof(*m));
	if (!m)
		return NULL;
	m->n_slots = 16;
	m->slots = mem_calloc(m->n_slots, sizeof(struct entry *));
	if (!m->slots)
		return mem_free(m);
	id_random(&m->seed, sizeof(m->seed));
	return m;
}

struct map *map_free(struct map *m)
{
	if (!m)
		return NULL;
	for (size_t i = 0; i < m->n_slots; i++) {
		for (struct entry *e = m->slots[i]; e;) {
			struct entry *next = e->next;
			mem_free(e);
			e = next;
		}
	}
	mem_free(m->slots);
	return mem_free(m);
}

size_t map_size(const struct map *m)
{
	return m->n;
}

static struct entry **find(const struct map *m, const char *key, uint64_t hash)
{
	struct entry **p = &m->slots[hash & (m->n_slots - 1)];
	while (*p && ((*p)->hash != hash || strcmp((*p)->key, key) != 0))
		p = &(*p)->next;
	return p;
}

void *map_get(const struct map *m, const char *key)
{
	struct entry *e = *find(m, key, hash_key(m, key));
	return e ? e->value : NULL;
}

/* Failing to grow is no failure: chains get longer. */
static void grow(struct map *m)
{
	size_t n = m->n_slots * 2;
	struct entry **slots = mem_calloc(n, sizeof(struct entry *));
	if (!slots)
		return;
	for (size_t i = 0; i < m->n_slots; i++) {
		for (struct entry *e = m->slots[i]; e;) {
			struct entry *next = e->next;
			e->next = slots[e->hash & (n - 1)];
			slots[e->hash & (n - 1)] = e;
			e = next;
		}
	}
	mem_free(m->slots);
	m->slots = slots;
	m->n_slots = n;
}

int map_add(struct map *m, const char *key, void *value)
{
	uint64_t hash = hash_key(m, key);
	if (*find(m, key, hash))
		return -EEXIST;
	size_t len = strlen(key) + 1;
	struct entry *e = mem_alloc(sizeof(*e) + len);
	if (!e)
		return -ENOMEM;
	if (m->n >= m->n_slots)
		grow(m);
	struct entry **slot = &m->slots[hash & (m->n_slots - 1)];
	e->next = *slot;
	e->value = value;
	e->hash = hash;
	memcpy(e->key, key, len);
	*slot = e;
	m->n++;
	return 0;
}

void *map_remove(struct map *m, const char *key)
{
	struct entry **p = find(m, key, hash_key(m, key));
	struct entry *e = *p;
	if (!e)
		return NULL;
	void *value = e->value;
	*p = e->next;
	mem_free(e);
	m->n--;
	return value;
}

/*
 * The iterator holds the entry that comes next, so that the current one may be removed. A finished
 * iteration is marked with the map itself, which can never be an entry.
 */
void *map_next(const struct map *m, void **it, const char **ret_key)
{
	struct entry *e = *it;
	size_t i = 0;
	if (*it == m)
		return NULL;
	if (!e) {
		while (i < m->n_slots && !m->slots[i])
			i++;
		if (i == m->n_slots)
			return NULL;
		e = m->slots[i];
	}
	struct entry *next = e->next;
	for (i = (e->hash & (m->n_slots - 1)) + 1; !next && i < m->n_slots; i++)
		next = m->slots[i];
	*it = next ? (void *)next : (void *)(uintptr_t)m;
	if (ret_key)
		*ret_key = e->key;
	return e->value;
}
