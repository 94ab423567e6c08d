/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The one map from failures of the layers below to what clients are told, in REST and in RPC. */
#include "wire/rpcwire.h"

struct err;

struct status {
	int http;
	enum rpc_code rpc;
	const char *error_code; /* E2B's "error_code", NULL when it has none */
};

/* What err->code means: an outcome of sandbox.h or -errno. */
struct status status_from_err(const struct err *err);
