/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the gateway answers instead of a sandbox: JSON for programs, a page for people at a browser,
 * and a status in its own protocol for a gRPC call.
 */
#include <stdbool.h>

#include "wire/rpcwire.h"

struct http_stream;
struct route;

enum gateway_problem {
	GATEWAY_NOT_FOUND,     /* unknown, ended, or of no use any more */
	GATEWAY_UNREACHABLE,   /* the same for clients of E2B; gRPC learns that it may try again */
	GATEWAY_PAUSED,	       /* it is on the disk, or on its way there or back */
	GATEWAY_TOKEN_MISSING, /* traffic token */
	GATEWAY_TOKEN_WRONG,
	GATEWAY_BUSY,	  /* number: the limit of concurrent requests */
	GATEWAY_RESERVED, /* a path that only the control plane may use */
};
void gateway_answer(
    struct http_stream *st, const struct route *route, enum gateway_problem what, unsigned number);
/* The sandbox ended, or was paused, before its answer began: a gRPC call ends with a status, others
 * with a reset. */
void gateway_answer_ended(struct http_stream *st, bool paused);
/* The same amid its answer. */
void gateway_break(struct http_stream *st, bool paused);
/* A request whose host or routing headers make no sense: 400 and the text. */
void gateway_answer_malformed(struct http_stream *st, const char *text);
