/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * All that the HTTP server answers, in this order: requests for a sandbox (gateway), preflights of
 * browsers, RPC, E2B's REST, pages, else 404.
 */
#include <stdbool.h>
#include <stddef.h>

struct auth;
struct err;
struct http_stream;
struct images;
struct loop;
struct sandboxes;
struct service;
struct store;
struct templates;

struct service_conf {
	struct loop *loop;
	struct sandboxes *sandboxes;
	const struct templates *templates;
	struct auth *auth;	 /* loaded; the service does not free it */
	struct store *store;	 /* where keys are read from again; NULL: nowhere */
	const void *descriptors; /* serialised FileDescriptorSet for reflection, or NULL */
	size_t n_descriptors;
	const char *web_dir;	      /* pages, or NULL */
	const char *domain;	      /* sandboxes are <port>-<id>.<domain>; NULL: no such hosts */
	const char *const *api_hosts; /* own names that look like those, NULL at the end; or NULL */
	struct images *images; /* of templates; NULL: none are built, there is no TemplateService */
	bool host_base;	       /* the driver can show the host's own file system */
	const char *driver;    /* "namespace": named where it cannot do something */
	unsigned max_exchanges; /* concurrent requests of one sandbox; 0 = default */
};

/* Texts are copied but for api_hosts. NULL and reterr on failure. */
struct service *service_new(const struct service_conf *c, struct err *reterr);
/* After the server: no request is left. Before the sandboxes. */
struct service *service_free(struct service *s);
/* For http_server_conf: a request head arrived. */
void service_on_request(struct http_stream *st, void *service);
/* Keys were added or revoked (SIGHUP): they are read again, and done(err, arg) is called once when
 * the new ones hold, or when they could not be read and the old ones stay; not after
 * service_free(). A call while another reads makes that one start again, and only the last done is
 * called. */
typedef void service_reload_fn(const struct err *err, void *arg);
void service_reload_keys(struct service *s, service_reload_fn *done, void *arg);
/* The server will stop: event streams end with UNAVAILABLE, health says NOT_SERVING. */
void service_drain(struct service *s);
