/* SPDX-License-Identifier: Apache-2.0 */
#include "service/rest.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "rpc/http_server.h"
#include "sandbox/sandbox.h"
#include "service/reply.h"
#include "service/status.h"
#include "wire/http.h"

/* ---- life of a request ---- */
struct rest_req *rest_ref(struct rest_req *r)
{
	r->refs++;
	return r;
}

struct rest_req *rest_unref(struct rest_req *r)
{
	if (--r->refs > 0)
		return NULL;
	url_fini(&r->url);
	json_decref(r->body);
	return mem_free(r);
}

static void on_close(struct http_stream *st, int err, void *user)
{
	struct rest_req *r = user;
	(void)st;
	(void)err;
	r->st = NULL;
	if (r->on_gone) {
		void (*gone)(struct rest_req *) = TAKE(r->on_gone);
		gone(r);
	}
	(void)rest_unref(r);
}

/* ---- answers ---- */
/* The stream to answer on, once; NULL when there is nobody to tell. */
static struct http_stream *take_answer(struct rest_req *r)
{
	r->on_gone = NULL;
	return r->st && !http_stream_head_sent(r->st) ? r->st : NULL;
}

void rest_json_with(struct rest_req *r, int status, const struct http_fields *f, json_t *v_consume)
{
	struct http_stream *st = take_answer(r);
	if (st)
		reply_json(st, status, f, v_consume);
	else
		json_decref(v_consume);
}

void rest_json(struct rest_req *r, int status, json_t *v_consume)
{
	rest_json_with(r, status, NULL, v_consume);
}

void rest_json_text(struct rest_req *r, int status, const char *text, size_t n)
{
	struct http_stream *st = take_answer(r);
	if (st && text)
		reply_json_text(st, status, NULL, text, n);
	else if (st)
		http_stream_reset(st, HTTP_RESET_INTERNAL);
}

void rest_text(struct rest_req *r, const char *type, const void *p, size_t n)
{
	struct http_stream *st = take_answer(r);
	if (st)
		reply_send(st, 200, NULL, type, p, n);
}

void rest_empty(struct rest_req *r)
{
	struct http_stream *st = take_answer(r);
	if (st)
		reply_send(st, 204, NULL, NULL, NULL, 0);
}

void rest_error(struct rest_req *r, int status, const char *fmt, ...)
{
	char text[REPLY_TEXT_MAX];
	struct http_stream *st = take_answer(r);
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (st)
		reply_error_with(st, status, NULL, NULL, text);
}

void rest_fail(struct rest_req *r, const struct err *err)
{
	struct status s = status_from_err(err);
	struct http_stream *st = take_answer(r);
	if (st)
		reply_error(st, s.http, s.error_code, "%s%s",
		    s.http == 400 ? "validation error: " : "", err_text(err));
}

void rest_not_found(struct rest_req *r)
{
	rest_error(
	    r, 404, "Sandbox \"%.64s\" doesn't exist or you don't have access to it", r->arg);
}

/* ---- routing ---- */
/* Compares one pattern; sets the argument. */
static bool pattern_matches(const char *pattern, const struct url *u, const char **ret_arg)
{
	for (size_t i = 0; i < u->n_segments; i++) {
		if (*pattern++ != '/')
			return false;
		size_t n = strcspn(pattern, "/");
		const char *segment = u->segments[i];
		if (n == 2 && pattern[0] == '{' && *segment)
			*ret_arg = segment;
		else if (strlen(segment) != n || memcmp(pattern, segment, n) != 0)
			return false;
		pattern += n;
	}
	return *pattern == 0;
}

/* The route, or NULL; *ret_known says whether the path exists with another method. */
static const struct rest_route *find_route(
    const char *method, const struct url *u, const char **ret_arg, bool *ret_known)
{
	*ret_known = false;
	for (unsigned i = 0; i < rest_n_routes; i++) {
		if (!pattern_matches(rest_routes[i].pattern, u, ret_arg))
			continue;
		*ret_known = true;
		if (str_eq(rest_routes[i].method, method))
			return &rest_routes[i];
	}
	return NULL;
}

/* "Allow" of a path: its methods. */
static void answer_method(struct http_stream *st, const struct url *u)
{
	const char *arg;
	char allow[64] = "";
	struct http_fields f = { 0 };
	for (unsigned i = 0; i < rest_n_routes; i++) {
		size_t at = strlen(allow);
		if (pattern_matches(rest_routes[i].pattern, u, &arg))
			(void)snprintf(allow + at, sizeof(allow) - at, "%s%s", at ? ", " : "",
			    rest_routes[i].method);
	}
	if (http_fields_add(&f, "allow", allow) == 0)
		reply_error_with(st, 405, &f, NULL, "method not allowed");
	else
		http_stream_reset(st, HTTP_RESET_INTERNAL);
	http_fields_fini(&f);
}

/* ---- authorisation ---- */
static void answer_limited(struct http_stream *st, unsigned retry_s)
{
	struct http_fields f = { 0 };
	if (http_fields_addf(&f, "retry-after", "%u", retry_s) == 0)
		reply_error_with(st, 429, &f, NULL, "Rate limit exceeded");
	else
		http_stream_reset(st, HTTP_RESET_INTERNAL);
	http_fields_fini(&f);
}

static bool authorise(struct rest_req *r)
{
	unsigned retry_s = 0;
	if (r->route->flags & REST_OPEN)
		return true;
	switch (auth_check(r->ctl->auth, http_stream_peer_head(r->st), http_server_peer(r->st),
	    &r->team, &retry_s)) {
	case AUTH_OK:
		return true;
	case AUTH_LIMITED:
		answer_limited(r->st, retry_s);
		return false;
	case AUTH_MISSING:
		rest_error(r, 401, "API key is missing, send it in the header X-API-KEY");
		return false;
	case AUTH_INVALID:
		break;
	}
	rest_error(r, 401,
	    "Invalid API key, please visit https://e2b.dev/docs/api-key for more information.");
	return false;
}

/* ---- from a head to the handler ---- */
/* "<id>" or "<id>-<clientID>": cut to the id. False: answered. */
static bool find_sandbox(struct rest_req *r)
{
	char *id = r->sandbox_id;
	const char *s = r->arg;
	size_t n = strcspn(s, "-");
	const char *client = s + n + (s[n] == '-');
	if (n == 0 || n >= sizeof(r->sandbox_id) || strchr(client, '-') || (s[n] && !*client)) {
		rest_error(r, 400, "Invalid sandbox ID");
		return false;
	}
	memcpy(id, s, n);
	id[n] = 0;
	if (!id_sandbox_valid(id)) {
		rest_error(r, 400, "Invalid sandbox ID");
		return false;
	}
	r->sb = control_find(r->ctl, &r->team, id);
	if (!r->sb)
		rest_not_found(r);
	return r->sb != NULL;
}

static bool parse_body(struct rest_req *r, const void *p, size_t n)
{
	struct err err = ERR_INIT;
	unsigned flags = r->route->flags;
	if (!(flags & (REST_BODY | REST_BODY_OPTIONAL)))
		return true;
	r->body = json_parse_object(p, n, LIMIT_JSON_BODY, flags & REST_BODY_OPTIONAL, &err);
	if (!r->body)
		rest_fail(r, &err);
	return r->body != NULL;
}

static void on_body(struct http_stream *st, int err, const void *p, size_t n, void *arg)
{
	static const struct http_handler handler = { .on_close = on_close };
	struct rest_req *r = arg;
	if (err < 0 && err != -EFBIG) {
		r->st = NULL;
		(void)rest_unref(r);
		return;
	}
	http_stream_set_handler(st, &handler, r);
	(void)rest_ref(r); /* an answer may close the stream */
	if (err == -EFBIG)
		rest_error(r, 413, "expected a body of at most %d bytes", LIMIT_JSON_BODY);
	else if (parse_body(r, p, n) && (!(r->route->flags & REST_SANDBOX) || find_sandbox(r)))
		r->route->fn(r);
	r->sb = NULL;
	(void)rest_unref(r);
}

static struct rest_req *req_new(const struct control *c, struct http_stream *st)
{
	struct rest_req *r = mem_zalloc(sizeof(*r));
	if (!r)
		return NULL;
	r->ctl = c;
	r->st = st;
	r->refs = 1;
	return r;
}

/* Match, authorise, start to collect. True: r is the stream's now. */
static bool begin(struct rest_req *r, bool *ret_ours)
{
	const struct http_head *head = http_stream_peer_head(r->st);
	bool known;
	int e = url_parse(&r->url, head->path);
	*ret_ours = true;
	if (e == -ENOMEM) {
		http_stream_reset(r->st, HTTP_RESET_INTERNAL);
		return false;
	}
	if (e < 0) {
		rest_error(r, 400, "validation error: the request target is malformed");
		return false;
	}
	r->route = find_route(head->method, &r->url, &r->arg, &known);
	if (!r->route) {
		*ret_ours = known;
		if (known)
			answer_method(r->st, &r->url);
		return false;
	}
	r->version2 = str_eq(r->url.segments[0], "v2");
	if (!authorise(r))
		return false;
	if (http_collect(r->st, LIMIT_JSON_BODY, on_body, r) == 0)
		return true;
	http_stream_reset(r->st, HTTP_RESET_INTERNAL);
	return false;
}

bool rest_handle(const struct control *c, struct http_stream *st)
{
	bool ours = true;
	struct rest_req *r = req_new(c, st);
	if (!r)
		http_stream_reset(st, HTTP_RESET_INTERNAL);
	else if (!begin(r, &ours))
		(void)rest_unref(r);
	return ours;
}
