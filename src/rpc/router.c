/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the method of a request and refuses, in plain HTTP, what no RPC protocol could answer: a
 * wrong method, an unknown content type, gRPC over HTTP/1.1. Everything else is answered by the
 * call, in the caller's protocol.
 */
#include "rpc/router.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "rpc/call_internal.h"

#define PATH_MAX_LEN 512 /* longest "/service/method" that is looked at */

struct rpc_router *rpc_router_new(struct loop *l)
{
	CLEAN_FREE struct rpc_router *r = mem_zalloc(sizeof(*r));
	if (!r)
		return NULL;
	r->by_name = map_new();
	if (!r->by_name)
		return NULL;
	r->loop = l;
	r->serving = true;
	link_init(&r->entries);
	link_init(&r->calls);
	return TAKE(r);
}

struct rpc_router *rpc_router_free(struct rpc_router *r)
{
	struct link *l;
	if (!r)
		return NULL;
	LIST_EACH_SAFE(it, &r->calls)
	call_cut(container_of(it, struct call, link));
	r->health = rpc_health_free(r->health);
	r->reflection = rpc_reflection_free(r->reflection);
	while ((l = list_pop_front(&r->entries)))
		free(container_of(l, struct rpc_entry, link));
	map_free(r->by_name);
	return mem_free(r);
}

static const struct rpc_method *find_method(const struct rpc_service *svc, const char *name)
{
	for (size_t i = 0; i < svc->n_methods; i++) {
		if (str_eq(svc->methods[i].name, name))
			return &svc->methods[i];
	}
	return NULL;
}

static bool table_is_complete(const struct rpc_service *svc)
{
	const ProtobufCServiceDescriptor *d = svc->descriptor;
	if (svc->n_methods != d->n_methods)
		return false;
	for (unsigned i = 0; i < d->n_methods; i++) {
		const struct rpc_method *m = find_method(svc, d->methods[i].name);
		if (!m || !m->on_message || !m->on_done)
			return false;
	}
	return true;
}

int rpc_router_add_as(struct rpc_router *r, const char *name, const struct rpc_service *svc)
{
	if (!table_is_complete(svc))
		return -EINVAL;
	CLEAN_FREE struct rpc_entry *e = mem_zalloc(sizeof(*e) + strlen(name) + 1);
	if (!e)
		return -ENOMEM;
	e->service = svc;
	e->serving = true;
	memcpy(e->name, name, strlen(name) + 1);
	int err = map_add(r->by_name, name, e);
	if (err < 0)
		return err;
	list_push_back(&r->entries, &e->link);
	TAKE(e);
	if (r->health)
		rpc_health_refresh(r->health);
	return 0;
}

int rpc_router_add(struct rpc_router *r, const struct rpc_service *svc)
{
	return rpc_router_add_as(r, svc->descriptor->name, svc);
}

void rpc_router_set_gate(struct rpc_router *r,
    enum rpc_code (*gate)(struct call *c, char *text, size_t cap, void *arg), void *arg)
{
	r->gate = gate;
	r->gate_arg = arg;
}

struct rpc_entry *rpc_router_find(const struct rpc_router *r, const char *service)
{
	return map_get(r->by_name, service);
}

/* ---- requests ---- */

/* Nothing of the body is wanted: the stream drops it. */
static void refuse(
    struct http_stream *st, int status, const char *name, const char *value, const char *text)
{
	struct http_head head = HTTP_HEAD_INIT;
	head.status = status;
	head.length = (int64_t)strlen(text);
	int r = http_fields_add(&head.fields, "content-type", "text/plain; charset=utf-8");
	if (r == 0 && name)
		r = http_fields_add(&head.fields, name, value);
	if (r == 0)
		r = http_stream_respond(st, &head, false);
	if (r == 0)
		r = http_stream_write(st, text, strlen(text));
	if (r == 0)
		r = http_stream_end(st, NULL);
	if (r < 0)
		http_stream_reset(st, HTTP_RESET_INTERNAL);
	http_head_fini(&head);
}

/* "/pkg.Service/Method", without a query: the method part, dst holds both as two texts. */
static const char *split_path(const char *path, char dst[PATH_MAX_LEN])
{
	size_t n = strcspn(path, "?");
	if (path[0] != '/' || n >= PATH_MAX_LEN)
		return NULL;
	memcpy(dst, path + 1, n - 1);
	dst[n - 1] = '\0';
	char *slash = strchr(dst, '/');
	if (!slash)
		return NULL;
	*slash = '\0';
	return slash + 1;
}

/* A Connect unary body has no envelopes, so the content type must fit the kind of the method. */
static bool protocol_fits(const struct rpc_method *m, enum rpc_protocol protocol)
{
	if (!m)
		return true;
	bool streams = m->client_stream || m->server_stream;
	return streams ? protocol != RPC_CONNECT_UNARY : protocol != RPC_CONNECT_STREAM;
}

static void handle_request(
    struct rpc_router *r, const struct rpc_service *svc, const char *method, struct http_stream *st)
{
	static const char accepted[] = "application/grpc, application/grpc+proto, "
				       "application/grpc+json, application/grpc-web, "
				       "application/grpc-web-text, application/json, "
				       "application/proto, application/connect+json, "
				       "application/connect+proto";
	const struct http_head *head = http_stream_peer_head(st);
	const struct rpc_method *m = find_method(svc, method);
	enum rpc_protocol protocol;
	enum rpc_codec codec;
	if (!str_eq(head->method, "POST")) {
		refuse(st, 405, "allow", "POST", "RPC methods are called by POST\n");
		return;
	}
	if (rpc_parse_content_type(
		http_fields_get(&head->fields, "content-type"), &protocol, &codec) < 0 ||
	    !protocol_fits(m, protocol)) {
		refuse(st, 415, "accept-post", accepted,
		    "This content-type is not accepted for this RPC method\n");
		return;
	}
	if (protocol == RPC_GRPC && http_stream_version(st) < 2) {
		refuse(st, 505, NULL, NULL, "gRPC needs HTTP/2\n");
		return;
	}
	if (call_start(r, svc, m, st, protocol, codec, head->path) < 0)
		http_stream_reset(st, HTTP_RESET_INTERNAL);
}

bool rpc_router_handle(struct rpc_router *r, struct http_stream *st)
{
	char path[PATH_MAX_LEN];
	const char *method = split_path(http_stream_peer_head(st)->path, path);
	const struct rpc_entry *e = method ? rpc_router_find(r, path) : NULL;
	if (!e)
		return false;
	handle_request(r, e->service, method, st);
	return true;
}
