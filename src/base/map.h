/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Hash map from byte strings to pointers. Keys are copied. Seeded per process against crafted keys.
 */
#include <stddef.h>

struct map;

struct map *map_new(void); /* NULL on -ENOMEM */
struct map *map_free(struct map *m);
size_t map_size(const struct map *m);
void *map_get(const struct map *m, const char *key);
/* 0, -ENOMEM, or -EEXIST (value unchanged). value must not be NULL. */
int map_add(struct map *m, const char *key, void *value);
/* Returns the removed value or NULL. */
void *map_remove(struct map *m, const char *key);
/* Iteration: it starts as NULL and is opaque; returns the value or NULL at the end. Removing the
 * current entry during iteration is allowed, adding is not. */
void *map_next(const struct map *m, void **it, const char **ret_key);
