/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Sandbox port 49999: run code. Two interfaces over the same executions and contexts: the HTTP API
 * of E2B's code interpreter SDKs (execute_http.h, contexts_http.h), and the service
 * sandglass.v1.CodeInterpreter (execute_rpc.h, contexts_rpc.h).
 */
#include "rpc/call.h"

struct contexts;
struct executions;
struct http_stream;
struct identity;
struct loop;
struct rpc_router;

struct interpreter {
	struct loop *loop;
	const struct identity *identity;
	struct contexts *contexts;
	struct executions *executions;
	struct rpc_router *router;
	struct rpc_service service;
};

/* What it uses must outlive it. NULL on -ENOMEM. */
struct interpreter *interpreter_new(struct loop *l, const struct identity *id,
    struct contexts *contexts, struct executions *executions);
/* Streams and calls have ended. */
struct interpreter *interpreter_free(struct interpreter *ip);
/* A request for this port. */
void interpreter_handle(struct interpreter *ip, struct http_stream *st);
