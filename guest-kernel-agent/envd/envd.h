/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Sandbox port 49983: health, envs and metrics here, and gRPC's health and reflection; processes
 * and files add their services and routes. The access token is checked before a route or method
 * runs, CORS fields are added to every answer.
 */
#include <stdbool.h>

struct envd;
struct http_stream;
struct identity;
struct loop;
struct metrics;
struct rpc_router;

struct envd *envd_new(struct loop *l, const struct identity *id, struct metrics *m);
struct envd *envd_free(struct envd *e);
/* RPC services of this port are added to it; its gate is the token check. */
struct rpc_router *envd_router(struct envd *e);

typedef void envd_route_fn(struct http_stream *st, void *arg);
/* Plain HTTP: method and path exactly (the query is not part of it). open_access: the route checks
 * the token or a signature itself. method and path must be constants. 0 or -ENOMEM. */
int envd_add_route(struct envd *e, const char *method, const char *path, bool open_access,
    envd_route_fn *fn, void *arg);
/* A request for this port. */
void envd_handle(struct envd *e, struct http_stream *st);
