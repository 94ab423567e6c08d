/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * How the host reaches the servers of an agent in a virtual machine: two virtio-serial ports, each
 * with one connection at a time, or two ports of vsock, which the host alone may connect to.
 */
#include "guest-kernel-agent/system/vm_conf.h"

struct err;
struct http_server;
struct loop;
struct vm_channels;

#define VM_CHANNEL_CONTROL_PORT 49001 /* vsock */
#define VM_CHANNEL_DATA_PORT 49002

/* on_lost: the device failed; the host cannot reach us any more. NULL with reterr set. */
struct vm_channels *vm_channels_open(struct loop *l, enum vm_channel kind,
    struct http_server *control, struct http_server *data, void (*on_lost)(void *arg), void *arg,
    struct err *reterr);
/* Before the servers. */
struct vm_channels *vm_channels_free(struct vm_channels *c);
