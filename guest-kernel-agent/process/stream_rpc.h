/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Start and Connect of process.Process; methods of rpc/call.h. */
#include <protobuf-c/protobuf-c.h>

struct call;

void stream_rpc_on_start(struct call *c, const ProtobufCMessage *m);
void stream_rpc_on_connect(struct call *c, const ProtobufCMessage *m);
void stream_rpc_on_ready(struct call *c);
void stream_rpc_on_done(struct call *c, int err);
