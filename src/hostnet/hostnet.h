/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Network of sandboxes: numbered slots, each a network namespace joined to the host by a veth pair
 * with an address of its own, and the nftables rules that bound what leaves it. Runs inside the
 * launcher, as root. Names of everything made on the host carry the instance tag, so that a later
 * start finds it.
 *
 * The namespace of a slot belongs to the initial user namespace (root inside a sandbox can
 * configure nothing) and has lo and the veth up, address and default route set, IPv6 only when it
 * is filtered too, net.ipv4.ip_unprivileged_port_start = 0 and net.ipv4.ping_group_range = "0
 * 2147483647".
 *
 * Slots are prepared ahead by a forked helper; hostnet_take() hands out a ready one in microseconds
 * and makes one on the spot only when none is left. A slot outlives the launcher: after a restart
 * the launcher adopts the slots that live sandboxes use and hostnet_settle() removes the others.
 * Nothing here runs a loop: watch hostnet_fd() for reading and call hostnet_dispatch().
 */
#include <stdbool.h>
#include <stddef.h>

struct err;
struct hostnet;

#define HOSTNET_SLOTS_MAX 4096
#define HOSTNET_DNS_MAX 4
#define HOSTNET_ADDR_LEN 46

struct hostnet_conf {
	const char *instance; /* tag: 1 to 8 characters of [a-z0-9] */
	const char *cidr;     /* addresses for slots, such as "10.213.0.0/16" */
	const char *const
	    *dns;	/* servers that sandboxes may ask, NULL at the end; NULL = the host's */
	unsigned ready; /* slots to keep prepared */
};

struct hostnet_slot {
	unsigned index;			/* < HOSTNET_SLOTS_MAX; survives a restart */
	int netns_fd;			/* owned by whoever took it, CLOEXEC */
	char address[HOSTNET_ADDR_LEN]; /* of the sandbox */
	char gateway[HOSTNET_ADDR_LEN]; /* of the host's end */
};

/* NULL and reterr when the machine cannot do it (no nftables, no veth, bad cidr). Changes nothing
 * of slots that exist already. */
struct hostnet *hostnet_open(const struct hostnet_conf *c, struct err *reterr);
/* Stops preparing and frees; slots stay as they are. Returns NULL. */
struct hostnet *hostnet_close(struct hostnet *h);
/* Remove every slot and rule of the instance: nothing of it is left on the host. 0 or first -errno.
 */
int hostnet_teardown(struct hostnet *h, struct err *reterr);

/* Mark a slot as in use by a sandbox that survived: 0, or -ENOENT when nothing is left of it. */
int hostnet_adopt(struct hostnet *h, unsigned index, struct err *reterr);
/* All adoptions are done: remove slots that nobody adopted, begin to prepare. Once. */
void hostnet_settle(struct hostnet *h);

/* 0, or -errno and reterr (-ENOSPC: no address left). New slots start with internet off. */
int hostnet_take(struct hostnet *h, struct hostnet_slot *ret, struct err *reterr);
/* The sandbox is dead and gone: take the slot down (in the background) and make its index free
 * again. */
void hostnet_return(struct hostnet *h, unsigned index);
/* Let the slot's packets out, or refuse them. Takes effect on existing connections too. */
int hostnet_set_internet(struct hostnet *h, unsigned index, bool on, struct err *reterr);

/* Body of /etc/resolv.conf for sandboxes; valid as long as h. */
const char *hostnet_resolv_conf(const struct hostnet *h);

/* Readable when the helper has something to tell; never block. */
int hostnet_fd(const struct hostnet *h);
void hostnet_dispatch(struct hostnet *h);
