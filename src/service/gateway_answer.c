/* SPDX-License-Identifier: Apache-2.0 */
#include "service/gateway_answer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "rpc/problem_page.h"
#include "service/reply.h"
#include "service/route.h"
#include "wire/http.h"

static const struct {
	int status;
	enum rpc_code rpc;
	const char *text;
} problems[] = {
	[GATEWAY_NOT_FOUND] = { 502, RPC_NOT_FOUND, "The sandbox was not found" },
	[GATEWAY_UNREACHABLE] = { 502, RPC_UNAVAILABLE, "The sandbox was not found" },
	[GATEWAY_PAUSED] = { 502, RPC_UNAVAILABLE,
	    "The sandbox is paused, connect to it to let it go on" },
	[GATEWAY_TOKEN_MISSING] = { 403, RPC_PERMISSION_DENIED,
	    "Sandbox is secured with traffic access token. Token header "
	    "'e2b-traffic-access-token' is missing" },
	[GATEWAY_TOKEN_WRONG] = { 403, RPC_PERMISSION_DENIED,
	    "Sandbox is secured with traffic access token. Provided token in header "
	    "'e2b-traffic-access-token' is invalid" },
	[GATEWAY_BUSY] = { 429, RPC_RESOURCE_EXHAUSTED,
	    "The sandbox has too many concurrent incoming connections" },
	[GATEWAY_RESERVED] = { 404, RPC_UNIMPLEMENTED,
	    "This endpoint is reserved for the E2B control plane and is not reachable through the "
	    "sandbox URL" },
};

/* The request's content type when it is one of gRPC's, else NULL. */
static const char *grpc_type(const struct http_head *request)
{
	const char *type = http_fields_get(&request->fields, "content-type");
	enum rpc_protocol protocol;
	enum rpc_codec codec;
	if (!type || !str_after(type, "application/grpc") ||
	    rpc_parse_content_type(type, &protocol, &codec) < 0)
		return NULL;
	return rpc_content_type(protocol, codec);
}

/* ---- answers ---- */
static int add_grpc_status(struct http_fields *f, enum rpc_code code, const char *text)
{
	CLEAN_BUF struct buf message = BUF_INIT;
	int r = rpc_encode_message(&message, text);
	if (r == 0)
		r = http_fields_addf(f, "grpc-status", "%d", (int)code);
	const char *encoded = buf_cstr(&message);
	return r < 0 ? r : http_fields_add(f, "grpc-message", encoded ? encoded : "");
}

/* Trailers-only, which gRPC-Web takes as well. */
static void answer_grpc(
    struct http_stream *st, const char *type, enum rpc_code code, const char *text)
{
	struct http_fields f = { 0 };
	int r = add_grpc_status(&f, code, text);
	if (r == 0)
		reply_send(st, 200, &f, type, NULL, 0);
	else
		http_stream_reset(st, HTTP_RESET_INTERNAL);
	http_fields_fini(&f);
}

static void answer_page(
    struct http_stream *st, const struct route *route, int status, const char *text)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	struct http_fields f = { 0 };
	int r = problem_page(
	    &b, status, text, route->sandbox_id, route->port, http_stream_peer_head(st)->authority);
	if (r == 0)
		r = http_fields_add(&f, "content-security-policy", PROBLEM_PAGE_POLICY);
	if (r == 0)
		reply_send(st, status, &f, PROBLEM_PAGE_TYPE, buf_data(&b), buf_len(&b));
	else
		http_stream_reset(st, HTTP_RESET_INTERNAL);
	http_fields_fini(&f);
}

static json_t *problem_json(const struct route *route, enum gateway_problem what, int status,
    const char *text, const char *path, unsigned number)
{
	if (what == GATEWAY_RESERVED)
		return json_pack("{s:s, s:s, s:i}", "message", text, "path", path, "code", status);
	json_t *v = json_pack(
	    "{s:s, s:s, s:i}", "sandboxId", route->sandbox_id, "message", text, "code", status);
	if (v && what == GATEWAY_BUSY &&
	    json_object_set_new(v, "connectionLimit", json_integer(number)) < 0) {
		json_decref(v);
		return NULL;
	}
	return v;
}

void gateway_answer(
    struct http_stream *st, const struct route *route, enum gateway_problem what, unsigned number)
{
	const struct http_head *request = http_stream_peer_head(st);
	const char *grpc = grpc_type(request);
	int status = problems[what].status;
	char text[160], path[256] = "";
	(void)str_copy(text, sizeof(text), problems[what].text);
	if (what == GATEWAY_BUSY)
		(void)snprintf(text, sizeof(text), "%s (limit: %u)", problems[what].text, number);
	(void)snprintf(path, sizeof(path), "%.*s", (int)strcspn(request->path, "?"), request->path);
	if (grpc)
		answer_grpc(st, grpc, problems[what].rpc, text);
	else if (problem_wants_page(request))
		answer_page(st, route, status, text);
	else
		reply_json(st, status, NULL, problem_json(route, what, status, text, path, number));
}

void gateway_answer_malformed(struct http_stream *st, const char *text)
{
	const char *grpc = grpc_type(http_stream_peer_head(st));
	if (grpc)
		answer_grpc(st, grpc, RPC_INVALID_ARGUMENT, text);
	else
		reply_send(st, 400, NULL, "text/plain; charset=utf-8", text, strlen(text));
}

static const char *ended_text(bool paused)
{
	return paused ? "The sandbox was paused before its answer ended"
		      : "The sandbox ended before its answer did";
}

void gateway_answer_ended(struct http_stream *st, bool paused)
{
	const char *grpc = grpc_type(http_stream_peer_head(st));
	if (grpc)
		answer_grpc(st, grpc, RPC_UNAVAILABLE, ended_text(paused));
	else
		http_stream_reset(st, HTTP_RESET_CANCEL);
}

/* gRPC-Web has its trailers in the body, where a message may have been cut in two. */
static bool has_trailers(const struct http_head *request)
{
	const char *type = grpc_type(request);
	return str_eq(type, rpc_content_type(RPC_GRPC, RPC_PROTO)) ||
	       str_eq(type, rpc_content_type(RPC_GRPC, RPC_JSON));
}

void gateway_break(struct http_stream *st, bool paused)
{
	struct http_fields f = { 0 };
	int r = has_trailers(http_stream_peer_head(st))
		    ? add_grpc_status(&f, RPC_UNAVAILABLE, ended_text(paused))
		    : -ENOTSUP;
	if (r == 0)
		r = http_stream_end(st, &f);
	http_fields_fini(&f);
	if (r < 0)
		http_stream_reset(st, HTTP_RESET_INTERNAL);
}
