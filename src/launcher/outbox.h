/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The two ends of the launcher's socket share this: whole packets out, in order, never blocking. */
#include <stddef.h>

#include "base/list.h"
#include "launcher/proto.h"
#include "loop/loop.h"

#define OUTBOX_MAX 16384 /* packets waiting: more means that the other end does not read */

struct outbox {
	int fd; /* owned */
	struct loop_io io;
	struct link queue;
	size_t queued;
	void (*on_packet)(struct outbox *o, const union proto_any *m, size_t n, void *arg);
	void (*on_closed)(
	    struct outbox *o, void *arg); /* once; the owner then calls outbox_fini() */
	void *arg;
};

/* 0 or -errno; socket is closed then. */
int outbox_init(struct outbox *o, struct loop *l, int socket_consume,
    void (*on_packet)(struct outbox *o, const union proto_any *m, size_t n, void *arg),
    void (*on_closed)(struct outbox *o, void *arg), void *arg);
void outbox_fini(struct outbox *o);
/* m->head is complete. 0, -ENOMEM, -ENOBUFS, or -errno of a broken socket (on_closed follows). */
int outbox_send(struct outbox *o, const void *m);
