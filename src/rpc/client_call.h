/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Client side of one gRPC call over an http_client: used by the command line and by tests. */
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "wire/rpcwire.h"

struct client_call;
struct http_client;
struct http_fields;

struct client_call_ops {
	/* message is valid during the call */
	void (*on_message)(struct client_call *c, const ProtobufCMessage *m, void *arg);
	/* last callback; text is "" or the server's message */
	void (*on_done)(struct client_call *c, enum rpc_code code, const char *text, void *arg);
};

/* path "/pkg.Service/Method"; metadata may be NULL; timeout_ms 0 = none. NULL on -ENOMEM. Whatever
 * else happens is told by on_done, from the loop, after which the call is gone. */
struct client_call *client_call_start(struct http_client *http, const char *authority,
    const char *path, const ProtobufCMessageDescriptor *response,
    const struct http_fields *metadata, uint64_t timeout_ms, const struct client_call_ops *ops,
    void *arg);
/* 0, -ENOMEM, -EPIPE (ended). */
int client_call_send(struct client_call *c, const ProtobufCMessage *m);
void client_call_half_close(struct client_call *c);
void client_call_cancel(struct client_call *c); /* on_done(RPC_CANCELED) follows */
/* Unsent request bytes: a sender of many messages waits while this is large. */
size_t client_call_queued(const struct client_call *c);
