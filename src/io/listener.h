/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Accepting sockets: TCP (numeric address) and unix. Survives EMFILE by pausing for a moment. */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct err;
struct loop;
struct listener;

#define LISTENER_ADDRESS_MAX 64 /* room for any address as text */

/* fd is nonblocking and CLOEXEC, owned by the callback; peer is a printable address. The callback
 * may free the listener. */
typedef void listener_fn(struct listener *ls, int fd_consume, const char *peer, void *arg);

/* "127.0.0.1:3000", "[::1]:3000", ":3000" (every address). -1 and reterr on failure. */
int listener_open_tcp(const char *addr, struct err *reterr);
/* A bound listening socket (from listener_open_tcp() or fd_listen_unix()). NULL and fd closed on
 * -ENOMEM. */
struct listener *listener_new(struct loop *l, int fd_consume, listener_fn *fn, void *arg);
struct listener *listener_free(struct listener *ls);
void listener_pause(struct listener *ls, bool paused);
/* Local address as text, e.g. "127.0.0.1:41233": 0 or -errno. */
int listener_address(const struct listener *ls, char *dst, size_t cap);
/* Nonblocking connect to a numeric address: fd (connecting) or -errno (-EINVAL: not numeric). */
int listener_connect_tcp(const char *host, unsigned port);
