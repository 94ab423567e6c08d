/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc.health.v1 (grpc/grpc doc/health-checking.md). A watcher gets the current status at once and
 * after each change; one that reads slowly gets the latest when it reads again, not every one.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "grpc/health/v1/health.pb-c.h"
#include "rpc/router.h"

#define STATUS(x) GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##x

struct rpc_health {
	struct rpc_router *router;
	struct link watchers;
	struct rpc_service service;
};

struct watcher {
	struct link link;
	struct call *call;
	const char *service; /* in the request message, which lives as long as the call */
	int told;	     /* last status sent, -1 = none */
};

static int current_status(const struct rpc_router *r, const char *service)
{
	const struct rpc_entry *e = rpc_router_find(r, service);
	if (!str_empty(service) && !e)
		return STATUS(SERVICE_UNKNOWN);
	return (e ? e->serving : r->serving) ? STATUS(SERVING) : STATUS(NOT_SERVING);
}

static int send_status(struct call *c, int status)
{
	Grpc__Health__V1__HealthCheckResponse answer =
	    GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
	answer.status = (Grpc__Health__V1__HealthCheckResponse__ServingStatus)status;
	return call_send(c, &answer.base);
}

static void check_on_message(struct call *c, const ProtobufCMessage *m)
{
	const struct rpc_health *h = call_service_arg(c);
	const char *service = ((const Grpc__Health__V1__HealthCheckRequest *)m)->service;
	int status = current_status(h->router, service);
	if (status == STATUS(SERVICE_UNKNOWN))
		call_finish(c, RPC_NOT_FOUND, "unknown service \"%.80s\"", service);
	else if (send_status(c, status) < 0)
		call_finish(c, RPC_RESOURCE_EXHAUSTED, "out of memory");
	else
		call_finish(c, RPC_OK, NULL);
}

static void check_on_done(struct call *c, int err)
{
	(void)c;
	(void)err;
}

static void watcher_update(struct watcher *w)
{
	const struct rpc_health *h = call_service_arg(w->call);
	int status = current_status(h->router, w->service);
	if (status == w->told || !call_is_ready(w->call))
		return;
	if (send_status(w->call, status) < 0)
		call_finish(w->call, RPC_RESOURCE_EXHAUSTED, "out of memory");
	else
		w->told = status;
}

static void watch_on_message(struct call *c, const ProtobufCMessage *m)
{
	struct rpc_health *h = call_service_arg(c);
	struct watcher *w = mem_zalloc(sizeof(*w));
	if (!w) {
		call_finish(c, RPC_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	w->call = c;
	w->service = ((const Grpc__Health__V1__HealthCheckRequest *)m)->service;
	w->told = -1;
	list_push_back(&h->watchers, &w->link);
	call_set_user(c, w);
	watcher_update(w);
}

static void watch_on_ready(struct call *c)
{
	watcher_update(call_user(c));
}

static void watch_on_done(struct call *c, int err)
{
	struct watcher *w = call_user(c);
	(void)err;
	if (w)
		link_remove(&w->link);
	free(w);
}

static const struct rpc_method health_methods[] = {
	{ .name = "Check", .on_message = check_on_message, .on_done = check_on_done },
	{ .name = "Watch",
	    .server_stream = true,
	    .on_message = watch_on_message,
	    .on_ready = watch_on_ready,
	    .on_done = watch_on_done },
};

int rpc_health_add(struct rpc_router *r)
{
	struct rpc_health *h = mem_zalloc(sizeof(*h));
	if (!h)
		return -ENOMEM;
	h->router = r;
	link_init(&h->watchers);
	h->service = (struct rpc_service){ .descriptor = &grpc__health__v1__health__descriptor,
		.methods = health_methods,
		.n_methods = sizeof(health_methods) / sizeof(health_methods[0]),
		.arg = h };
	int err = rpc_router_add(r, &h->service);
	if (err < 0) {
		free(h);
		return err;
	}
	r->health = h;
	return 0;
}

void rpc_health_refresh(struct rpc_health *h)
{
	LIST_EACH_SAFE(it, &h->watchers)
	watcher_update(container_of(it, struct watcher, link));
}

void rpc_health_set(struct rpc_router *r, const char *service, bool serving)
{
	struct rpc_entry *e = rpc_router_find(r, service);
	if (str_empty(service))
		r->serving = serving;
	else if (e)
		e->serving = serving;
	if (r->health)
		rpc_health_refresh(r->health);
}

struct rpc_health *rpc_health_free(struct rpc_health *h)
{
	return mem_free(h);
}
