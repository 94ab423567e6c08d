/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Events of a process as messages of sandglass.v1.ProcessService. All: 0, or as call_send(). */
#include <stdint.h>

#include "guest-kernel-agent/process/event.h"
#include "sandglass/v1/process.pb-c.h"

struct call;
struct process;

int native_event_send(struct call *c, const struct process *p, const struct process_event *ev);
int native_event_send_omitted(struct call *c, int64_t time_ns, enum process_event_type stream,
    uint64_t offset, uint64_t bytes);
int native_event_send_heartbeat(struct call *c);

/* text is for m->status. */
void native_event_end(Sandglass__V1__ProcessEnd *m, enum process_end how, int wait_status,
    char text[PROCESS_STATUS_TEXT_MAX]);
/* t, or NULL when ns is 0. */
Google__Protobuf__Timestamp *native_event_time(Google__Protobuf__Timestamp *t, int64_t ns);
