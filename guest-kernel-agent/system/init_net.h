/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The network of a virtual machine, which does not change: one device, one address, one gateway. */
struct err;
struct vm_net;

#define INIT_NET_DEVICE "eth0"

int init_net_loopback(struct err *reterr); /* 0 or -errno, as below */
/* Address, default route, and the gateway's hardware address: asking for that could be answered
 * only while the host's side is there, and clones need not ask. */
int init_net_device(const struct vm_net *net, struct err *reterr);
