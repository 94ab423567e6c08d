/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * API keys. A key is "e2b_" and 40 hexadecimal digits (160 random bits, so one SHA-256 is all the
 * hash it needs); only the hash is stored. The table is read from the store at start and again on
 * demand.
 */
#include <stdbool.h>
#include <stddef.h>

struct auth;
struct err;
struct http_head;
struct store;
struct store_key;
struct store_team;

#define AUTH_KEY_LEN 44

struct auth_team {
	char id[37];
	char name[65];
	unsigned max_sandboxes; /* 0 = no limit */
};

enum auth_result {
	AUTH_OK,
	AUTH_MISSING, /* no key in the request */
	AUTH_INVALID, /* unknown, revoked or malformed */
	AUTH_LIMITED, /* this peer failed too often */
};

struct auth *auth_new(void); /* without keys; NULL on -ENOMEM */
struct auth *auth_free(struct auth *a);
/* Replace the table by what the store has (blocking read of two small tables). On failure the old
 * table stays: -errno and reterr. */
int auth_load(struct auth *a, struct store *s, struct err *reterr);
/* The same from memory. */
int auth_set_keys(struct auth *a, const struct store_key *keys, size_t n_keys,
    const struct store_team *teams, size_t n_teams, struct err *reterr);
size_t auth_key_count(const struct auth *a);

/* Check X-API-KEY, or Authorization: Bearer. ret_team is set on AUTH_OK, ret_retry_s on
 * AUTH_LIMITED. A valid key passes whatever its peer did before. */
enum auth_result auth_check(struct auth *a, const struct http_head *request, const char *peer,
    struct auth_team *ret_team, unsigned *ret_retry_s);
/* The key that the request carries, or NULL. */
const char *auth_request_key(const struct http_head *request);
/* True for text of a key's shape. */
bool auth_is_key(const char *s);

/* Make a key: its text and its row, whose team, name and time are the caller's. 0 or -ENOMEM. */
int auth_make_key(char ret_text[AUTH_KEY_LEN + 1], struct store_key *ret_row);
