/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/code/interpreter.h"

#include <errno.h>

#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/code/contexts_http.h"
#include "guest-kernel-agent/code/contexts_rpc.h"
#include "guest-kernel-agent/code/execute_http.h"
#include "guest-kernel-agent/code/execute_rpc.h"
#include "guest-kernel-agent/code/output_rpc.h"
#include "guest-kernel-agent/journal/reading.h"
#include "guest-kernel-agent/system/identity.h"
#include "guest-kernel-agent/system/reply.h"
#include "guest-kernel-agent/system/request.h"
#include "proto/descriptors.h"
#include "rpc/call.h"
#include "rpc/http_server.h"
#include "sandglass/v1/code_interpreter.pb-c.h"

/* A native call always proves itself when the sandbox is secured. */
static enum rpc_code gate(struct call *c, char *text, size_t cap, void *arg)
{
	struct interpreter *ip = arg;
	if (reply_add_cors_call(c) < 0) {
		(void)str_copy(text, cap, "out of memory");
		return RPC_RESOURCE_EXHAUSTED;
	}
	if (identity_token_ok(ip->identity, call_header(c, "x-access-token")))
		return RPC_OK;
	(void)str_copy(text, cap, "the metadata x-access-token is missing or wrong");
	return RPC_UNAUTHENTICATED;
}

static const struct rpc_method methods[] = {
	{ .name = "Execute",
	    .server_stream = true,
	    .on_message = execute_rpc_on_execute,
	    .on_ready = execute_rpc_on_ready,
	    .on_done = execute_rpc_on_done },
	{ .name = "Attach",
	    .server_stream = true,
	    .on_message = execute_rpc_on_attach,
	    .on_ready = execute_rpc_on_ready,
	    .on_done = execute_rpc_on_done },
	{ .name = "GetExecution", .on_message = output_rpc_on_get, .on_done = output_rpc_on_done },
	{ .name = "ReadOutput",
	    .server_stream = true,
	    .on_message = output_rpc_on_read,
	    .on_ready = reading_on_ready,
	    .on_done = reading_on_done },
	{ .name = "Interrupt",
	    .on_message = contexts_rpc_on_interrupt,
	    .on_done = contexts_rpc_on_done },
	{ .name = "CreateContext",
	    .on_message = contexts_rpc_on_create,
	    .on_done = contexts_rpc_on_done },
	{ .name = "ListContexts",
	    .on_message = contexts_rpc_on_list,
	    .on_done = contexts_rpc_on_done },
	{ .name = "RestartContext",
	    .on_message = contexts_rpc_on_restart,
	    .on_done = contexts_rpc_on_done },
	{ .name = "DeleteContext",
	    .on_message = contexts_rpc_on_delete,
	    .on_done = contexts_rpc_on_done },
};

struct interpreter *interpreter_new(struct loop *l, const struct identity *id,
    struct contexts *contexts, struct executions *executions)
{
	struct interpreter *ip = mem_zalloc(sizeof(*ip));
	if (!ip)
		return NULL;
	ip->loop = l;
	ip->identity = id;
	ip->contexts = contexts;
	ip->executions = executions;
	ip->service =
	    (struct rpc_service){ .descriptor = &sandglass__v1__code_interpreter__descriptor,
		    .methods = methods,
		    .n_methods = sizeof(methods) / sizeof(*methods),
		    .arg = ip };
	ip->router = rpc_router_new(l);
	if (!ip->router || rpc_router_add(ip->router, &ip->service) < 0 ||
	    rpc_health_add(ip->router) < 0 ||
	    rpc_reflection_add(ip->router, proto_descriptors, sizeof(proto_descriptors)) < 0)
		return interpreter_free(ip);
	rpc_router_set_gate(ip->router, gate, ip);
	return ip;
}

struct interpreter *interpreter_free(struct interpreter *ip)
{
	if (!ip)
		return NULL;
	rpc_router_free(ip->router);
	return mem_free(ip);
}

/* E2B's SDKs send the token with /execute only; elsewhere it may be absent, but not wrong. */
static bool is_authorised(const struct interpreter *ip, struct http_stream *st, bool is_execute)
{
	const char *token = request_header(st, "x-access-token");
	return (!token && !is_execute) || identity_token_ok(ip->identity, token);
}

void interpreter_handle(struct interpreter *ip, struct http_stream *st)
{
	const char *rest;
	char path[REQUEST_PATH_MAX];
	if (reply_preflight(st) || rpc_router_handle(ip->router, st))
		return;
	request_path(st, path);
	if (request_is(st, "GET", path, "/health")) {
		(void)reply_bytes(st, 200, "application/json", "\"OK\"", 4);
		return;
	}
	if (!is_authorised(ip, st, str_eq(path, "/execute"))) {
		(void)reply_unauthorized(st);
		return;
	}
	rest = str_after(path, "/contexts");
	if (request_is(st, "POST", path, "/execute"))
		execute_http_start(ip, st);
	else if (rest && (*rest == '/' || !*rest))
		contexts_http_handle(ip, st, rest);
	else
		request_not_found(st, str_eq(path, "/execute") || str_eq(path, "/health"));
}
