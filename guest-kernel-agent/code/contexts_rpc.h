/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The unary methods of sandglass.v1.CodeInterpreter; methods of rpc/call.h. */
#include <protobuf-c/protobuf-c.h>

struct call;

void contexts_rpc_on_interrupt(struct call *c, const ProtobufCMessage *m);
void contexts_rpc_on_create(struct call *c, const ProtobufCMessage *m);
void contexts_rpc_on_list(struct call *c, const ProtobufCMessage *m);
void contexts_rpc_on_restart(struct call *c, const ProtobufCMessage *m);
void contexts_rpc_on_delete(struct call *c, const ProtobufCMessage *m);
void contexts_rpc_on_done(struct call *c, int err);
