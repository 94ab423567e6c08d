/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The data plane: requests for what runs inside a sandbox.
 *
 * A request is routed by its head, checked, and proxied to the sandbox's agent, which learns the
 * target port from the header sandglass-port. Its exchange is counted to the sandbox (struct box)
 * until it is over. When a sandbox ends, its exchanges are reset: a stream cut short must never
 * look complete. Later requests for it get 502.
 */
#include <stdbool.h>
#include <stddef.h>

#include "service/route.h"

struct gateway;
struct http_stream;
struct sandboxes;

struct gateway_conf {
	struct sandboxes *sandboxes;
	struct route_names names; /* borrowed */
	unsigned max_exchanges;	  /* of one sandbox; 0 = GATEWAY_MAX_EXCHANGES */
};
#define GATEWAY_MAX_EXCHANGES 1000

struct gateway *gateway_new(const struct gateway_conf *c); /* NULL on -ENOMEM */
/* The server is gone already; what the agents still have of its exchanges ends without us. */
struct gateway *gateway_free(struct gateway *g);
/* True when the request was for a sandbox, or meant to be: st is taken over then. */
bool gateway_handle(struct gateway *g, struct http_stream *st);
/* Requests in progress. */
size_t gateway_count(const struct gateway *g);
