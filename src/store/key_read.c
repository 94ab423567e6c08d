/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/err.h"
#include "base/list.h"
#include "base/mem.h"
#include "loop/work.h"
#include "store/db.h"
#include "store/queue.h"

struct store_key_read {
	struct work_job job;
	struct store *store;
	struct store_key_tables tables;
	struct err err;
	store_key_read_fn *fn; /* NULL: cancelled */
	void *arg;
};

/* In the worker. */
static void run(struct work_job *job)
{
	struct store_key_read *r = container_of(job, struct store_key_read, job);
	struct store_key_tables *t = &r->tables;
	if (store_load_keys(r->store, &t->keys, &t->n_keys, &r->err) == 0)
		(void)store_load_teams(r->store, &t->teams, &t->n_teams, &r->err);
}

/* On the loop. */
static void done(struct work_job *job)
{
	struct store_key_read *r = container_of(job, struct store_key_read, job);
	if (r->fn)
		r->fn(&r->err, &r->tables, r->arg);
	(void)mem_free(r->tables.keys);
	(void)mem_free(r->tables.teams);
	(void)mem_free(r);
}

struct store_key_read *store_read_keys(struct store *s, store_key_read_fn *fn, void *arg)
{
	struct store_key_read *r = mem_zalloc(sizeof(*r));
	if (!r)
		return NULL;
	r->job = (struct work_job){ .run = run, .done = done };
	r->store = s;
	r->fn = fn;
	r->arg = arg;
	store_queue_read(s->queue, &r->job);
	return r;
}

void store_key_read_cancel(struct store_key_read *r)
{
	if (r)
		r->fn = NULL;
}
