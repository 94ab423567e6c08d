/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One ZMTP connection to a kernel: a unix or loopback TCP socket joined to the parser. Connecting
 * is tried again every few milliseconds until the kernel listens; the owner limits how long that
 * may take.
 *
 * Callbacks come from the loop only, never from inside a call below, and must not call
 * channel_fini().
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/err.h"
#include "guest-kernel-agent/jupyter/zmtp.h"
#include "loop/loop.h"

struct channel;

struct channel_ops {
	void (*on_open)(struct channel *c, void *arg); /* the handshake is done */
	/* A message is complete; its frames are valid until the callback returns or, after
	 * channel_pause(), until channel_resume(). */
	void (*on_message)(struct channel *c, void *arg);
	/* Last call: the peer is gone (why->code 0), or the connection cannot go on. */
	void (*on_close)(struct channel *c, const struct err *why, void *arg);
};

struct channel {
	struct loop *loop;
	const struct channel_ops *ops;
	void *arg;
	struct sockaddr_storage addr;
	socklen_t addr_len;
	struct zmtp zmtp;
	struct buf in; /* received, not yet parsed */
	struct loop_io io;
	struct loop_timer retry;
	struct loop_defer again; /* parse what is left in in */
	int fd;
	bool connected, opened, paused, closed;
};

/* Starts to connect at once. 0 or -ENOMEM; channel_fini() is due in both cases. */
int channel_init(struct channel *c, struct loop *l, enum zmtp_role role,
    const struct sockaddr *addr, socklen_t addr_len, const struct channel_ops *ops, void *arg);
void channel_fini(struct channel *c); /* accepts zeroed memory */

/* Send what was queued on c->zmtp. A failure is told by on_close. */
void channel_flush(struct channel *c);
void channel_pause(struct channel *c); /* no further message, nothing is read */
void channel_resume(struct channel *c);
