/* SPDX-License-Identifier: Apache-2.0 */
#include "store/db.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/fdutil.h"
#include "base/mem.h"
#include "base/str.h"

/* Another process may hold the write lock: sandglassd's offline commands beside a running daemon.
 */
#define BUSY_LIMIT_MS 5000

static const char *const stmt_sql[DB_STMT_COUNT_] = {
	[DB_STMT_BEGIN] = "BEGIN IMMEDIATE",
	[DB_STMT_COMMIT] = "COMMIT",
	[DB_STMT_ROLLBACK] = "ROLLBACK",
	[DB_STMT_PUT_SANDBOX] =
	    "INSERT INTO sandboxes (id, team_id, template_name, access_token, traffic_token,"
	    " metadata_json, env_json, internet, state, started_ns, end_at_ns, mask_host,"
	    " auto_pause, cpu_milli, memory_bytes, disk_bytes)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)"
	    " ON CONFLICT (id) DO UPDATE SET team_id = ?2, template_name = ?3, access_token = ?4,"
	    " traffic_token = ?5, metadata_json = ?6, env_json = ?7, internet = ?8, state = ?9,"
	    " started_ns = ?10, end_at_ns = ?11, mask_host = ?12, auto_pause = ?13,"
	    " cpu_milli = ?14, memory_bytes = ?15, disk_bytes = ?16",
	[DB_STMT_DEL_SANDBOX] = "DELETE FROM sandboxes WHERE id = ?1",
};

/* ---- errors ---- */

static int errno_of(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_MISMATCH:
		return -EBADMSG;
	default:
		return -EIO;
	}
}

static const char *words_of(struct db *db, int rc)
{
	switch (rc & 0xff) {
	case SQLITE_CORRUPT:
		return "the database is damaged; restore it from a copy or remove it";
	case SQLITE_NOTADB:
		return "the file is not a database";
	case SQLITE_BUSY:
		return "another process keeps the database locked";
	default:
		return db->handle ? sqlite3_errmsg(db->handle) : sqlite3_errstr(rc);
	}
}

int db_fail(struct db *db, int rc, const char *what, struct err *reterr)
{
	return err_set(reterr, errno_of(rc), "%s: %s: %s", db->path, what, words_of(db, rc));
}

/* ---- statements ---- */

int db_exec(struct db *db, const char *sql, const char *what, struct err *reterr)
{
	int rc = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
	return rc == SQLITE_OK ? 0 : db_fail(db, rc, what, reterr);
}

sqlite3_stmt *db_stmt(struct db *db, enum db_stmt which, struct err *reterr)
{
	sqlite3_stmt **st = &db->stmts[which];
	if (*st) {
		(void)sqlite3_clear_bindings(*st);
		return *st;
	}
	int rc = sqlite3_prepare_v3(
	    db->handle, stmt_sql[which], -1, SQLITE_PREPARE_PERSISTENT, st, NULL);
	if (rc != SQLITE_OK) {
		(void)db_fail(db, rc, "preparing a statement", reterr);
		return NULL;
	}
	return *st;
}

int db_run(struct db *db, sqlite3_stmt *st, const char *what, struct err *reterr)
{
	if (!st)
		return reterr->code;
	int rc = sqlite3_step(st);
	int r = rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : db_fail(db, rc, what, reterr);
	(void)sqlite3_reset(st);
	return r;
}

void db_bind_text(sqlite3_stmt *st, int i, const char *s)
{
	(void)sqlite3_bind_text(st, i, s, -1, SQLITE_STATIC);
}

/*
 * What people do (keys, teams) survives a power cut: a revoked key must not come back. Rows of
 * sandboxes need less, because no sandbox survives one; see db_open().
 */
int db_durably(struct db *db, const char *what,
    int (*fn)(struct db *db, void *arg, struct err *reterr), void *arg, struct err *reterr)
{
	struct err err = ERR_INIT;
	(void)pthread_mutex_lock(&db->lock);
	int r = db_exec(db, "PRAGMA synchronous = FULL; BEGIN IMMEDIATE", what, &err);
	if (r == 0)
		r = fn(db, arg, &err);
	if (r == 0)
		r = db_exec(db, "COMMIT", what, &err);
	if (!sqlite3_get_autocommit(db->handle))
		(void)db_exec(db, "ROLLBACK", what, NULL);
	(void)db_exec(db, "PRAGMA synchronous = NORMAL", what, NULL);
	(void)pthread_mutex_unlock(&db->lock);
	return r < 0 ? err_set(reterr, r, "%s", err_text(&err)) : r;
}

/* ---- reading ---- */

int db_column_chars(sqlite3_stmt *st, int col, char *dst, size_t cap, struct err *reterr)
{
	const char *s = (const char *)sqlite3_column_text(st, col);
	if (!s || str_copy(dst, cap, s) >= cap)
		return err_set(reterr, -EBADMSG, "column %s holds a text of the wrong length",
		    sqlite3_column_name(st, col));
	return 0;
}

int db_column_dup(sqlite3_stmt *st, int col, char **ret)
{
	const char *s = (const char *)sqlite3_column_text(st, col);
	if (!s && sqlite3_column_type(st, col) == SQLITE_NULL) {
		*ret = NULL;
		return 0;
	}
	*ret = mem_strdup(s);
	return *ret ? 0 : -ENOMEM;
}

struct rows {
	char *v;
	size_t n, cap;
};

static int add_row(
    struct rows *rows, const struct db_query *q, sqlite3_stmt *st, struct err *reterr)
{
	if (rows->n == rows->cap) {
		size_t cap = rows->cap ? rows->cap * 2 : 16;
		char *v = mem_realloc(rows->v, cap * q->sz);
		if (!v)
			return err_set(reterr, -ENOMEM, "out of memory");
		rows->v = v;
		rows->cap = cap;
	}
	void *row = rows->v + rows->n++ * q->sz;
	memset(row, 0, q->sz);
	return q->fill(st, row, reterr);
}

static void drop_rows(struct rows *rows, const struct db_query *q)
{
	for (size_t i = 0; q->fini && i < rows->n; i++)
		q->fini(rows->v + i * q->sz);
	mem_free(rows->v);
}

static int read_rows(struct db *db, const struct db_query *q, struct rows *rows, struct err *reterr)
{
	sqlite3_stmt *st = NULL;
	struct err err = ERR_INIT;
	int rc = sqlite3_prepare_v2(db->handle, q->sql, -1, &st, NULL), r = 0;
	if (rc != SQLITE_OK)
		return db_fail(db, rc, q->what, reterr);
	while (r == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW)
		r = add_row(rows, q, st, &err);
	if (r < 0)
		(void)err_set(
		    reterr, r, "%s: %s: row %zu: %s", db->path, q->what, rows->n, err_text(&err));
	else if (rc != SQLITE_DONE)
		r = db_fail(db, rc, q->what, reterr);
	(void)sqlite3_finalize(st);
	return r;
}

int db_load(
    struct db *db, const struct db_query *q, void **ret_v, size_t *ret_n, struct err *reterr)
{
	struct rows rows = { 0 };
	(void)pthread_mutex_lock(&db->lock);
	int r = read_rows(db, q, &rows, reterr);
	(void)pthread_mutex_unlock(&db->lock);
	if (r < 0) {
		drop_rows(&rows, q);
		return r;
	}
	*ret_v = rows.v;
	*ret_n = rows.n;
	return 0;
}

/* ---- open and close ---- */

/* The file holds access tokens: nobody else reads it. Its -wal and -shm files inherit the mode. An
 * existing file is not opened here, because closing a descriptor would drop SQLite's locks on it.
 */
static int make_private(struct db *db, struct err *reterr)
{
	struct stat st;
	int r = 0;
	CLEAN_FD int fd = open(db->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 && errno != EEXIST)
		r = -errno;
	else if (stat(db->path, &st) < 0 ||
		 ((st.st_mode & 077) && chmod(db->path, st.st_mode & 0700) < 0))
		r = -errno;
	return r < 0 ? err_set(reterr, r, "%s: cannot be opened: %s", db->path, err_name(r)) : 0;
}

static int check_integrity(struct db *db, struct err *reterr)
{
	sqlite3_stmt *st = NULL;
	int r = 0, rc = sqlite3_prepare_v2(db->handle, "PRAGMA quick_check(1)", -1, &st, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc != SQLITE_ROW)
		r = db_fail(db, rc, "checking", reterr);
	else if (!str_eq((const char *)sqlite3_column_text(st, 0), "ok"))
		r = err_set(reterr, -EBADMSG, "%s: the database is damaged: %s", db->path,
		    (const char *)sqlite3_column_text(st, 0));
	(void)sqlite3_finalize(st);
	return r;
}

/*
 * synchronous = NORMAL: in WAL mode a commit is then one write without fsync. What was committed
 * survives any death of this process, and the file is consistent after a power cut, which may take
 * the last commits. That is enough for sandboxes, and a create does not wait for a disk.
 */
int db_open(struct db *db, const char *path, struct err *reterr)
{
	(void)pthread_mutex_init(&db->lock, NULL);
	db->path = mem_strdup(path);
	if (!db->path)
		return err_set(reterr, -ENOMEM, "%s: out of memory", path);
	int r = make_private(db, reterr);
	if (r < 0)
		return r;
	int rc = sqlite3_open_v2(path, &db->handle,
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
	if (rc != SQLITE_OK)
		return db_fail(db, rc, "opening", reterr);
	(void)sqlite3_busy_timeout(db->handle, BUSY_LIMIT_MS);
	r = db_exec(db,
	    "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;"
	    " PRAGMA trusted_schema = OFF",
	    "opening", reterr);
	if (r == 0)
		r = check_integrity(db, reterr);
	return r < 0 ? r : db_migrate(db, reterr);
}

void db_close(struct db *db)
{
	for (size_t i = 0; i < DB_STMT_COUNT_; i++)
		(void)sqlite3_finalize(db->stmts[i]);
	(void)sqlite3_close(db->handle);
	(void)pthread_mutex_destroy(&db->lock);
	mem_free(db->path);
}
