/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>

#include "base/err.h"
#include "store/db.h"

static int fill_team(sqlite3_stmt *st, void *row, struct err *reterr)
{
	struct store_team *t = row;
	int64_t max = sqlite3_column_int64(st, 2);
	int r = db_column_chars(st, 0, t->id, sizeof(t->id), reterr);
	if (r == 0)
		r = db_column_chars(st, 1, t->name, sizeof(t->name), reterr);
	t->max_sandboxes = max < 0 ? 0 : max > UINT_MAX ? UINT_MAX : (unsigned)max;
	t->created_ns = sqlite3_column_int64(st, 3);
	return r;
}

int store_load_teams(struct store *s, struct store_team **ret_v, size_t *ret_n, struct err *reterr)
{
	static const struct db_query query = {
		.sql = "SELECT id, name, max_sandboxes, created_ns FROM teams"
		       " ORDER BY created_ns, id",
		.what = "reading teams",
		.sz = sizeof(struct store_team),
		.fill = fill_team,
	};
	void *v;
	int r = db_load(&s->db, &query, &v, ret_n, reterr);
	if (r == 0)
		*ret_v = v;
	return r;
}

static int insert_team(struct db *db, void *arg, struct err *reterr)
{
	const struct store_team *t = arg;
	sqlite3_stmt *st;
	int rc = sqlite3_prepare_v2(db->handle,
	    "INSERT INTO teams (id, name, max_sandboxes, created_ns) VALUES (?1, ?2, ?3, ?4)", -1,
	    &st, NULL);
	if (rc != SQLITE_OK)
		return db_fail(db, rc, "adding a team", reterr);
	db_bind_text(st, 1, t->id);
	db_bind_text(st, 2, t->name);
	(void)sqlite3_bind_int64(st, 3, t->max_sandboxes);
	(void)sqlite3_bind_int64(st, 4, t->created_ns);
	int r = db_run(db, st, "adding a team", reterr);
	(void)sqlite3_finalize(st);
	return r;
}

int store_add_team(struct store *s, const struct store_team *t, struct err *reterr)
{
	return db_durably(&s->db, "adding a team", insert_team, (void *)t, reterr);
}
