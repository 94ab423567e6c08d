/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "lib/test.h"
#include "lib/tmpdir.h"
#include "loop/loop.h"
#include "store/db.h"
#include "store/store.h"

struct fixture {
	struct tmpdir dir;
	char path[128];
	struct loop *loop;
	struct store *store;
	struct err err;
};

static void reopen(struct fixture *f)
{
	f->store = store_close(f->store);
	f->store = store_open(f->loop, f->path, &f->err);
	ck_assert_msg(f->store != NULL, "%s", f->err.text);
}

static struct fixture start(void)
{
	struct fixture f = { 0 };
	tmpdir_make(&f.dir);
	(void)tmpdir_at(&f.dir, "s.db", f.path);
	f.loop = loop_new();
	reopen(&f);
	return f;
}

static void stop(struct fixture *f)
{
	(void)store_close(f->store);
	(void)loop_free(f->loop);
	tmpdir_remove(&f->dir);
}

static struct store_sandbox row(const char *id, int state)
{
	struct store_sandbox r = {
		.team_id = "t",
		.template_name = (char *)"base",
		.access_token = (char *)"secret",
		.metadata_json = (char *)"{\"a\":\"b\"}",
		.env_json = (char *)"{}",
		.internet = true,
		.state = state,
		.started_ns = 5,
		.end_at_ns = 6,
	};
	(void)snprintf(r.id, sizeof(r.id), "%s", id);
	return r;
}

static size_t count_rows(struct fixture *f, int *ret_state)
{
	struct store_sandbox *v;
	size_t n;
	ck_assert_msg(store_load_sandboxes(f->store, &v, &n, &f->err) == 0, "%s", f->err.text);
	if (n && ret_state)
		*ret_state = v[0].state;
	for (size_t i = 0; i < n; i++)
		store_sandbox_fini(&v[i]);
	mem_free(v);
	return n;
}

struct answers {
	unsigned n;
	int last;
	int order[8];
};

static void on_done(int err, void *arg)
{
	struct answers *a = arg;
	if (a->n < 8)
		a->order[a->n] = err;
	a->n++;
	a->last = err;
}

static void wait_for(struct fixture *f, const struct answers *a, unsigned n)
{
	while (a->n < n)
		ck_assert_int_eq(loop_turn(f->loop, true), 0);
}

START_TEST(file_is_private)
{
	struct fixture f = start();
	struct stat st;
	ck_assert_int_eq(stat(f.path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_assert_int_eq(chmod(f.path, 0644), 0);
	reopen(&f);
	struct answers a = { 0 };
	struct store_sandbox r = row("i1", 2);
	ck_assert_int_eq(store_put_sandbox(f.store, &r, on_done, &a), 0);
	wait_for(&f, &a, 1);
	const char *names[] = { "s.db", "s.db-wal", "s.db-shm" };
	for (size_t i = 0; i < 3; i++) {
		char path[128];
		ck_assert_int_eq(stat(tmpdir_at(&f.dir, names[i], path), &st), 0);
		ck_assert_uint_eq(st.st_mode & 0777, 0600);
	}
	stop(&f);
}
END_TEST

START_TEST(keys_and_teams)
{
	struct fixture f = start();
	struct store_team team = { .id = "t1", .name = "one", .max_sandboxes = 7, .created_ns = 3 };
	struct store_key key = {
		.id = "k1", .team_id = "t1", .name = "laptop", .prefix = "e2b_00", .created_ns = 4
	};
	memset(key.hash, 0xa5, sizeof(key.hash));
	ck_assert_int_eq(store_add_key(f.store, &key, &f.err), -EEXIST); /* no such team */
	err_reset(&f.err);
	ck_assert_int_eq(store_add_team(f.store, &team, &f.err), 0);
	ck_assert_int_eq(store_add_team(f.store, &team, &f.err), -EEXIST);
	ck_assert_ptr_nonnull(strstr(f.err.text, "adding a team"));
	err_reset(&f.err);
	ck_assert_int_eq(store_add_key(f.store, &key, &f.err), 0);
	ck_assert_int_eq(store_revoke_key(f.store, "none", 9, &f.err), -ENOENT);
	ck_assert_str_eq(f.err.text, "there is no key none");
	err_reset(&f.err);
	ck_assert_int_eq(store_revoke_key(f.store, "k1", 9, &f.err), 0);
	ck_assert_int_eq(store_revoke_key(f.store, "k1", 12, &f.err), 0);
	reopen(&f);
	struct store_key *keys;
	struct store_team *teams;
	size_t n;
	ck_assert_int_eq(store_load_teams(f.store, &teams, &n, &f.err), 0);
	ck_assert_uint_eq(n, 1);
	ck_assert_str_eq(teams[0].name, "one");
	ck_assert_uint_eq(teams[0].max_sandboxes, 7);
	ck_assert_int_eq(store_load_keys(f.store, &keys, &n, &f.err), 0);
	ck_assert_uint_eq(n, 1);
	ck_assert_mem_eq(keys[0].hash, key.hash, sizeof(key.hash));
	ck_assert_str_eq(keys[0].prefix, "e2b_00");
	ck_assert_int_eq(keys[0].revoked_ns, 9);
	mem_free(keys);
	mem_free(teams);
	stop(&f);
}
END_TEST

START_TEST(sandboxes_round_trip)
{
	struct fixture f = start();
	struct answers a = { 0 };
	struct store_sandbox r = row("i1", 2), *v;
	size_t n;
	ck_assert_int_eq(store_put_sandbox(f.store, &r, on_done, &a), 0);
	ck_assert_uint_eq(a.n, 0); /* never from inside */
	wait_for(&f, &a, 1);
	ck_assert_int_eq(a.last, 0);
	r.state = 3;
	ck_assert_int_eq(store_put_sandbox(f.store, &r, on_done, &a), 0);
	wait_for(&f, &a, 2);
	reopen(&f);
	ck_assert_int_eq(store_load_sandboxes(f.store, &v, &n, &f.err), 0);
	ck_assert_uint_eq(n, 1);
	ck_assert_str_eq(v[0].id, "i1");
	ck_assert_str_eq(v[0].template_name, "base");
	ck_assert_str_eq(v[0].access_token, "secret");
	ck_assert_ptr_null(v[0].traffic_token);
	ck_assert_str_eq(v[0].metadata_json, "{\"a\":\"b\"}");
	ck_assert(v[0].internet);
	ck_assert_int_eq(v[0].state, 3);
	ck_assert_int_eq(v[0].end_at_ns, 6);
	store_sandbox_fini(&v[0]);
	mem_free(v);
	ck_assert_int_eq(store_del_sandbox(f.store, "i1", on_done, &a), 0);
	wait_for(&f, &a, 3);
	ck_assert_uint_eq(count_rows(&f, NULL), 0);
	stop(&f);
}
END_TEST

/* Order is kept over batches, and one bad write spoils no other. */
START_TEST(batches)
{
	struct fixture f = start();
	struct answers a = { 0 };
	int state = 0;
	struct store_sandbox r = row("i1", 2), broken = row("i2", 2);
	broken.template_name = NULL;
	ck_assert_int_eq(store_put_sandbox(f.store, &r, on_done, &a), 0);
	ck_assert_int_eq(store_put_sandbox(f.store, &broken, on_done, &a), 0);
	ck_assert_int_eq(store_del_sandbox(f.store, "i1", on_done, &a), 0);
	ck_assert_int_eq(loop_turn(f.loop, false), 0); /* the first three are on their way */
	r.state = 9;
	ck_assert_int_eq(store_put_sandbox(f.store, &r, on_done, &a), 0);
	wait_for(&f, &a, 4);
	ck_assert_int_eq(a.order[0], 0);
	ck_assert_int_eq(a.order[1], -EEXIST);
	ck_assert_int_eq(a.order[2], 0);
	ck_assert_int_eq(a.order[3], 0);
	ck_assert_uint_eq(count_rows(&f, &state), 1);
	ck_assert_int_eq(state, 9);
	stop(&f);
}
END_TEST

START_TEST(close_writes_what_was_submitted)
{
	struct fixture f = start();
	struct answers a = { 0 };
	char id[24];
	for (unsigned i = 0; i < 500; i++) {
		(void)snprintf(id, sizeof(id), "i%u", i);
		struct store_sandbox r = row(id, 2);
		ck_assert_int_eq(store_put_sandbox(f.store, &r, on_done, &a), 0);
		if (i == 100)
			ck_assert_int_eq(loop_turn(f.loop, false), 0);
	}
	reopen(&f);
	ck_assert_uint_eq(a.n, 500);
	ck_assert_int_eq(a.last, 0);
	ck_assert_uint_eq(count_rows(&f, NULL), 500);
	stop(&f);
}
END_TEST

/* The whole transaction fails: every owner hears of it, and the next one works again. */
START_TEST(disk_full)
{
	struct fixture f = start();
	struct answers a = { 0 };
	CLEAN_FREE char *big = mem_zalloc(1 << 20);
	memset(big, 'x', (1 << 20) - 1);
	struct store_sandbox r = row("i1", 2), huge = row("i2", 2);
	huge.env_json = big;
	(void)sqlite3_exec(f.store->db.handle, "PRAGMA max_page_count = 40", NULL, NULL, NULL);
	ck_assert_int_eq(store_put_sandbox(f.store, &r, on_done, &a), 0);
	ck_assert_int_eq(store_put_sandbox(f.store, &huge, on_done, &a), 0);
	wait_for(&f, &a, 2);
	ck_assert_int_eq(a.order[1], -ENOSPC);
	ck_assert_int_eq(store_put_sandbox(f.store, &r, on_done, &a), 0);
	wait_for(&f, &a, 3);
	ck_assert_int_eq(a.last, 0);
	ck_assert_uint_eq(count_rows(&f, NULL), 1);
	stop(&f);
}
END_TEST

/* An offline command beside a running daemon. */
START_TEST(two_processes)
{
	struct fixture f = start();
	struct answers a = { 0 };
	struct store *other = store_open(f.loop, f.path, &f.err);
	ck_assert_msg(other != NULL, "%s", f.err.text);
	struct store_team team = { .id = "t1", .name = "one" };
	struct store_sandbox r = row("i1", 2);
	for (unsigned i = 0; i < 20; i++) {
		(void)snprintf(team.id, sizeof(team.id), "t%u", i);
		ck_assert_int_eq(store_put_sandbox(f.store, &r, on_done, &a), 0);
		ck_assert_int_eq(loop_turn(f.loop, false), 0);
		ck_assert_msg(store_add_team(other, &team, &f.err) == 0, "%s", f.err.text);
	}
	wait_for(&f, &a, 20);
	ck_assert_int_eq(a.last, 0);
	struct store_team *teams;
	size_t n;
	ck_assert_int_eq(store_load_teams(f.store, &teams, &n, &f.err), 0);
	ck_assert_uint_eq(n, 20);
	mem_free(teams);
	(void)store_close(other);
	stop(&f);
}
END_TEST

static void expect_refused(struct fixture *f, const char *words)
{
	struct err err = ERR_INIT;
	ck_assert_ptr_null(store_open(f->loop, f->path, &err));
	ck_assert_msg(strstr(err.text, f->path) && strstr(err.text, words), "%s", err.text);
}

static void run_sql(struct fixture *f, const char *sql)
{
	ck_assert_int_eq(sqlite3_exec(f->store->db.handle, sql, NULL, NULL, NULL), SQLITE_OK);
}

START_TEST(bad_files_are_refused)
{
	struct fixture f = start();
	run_sql(&f, "PRAGMA user_version = 99");
	f.store = store_close(f.store);
	expect_refused(&f, "was written by a newer version");
	ck_assert_int_eq(unlink(f.path), 0);
	reopen(&f);
	run_sql(&f, "PRAGMA application_id = 7");
	f.store = store_close(f.store);
	expect_refused(&f, "belongs to another program");
	tmpdir_write(&f.dir, "s.db",
	    "this is no database at all, but it is longer than a header "
	    "........................................................");
	expect_refused(&f, "the file is not a database");
	ck_assert_int_eq(unlink(f.path), 0);
	ck_assert_int_eq(mkdir(f.path, 0700), 0);
	expect_refused(&f, "opening");
	ck_assert_int_eq(rmdir(f.path), 0);
	(void)snprintf(f.path, sizeof(f.path), "%s/none/s.db", f.dir.path);
	expect_refused(&f, "No such file or directory");
	stop(&f);
}
END_TEST

START_TEST(damage_is_reported)
{
	struct fixture f = start();
	struct answers a = { 0 };
	char id[24];
	for (unsigned i = 0; i < 300; i++) {
		(void)snprintf(id, sizeof(id), "i%u", i);
		struct store_sandbox r = row(id, 2);
		ck_assert_int_eq(store_put_sandbox(f.store, &r, on_done, &a), 0);
	}
	f.store = store_close(f.store);
	int fd = open(f.path, O_WRONLY | O_CLOEXEC);
	struct stat st;
	ck_assert_int_eq(fstat(fd, &st), 0);
	for (off_t at = 4096; at < st.st_size; at += 4096)
		ck_assert_int_eq(pwrite(fd, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, at), 8);
	(void)close(fd);
	expect_refused(&f, "damaged");
	stop(&f);
}
END_TEST

START_TEST(malformed_rows_are_reported)
{
	struct fixture f = start();
	struct store_key *keys;
	struct store_sandbox *v;
	size_t n;
	run_sql(&f, "INSERT INTO teams VALUES ('t', 't', 1, 1)");
	run_sql(&f, "INSERT INTO keys VALUES ('k', 't', 'n', 'p', x'0011', 1, 0)");
	ck_assert_int_eq(store_load_keys(f.store, &keys, &n, &f.err), -EBADMSG);
	ck_assert_ptr_nonnull(
	    strstr(f.err.text, "reading keys: row 1: key k has a hash of the wrong length"));
	err_reset(&f.err);
	run_sql(&f, "INSERT INTO sandboxes VALUES ('i1', 't', 'b', 'x', 'y', '{}', '{}', 1, 2, 3, "
		    "4, NULL, 0, 0, 0, 0)");
	run_sql(&f,
	    "INSERT INTO sandboxes VALUES ('i234567890123456789012345678901', 't', 'b', NULL, NULL,"
	    " '{}', '{}', 1, 2, 4, 4, NULL, 0, 0, 0, 0)");
	ck_assert_int_eq(store_load_sandboxes(f.store, &v, &n, &f.err), -EBADMSG);
	ck_assert_ptr_nonnull(
	    strstr(f.err.text, "row 2: column id holds a text of the wrong length"));
	stop(&f);
}
END_TEST

START_TEST(every_allocation_may_fail)
{
	struct fixture f = start();
	struct answers a = { 0 };
	struct store_sandbox r = row("i1", 2), *v;
	size_t n;
	long k = 0;
	for (;; k++) {
		mem_fail_after(k);
		int err = store_put_sandbox(f.store, &r, on_done, &a);
		mem_fail_after(-1);
		if (err == 0)
			break;
		ck_assert_int_eq(err, -ENOMEM);
	}
	ck_assert_int_eq(k, 1);
	wait_for(&f, &a, 1);
	for (k = 0;; k++) {
		err_reset(&f.err);
		mem_fail_after(k);
		int err = store_load_sandboxes(f.store, &v, &n, &f.err);
		mem_fail_after(-1);
		if (err == 0)
			break;
		ck_assert_int_eq(err, -ENOMEM);
	}
	store_sandbox_fini(&v[0]);
	mem_free(v);
	f.store = store_close(f.store);
	for (k = 0;; k++) {
		err_reset(&f.err);
		mem_fail_after(k);
		f.store = store_open(f.loop, f.path, &f.err);
		mem_fail_after(-1);
		if (f.store)
			break;
		ck_assert_int_eq(f.err.code, -ENOMEM);
	}
	stop(&f);
}
END_TEST

static Suite *store_suite(void)
{
	Suite *s = suite_create("store");
	TCase *tc = test_case(s, "store", 30);
	log_open("store_test", LOG_LEVEL_ERROR);
	tcase_add_test(tc, file_is_private);
	tcase_add_test(tc, keys_and_teams);
	tcase_add_test(tc, sandboxes_round_trip);
	tcase_add_test(tc, batches);
	tcase_add_test(tc, close_writes_what_was_submitted);
	tcase_add_test(tc, disk_full);
	tcase_add_test(tc, two_processes);
	tcase_add_test(tc, bad_files_are_refused);
	tcase_add_test(tc, damage_is_reported);
	tcase_add_test(tc, malformed_rows_are_reported);
	tcase_add_test(tc, every_allocation_may_fail);
	return s;
}

TEST_MAIN(store_suite)
