/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/system/vm_channels.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>

#include <linux/vm_sockets.h>

#include "base/err.h"
#include "base/fdutil.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "guest-kernel-agent/system/serial_port.h"
#include "loop/loop.h"
#include "rpc/http_server.h"
#include "rpc/serial_pump.h"

#define BACKLOG 64
#define CHANNELS 2

struct channel {
	struct vm_channels *owner;
	struct http_server *server;
	struct serial_pump pump; /* either this */
	bool pumping;
	int fd; /* or these; -1 = no listener */
	struct loop_io io;
};

struct vm_channels {
	void (*on_lost)(void *arg);
	void *arg;
	struct channel channels[CHANNELS];
};

/* ---- serial ---- */

static int on_connection(struct serial_pump *p, int fd_consume)
{
	struct channel *c = container_of(p, struct channel, pump);
	return http_server_adopt(c->server, fd_consume);
}

static void on_end(struct serial_pump *p, int err)
{
	struct channel *c = container_of(p, struct channel, pump);
	log_error("serial port: %s", err_name(err));
	c->owner->on_lost(c->owner->arg);
}

static const struct serial_pump_ops pump_ops = { on_connection, on_end };

static int open_serial(struct channel *c, struct loop *l, const char *name, struct err *reterr)
{
	int fd = serial_port_open(name);
	int r = fd < 0 ? fd : serial_pump_init_guest(&c->pump, l, fd, &pump_ops);
	c->pumping = r == 0;
	return r < 0 ? err_set(reterr, r, "serial port %s: %s", name, err_name(r)) : 0;
}

/* ---- vsock ---- */

/* Programs of the sandbox can connect to it as well, and are turned away. */
static void on_client(struct loop_io *io, unsigned events, void *arg)
{
	struct channel *c = arg;
	struct sockaddr_vm peer = { 0 };
	socklen_t n = sizeof(peer);
	CLEAN_FD int fd =
	    accept4(c->fd, (struct sockaddr *)&peer, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0 && peer.svm_cid == VMADDR_CID_HOST)
		(void)http_server_adopt(c->server, TAKE_FD(fd));
}

static int listen_vsock(struct channel *c, struct loop *l, unsigned port)
{
	const struct sockaddr_vm any = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port
	};
	c->fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || bind(c->fd, (const struct sockaddr *)&any, sizeof(any)) < 0 ||
	    listen(c->fd, BACKLOG) < 0)
		return -errno;
	int r = loop_io_init(&c->io, l, c->fd, on_client, c);
	return r < 0 ? r : loop_io_want(&c->io, LOOP_READ);
}

static int open_vsock(struct channel *c, struct loop *l, unsigned port, struct err *reterr)
{
	int r = listen_vsock(c, l, port);
	return r < 0 ? err_set(reterr, r, "vsock port %u: %s", port, err_name(r)) : 0;
}

/* ---- life ---- */

struct vm_channels *vm_channels_open(struct loop *l, enum vm_channel kind,
    struct http_server *control, struct http_server *data, void (*on_lost)(void *arg), void *arg,
    struct err *reterr)
{
	static const char *const names[] = { SERIAL_PORT_CONTROL, SERIAL_PORT_DATA };
	static const unsigned ports[] = { VM_CHANNEL_CONTROL_PORT, VM_CHANNEL_DATA_PORT };
	struct vm_channels *cs = mem_zalloc(sizeof(*cs));
	int r = 0;
	if (!cs) {
		(void)err_set(reterr, -ENOMEM, "out of memory");
		return NULL;
	}
	cs->on_lost = on_lost;
	cs->arg = arg;
	for (size_t i = 0; i < CHANNELS; i++)
		cs->channels[i] =
		    (struct channel){ .owner = cs, .server = i ? data : control, .fd = -1 };
	for (size_t i = 0; r == 0 && i < CHANNELS; i++)
		r = kind == VM_CHANNEL_SERIAL ? open_serial(&cs->channels[i], l, names[i], reterr)
					      : open_vsock(&cs->channels[i], l, ports[i], reterr);
	return r < 0 ? vm_channels_free(cs) : cs;
}

struct vm_channels *vm_channels_free(struct vm_channels *cs)
{
	if (!cs)
		return NULL;
	for (size_t i = 0; i < CHANNELS; i++) {
		struct channel *c = &cs->channels[i];
		if (c->pumping)
			serial_pump_fini(&c->pump);
		loop_io_fini(&c->io);
		c->fd = fd_close(c->fd);
	}
	return mem_free(cs);
}
