/* SPDX-License-Identifier: Apache-2.0 */
#include "store/queue.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"
#include "loop/work.h"
#include "store/db.h"

struct write {
	struct link link;
	int (*run)(struct db *db, const struct store_sandbox *row, struct err *reterr);
	struct store_sandbox row; /* its texts lie behind the structure */
	store_fn *done;
	void *arg;
	int result;
};

struct batch {
	struct work_job job;
	struct store_queue *queue;
	struct link writes; /* the worker's between submission and done */
	struct err err;
};

struct store_queue {
	struct db *db;
	struct work *work;
	struct loop_defer submit; /* so that one turn's writes share a batch */
	struct link waiting;
	struct batch batch, last; /* last: submitted by store_queue_free() behind a running batch */
	enum { QUEUE_IDLE, QUEUE_WRITING, QUEUE_CLOSING } state;
};

/* ---- in the worker ---- */

static int write_all(struct db *db, struct batch *b)
{
	int r = db_run(db, db_stmt(db, DB_STMT_BEGIN, &b->err), "writing", &b->err);
	if (r < 0)
		return r;
	LIST_EACH(l, &b->writes)
	{
		struct write *w = container_of(l, struct write, link);
		w->result = w->run(db, &w->row, &b->err);
		/* SQLite gave up the whole transaction: disk full, I/O error */
		if (sqlite3_get_autocommit(db->handle))
			return w->result < 0 ? w->result : -EIO;
	}
	return db_run(db, db_stmt(db, DB_STMT_COMMIT, &b->err), "writing", &b->err);
}

static void run_batch(struct work_job *job)
{
	struct batch *b = container_of(job, struct batch, job);
	struct db *db = b->queue->db;
	(void)pthread_mutex_lock(&db->lock);
	int r = write_all(db, b);
	if (!sqlite3_get_autocommit(db->handle)) {
		struct err ignored = ERR_INIT;
		(void)db_run(db, db_stmt(db, DB_STMT_ROLLBACK, &ignored), "writing", &ignored);
	}
	(void)pthread_mutex_unlock(&db->lock);
	if (r == 0)
		return;
	LIST_EACH(l, &b->writes)
	container_of(l, struct write, link)->result = r;
}

/* ---- on the loop ---- */

static void submit(struct store_queue *q, struct batch *b)
{
	err_reset(&b->err);
	for (struct link *l; (l = list_pop_front(&q->waiting));)
		list_push_back(&b->writes, l);
	work_submit(q->work, 0, &b->job);
}

static void tell_owners(struct link *writes)
{
	for (struct link *l; (l = list_pop_front(writes));) {
		struct write *w = container_of(l, struct write, link);
		if (w->done)
			w->done(w->result, w->arg);
		mem_free(w);
	}
}

static void on_batch_done(struct work_job *job)
{
	struct batch *b = container_of(job, struct batch, job);
	struct store_queue *q = b->queue;
	struct link written = LINK_INIT(written);
	if (b->err.code)
		log_error("%s", err_text(&b->err));
	for (struct link *l; (l = list_pop_front(&b->writes));)
		list_push_back(&written, l);
	if (q->state == QUEUE_WRITING) {
		q->state = QUEUE_IDLE;
		if (!list_is_empty(&q->waiting))
			loop_defer_set(&q->submit);
	}
	tell_owners(&written);
}

static void on_submit(struct loop_defer *d, void *arg)
{
	struct store_queue *q = arg;
	if (q->state != QUEUE_IDLE || list_is_empty(&q->waiting))
		return;
	q->state = QUEUE_WRITING;
	submit(q, &q->batch);
}

static void init_batch(struct batch *b, struct store_queue *q)
{
	b->job = (struct work_job){ .run = run_batch, .done = on_batch_done };
	b->queue = q;
	link_init(&b->writes);
}

struct store_queue *store_queue_new(struct loop *l, struct db *db)
{
	struct store_queue *q = mem_zalloc(sizeof(*q));
	if (!q)
		return NULL;
	q->db = db;
	link_init(&q->waiting);
	init_batch(&q->batch, q);
	init_batch(&q->last, q);
	loop_defer_init(&q->submit, l, on_submit, q);
	q->work = work_new(l, 1);
	return q->work ? q : store_queue_free(q);
}

struct store_queue *store_queue_free(struct store_queue *q)
{
	if (!q)
		return NULL;
	q->state = QUEUE_CLOSING;
	if (!list_is_empty(&q->waiting))
		submit(q, &q->last);
	(void)work_free(q->work);
	loop_defer_fini(&q->submit);
	return mem_free(q);
}

void store_queue_read(struct store_queue *q, struct work_job *job)
{
	work_submit(q->work, 0, job);
}

/* ---- submission ---- */

static char *put_text(char **at, const char *s)
{
	if (!s)
		return NULL;
	char *copy = *at;
	*at = stpcpy(copy, s) + 1;
	return copy;
}

static size_t text_size(const char *s)
{
	return s ? strlen(s) + 1 : 0;
}

static struct write *write_new(const struct store_sandbox *r)
{
	struct write *w =
	    mem_alloc(sizeof(*w) + text_size(r->template_name) + text_size(r->access_token) +
		      text_size(r->traffic_token) + text_size(r->mask_host) +
		      text_size(r->metadata_json) + text_size(r->env_json));
	if (!w)
		return NULL;
	char *at = (char *)(w + 1);
	*w = (struct write){ .row = *r };
	w->row.template_name = put_text(&at, r->template_name);
	w->row.access_token = put_text(&at, r->access_token);
	w->row.traffic_token = put_text(&at, r->traffic_token);
	w->row.mask_host = put_text(&at, r->mask_host);
	w->row.metadata_json = put_text(&at, r->metadata_json);
	w->row.env_json = put_text(&at, r->env_json);
	return w;
}

static int enqueue(struct store_queue *q, const struct store_sandbox *r,
    int (*run)(struct db *db, const struct store_sandbox *row, struct err *reterr), store_fn *done,
    void *arg)
{
	if (q->state == QUEUE_CLOSING)
		return -ESHUTDOWN;
	struct write *w = write_new(r);
	if (!w)
		return -ENOMEM;
	w->run = run;
	w->done = done;
	w->arg = arg;
	list_push_back(&q->waiting, &w->link);
	if (q->state == QUEUE_IDLE)
		loop_defer_set(&q->submit);
	return 0;
}

static int run_del(struct db *db, const struct store_sandbox *row, struct err *reterr)
{
	return db_del_sandbox(db, row->id, reterr);
}

int store_put_sandbox(struct store *s, const struct store_sandbox *r, store_fn *done, void *arg)
{
	return enqueue(s->queue, r, db_put_sandbox, done, arg);
}

int store_del_sandbox(struct store *s, const char *id, store_fn *done, void *arg)
{
	struct store_sandbox row = { 0 };
	if (str_copy(row.id, sizeof(row.id), id) >= sizeof(row.id))
		return -EINVAL;
	return enqueue(s->queue, &row, run_del, done, arg);
}
