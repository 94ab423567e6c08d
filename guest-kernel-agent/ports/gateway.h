/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The data channel's front door: the daemon says in "sandglass-port", which no client can set, for
 * which port of the sandbox a request is. Nothing but the health checks is served before the
 * sandbox has its identity.
 */
struct envd;
struct http_stream;
struct identity;
struct interpreter;
struct ports;

#define GATEWAY_PORT_ENVD 49983
#define GATEWAY_PORT_INTERPRETER 49999

struct gateway {
	const struct identity *identity;
	struct envd *envd;
	struct interpreter *interpreter;
	struct ports *ports;
};

/* For http_server_conf: arg is the gateway. */
void gateway_on_request(struct http_stream *st, void *arg);
