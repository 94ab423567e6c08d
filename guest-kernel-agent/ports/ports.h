/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Requests for any other port of the sandbox go to the program that listens there on a loopback
 * address: over HTTP/1.1, or HTTP/2 for gRPC. Connections to a port are kept while it is used.
 */
struct http_stream;
struct identity;
struct loop;
struct ports;

struct ports *ports_new(struct loop *l, const struct identity *id);
/* The server is gone already, and with it every exchange. */
struct ports *ports_free(struct ports *p);
/* A request for port (1 to 65535). */
void ports_handle(struct ports *p, struct http_stream *st, unsigned port);
