/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/process/service.h"

#include "base/mem.h"
#include "guest-kernel-agent/journal/reading.h"
#include "guest-kernel-agent/process/control_rpc.h"
#include "guest-kernel-agent/process/input_rpc.h"
#include "guest-kernel-agent/process/native_rpc.h"
#include "guest-kernel-agent/process/outcome_rpc.h"
#include "guest-kernel-agent/process/stream_rpc.h"
#include "process/process.pb-c.h"
#include "sandglass/v1/process.pb-c.h"

static const struct rpc_method stock_methods[] = {
	{ .name = "List", .on_message = control_rpc_on_list, .on_done = control_rpc_on_done },
	{ .name = "Connect",
	    .server_stream = true,
	    .on_message = stream_rpc_on_connect,
	    .on_ready = stream_rpc_on_ready,
	    .on_done = stream_rpc_on_done },
	{ .name = "Start",
	    .server_stream = true,
	    .on_message = stream_rpc_on_start,
	    .on_ready = stream_rpc_on_ready,
	    .on_done = stream_rpc_on_done },
	{ .name = "Update", .on_message = control_rpc_on_update, .on_done = control_rpc_on_done },
	{ .name = "StreamInput",
	    .client_stream = true,
	    .on_message = input_rpc_on_stream,
	    .on_half_close = input_rpc_on_half_close,
	    .on_done = input_rpc_on_done },
	{ .name = "SendInput", .on_message = input_rpc_on_send, .on_done = input_rpc_on_done },
	{ .name = "SendSignal",
	    .on_message = control_rpc_on_signal,
	    .on_done = control_rpc_on_signal_done },
	{ .name = "CloseStdin",
	    .on_message = control_rpc_on_close_stdin,
	    .on_done = control_rpc_on_done },
};

static const struct rpc_method native_methods[] = {
	{ .name = "Start",
	    .server_stream = true,
	    .on_message = native_rpc_on_start,
	    .on_ready = native_rpc_on_ready,
	    .on_done = native_rpc_on_done },
	{ .name = "Attach",
	    .server_stream = true,
	    .on_message = native_rpc_on_attach,
	    .on_ready = native_rpc_on_ready,
	    .on_done = native_rpc_on_done },
	{ .name = "GetProcess", .on_message = outcome_rpc_on_get, .on_done = control_rpc_on_done },
	{ .name = "ReadOutput",
	    .server_stream = true,
	    .on_message = outcome_rpc_on_read,
	    .on_ready = reading_on_ready,
	    .on_done = reading_on_done },
};

struct process_service *process_service_new(
    struct loop *l, const struct identity *id, struct processes *ps, struct rpc_router *router)
{
	struct process_service *sv = mem_zalloc(sizeof(*sv));
	if (!sv)
		return NULL;
	sv->loop = l;
	sv->identity = id;
	sv->processes = ps;
	sv->stock = (struct rpc_service){ .descriptor = &process__process__descriptor,
		.methods = stock_methods,
		.n_methods = sizeof(stock_methods) / sizeof(stock_methods[0]),
		.arg = sv };
	sv->native =
	    (struct rpc_service){ .descriptor = &sandglass__v1__process_service__descriptor,
		    .methods = native_methods,
		    .n_methods = sizeof(native_methods) / sizeof(native_methods[0]),
		    .arg = sv };
	if (rpc_router_add(router, &sv->stock) < 0 || rpc_router_add(router, &sv->native) < 0)
		return process_service_free(sv);
	return sv;
}

struct process_service *process_service_free(struct process_service *sv)
{
	return mem_free(sv);
}
