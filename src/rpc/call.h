/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Server side of one RPC, whatever its protocol and codec: gRPC, gRPC-Web, Connect.
 *
 * A service is a table of methods over a protobuf-c service descriptor. rpc_router_handle()
 * recognises "POST /<package.Service>/<Method>", checks content-type, compression and deadline,
 * decodes messages and calls the method. Whatever happens, exactly one on_done follows and the call
 * object goes with it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "wire/http.h"
#include "wire/rpcwire.h"

struct call;
struct loop;

struct rpc_method {
	const char *name; /* as in the descriptor */
	bool client_stream, server_stream;
	/* One decoded request message, owned by the caller. For a client-streaming method it is
	 * valid during the callback, and more come only while call_is_ready(); for any other
	 * exactly one comes, begins the work, and is valid until on_done. */
	void (*on_message)(struct call *c, const ProtobufCMessage *m);
	/* Client-streaming: the client sent its last message (optional otherwise). */
	void (*on_half_close)(struct call *c);
	/* The send queue went below its mark: more may be sent (optional). */
	void (*on_ready)(struct call *c);
	/* Last callback: finished (0), client gone (-ECONNRESET), deadline (-ETIMEDOUT), or a
	 * request that could not be decoded (-EBADMSG; the client was told). Comes exactly once for
	 * every call that passed the gate, also when no message came: free call_user(), which may
	 * be NULL. */
	void (*on_done)(struct call *c, int err);
};

struct rpc_service {
	const ProtobufCServiceDescriptor *descriptor;
	const struct rpc_method *methods;
	size_t n_methods;
	void *arg; /* call_service_arg() */
};

struct rpc_router;
struct rpc_router *rpc_router_new(struct loop *l);
/* Running calls are cut: on_done(-ECONNRESET) before it returns. */
struct rpc_router *rpc_router_free(struct rpc_router *r);
/* svc must outlive the router. -EINVAL when a method is not in the descriptor or missing from the
 * table, -EEXIST, -ENOMEM. */
int rpc_router_add(struct rpc_router *r, const struct rpc_service *svc);
/* The same under another service name, e.g. of an older version with equal messages. Reflection
 * lists it only when its descriptors have that name. -EEXIST when the name is taken. */
int rpc_router_add_as(struct rpc_router *r, const char *name, const struct rpc_service *svc);
/* Runs before the method: refuse a call by returning a code and filling text. */
void rpc_router_set_gate(struct rpc_router *r,
    enum rpc_code (*gate)(struct call *c, char *text, size_t cap, void *arg), void *arg);
/* True when the path names a service of the router (st is then taken over, even for errors). */
bool rpc_router_handle(struct rpc_router *r, struct http_stream *st);

/* ---- the call, as methods see it ---- */
void *call_service_arg(const struct call *c);
void *call_user(const struct call *c);
void call_set_user(struct call *c, void *user);
const char *call_method(const struct call *c); /* "/pkg.Service/Method" */
/* NULL when absent, and after the client has gone. */
const char *call_header(const struct call *c, const char *name);
struct http_stream *call_stream(const struct call *c); /* NULL after the client has gone */
/* Milliseconds left, UINT64_MAX without a deadline. */
uint64_t call_time_left(const struct call *c);
/* Response header (before the first message) or trailer. */
int call_add_header(struct call *c, const char *name, const char *value);
int call_add_trailer(struct call *c, const char *name, const char *value);
/* Encode and queue: 0, -ENOMEM, -EPIPE (finished or gone), -EINVAL (no JSON form, or a second
 * answer of a method that streams none). Ask call_is_ready() before producing more on a stream;
 * what is sent far beyond its mark is refused with -ENOMEM. */
int call_send(struct call *c, const ProtobufCMessage *m);
bool call_is_ready(const struct call *c);
/* Client-streaming: no more messages, and no half close, until released; the client's window fills
 * meanwhile. */
void call_hold(struct call *c, bool hold);
/* Send the response head now although no message is there yet. */
int call_send_head(struct call *c);
/* Terminal status; on_done follows from the loop. fmt may be NULL. A second status is ignored. */
void call_finish(struct call *c, enum rpc_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- standard services ---- */
/* grpc.health.v1: status of "" and of each registered service is SERVING until set otherwise.
 * Setting an unregistered name has no effect. */
int rpc_health_add(struct rpc_router *r);
void rpc_health_set(struct rpc_router *r, const char *service, bool serving);
/* grpc.reflection.v1 and v1alpha over a serialised FileDescriptorSet (borrowed). */
int rpc_reflection_add(struct rpc_router *r, const void *fds, size_t n);
