/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Execute and Attach of sandglass.v1.CodeInterpreter; methods of rpc/call.h. */
#include <protobuf-c/protobuf-c.h>

struct call;

void execute_rpc_on_execute(struct call *c, const ProtobufCMessage *m);
void execute_rpc_on_attach(struct call *c, const ProtobufCMessage *m);
void execute_rpc_on_ready(struct call *c);
void execute_rpc_on_done(struct call *c, int err);
