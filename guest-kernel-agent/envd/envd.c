/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/envd/envd.h"

#include <errno.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/system/identity.h"
#include "guest-kernel-agent/system/metrics.h"
#include "guest-kernel-agent/system/reply.h"
#include "guest-kernel-agent/system/request.h"
#include "proto/descriptors.h"
#include "rpc/call.h"
#include "wire/http.h"

struct route {
	struct link link;
	const char *method, *path;
	bool open_access;
	envd_route_fn *fn;
	void *arg;
};

struct envd {
	const struct identity *identity;
	struct metrics *metrics;
	struct rpc_router *router;
	struct link routes;
};

static enum rpc_code gate(struct call *c, char *text, size_t cap, void *arg)
{
	const struct envd *e = arg;
	if (reply_add_cors_call(c) < 0) {
		(void)str_copy(text, cap, "out of memory");
		return RPC_RESOURCE_EXHAUSTED;
	}
	if (identity_token_ok(e->identity, call_header(c, "x-access-token")))
		return RPC_OK;
	(void)str_copy(text, cap,
	    "unauthorized access, please provide a valid access token or method signing if "
	    "supported");
	return RPC_UNAUTHENTICATED;
}

static void answer_health(struct http_stream *st, void *arg)
{
	(void)reply_empty(st, 204);
}

static void answer_envs(struct http_stream *st, void *arg)
{
	const struct envd *e = arg;
	(void)reply_json(st, 200, json_copy((json_t *)identity_env_object(e->identity)));
}

static void answer_metrics(struct http_stream *st, void *arg)
{
	struct envd *e = arg;
	(void)reply_json(st, 200, metrics_read(e->metrics));
}

struct envd *envd_new(struct loop *l, const struct identity *id, struct metrics *m)
{
	struct envd *e = mem_zalloc(sizeof(*e));
	if (!e)
		return NULL;
	e->identity = id;
	e->metrics = m;
	link_init(&e->routes);
	e->router = rpc_router_new(l);
	if (!e->router || rpc_health_add(e->router) < 0 ||
	    rpc_reflection_add(e->router, proto_descriptors, sizeof(proto_descriptors)) < 0 ||
	    envd_add_route(e, "GET", "/health", true, answer_health, e) < 0 ||
	    envd_add_route(e, "GET", "/envs", false, answer_envs, e) < 0 ||
	    envd_add_route(e, "GET", "/metrics", false, answer_metrics, e) < 0)
		return envd_free(e);
	rpc_router_set_gate(e->router, gate, e);
	return e;
}

struct envd *envd_free(struct envd *e)
{
	if (!e)
		return NULL;
	rpc_router_free(e->router);
	for (struct link *k; (k = list_pop_front(&e->routes));)
		mem_free(container_of(k, struct route, link));
	return mem_free(e);
}

struct rpc_router *envd_router(struct envd *e)
{
	return e->router;
}

int envd_add_route(struct envd *e, const char *method, const char *path, bool open_access,
    envd_route_fn *fn, void *arg)
{
	struct route *r = mem_zalloc(sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->method = method;
	r->path = path;
	r->open_access = open_access;
	r->fn = fn;
	r->arg = arg;
	list_push_back(&e->routes, &r->link);
	return 0;
}

/* *ret_known says whether the path exists under any method. */
static const struct route *find_route(
    const struct envd *e, const struct http_stream *st, const char *path, bool *ret_known)
{
	*ret_known = false;
	LIST_EACH(k, &e->routes)
	{
		const struct route *r = container_of(k, struct route, link);
		if (request_is(st, r->method, path, r->path))
			return r;
		*ret_known |= str_eq(r->path, path);
	}
	return NULL;
}

void envd_handle(struct envd *e, struct http_stream *st)
{
	char path[REQUEST_PATH_MAX];
	bool known;
	if (reply_preflight(st) || rpc_router_handle(e->router, st))
		return;
	request_path(st, path);
	const struct route *r = find_route(e, st, path, &known);
	if (!r)
		request_not_found(st, known);
	else if (!r->open_access &&
		 !identity_token_ok(e->identity, request_header(st, "x-access-token")))
		(void)reply_unauthorized(st);
	else
		r->fn(st, r->arg);
}
