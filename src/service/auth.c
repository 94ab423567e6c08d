/* SPDX-License-Identifier: Apache-2.0 */
#include "service/auth.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/id.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "service/peer_limit.h"
#include "store/store.h"
#include "wire/http.h"

#define FAILURES_BURST 20
#define FAILURES_PER_MINUTE 30
#define INDEX_LEN 16 /* bytes of a hash by which it is found: as good as all */

struct entry {
	unsigned char hash[HASH_SHA256_LEN];
	struct auth_team team;
};

struct auth {
	struct map *keys; /* beginning of the hash in hex -> entry in entries */
	struct entry *entries;
	struct peer_limit *failures;
	struct hasher *hasher;
};

struct auth *auth_new(void)
{
	struct auth *a = mem_zalloc(sizeof(*a));
	if (!a)
		return NULL;
	a->keys = map_new();
	a->failures = peer_limit_new(FAILURES_BURST, FAILURES_PER_MINUTE);
	a->hasher = hasher_new();
	if (!a->keys || !a->failures || !a->hasher)
		return auth_free(a);
	return a;
}

struct auth *auth_free(struct auth *a)
{
	if (!a)
		return NULL;
	(void)map_free(a->keys);
	(void)mem_free(a->entries);
	(void)peer_limit_free(a->failures);
	(void)hasher_free(a->hasher);
	return mem_free(a);
}

static const struct store_team *find_team(const struct store_team *teams, size_t n, const char *id)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(teams[i].id, id))
			return &teams[i];
	return NULL;
}

static int add_entry(
    struct map *keys, struct entry *e, const struct store_key *k, const struct store_team *t)
{
	char hex[2 * INDEX_LEN + 1];
	memcpy(e->hash, k->hash, sizeof(e->hash));
	(void)str_copy(e->team.id, sizeof(e->team.id), t->id);
	(void)str_copy(e->team.name, sizeof(e->team.name), t->name);
	e->team.max_sandboxes = t->max_sandboxes;
	str_hex(e->hash, INDEX_LEN, hex);
	int r = map_add(keys, hex, e);
	return r == -EEXIST ? 0 : r;
}

int auth_set_keys(struct auth *a, const struct store_key *keys, size_t n_keys,
    const struct store_team *teams, size_t n_teams, struct err *reterr)
{
	struct map *map = map_new();
	struct entry *entries = mem_calloc(n_keys + 1, sizeof(*entries));
	int r = map && entries ? 0 : -ENOMEM;
	for (size_t i = 0; r == 0 && i < n_keys; i++) {
		const struct store_team *t = find_team(teams, n_teams, keys[i].team_id);
		if (t && keys[i].revoked_ns == 0)
			r = add_entry(map, &entries[i], &keys[i], t);
	}
	if (r < 0) {
		(void)map_free(map);
		(void)mem_free(entries);
		return err_set(reterr, r, "API keys: %s", err_name(r));
	}
	(void)map_free(a->keys);
	(void)mem_free(a->entries);
	a->keys = map;
	a->entries = entries;
	return 0;
}

int auth_load(struct auth *a, struct store *s, struct err *reterr)
{
	CLEAN_FREE struct store_key *keys = NULL;
	CLEAN_FREE struct store_team *teams = NULL;
	size_t n_keys = 0, n_teams = 0;
	int r = store_load_keys(s, &keys, &n_keys, reterr);
	if (r == 0)
		r = store_load_teams(s, &teams, &n_teams, reterr);
	return r < 0 ? r : auth_set_keys(a, keys, n_keys, teams, n_teams, reterr);
}

size_t auth_key_count(const struct auth *a)
{
	return map_size(a->keys);
}

bool auth_is_key(const char *s)
{
	const char *digits = str_after(s, "e2b_");
	return digits && strlen(s) == AUTH_KEY_LEN && str_only(digits, "0123456789abcdef");
}

const char *auth_request_key(const struct http_head *request)
{
	static const char scheme[] = "Bearer ";
	const char *key = http_fields_get(&request->fields, "x-api-key");
	if (key && *key)
		return key;
	const char *v = http_fields_get(&request->fields, "authorization");
	if (!v || strncasecmp(v, scheme, sizeof(scheme) - 1) != 0)
		return NULL;
	v += sizeof(scheme) - 1;
	return v + strspn(v, " ");
}

static const struct entry *find_entry(const struct auth *a, const char *key)
{
	unsigned char hash[HASH_SHA256_LEN];
	char hex[2 * INDEX_LEN + 1];
	if (!auth_is_key(key) || hasher_sha256(a->hasher, key, AUTH_KEY_LEN, hash) < 0)
		return NULL;
	str_hex(hash, INDEX_LEN, hex);
	const struct entry *e = map_get(a->keys, hex);
	return e && str_ct_eq(e->hash, sizeof(e->hash), hash, sizeof(hash)) ? e : NULL;
}

enum auth_result auth_check(struct auth *a, const struct http_head *request, const char *peer,
    struct auth_team *ret_team, unsigned *ret_retry_s)
{
	bool twice = http_fields_count(&request->fields, "x-api-key") > 1;
	const char *key = auth_request_key(request);
	const struct entry *e = key && !twice ? find_entry(a, key) : NULL;
	if (e) {
		*ret_team = e->team;
		return AUTH_OK;
	}
	unsigned wait_s = peer_limit_take(a->failures, peer);
	if (wait_s) {
		*ret_retry_s = wait_s;
		return AUTH_LIMITED;
	}
	return key ? AUTH_INVALID : AUTH_MISSING;
}

int auth_make_key(char ret_text[AUTH_KEY_LEN + 1], struct store_key *ret_row)
{
	unsigned char secret[20], id[8], hash[HASH_SHA256_LEN];
	char text[AUTH_KEY_LEN + 1] = "e2b_";
	id_random(secret, sizeof(secret));
	id_random(id, sizeof(id));
	str_hex(secret, sizeof(secret), text + 4);
	int r = hash_sha256(text, AUTH_KEY_LEN, hash);
	if (r < 0)
		return r;
	*ret_row = (struct store_key){ 0 };
	str_hex(id, sizeof(id), ret_row->id);
	(void)str_copy(ret_row->prefix, sizeof(ret_row->prefix), text);
	memcpy(ret_row->hash, hash, sizeof(hash));
	memcpy(ret_text, text, sizeof(text));
	return 0;
}
