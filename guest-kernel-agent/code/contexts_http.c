/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/code/contexts_http.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/code/cell.h"
#include "guest-kernel-agent/code/interpreter.h"
#include "guest-kernel-agent/jupyter/context.h"
#include "guest-kernel-agent/system/reply.h"
#include "guest-kernel-agent/system/request.h"
#include "rpc/http_server.h"
#include "wire/http.h"

/* A request that waits for a context; the client may leave before its callback comes. */
struct pending {
	struct http_stream *st; /* NULL once the client is gone */
	bool waiting;
	void (*answer)(struct http_stream *st, const struct context *c);
};

static void on_close(struct http_stream *st, int err, void *user)
{
	struct pending *p = user;
	p->st = NULL;
	if (!p->waiting)
		mem_free(p);
}

static const struct http_handler handler = { .on_close = on_close };

static void on_done(const struct err *err, struct context *c, void *arg)
{
	struct pending *p = arg;
	p->waiting = false;
	if (!p->st)
		mem_free(p);
	else if (err && err->code)
		(void)reply_text(p->st, 500, err_text(err));
	else
		p->answer(p->st, c);
}

/* What was to be waited for could not even be begun. */
static void check_begun(struct pending *p, int r)
{
	if (r == 0)
		return;
	p->waiting = false;
	(void)reply_text(p->st, 503, "Out of memory");
}

static struct pending *pending_new(
    struct http_stream *st, void (*answer)(struct http_stream *st, const struct context *c))
{
	struct pending *p = mem_zalloc(sizeof(*p));
	if (!p) {
		(void)reply_text(st, 503, "Out of memory");
		return NULL;
	}
	p->st = st;
	p->answer = answer;
	p->waiting = true;
	http_stream_set_handler(st, &handler, p);
	return p;
}

static json_t *describe(const struct context *c)
{
	return json_pack("{s:s, s:s, s:s}", "id", context_id(c), "language", context_language(c),
	    "cwd", context_cwd(c));
}

/* ---- POST /contexts ---- */

static void answer_created(struct http_stream *st, const struct context *c)
{
	(void)reply_json(st, 200, describe(c));
}

static void on_body(struct http_stream *st, int err, const void *p, size_t n, void *arg)
{
	struct interpreter *ip = arg;
	struct err why = ERR_INIT;
	const char *language = CELL_DEFAULT_LANGUAGE, *cwd = NULL;
	if (err < 0) {
		if (err == -EFBIG)
			(void)reply_text(st, 413, "The request body is too large");
		return;
	}
	CLEAN_JSON json_t *o = json_parse_object(p, n, LIMIT_JSON_BODY, true, &why);
	if (!o || json_get_str(o, "language", 64, &language, &why) < 0 ||
	    json_get_str(o, "cwd", 4096, &cwd, &why) < 0) {
		(void)reply_text(st, 400, err_text(&why));
		return;
	}
	const char *known = contexts_language(ip->contexts, language, &why);
	if (!known) {
		(void)reply_text(st, 500, why.text);
		return;
	}
	struct pending *q = pending_new(st, answer_created);
	if (q)
		check_begun(
		    q, context_create(ip->contexts, known, cwd && *cwd ? cwd : NULL, on_done, q));
}

/* ---- GET /contexts ---- */

static void list(struct interpreter *ip, struct http_stream *st)
{
	json_t *all = json_array();
	struct context *c;
	for (size_t i = 0; all && (c = contexts_at(ip->contexts, i)); i++) {
		if (json_array_append_new(all, describe(c)) < 0) {
			json_decref(all);
			all = NULL;
		}
	}
	(void)reply_json(st, 200, all);
}

/* ---- one context ---- */

static void answer_restarted(struct http_stream *st, const struct context *c)
{
	(void)reply_bytes(st, 200, "application/json", "null", 4);
}

static void answer_deleted(struct http_stream *st, const struct context *c)
{
	(void)reply_empty(st, 204);
}

static void handle_one(struct interpreter *ip, struct http_stream *st, const char *rest)
{
	const char *method = http_stream_peer_head(st)->method;
	char id[REQUEST_PATH_MAX];
	size_t n = strcspn(rest, "/");
	struct err why = ERR_INIT;
	bool restart = str_eq(method, "POST") && str_eq(rest + n, "/restart");
	if (!restart && !(str_eq(method, "DELETE") && !rest[n])) {
		request_not_found(st, !rest[n] || str_eq(rest + n, "/restart"));
		return;
	}
	memcpy(id, rest, n);
	id[n] = 0;
	struct context *c = context_find(ip->contexts, id);
	if (!c) {
		(void)err_set(&why, -ENOENT, "Context %s not found", id);
		(void)reply_text(st, 404, why.text);
		return;
	}
	struct pending *p = pending_new(st, restart ? answer_restarted : answer_deleted);
	if (p)
		check_begun(
		    p, restart ? context_restart(c, on_done, p) : context_delete(c, on_done, p));
}

void contexts_http_handle(struct interpreter *ip, struct http_stream *st, const char *rest)
{
	const char *method = http_stream_peer_head(st)->method;
	if (rest[0] == '/' && rest[1])
		handle_one(ip, st, rest + 1);
	else if (str_eq(method, "GET"))
		list(ip, st);
	else if (!str_eq(method, "POST"))
		(void)reply_error(st, 405, "method not allowed");
	else if (http_collect(st, LIMIT_JSON_BODY, on_body, ip) < 0)
		http_stream_reset(st, HTTP_RESET_INTERNAL);
}
