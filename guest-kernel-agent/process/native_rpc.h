/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Start and Attach of sandglass.v1.ProcessService; methods of rpc/call.h. */
#include <protobuf-c/protobuf-c.h>

struct call;

void native_rpc_on_start(struct call *c, const ProtobufCMessage *m);
void native_rpc_on_attach(struct call *c, const ProtobufCMessage *m);
void native_rpc_on_ready(struct call *c);
void native_rpc_on_done(struct call *c, int err);
