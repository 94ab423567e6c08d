/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Which plane a request is for, from its head alone:
 *
 *   host "<port>-<sandboxID>[-...].<domain>"  the sandbox; routing headers are not looked at
 *   any other host                            headers E2b-Sandbox-Id and E2b-Sandbox-Port, if given
 *   path /sandglass.v1.CodeInterpreter/...    header sandglass-sandbox-id, port 49999
 *   path /sandglass.v1.ProcessService/..., /process.Process/..., /filesystem.Filesystem/...
 *                                             header sandglass-sandbox-id, port 49983
 *   else                                      control plane
 *
 * A host directly under the domain whose first label has a dash or begins with a digit must have
 * the first form, unless it is one of the server's own names.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/id.h"

struct http_head;

#define ROUTE_PORT_ENVD 49983
#define ROUTE_PORT_CODE 49999

enum route_kind {
	ROUTE_CONTROL,
	ROUTE_SANDBOX,
	ROUTE_MALFORMED, /* 400 with the text */
};
struct route {
	enum route_kind kind;
	char sandbox_id[ID_SANDBOX_LEN + 1];
	unsigned port;
	const char *error; /* ROUTE_MALFORMED */
};

struct route_names {
	const char *domain; /* "" or NULL: no sandbox has a host; a port is ignored */
	const char *const
	    *api_hosts; /* more names of the control plane, NULL at the end; may be NULL */
};
struct route route_find(const struct route_names *names, const struct http_head *head);
/* True when the agent itself answers that port. */
bool route_is_agent_port(unsigned port);
