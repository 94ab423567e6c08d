/* SPDX-License-Identifier: Apache-2.0 */
#include "service/status.h"

#include <errno.h>
#include <stddef.h>

#include "base/err.h"
#include "sandbox/sandbox.h"

static const struct {
	int code;
	struct status status;
} table[] = {
	{ 0, { 200, RPC_OK, NULL } },
	{ SANDBOX_E_TEMPLATE, { 404, RPC_NOT_FOUND, NULL } },
	{ SANDBOX_E_LIMIT, { 429, RPC_RESOURCE_EXHAUSTED, NULL } },
	{ SANDBOX_E_CAPACITY, { 503, RPC_RESOURCE_EXHAUSTED, "sandbox_capacity_unavailable" } },
	{ SANDBOX_E_STATE, { 409, RPC_FAILED_PRECONDITION, NULL } },
	{ SANDBOX_E_DRIVER, { 501, RPC_UNIMPLEMENTED, NULL } },
	{ -EINVAL, { 400, RPC_INVALID_ARGUMENT, NULL } },
	{ -ERANGE, { 400, RPC_INVALID_ARGUMENT, NULL } },
	{ -EFBIG, { 413, RPC_RESOURCE_EXHAUSTED, NULL } },
	{ -ENOENT, { 404, RPC_NOT_FOUND, NULL } },
	{ -ENOMEM, { 503, RPC_RESOURCE_EXHAUSTED, "sandbox_capacity_unavailable" } },
	{ -ENOSPC, { 503, RPC_RESOURCE_EXHAUSTED, "sandbox_capacity_unavailable" } },
	{ -ETIMEDOUT, { 504, RPC_DEADLINE_EXCEEDED, "sandbox_placement_timeout" } },
	{ -ECANCELED, { 503, RPC_UNAVAILABLE, NULL } },
	{ -ESHUTDOWN, { 503, RPC_UNAVAILABLE, NULL } },
};

struct status status_from_err(const struct err *err)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].code == err->code)
			return table[i].status;
	return (struct status){ 500, RPC_INTERNAL, "internal_server_error" };
}
