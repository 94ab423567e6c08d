/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * How the host reaches a channel of an agent in a virtual machine, as a dialer for http_client.
 *
 *   SERIAL  connects to the unix socket of the VMM's virtio-serial port, which takes one client at
 *           a time, and greets the agent (wire/serial_link.h). While no agent is there, or another
 *           client is, the dial waits, so its owner limits it.
 *   VSOCK   connects to the VMM's unix socket and asks for a port with one line; a machine without
 *           a listener there refuses at once.
 *
 * A dial fails with -ECONNREFUSED, -ENOENT and the like: worth another try while the machine
 * starts.
 */
#include <stdbool.h>

struct channel;
struct guest_channel;
struct http_dialer;
struct loop;

/* c is of a kind other than UNIX. NULL on -ENOMEM. */
struct channel *channel_new(struct loop *l, const struct guest_channel *c);
/* Its http_client is gone already; connections that still linger are closed. */
struct channel *channel_free(struct channel *ch);
/* Valid as long as the channel. */
const struct http_dialer *channel_dialer(const struct channel *ch);
/* No connection is being made; SERIAL: and none is open or lingers. */
bool channel_is_closed(const struct channel *ch);
