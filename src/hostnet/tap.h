/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The network of a guest that has a kernel of its own: a tap in a slot's namespace. Every guest has
 * the same addresses, so that clones of one need no change; they are translated to the slot's
 * address on the way out. All that bounds the slot (rules.h) thereby bounds the guest. Nothing
 * comes in but answers.
 */
#include <stdint.h>
#include <sys/types.h>

struct err;

#define TAP_NAME "tap0"
#define TAP_MAC "02:fc:00:00:00:06"
#define TAP_ADDRESS "169.254.0.22"
#define TAP_GUEST_MAC "02:fc:00:00:00:05"
#define TAP_GUEST_ADDRESS "169.254.0.21"
#define TAP_PREFIX 30

/* Make it in the namespace, with owner the only user who may open it. ret_fd not NULL: it is opened
 * (no packet information, no virtio-net header) and goes when the last copy of the descriptor is
 * closed. NULL: it stays as long as the namespace, for a program that opens it by its name. The
 * calling thread visits the namespace and comes back. 0 or -errno. */
int tap_add(int netns_fd, uid_t owner, int *ret_fd, struct err *reterr);
