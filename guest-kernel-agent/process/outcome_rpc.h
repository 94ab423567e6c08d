/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* GetProcess and ReadOutput of sandglass.v1.ProcessService; methods of rpc/call.h, the others of
 * ReadOutput are in journal/reading.h. */
#include <protobuf-c/protobuf-c.h>

struct call;

void outcome_rpc_on_get(struct call *c, const ProtobufCMessage *m);
void outcome_rpc_on_read(struct call *c, const ProtobufCMessage *m);
