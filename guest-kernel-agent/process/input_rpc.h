/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* SendInput and StreamInput of process.Process; methods of rpc/call.h. */
#include <protobuf-c/protobuf-c.h>

struct call;

void input_rpc_on_send(struct call *c, const ProtobufCMessage *m);
void input_rpc_on_stream(struct call *c, const ProtobufCMessage *m);
void input_rpc_on_half_close(struct call *c);
void input_rpc_on_done(struct call *c, int err);
