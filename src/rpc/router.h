/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the router shares with calls and with the standard services. */
#include "base/list.h"
#include "rpc/call.h"

struct rpc_health;
struct rpc_reflection;

/* One name under which a service is served. */
struct rpc_entry {
	struct link link; /* rpc_router.entries, in the order of registration */
	const struct rpc_service *service;
	bool serving; /* health */
	char name[];
};

struct rpc_router {
	struct loop *loop;
	struct map *by_name; /* service name -> struct rpc_entry */
	struct link entries;
	struct link calls; /* struct call */
	enum rpc_code (*gate)(struct call *c, char *text, size_t cap, void *arg);
	void *gate_arg;
	bool serving; /* health of "" */
	struct rpc_health *health;
	struct rpc_reflection *reflection;
};

struct rpc_entry *rpc_router_find(const struct rpc_router *r, const char *service);

struct rpc_health *rpc_health_free(struct rpc_health *h);
/* A service was registered: watchers may have waited for it. */
void rpc_health_refresh(struct rpc_health *h);
struct rpc_reflection *rpc_reflection_free(struct rpc_reflection *r);
