/* SPDX-License-Identifier: Apache-2.0 */
/* GET /sandboxes (all running ones) and GET /v2/sandboxes (in pages). */
#include <errno.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "service/cursor.h"
#include "service/list_query.h"
#include "service/rest.h"
#include "service/sandbox_json.h"
#include "wire/http.h"

static json_t *list_json(struct sandbox *const *v, size_t n)
{
	json_t *a = json_array();
	for (size_t i = 0; a && i < n; i++) {
		if (json_array_append_new(a, sandbox_json_listed(v[i])) < 0) {
			json_decref(a);
			return NULL;
		}
	}
	return a;
}

static int add_token(struct http_fields *f, const struct sandbox *last, bool ascending)
{
	struct sandbox_view v;
	struct sandbox_cursor c;
	sandbox_view(last, &v);
	c.started_ns = v.started_ns;
	(void)str_copy(c.id, sizeof(c.id), v.id);
	CLEAN_FREE char *token = cursor_encode(&c, ascending);
	return token ? http_fields_add(f, "x-next-token", token) : -ENOMEM;
}

/* At most q->limit of what matches, with the headers of a page. */
static int answer_page(struct rest_req *r, struct list_query *q)
{
	struct sandboxes *all = r->ctl->sandboxes;
	size_t running = sandboxes_count(all, r->team.id);
	size_t total = running + sandboxes_count_paused(all, r->team.id);
	size_t max = q->limit < total ? q->limit : total, n = 0;
	bool more = false;
	struct http_fields f = { 0 };
	CLEAN_FREE struct sandbox **page = mem_calloc(max + 1, sizeof(struct sandbox *));
	if (!page)
		return -ENOMEM;
	q->filter.team_id = r->team.id;
	if (max > 0 && !q->nothing)
		n = sandboxes_list(all, &q->filter, page, max, &more);
	int e = http_fields_addf(&f, "x-total-running", "%zu", running);
	if (e == 0 && more && n > 0)
		e = add_token(&f, page[n - 1], q->filter.ascending);
	if (e == 0)
		rest_json_with(r, 200, &f, list_json(page, n));
	http_fields_fini(&f);
	return e;
}

static void list(struct rest_req *r, bool version2)
{
	struct err err = ERR_INIT;
	struct list_query q;
	int e = list_query_read(&r->url, version2, r->ctl->templates, &q, &err);
	if (e == 0)
		e = answer_page(r, &q);
	if (e < 0) {
		(void)err_set(&err, e, "out of memory");
		rest_fail(r, &err);
	}
	list_query_fini(&q);
}

void rest_list_v1(struct rest_req *r)
{
	list(r, false);
}

void rest_list_v2(struct rest_req *r)
{
	list(r, true);
}
