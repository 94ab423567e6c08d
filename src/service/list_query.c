/* SPDX-License-Identifier: Apache-2.0 */
#include "service/list_query.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/template.h"
#include "service/control.h"
#include "service/cursor.h"
#include "wire/url.h"

/* ---- metadata: the parameter's value is a form again, whose keys and values are forms again ----
 */
static int add_decoded(struct params_list *l, const char *s, size_t n, struct err *reterr)
{
	int e = 0;
	CLEAN_FREE char *text = url_decode_form(s, n, &e);
	if (!text)
		return err_set(reterr, e, "metadata: expected percent-encoded UTF-8 text");
	return params_list_add(l, "metadata", text, reterr);
}

static int add_pair(struct params_list *l, const char *s, size_t n, struct err *reterr)
{
	const char *eq = memchr(s, '=', n);
	if (!eq || memchr(eq + 1, '=', n - (size_t)(eq + 1 - s)))
		return err_set(reterr, -EINVAL, "metadata: expected key=value pairs joined by '&'");
	int r = add_decoded(l, s, (size_t)(eq - s), reterr);
	return r < 0 ? r : add_decoded(l, eq + 1, n - (size_t)(eq + 1 - s), reterr);
}

static int read_metadata(const struct url *u, struct list_query *q, struct err *reterr)
{
	int r = 0;
	const char *v = url_param(u, "metadata");
	if (!v || !*v)
		return 0;
	CLEAN_FREE char *form = url_decode_form(v, strlen(v), &r);
	if (!form)
		return err_set(reterr, r, "metadata: expected percent-encoded UTF-8 text");
	for (const char *s = form; r == 0; s++) {
		size_t n = strcspn(s, "&");
		r = add_pair(&q->metadata, s, n, reterr);
		s += n;
		if (!*s)
			break;
	}
	q->filter.metadata = (const char *const *)q->metadata.v;
	return r;
}

/* ---- the others ---- */
/* "state=running,paused" or repeated. */
static int read_state(const struct url *u, struct list_query *q, struct err *reterr)
{
	bool given = false, running = false, paused = false;
	for (size_t i = 0; i < u->n_params; i++) {
		const char *s = u->params[i].value;
		if (!str_eq(u->params[i].name, "state"))
			continue;
		given = true;
		for (;; s++) {
			size_t n = strcspn(s, ",");
			if (n == 7 && memcmp(s, "running", n) == 0)
				running = true;
			else if (n == 6 && memcmp(s, "paused", n) == 0)
				paused = true;
			else
				return err_set(
				    reterr, -EINVAL, "state: expected running, paused or both");
			s += n;
			if (!*s)
				break;
		}
	}
	q->filter.hide_running = given && !running;
	q->filter.hide_paused = given && !paused;
	return 0;
}

static int read_order(const struct url *u, struct list_query *q, struct err *reterr)
{
	const char *v = url_param(u, "order");
	if (v && !str_eq(v, "asc") && !str_eq(v, "desc"))
		return err_set(reterr, -EINVAL, "order: expected asc or desc");
	q->filter.ascending = v && str_eq(v, "asc");
	return 0;
}

static int read_page(const struct url *u, struct list_query *q, struct err *reterr)
{
	const char *limit = url_param(u, "limit"), *token = url_param(u, "nextToken");
	uint64_t n = CONTROL_PAGE_MAX;
	if (limit && (str_u64(limit, CONTROL_PAGE_MAX, &n) < 0 || n == 0))
		return err_set(
		    reterr, -EINVAL, "limit: expected a number from 1 to %d", CONTROL_PAGE_MAX);
	q->limit = n;
	if (!token || !*token)
		return 0;
	if (cursor_decode(token, q->filter.ascending, &q->after) < 0)
		return err_set(reterr, -EINVAL,
		    "nextToken: expected the X-Next-Token of a page in the same order");
	q->filter.after = &q->after;
	return 0;
}

static int read_origin(
    const struct url *u, const struct templates *ts, struct list_query *q, struct err *reterr)
{
	const char *since = url_param(u, "startedAfter"), *tmpl = url_param(u, "template");
	if (since && clock_parse_rfc3339(since, &q->filter.started_after_ns) < 0)
		return err_set(
		    reterr, -EINVAL, "startedAfter: expected a date such as 2026-01-31T12:00:00Z");
	if (tmpl && *tmpl) {
		q->filter.tmpl = templates_find(ts, tmpl);
		q->nothing |= q->filter.tmpl == NULL;
	}
	return 0;
}

int list_query_read(const struct url *u, bool version2, const struct templates *ts,
    struct list_query *ret, struct err *reterr)
{
	*ret = (struct list_query){ .limit = SIZE_MAX };
	int r = read_metadata(u, ret, reterr);
	ret->filter.hide_paused = !version2; /* the old call knows running ones only */
	if (r < 0 || !version2)
		return r;
	r = read_state(u, ret, reterr);
	if (r == 0)
		r = read_order(u, ret, reterr);
	if (r == 0)
		r = read_page(u, ret, reterr);
	if (r == 0)
		r = read_origin(u, ts, ret, reterr);
	return r;
}

void list_query_fini(struct list_query *q)
{
	params_list_fini(&q->metadata);
}
