/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* List, Update, SendSignal and CloseStdin of process.Process; methods of rpc/call.h. */
#include <protobuf-c/protobuf-c.h>

struct call;

void control_rpc_on_list(struct call *c, const ProtobufCMessage *m);
void control_rpc_on_update(struct call *c, const ProtobufCMessage *m);
void control_rpc_on_signal(struct call *c, const ProtobufCMessage *m);
void control_rpc_on_signal_done(struct call *c, int err);
void control_rpc_on_close_stdin(struct call *c, const ProtobufCMessage *m);
void control_rpc_on_done(struct call *c, int err);
