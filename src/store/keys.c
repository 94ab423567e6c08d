/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "store/db.h"

static int fill_key(sqlite3_stmt *st, void *row, struct err *reterr)
{
	struct store_key *k = row;
	int r = db_column_chars(st, 0, k->id, sizeof(k->id), reterr);
	if (r == 0)
		r = db_column_chars(st, 1, k->team_id, sizeof(k->team_id), reterr);
	if (r == 0)
		r = db_column_chars(st, 2, k->name, sizeof(k->name), reterr);
	if (r == 0)
		r = db_column_chars(st, 3, k->prefix, sizeof(k->prefix), reterr);
	if (r == 0 && sqlite3_column_bytes(st, 4) != sizeof(k->hash))
		r = err_set(reterr, -EBADMSG, "key %s has a hash of the wrong length", k->id);
	if (r < 0)
		return r;
	memcpy(k->hash, sqlite3_column_blob(st, 4), sizeof(k->hash));
	k->created_ns = sqlite3_column_int64(st, 5);
	k->revoked_ns = sqlite3_column_int64(st, 6);
	return 0;
}

int store_load_keys(struct store *s, struct store_key **ret_v, size_t *ret_n, struct err *reterr)
{
	static const struct db_query query = {
		.sql = "SELECT id, team_id, name, prefix, hash, created_ns, revoked_ns FROM keys"
		       " ORDER BY created_ns, id",
		.what = "reading keys",
		.sz = sizeof(struct store_key),
		.fill = fill_key,
	};
	void *v;
	int r = db_load(&s->db, &query, &v, ret_n, reterr);
	if (r == 0)
		*ret_v = v;
	return r;
}

static int insert_key(struct db *db, void *arg, struct err *reterr)
{
	const struct store_key *k = arg;
	sqlite3_stmt *st;
	int rc = sqlite3_prepare_v2(db->handle,
	    "INSERT INTO keys (id, team_id, name, prefix, hash, created_ns, revoked_ns)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	    -1, &st, NULL);
	if (rc != SQLITE_OK)
		return db_fail(db, rc, "adding a key", reterr);
	db_bind_text(st, 1, k->id);
	db_bind_text(st, 2, k->team_id);
	db_bind_text(st, 3, k->name);
	db_bind_text(st, 4, k->prefix);
	(void)sqlite3_bind_blob(st, 5, k->hash, sizeof(k->hash), SQLITE_STATIC);
	(void)sqlite3_bind_int64(st, 6, k->created_ns);
	(void)sqlite3_bind_int64(st, 7, k->revoked_ns);
	int r = db_run(db, st, "adding a key", reterr);
	(void)sqlite3_finalize(st);
	return r;
}

int store_add_key(struct store *s, const struct store_key *k, struct err *reterr)
{
	return db_durably(&s->db, "adding a key", insert_key, (void *)k, reterr);
}

struct revocation {
	const char *id;
	int64_t now_ns;
};

/* A key that was revoked before keeps its time. */
static int revoke(struct db *db, void *arg, struct err *reterr)
{
	const struct revocation *rev = arg;
	sqlite3_stmt *st;
	int rc = sqlite3_prepare_v2(db->handle,
	    "UPDATE keys SET revoked_ns = CASE revoked_ns WHEN 0 THEN ?2 ELSE revoked_ns END"
	    " WHERE id = ?1",
	    -1, &st, NULL);
	if (rc != SQLITE_OK)
		return db_fail(db, rc, "revoking a key", reterr);
	db_bind_text(st, 1, rev->id);
	(void)sqlite3_bind_int64(st, 2, rev->now_ns);
	int r = db_run(db, st, "revoking a key", reterr);
	(void)sqlite3_finalize(st);
	if (r == 0 && sqlite3_changes(db->handle) == 0)
		r = err_set(reterr, -ENOENT, "there is no key %.64s", rev->id);
	return r;
}

int store_revoke_key(struct store *s, const char *key_id, int64_t now_ns, struct err *reterr)
{
	struct revocation rev = { key_id, now_ns };
	return db_durably(&s->db, "revoking a key", revoke, &rev, reterr);
}
