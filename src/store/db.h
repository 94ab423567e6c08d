/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* SQLite behind store.h: one connection, its statements, errors as sentences. For store/ only. */
#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

/* ---- statements ---- */

enum db_stmt {
	DB_STMT_BEGIN,
	DB_STMT_COMMIT,
	DB_STMT_ROLLBACK,
	DB_STMT_PUT_SANDBOX,
	DB_STMT_DEL_SANDBOX,
	DB_STMT_COUNT_,
};

/* lock is held around everything that touches the connection: the worker's batch and the blocking
 * calls of the loop's thread never see each other's transactions. */
struct db {
	sqlite3 *handle;
	char *path;
	pthread_mutex_t lock;
	sqlite3_stmt *stmts[DB_STMT_COUNT_];
};

/* Opens, checks and migrates. 0 or -errno with reterr; db_close() is due either way. */
int db_open(struct db *db, const char *path, struct err *reterr);
void db_close(struct db *db);

/* ---- running SQL, with the lock held ---- */

/* Fills reterr with "path: what: SQLite's words"; returns the -errno of the failure. */
int db_fail(struct db *db, int rc, const char *what, struct err *reterr);
int db_exec(struct db *db, const char *sql, const char *what, struct err *reterr);
/* The cached statement, reset and without bindings; NULL and reterr. */
sqlite3_stmt *db_stmt(struct db *db, enum db_stmt which, struct err *reterr);
/* Run a statement that yields no row, and reset it. */
int db_run(struct db *db, sqlite3_stmt *st, const char *what, struct err *reterr);

/* Blocking calls: run fn(db, arg) in a transaction that is on the disk when this returns 0. */
int db_durably(struct db *db, const char *what,
    int (*fn)(struct db *db, void *arg, struct err *reterr), void *arg, struct err *reterr);

/* Load all rows of a query into one growing vector of elements of size sz. fill() gets a zeroed
 * element. */
struct db_query {
	const char *sql;
	const char *what;
	size_t sz;
	int (*fill)(sqlite3_stmt *st, void *row, struct err *reterr);
	void (*fini)(void *row); /* of rows that were filled before a failure; may be NULL */
};
int db_load(
    struct db *db, const struct db_query *q, void **ret_v, size_t *ret_n, struct err *reterr);

/* A text column into a fixed array: -EBADMSG when it does not fit. */
int db_column_chars(sqlite3_stmt *st, int col, char *dst, size_t cap, struct err *reterr);
/* A text column as a copy; NULL stays NULL. 0 or -ENOMEM. */
int db_column_dup(sqlite3_stmt *st, int col, char **ret);
void db_bind_text(sqlite3_stmt *st, int i, const char *s); /* s must live until the statement ran */

/* ---- schema (schema.c) ---- */
int db_migrate(struct db *db, struct err *reterr);

/* ---- what the worker runs (queue.c); with the lock held, in a transaction ---- */
int db_put_sandbox(struct db *db, const struct store_sandbox *r, struct err *reterr);
int db_del_sandbox(struct db *db, const char *id, struct err *reterr);

struct store_queue;
struct store {
	struct db db;
	struct store_queue *queue;
};
