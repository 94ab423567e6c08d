/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Names and addresses of an instance's slots: pure arithmetic over its network. Slot i has the four
 * addresses from network + 4 * (i + 1); the second is the host's end, the third the sandbox's. */
#include <net/if.h>
#include <netinet/in.h>

struct err;

#define PLAN_PREFIX 30

struct plan {
	char instance[9];
	struct in_addr network;
	unsigned prefix;
	unsigned n_slots; /* that fit the network, at most HOSTNET_SLOTS_MAX */
};

/* -EINVAL and reterr when cidr is not an IPv4 network with room for one slot or the tag is bad. */
int plan_init(struct plan *p, const char *instance, const char *cidr, struct err *reterr);
struct in_addr plan_gateway(const struct plan *p, unsigned index);
struct in_addr plan_address(const struct plan *p, unsigned index);
/* Of the host's end: "sg" instance "-" index. */
void plan_link_name(const struct plan *p, unsigned index, char dst[IFNAMSIZ]);
/* Index in such a name, or -1. */
int plan_link_index(const struct plan *p, const char *name);
