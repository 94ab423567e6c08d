/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Events as messages of sandglass.v1: sandglass.v1.ExecuteResponse. */
struct call;
struct event;

/* 0, or -errno as call_send(). */
int event_proto_send(struct call *c, struct event *ev);
int event_proto_send_heartbeat(struct call *c);
