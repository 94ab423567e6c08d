/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Events as messages of sandglass.v1: sandglass.v1.ExecuteResponse. */
#include "guest-kernel-agent/code/event.h"

struct call;

/* 0, or -errno as call_send(). */
int event_proto_send(struct call *c, struct event *ev);
int event_proto_send_heartbeat(struct call *c);
/* sandglass.v1.OutputStream */
int event_proto_stream(enum output o);
