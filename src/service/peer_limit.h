/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Token buckets of network peers, in a table of fixed size: an IPv4 address or an IPv6 /64 has one.
 * Where the table is full, the bucket that has been used least is forgotten.
 */
struct peer_limit;

struct peer_limit *peer_limit_new(unsigned burst, unsigned per_minute); /* NULL on -ENOMEM */
struct peer_limit *peer_limit_free(struct peer_limit *p);
/* Take a token: 0, or the seconds after which one will be there. peer is an address with or without
 * a port; all unknown ones ("", a unix socket) share one bucket. */
unsigned peer_limit_take(struct peer_limit *p, const char *peer);
