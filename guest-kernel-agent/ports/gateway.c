/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/ports/gateway.h"

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "guest-kernel-agent/code/interpreter.h"
#include "guest-kernel-agent/envd/envd.h"
#include "guest-kernel-agent/ports/ports.h"
#include "guest-kernel-agent/system/identity.h"
#include "guest-kernel-agent/system/reply.h"
#include "guest-kernel-agent/system/request.h"

static bool is_health(const struct http_stream *st, uint64_t port)
{
	char path[REQUEST_PATH_MAX];
	request_path(st, path);
	return (port == GATEWAY_PORT_ENVD || port == GATEWAY_PORT_INTERPRETER) &&
	       request_is(st, "GET", path, "/health");
}

void gateway_on_request(struct http_stream *st, void *arg)
{
	struct gateway *g = arg;
	const char *text = request_header(st, "sandglass-port");
	uint64_t port;
	if (!text || str_u64(text, 65535, &port) < 0 || port == 0) {
		(void)reply_error(st, 400, "sandglass-port: expected one port number");
		return;
	}
	if (!identity_is_initialised(g->identity) && !is_health(st, port)) {
		(void)reply_error(st, 503, "this sandbox is not ready yet");
		return;
	}
	if (port == GATEWAY_PORT_ENVD)
		envd_handle(g->envd, st);
	else if (port == GATEWAY_PORT_INTERPRETER)
		interpreter_handle(g->interpreter, st);
	else
		ports_handle(g->ports, st, (unsigned)port);
}
