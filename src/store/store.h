/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Durable state in SQLite (WAL). Rows, not policy. All calls answer from the loop; the SQL runs in
 * one worker thread in the order of submission. Opening and migrating block and happen before the
 * loop runs.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct loop;
struct store;

/* Creates the file (mode 0600) or opens, checks and migrates it. Another process may have it open
 * too. */
struct store *store_open(struct loop *l, const char *path, struct err *reterr);
/* What was submitted is written first and its callbacks run. */
struct store *store_close(struct store *s);

/* ---- keys (one file: keys.c) ---- */
struct store_key {
	char id[17];	  /* random hex */
	char team_id[37]; /* uuid */
	char name[65];
	char prefix[13]; /* first characters of the key, for people */
	unsigned char
	    hash[32]; /* SHA-256 of the key: keys are 160 random bits, so no slow hash is needed */
	int64_t created_ns, revoked_ns; /* 0 = valid */
};
struct store_team {
	char id[37];
	char name[65];
	unsigned max_sandboxes;
	int64_t created_ns;
};
/* Blocking, for start-up and the offline commands of sandglassd; 0 or -errno. */
int store_load_keys(struct store *s, struct store_key **ret_v, size_t *ret_n, struct err *reterr);
int store_load_teams(struct store *s, struct store_team **ret_v, size_t *ret_n, struct err *reterr);
/* The same two tables, read in the worker thread. fn comes once from a later loop turn, at the
 * latest from store_close(), unless it was cancelled; the rows are valid during the call. err->code
 * is 0 or -errno. NULL on -ENOMEM: fn does not come. */
struct store_key_tables {
	struct store_key *keys;
	size_t n_keys;
	struct store_team *teams;
	size_t n_teams;
};
struct store_key_read;
typedef void store_key_read_fn(const struct err *err, const struct store_key_tables *t, void *arg);
struct store_key_read *store_read_keys(struct store *s, store_key_read_fn *fn, void *arg);
void store_key_read_cancel(struct store_key_read *r); /* NULL is fine */
int store_add_team(struct store *s, const struct store_team *t, struct err *reterr);
int store_add_key(struct store *s, const struct store_key *k, struct err *reterr);
int store_revoke_key(struct store *s, const char *key_id, int64_t now_ns, struct err *reterr);

/* ---- sandboxes (sandboxes.c) ---- */
struct store_sandbox {
	char id[24];
	char team_id[37];
	char *template_name;
	char *access_token;  /* NULL = none */
	char *traffic_token; /* NULL = none */
	char *mask_host;     /* NULL = none */
	char *metadata_json; /* object */
	char *env_json;	     /* object */
	bool internet, auto_pause;
	unsigned cpu_milli; /* these three: 0 = the template's */
	uint64_t memory_bytes, disk_bytes;
	int state; /* a number of sandbox/'s */
	int64_t started_ns, end_at_ns;
};
void store_sandbox_fini(struct store_sandbox *r);
int store_load_sandboxes(struct store *s, struct store_sandbox **ret_v, size_t *ret_n,
    struct err *reterr); /* blocking */
typedef void store_fn(int err, void *arg);
/* Rows are copied; several that wait become one transaction. done may be NULL; it comes once from a
 * later loop turn with 0 or -errno. Return 0, or -ENOMEM or -ESHUTDOWN (closing): done does not
 * come. */
int store_put_sandbox(struct store *s, const struct store_sandbox *r, store_fn *done, void *arg);
int store_del_sandbox(struct store *s, const char *id, store_fn *done, void *arg);
