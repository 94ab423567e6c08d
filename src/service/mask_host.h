/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The host that programs in a sandbox are told instead of the one that was asked for. */

struct buf;

/* Append the host of a sandbox's mask_host for a port: ${PORT} is its number. 0 or -ENOMEM. */
int mask_host_expand(struct buf *dst, const char *mask, unsigned port);
