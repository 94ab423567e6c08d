/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The nftables table of an instance. Sandboxes reach public IPv4 addresses and, through their
 * gateway's port 53, the name servers; nothing else: not the host, not each other, no private,
 * link-local, metadata, shared or reserved address, no IPv6. Everything is decided on the host's
 * side of the veth.
 */
#include "hostnet/plan.h"

struct err;

/* Replace the instance's table in one transaction. dns: numeric IPv4 addresses, NULL at the end. */
int rules_install(const struct plan *p, const char *const *dns, struct err *reterr);
int rules_remove(const struct plan *p, struct err *reterr); /* also 0 when there is none */
/* Other commands of nft(8), in the network namespace of the calling thread. */
int rules_run(const char *commands, struct err *reterr);
