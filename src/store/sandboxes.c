/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/err.h"
#include "base/mem.h"
#include "store/db.h"

void store_sandbox_fini(struct store_sandbox *r)
{
	mem_free(r->template_name);
	mem_free(r->access_token);
	mem_free(r->traffic_token);
	mem_free(r->mask_host);
	mem_free(r->metadata_json);
	mem_free(r->env_json);
	*r = (struct store_sandbox){ 0 };
}

static void fini_row(void *row)
{
	store_sandbox_fini(row);
}

static int fill_sandbox(sqlite3_stmt *st, void *row, struct err *reterr)
{
	struct store_sandbox *sb = row;
	int r = db_column_chars(st, 0, sb->id, sizeof(sb->id), reterr);
	if (r == 0)
		r = db_column_chars(st, 1, sb->team_id, sizeof(sb->team_id), reterr);
	if (r < 0)
		return r;
	if (db_column_dup(st, 2, &sb->template_name) < 0 ||
	    db_column_dup(st, 3, &sb->access_token) < 0 ||
	    db_column_dup(st, 4, &sb->traffic_token) < 0 ||
	    db_column_dup(st, 5, &sb->metadata_json) < 0 ||
	    db_column_dup(st, 6, &sb->env_json) < 0 || db_column_dup(st, 11, &sb->mask_host) < 0)
		return err_set(reterr, -ENOMEM, "out of memory");
	sb->internet = sqlite3_column_int(st, 7) != 0;
	sb->auto_pause = sqlite3_column_int(st, 12) != 0;
	sb->cpu_milli = (unsigned)sqlite3_column_int(st, 13);
	sb->memory_bytes = (uint64_t)sqlite3_column_int64(st, 14);
	sb->disk_bytes = (uint64_t)sqlite3_column_int64(st, 15);
	sb->state = sqlite3_column_int(st, 8);
	sb->started_ns = sqlite3_column_int64(st, 9);
	sb->end_at_ns = sqlite3_column_int64(st, 10);
	return 0;
}

int store_load_sandboxes(
    struct store *s, struct store_sandbox **ret_v, size_t *ret_n, struct err *reterr)
{
	static const struct db_query query = {
		.sql = "SELECT id, team_id, template_name, access_token, traffic_token,"
		       " metadata_json, env_json, internet, state, started_ns, end_at_ns,"
		       " mask_host, auto_pause, cpu_milli, memory_bytes, disk_bytes"
		       " FROM sandboxes ORDER BY started_ns, id DESC",
		.what = "reading sandboxes",
		.sz = sizeof(struct store_sandbox),
		.fill = fill_sandbox,
		.fini = fini_row,
	};
	void *v;
	int r = db_load(&s->db, &query, &v, ret_n, reterr);
	if (r == 0)
		*ret_v = v;
	return r;
}

int db_put_sandbox(struct db *db, const struct store_sandbox *r, struct err *reterr)
{
	sqlite3_stmt *st = db_stmt(db, DB_STMT_PUT_SANDBOX, reterr);
	if (!st)
		return reterr->code;
	db_bind_text(st, 1, r->id);
	db_bind_text(st, 2, r->team_id);
	db_bind_text(st, 3, r->template_name);
	db_bind_text(st, 4, r->access_token);
	db_bind_text(st, 5, r->traffic_token);
	db_bind_text(st, 6, r->metadata_json);
	db_bind_text(st, 7, r->env_json);
	(void)sqlite3_bind_int(st, 8, r->internet);
	(void)sqlite3_bind_int(st, 9, r->state);
	(void)sqlite3_bind_int64(st, 10, r->started_ns);
	(void)sqlite3_bind_int64(st, 11, r->end_at_ns);
	db_bind_text(st, 12, r->mask_host);
	(void)sqlite3_bind_int(st, 13, r->auto_pause);
	(void)sqlite3_bind_int(st, 14, (int)r->cpu_milli);
	(void)sqlite3_bind_int64(st, 15, (int64_t)r->memory_bytes);
	(void)sqlite3_bind_int64(st, 16, (int64_t)r->disk_bytes);
	return db_run(db, st, "writing a sandbox", reterr);
}

int db_del_sandbox(struct db *db, const char *id, struct err *reterr)
{
	sqlite3_stmt *st = db_stmt(db, DB_STMT_DEL_SANDBOX, reterr);
	if (!st)
		return reterr->code;
	db_bind_text(st, 1, id);
	return db_run(db, st, "removing a sandbox", reterr);
}
