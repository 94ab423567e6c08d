/* SPDX-License-Identifier: Apache-2.0 */
#include "service/service.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "rpc/call.h"
#include "service/control.h"
#include "service/cors.h"
#include "service/detail_cache.h"
#include "service/gateway.h"
#include "service/reply.h"
#include "service/rest.h"
#include "service/sandbox_service.h"
#include "service/template_service.h"
#include "service/web.h"
#include "store/store.h"
#include "wire/http.h"

struct service {
	struct control ctl;
	struct store *store;
	char *domain, *driver;
	struct gateway *gateway;
	struct rpc_router *router;
	struct sandbox_service *sandbox_service;
	struct template_service *template_service;
	struct web *web;
	struct store_key_read *reading; /* keys, again */
	service_reload_fn *on_reloaded;
	void *on_reloaded_arg;
};

/* ---- making ---- */
static int make_router(struct service *s, const struct service_conf *c)
{
	s->sandbox_service = sandbox_service_new(&s->ctl);
	s->router = rpc_router_new(c->loop);
	if (!s->sandbox_service || !s->router)
		return -ENOMEM;
	rpc_router_set_gate(s->router, sandbox_service_gate, &s->ctl);
	int r = rpc_router_add(s->router, sandbox_service_rpc(s->sandbox_service));
	if (r == 0 && c->images) {
		s->template_service = template_service_new(&s->ctl);
		r = s->template_service
			? rpc_router_add(s->router, template_service_rpc(s->template_service))
			: -ENOMEM;
	}
	if (r == 0)
		r = rpc_health_add(s->router);
	if (r == 0 && c->descriptors)
		r = rpc_reflection_add(s->router, c->descriptors, c->n_descriptors);
	return r;
}

static int make_parts(struct service *s, const struct service_conf *c, struct err *reterr)
{
	struct gateway_conf gc = { .sandboxes = c->sandboxes, .max_exchanges = c->max_exchanges };
	s->domain = mem_strdup(c->domain ? c->domain : "");
	s->driver = mem_strdup(c->driver ? c->driver : "");
	if (!s->domain || !s->driver)
		return -ENOMEM;
	s->ctl = (struct control){ .loop = c->loop,
		.sandboxes = c->sandboxes,
		.templates = c->templates,
		.auth = c->auth,
		.details = detail_cache_new(c->sandboxes),
		.images = c->images,
		.host_base = c->host_base,
		.driver = s->driver };
	if (!s->ctl.details)
		return -ENOMEM;
	gc.names = (struct route_names){ .domain = s->domain, .api_hosts = c->api_hosts };
	s->gateway = gateway_new(&gc);
	if (!s->gateway)
		return -ENOMEM;
	int r = make_router(s, c);
	if (r == 0 && c->web_dir) {
		s->web = web_load(c->web_dir, reterr);
		r = s->web ? 0 : -EINVAL;
	}
	return r;
}

struct service *service_new(const struct service_conf *c, struct err *reterr)
{
	struct service *s = mem_zalloc(sizeof(*s));
	int r = s ? make_parts(s, c, reterr) : -ENOMEM;
	if (r == 0) {
		s->store = c->store;
		return s;
	}
	(void)err_set(reterr, r, "service: %s", err_name(r));
	return service_free(s);
}

struct service *service_free(struct service *s)
{
	if (!s)
		return NULL;
	store_key_read_cancel(s->reading);
	(void)rpc_router_free(s->router);
	(void)sandbox_service_free(s->sandbox_service);
	(void)template_service_free(s->template_service);
	(void)gateway_free(s->gateway);
	(void)detail_cache_free(s->ctl.details);
	(void)web_free(s->web);
	(void)mem_free(s->domain);
	(void)mem_free(s->driver);
	return mem_free(s);
}

/* ---- serving ---- */
static void answer_unknown(struct http_stream *st)
{
	const struct http_head *head = http_stream_peer_head(st);
	reply_error(st, 404, NULL, "no such endpoint: %.16s %.*s", head->method,
	    (int)strcspn(head->path, "?"), head->path);
}

void service_on_request(struct http_stream *st, void *service)
{
	struct service *s = service;
	if (gateway_handle(s->gateway, st))
		return;
	if (cors_is_preflight(http_stream_peer_head(st)))
		cors_answer(st);
	else if (!rpc_router_handle(s->router, st) && !rest_handle(&s->ctl, st) &&
		 !(s->web && web_handle(s->web, st)))
		answer_unknown(st);
}

/* ---- keys, again ---- */
static void tell_reloaded(struct service *s, const struct err *err)
{
	s->on_reloaded(err, s->on_reloaded_arg);
}

static void on_keys(const struct err *err, const struct store_key_tables *t, void *arg)
{
	struct service *s = arg;
	struct err e = *err;
	s->reading = NULL;
	if (e.code == 0)
		(void)auth_set_keys(s->ctl.auth, t->keys, t->n_keys, t->teams, t->n_teams, &e);
	tell_reloaded(s, &e);
}

void service_reload_keys(struct service *s, service_reload_fn *done, void *arg)
{
	struct err err = ERR_INIT;
	store_key_read_cancel(s->reading); /* it may have read what was before the change */
	s->on_reloaded = done;
	s->on_reloaded_arg = arg;
	s->reading = s->store ? store_read_keys(s->store, on_keys, s) : NULL;
	if (s->reading)
		return;
	(void)err_set(&err, s->store ? -ENOMEM : -ENOENT, "API keys: %s",
	    s->store ? "out of memory" : "there is no store to read them from");
	tell_reloaded(s, &err);
}

void service_drain(struct service *s)
{
	rpc_health_set(s->router, "", false);
	rpc_health_set(s->router, "sandglass.v1.SandboxService", false);
	if (s->template_service) {
		rpc_health_set(s->router, "sandglass.v1.TemplateService", false);
		template_service_drain(s->template_service);
	}
	sandbox_service_drain(s->sandbox_service);
}
