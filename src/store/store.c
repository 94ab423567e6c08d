/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include <errno.h>

#include "base/err.h"
#include "base/mem.h"
#include "store/db.h"
#include "store/queue.h"

struct store *store_open(struct loop *l, const char *path, struct err *reterr)
{
	struct store *s = mem_zalloc(sizeof(*s));
	if (!s) {
		(void)err_set(reterr, -ENOMEM, "%s: out of memory", path);
		return NULL;
	}
	if (db_open(&s->db, path, reterr) < 0)
		return store_close(s);
	s->queue = store_queue_new(l, &s->db);
	if (!s->queue) {
		(void)err_set(reterr, -ENOMEM, "%s: out of memory", path);
		return store_close(s);
	}
	return s;
}

struct store *store_close(struct store *s)
{
	if (!s)
		return NULL;
	s->queue = store_queue_free(s->queue);
	db_close(&s->db);
	return mem_free(s);
}
