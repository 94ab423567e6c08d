/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Moves bytes between a serial port that speaks wire/serial_link.h and one plain connection at a
 * time, which it makes as a pair of sockets and of which its owner gets the other end.
 *
 * Guest: lives as long as the port; every client that comes gives a new connection and ends the one
 * before. Host: greets the guest, gives one connection, and ends with it.
 */
#include <stdbool.h>

#include "loop/loop.h"
#include "wire/serial_link.h"

struct serial_pump;

struct serial_pump_ops {
	/* The session's connection, nonblocking. 0, or -errno when there is no use for it. */
	int (*on_connection)(struct serial_pump *p, int fd_consume);
	/* Last call: the port is lost, or host: the connection was closed. 0 or -errno. */
	void (*on_end)(struct serial_pump *p, int err);
};

struct serial_pump {
	const struct serial_pump_ops *ops;
	struct loop *loop;
	struct serial_link link;
	struct loop_io port, conn;
	int port_fd, conn_fd;
	bool guest;
	bool conn_ended; /* the owner's side sends nothing more */
	bool conn_shut;	 /* nor will it be sent anything */
	bool ended;	 /* on_end comes */
	int err;	 /* to be told by it */
	struct loop_defer again;
	struct loop_timer tick; /* looks after a connection that is half closed; lingers */
};

/* Takes over the port's descriptor, nonblocking. 0 or -ENOMEM (it is closed then, and p needs no
 * fini). Nothing is called back from inside of these. */
int serial_pump_init_guest(
    struct serial_pump *p, struct loop *l, int port_fd_consume, const struct serial_pump_ops *ops);
int serial_pump_init_host(
    struct serial_pump *p, struct loop *l, int port_fd_consume, const struct serial_pump_ops *ops);
/* Closes port and connection; what waits to be sent is lost. Not from on_connection. */
void serial_pump_fini(struct serial_pump *p);
