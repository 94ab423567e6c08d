/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Makes and takes down slots in a process of its own, because both wait for the kernel's network
 * lock: up to tens of milliseconds when others hold it. Commands and answers are small packets on a
 * seqpacket socket; a made slot's namespace comes as a descriptor. The process ends when the socket
 * is closed.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "hostnet/plan.h"

enum maker_kind {
	MAKER_MAKE = 1, /* -> MADE with a descriptor, or code and text */
	MAKER_DROP,	/* -> DROPPED; done when the interface is gone */
};

struct maker_packet {
	uint32_t kind, index;
	int32_t code; /* answers: 0 or -errno */
	char text[ERR_TEXT_MAX];
};

/* Fork it. *ret_fd is our end (nonblocking). route_localnet: the name server is on the host's
 * loopback. */
int maker_start(const struct plan *p, bool route_localnet, int *ret_fd, int *ret_pid);

/* Name of the interface inside. */
#define MAKER_LINK "eth0"
/* In the namespace: link up or down (down: connects fail at once), default route. The calling
 * thread visits the namespace and comes back. */
int maker_set_inside(int netns_fd, bool up, struct in_addr gateway);
