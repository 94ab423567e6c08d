/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A virtio-serial port as a VMM has it: a unix socket that takes one client at a time, and a
 * descriptor for the guest that outlives them. Bytes that a client left behind stay in the port.
 * Clients can be cut off after any number of bytes.
 */
#include <stddef.h>

#include "io/listener.h"
#include "loop/loop.h"

struct fake_port {
	struct loop *loop;
	struct listener *listener;
	int client_fd, port_fd; /* client_fd -1 = none is connected */
	struct loop_io client, port;
	unsigned clients;	/* that have come so far */
	long in_left, out_left; /* bytes until the client is cut off; -1 = it is not */
};

/* Returns the guest's descriptor. */
int fake_port_open(struct fake_port *f, struct loop *l, const char *path);
void fake_port_close(struct fake_port *f);
/* Cut off the present or next client after so many bytes, once. */
void fake_port_cut(struct fake_port *f, long in, long out);
