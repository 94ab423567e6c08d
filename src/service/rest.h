/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * E2B's control plane in REST.
 *
 * A request is one struct rest_req: matched in the route table, authorised, its body collected and
 * parsed, then given to its handler, which answers at once or takes a reference until it can. The
 * client may be gone by then: st is NULL, answers are dropped and on_gone was called.
 */
#include <jansson.h>
#include <stdbool.h>

#include "base/id.h"
#include "service/control.h"
#include "wire/url.h"

struct err;
struct http_fields;
struct http_stream;
struct rest_req;
struct sandbox;

typedef void rest_fn(struct rest_req *r);

#define REST_OPEN 1u	      /* needs no key */
#define REST_BODY 2u	      /* JSON object */
#define REST_BODY_OPTIONAL 4u /* or nothing */
#define REST_SANDBOX 8u	      /* the argument names a sandbox of the team, else 404 */

struct rest_route {
	const char *method;
	const char *pattern; /* "/sandboxes/{}/timeout"; {} is the argument, at most one */
	rest_fn *fn;
	unsigned flags;
	const char *what; /* for the handler */
};

struct rest_req {
	const struct control *ctl;
	const struct rest_route *route;
	struct http_stream *st; /* NULL once the client is gone */
	struct auth_team team;
	struct url url;
	const char *arg;    /* of the pattern, decoded, in url */
	json_t *body;	    /* an object where the route has a body */
	struct sandbox *sb; /* REST_SANDBOX: borrowed, valid while the handler runs */
	char sandbox_id[ID_SANDBOX_LEN + 1]; /* of sb */
	bool version2;			     /* the path began with /v2 */
	unsigned refs;
	void (*on_gone)(struct rest_req *r); /* the client left before the answer */
	void *op;
};

/* True when the path is one of REST's; st is then taken over. */
bool rest_handle(const struct control *c, struct http_stream *st);

struct rest_req *rest_ref(struct rest_req *r);
struct rest_req *rest_unref(struct rest_req *r);

/* ---- answers, at most one a request ---- */
void rest_json(struct rest_req *r, int status, json_t *v_consume);
/* The same from text; NULL as memory was out. */
void rest_json_text(struct rest_req *r, int status, const char *text, size_t n);
void rest_json_with(struct rest_req *r, int status, const struct http_fields *f, json_t *v_consume);
void rest_text(struct rest_req *r, const char *type, const void *p, size_t n); /* 200 */
void rest_empty(struct rest_req *r);					       /* 204 */
void rest_error(struct rest_req *r, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* By service/status.c; texts of what a client got wrong begin with "validation error: ". */
void rest_fail(struct rest_req *r, const struct err *err);
void rest_not_found(struct rest_req *r); /* the sandbox of the argument */

/* ---- routes, one file a subject ---- */
extern const struct rest_route rest_routes[];
extern const unsigned rest_n_routes;
rest_fn rest_create;
rest_fn rest_list_v1, rest_list_v2;
rest_fn rest_get, rest_kill, rest_timeout, rest_refresh, rest_connect, rest_pause, rest_resume,
    rest_logs, rest_logs_v2;
rest_fn rest_metrics;	     /* of one sandbox */
rest_fn rest_server_metrics; /* of all, for Prometheus */
rest_fn rest_templates, rest_template, rest_template_alias, rest_template_delete, rest_teams;
rest_fn rest_health, rest_no_snapshots;
rest_fn rest_unsupported; /* 501: the driver cannot (route->what) */
rest_fn rest_missing;	  /* 501: this server has no route->what */
