/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The answer to "get sandbox" as text. Clients poll it, and building and writing the object costs
 * more than everything else that such a request needs. One text a running sandbox that was asked
 * for; every event of the sandbox drops it.
 */
#include <stddef.h>

struct detail_cache;
struct sandbox;
struct sandboxes;

struct detail_cache *detail_cache_new(struct sandboxes *s); /* NULL on -ENOMEM */
struct detail_cache *detail_cache_free(struct detail_cache *c);
/* JSON, borrowed until the next loop turn; NULL on -ENOMEM. */
const char *detail_cache_get(struct detail_cache *c, const struct sandbox *sb, size_t *ret_n);
