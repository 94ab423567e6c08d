/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Methods of sandglass.v1.CodeInterpreter that look at an execution: GetExecution, ReadOutput. */
#include <protobuf-c/protobuf-c.h>

struct call;

void output_rpc_on_get(struct call *c, const ProtobufCMessage *m);
void output_rpc_on_read(struct call *c, const ProtobufCMessage *m);
void output_rpc_on_done(struct call *c, int err);
