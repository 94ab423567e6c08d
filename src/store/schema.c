/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schema and its history. user_version counts the entries of migrations[] that were applied;
 * entries are only ever added. Each is applied together with its new number, in one transaction
 * that holds the write lock, so two processes that open a new file at the same time apply each
 * once.
 */
#include <errno.h>
#include <stdio.h>

#include "base/err.h"
#include "store/db.h"

#define APPLICATION_ID 0x53474c53 /* "SGLS": file(1) and we know our files by it */

static const char *const migrations[] = {
	"CREATE TABLE teams ("
	" id TEXT PRIMARY KEY NOT NULL,"
	" name TEXT NOT NULL,"
	" max_sandboxes INTEGER NOT NULL,"
	" created_ns INTEGER NOT NULL) STRICT;"

	"CREATE TABLE keys ("
	" id TEXT PRIMARY KEY NOT NULL,"
	" team_id TEXT NOT NULL REFERENCES teams (id),"
	" name TEXT NOT NULL,"
	" prefix TEXT NOT NULL,"
	" hash BLOB NOT NULL UNIQUE,"
	" created_ns INTEGER NOT NULL,"
	" revoked_ns INTEGER NOT NULL DEFAULT 0) STRICT;"

	"CREATE TABLE sandboxes ("
	" id TEXT PRIMARY KEY NOT NULL,"
	" team_id TEXT NOT NULL,"
	" template_name TEXT NOT NULL,"
	" access_token TEXT,"
	" traffic_token TEXT,"
	" metadata_json TEXT NOT NULL,"
	" env_json TEXT NOT NULL,"
	" internet INTEGER NOT NULL,"
	" state INTEGER NOT NULL,"
	" started_ns INTEGER NOT NULL,"
	" end_at_ns INTEGER NOT NULL) STRICT;",

	"ALTER TABLE sandboxes ADD COLUMN mask_host TEXT;",

	"ALTER TABLE sandboxes ADD COLUMN auto_pause INTEGER NOT NULL DEFAULT 0;",

	"ALTER TABLE sandboxes ADD COLUMN cpu_milli INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE sandboxes ADD COLUMN memory_bytes INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE sandboxes ADD COLUMN disk_bytes INTEGER NOT NULL DEFAULT 0;",
};
#define VERSION (int)(sizeof(migrations) / sizeof(migrations[0]))

static int read_pragma(struct db *db, const char *sql, int64_t *ret, struct err *reterr)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db->handle, sql, -1, &st, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*ret = sqlite3_column_int64(st, 0);
	(void)sqlite3_finalize(st);
	return rc == SQLITE_ROW ? 0 : db_fail(db, rc, "reading its version", reterr);
}

static int read_version(struct db *db, int64_t *ret, struct err *reterr)
{
	int64_t app = 0;
	int r = read_pragma(db, "PRAGMA user_version", ret, reterr);
	if (r == 0)
		r = read_pragma(db, "PRAGMA application_id", &app, reterr);
	if (r < 0)
		return r;
	if (app != APPLICATION_ID && (app != 0 || *ret != 0))
		return err_set(reterr, -EBADMSG, "%s: belongs to another program", db->path);
	if (*ret > VERSION)
		return err_set(reterr, -ENOTSUP,
		    "%s: was written by a newer version (schema %lld, this one knows %d)", db->path,
		    (long long)*ret, VERSION);
	return 0;
}

static int apply(struct db *db, int64_t from, struct err *reterr)
{
	char sql[96];
	int r = db_exec(db, migrations[from], "migrating", reterr);
	(void)snprintf(sql, sizeof(sql), "PRAGMA application_id = %d; PRAGMA user_version = %d",
	    APPLICATION_ID, (int)from + 1);
	return r < 0 ? r : db_exec(db, sql, "migrating", reterr);
}

/* In a transaction: the version may have changed since it was read first. */
static int apply_missing(struct db *db, void *arg, struct err *reterr)
{
	int64_t have;
	int r = read_version(db, &have, reterr);
	for (; r == 0 && have < VERSION; have++)
		r = apply(db, have, reterr);
	return r;
}

int db_migrate(struct db *db, struct err *reterr)
{
	int64_t have;
	int r = read_version(db, &have, reterr);
	if (r < 0 || have == VERSION)
		return r;
	return db_durably(db, "migrating", apply_missing, NULL, reterr);
}
