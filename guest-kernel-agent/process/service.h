/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The RPC services over processes: process.Process, as the E2B SDKs know it, and
 * sandglass.v1.ProcessService. */
#include <stdbool.h>
#include <stdint.h>

#include "rpc/call.h"

struct identity;
struct loop;
struct process;
struct processes;
struct rpc_router;

struct process_service {
	struct loop *loop;
	const struct identity *identity;
	struct processes *processes;
	struct rpc_service stock, native;
};

/* Adds itself to the router; what it uses must outlive it. NULL on -ENOMEM. */
struct process_service *process_service_new(
    struct loop *l, const struct identity *id, struct processes *ps, struct rpc_router *router);
/* The router is gone. */
struct process_service *process_service_free(struct process_service *sv);
