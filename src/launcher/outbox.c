/* SPDX-License-Identifier: Apache-2.0 */
#include "launcher/outbox.h"

#include <errno.h>
#include <string.h>

#include "base/fdutil.h"
#include "base/mem.h"

#define PACKETS_A_TURN 64

struct packet {
	struct link link;
	size_t n;
	unsigned char bytes[];
};

static void flush(struct outbox *o)
{
	while (!list_is_empty(&o->queue)) {
		struct packet *p = container_of(list_first(&o->queue), struct packet, link);
		if (fd_send_msg(o->fd, p->bytes, p->n, NULL, 0) == -EAGAIN)
			return;
		/* Any other failure means a dead peer, which reading finds out. */
		link_remove(&p->link);
		o->queued--;
		(void)mem_free(p);
	}
	(void)loop_io_want(&o->io, LOOP_READ);
}

/* Deliver what has come. False when the peer is gone. */
static bool drain(struct outbox *o)
{
	for (int i = 0; i < PACKETS_A_TURN; i++) {
		union proto_any m;
		size_t nfds = 0;
		ssize_t n = fd_recv_msg(o->fd, &m, sizeof(m), NULL, 0, &nfds);
		if (n == -EAGAIN || n == -EINTR)
			return true;
		if (n <= 0)
			return false;
		o->on_packet(o, &m, (size_t)n, o->arg);
		if (o->fd < 0)
			return true; /* finished by its owner */
	}
	return true;
}

static void on_io(struct loop_io *io, unsigned events, void *arg)
{
	struct outbox *o = arg;
	if (events & LOOP_WRITE)
		flush(o);
	if ((events & LOOP_READ) && !drain(o)) {
		loop_io_fini(&o->io);
		o->on_closed(o, o->arg);
	}
}

int outbox_init(struct outbox *o, struct loop *l, int socket_consume,
    void (*on_packet)(struct outbox *o, const union proto_any *m, size_t n, void *arg),
    void (*on_closed)(struct outbox *o, void *arg), void *arg)
{
	*o = (struct outbox){
		.fd = socket_consume, .on_packet = on_packet, .on_closed = on_closed, .arg = arg
	};
	link_init(&o->queue);
	int r = fd_set_cloexec(o->fd, 1);
	if (r == 0)
		r = fd_set_nonblock(o->fd);
	if (r == 0)
		r = loop_io_init(&o->io, l, o->fd, on_io, o);
	if (r == 0)
		r = loop_io_want(&o->io, LOOP_READ);
	if (r < 0)
		outbox_fini(o);
	return r;
}

void outbox_fini(struct outbox *o)
{
	if (!o->queue.next)
		return;
	loop_io_fini(&o->io);
	o->fd = fd_close(o->fd);
	for (struct link *l; (l = list_pop_front(&o->queue));)
		(void)mem_free(container_of(l, struct packet, link));
	o->queued = 0;
}

int outbox_send(struct outbox *o, const void *m)
{
	size_t n = proto_size(((const struct proto_header *)m)->kind);
	if (list_is_empty(&o->queue)) {
		ssize_t r = fd_send_msg(o->fd, m, n, NULL, 0);
		if (r != -EAGAIN)
			return r < 0 ? (int)r : 0;
	}
	if (o->queued >= OUTBOX_MAX)
		return -ENOBUFS;
	struct packet *p = mem_alloc(sizeof(*p) + n);
	if (!p)
		return -ENOMEM;
	p->n = n;
	memcpy(p->bytes, m, n);
	link_init(&p->link);
	list_push_back(&o->queue, &p->link);
	o->queued++;
	return loop_io_want(&o->io, LOOP_READ | LOOP_WRITE);
}
