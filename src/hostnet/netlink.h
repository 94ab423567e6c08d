/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The few rtnetlink requests that slots need. Each acts on the network namespace that the socket
 * was opened in, waits for the kernel's answer and returns 0 or -errno. */
#include <netinet/in.h>
#include <stdbool.h>

int netlink_open(void); /* socket or -errno */
/* A veth pair: name here, peer in the namespace of netns_fd. */
int netlink_add_veth(int nl, const char *name, const char *peer, int netns_fd);
int netlink_set_link(int nl, const char *name, bool up);
int netlink_del_link(int nl, const char *name); /* -ENODEV when there is none */
int netlink_add_address(int nl, const char *name, struct in_addr address, unsigned prefix);
int netlink_add_default_route(int nl, struct in_addr gateway, const char *name);
