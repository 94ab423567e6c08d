/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each event leads to one pass over everything that may move; a pass that moved something is
 * repeated in a later turn, so the port may tell of its events by edges. It must, in the guest:
 * while no client is there a virtio port reports a hang-up for as long as that lasts. It is not
 * read then: what an old client left in it is read, and dropped, once a new one is there, and an
 * answer to a client whose arrival the kernel has not noticed yet would be lost.
 */
#include "rpc/serial_pump.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "base/id.h"

#define TICK_MS 500 /* a connection closed while it was half closed; last bytes of the host */

static void work(struct serial_pump *p);

/* ---- ends ---- */

static void close_conn(struct serial_pump *p)
{
	loop_io_fini(&p->conn);
	p->conn_fd = fd_close(p->conn_fd);
}

static void end(struct serial_pump *p, int err)
{
	if (p->ended)
		return;
	p->ended = true;
	p->err = err;
	close_conn(p);
	(void)loop_io_want(&p->port, 0);
	loop_defer_set(&p->again);
}

/* The connection is over at our side. The host lingers until the guest was told. */
static void drop_conn(struct serial_pump *p)
{
	if (p->conn_fd < 0)
		return;
	close_conn(p);
	if (serial_link_close(&p->link) < 0)
		end(p, -ENOMEM);
	else if (!p->guest)
		loop_timer_set(&p->tick, TICK_MS);
}

static bool is_transient(int err)
{
	return err == EAGAIN || err == EINTR;
}

static bool is_hung_up(int fd)
{
	struct pollfd pfd = { .fd = fd };
	return poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLHUP) != 0;
}

/* ---- connection ---- */

static void on_io(struct loop_io *io, unsigned events, void *arg)
{
	work(arg);
}

static int open_conn(struct serial_pump *p)
{
	int pair[2];
	close_conn(p);
	p->conn_ended = p->conn_shut = false;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	p->conn_fd = pair[0];
	int r = loop_io_init(&p->conn, p->loop, p->conn_fd, on_io, p);
	if (r < 0)
		(void)fd_close(pair[1]);
	else
		r = p->ops->on_connection(p, pair[1]);
	return r;
}

/* An owner without use for it is heard of as one that closed it. */
static void begin_session(struct serial_pump *p)
{
	if (open_conn(p) == 0)
		return;
	close_conn(p);
	if (serial_link_close(&p->link) < 0 || !p->guest)
		end(p, -ENOMEM);
}

/* The owner sends nothing more, and perhaps reads nothing more either. */
static void conn_eof(struct serial_pump *p)
{
	p->conn_ended = true;
	if (is_hung_up(p->conn_fd)) {
		drop_conn(p);
		return;
	}
	if (serial_link_finish(&p->link) < 0)
		end(p, -ENOMEM);
	else
		loop_timer_set(&p->tick, TICK_MS);
}

/* ---- moves: true when something moved ---- */

static bool from_conn(struct serial_pump *p)
{
	char piece[SERIAL_LINK_PAYLOAD_MAX];
	if (p->conn_fd < 0 || p->conn_ended || serial_link_room(&p->link) == 0)
		return false;
	ssize_t n = recv(p->conn_fd, piece, sizeof(piece), 0);
	if (n < 0 && is_transient(errno))
		return false;
	if (n < 0)
		drop_conn(p);
	else if (n == 0)
		conn_eof(p);
	else if (serial_link_write(&p->link, piece, (size_t)n) < 0)
		end(p, -ENOMEM);
	return true;
}

static bool to_conn(struct serial_pump *p)
{
	if (p->conn_fd < 0 || p->conn_shut)
		return false;
	if (serial_link_is_at_end(&p->link)) {
		p->conn_shut = true;
		(void)shutdown(p->conn_fd, SHUT_WR);
		if (p->conn_ended)
			drop_conn(p);
		return true;
	}
	size_t left = serial_link_readable(&p->link);
	if (left == 0)
		return false;
	ssize_t n = send(p->conn_fd, buf_data(&p->link.in), left, MSG_NOSIGNAL);
	if (n < 0 && is_transient(errno))
		return false;
	if (n < 0)
		drop_conn(p);
	else
		serial_link_used(&p->link, (size_t)n);
	return true;
}

/* Bytes may hold several sessions, each of which gets its connection. */
static void take(struct serial_pump *p, const char *data, size_t n)
{
	for (size_t done = 0; done < n && !p->ended;) {
		enum serial_link_event event;
		ssize_t k = serial_link_recv(&p->link, data + done, n - done, &event);
		if (k < 0) {
			end(p, (int)k);
			return;
		}
		done += (size_t)k;
		if (event == SERIAL_LINK_OPENED)
			begin_session(p);
	}
}

/* A piece always fits in: the link has room for a frame of this size, and a frame's begin. */
static bool from_port(struct serial_pump *p)
{
	char piece[SERIAL_LINK_PAYLOAD_MAX / 2];
	if (p->ended || buf_len(&p->link.in) + 2 * SERIAL_LINK_PAYLOAD_MAX > SERIAL_LINK_BUFFER)
		return false;
	ssize_t n = read(p->port_fd, piece, sizeof(piece));
	if (n > 0) {
		take(p, piece, (size_t)n);
		return true;
	}
	if (n < 0 && is_transient(errno))
		return false;
	if (p->guest && n == 0)
		return false; /* the client went this moment: an event comes */
	end(p, n == 0 ? -ECONNRESET : -errno);
	return false;
}

static bool to_port(struct serial_pump *p)
{
	struct buf *out = &p->link.out;
	if (p->ended || buf_len(out) == 0)
		return false;
	ssize_t n = p->guest ? write(p->port_fd, buf_data(out), buf_len(out))
			     : send(p->port_fd, buf_data(out), buf_len(out), MSG_NOSIGNAL);
	if (n < 0 && is_transient(errno))
		return false;
	if (n < 0) {
		end(p, -errno);
		return false;
	}
	serial_link_sent(&p->link, (size_t)n);
	return n > 0;
}

/* ---- turns ---- */

/* Guest: no client is there. */
static bool is_alone(struct serial_pump *p)
{
	if (!p->guest || !is_hung_up(p->port_fd))
		return false;
	close_conn(p);
	serial_link_hang_up(&p->link);
	return true;
}

static bool may_want_conn(const struct serial_pump *p)
{
	return p->conn_fd >= 0 && !p->ended;
}

static void set_wants(struct serial_pump *p)
{
	unsigned conn = 0, port = LOOP_READ | LOOP_WRITE | LOOP_EDGE;
	if (!p->guest)
		port = (buf_len(&p->link.in) + 2 * SERIAL_LINK_PAYLOAD_MAX > SERIAL_LINK_BUFFER
			       ? 0
			       : LOOP_READ) |
		       (buf_len(&p->link.out) ? LOOP_WRITE : 0);
	if (may_want_conn(p) && !p->conn_ended && serial_link_room(&p->link) > 0)
		conn |= LOOP_READ;
	if (may_want_conn(p) && !p->conn_shut && serial_link_readable(&p->link) > 0)
		conn |= LOOP_WRITE;
	if (loop_io_want(&p->port, port) < 0 ||
	    (p->conn_fd >= 0 && loop_io_want(&p->conn, conn) < 0))
		end(p, -ENOMEM);
}

static bool move(struct serial_pump *p)
{
	bool moved = from_port(p);
	moved |= to_conn(p);
	moved |= from_conn(p);
	moved |= to_port(p);
	return moved;
}

static void work(struct serial_pump *p)
{
	if (p->ended)
		return;
	bool moved = !is_alone(p) && move(p);
	/* The host's connection was closed, and the guest was told. */
	if (!p->guest && p->link.state == SERIAL_LINK_IDLE && buf_len(&p->link.out) == 0)
		end(p, 0);
	if (p->ended)
		return;
	set_wants(p);
	if (moved)
		loop_defer_set(&p->again);
}

static void on_again(struct loop_defer *d, void *arg)
{
	struct serial_pump *p = arg;
	if (p->ended)
		p->ops->on_end(p, p->err);
	else
		work(p);
}

static void on_tick(struct loop_timer *t, void *arg)
{
	struct serial_pump *p = arg;
	if (p->conn_fd < 0) {
		if (!p->guest)
			end(p, 0); /* the guest reads nothing: it lingered long enough */
		return;
	}
	if (!p->conn_ended)
		return;
	if (is_hung_up(p->conn_fd))
		drop_conn(p);
	else
		loop_timer_set(&p->tick, TICK_MS);
	work(p);
}

/* ---- life ---- */

static int init(struct serial_pump *p, struct loop *l, const struct serial_pump_ops *ops)
{
	p->ops = ops;
	p->loop = l;
	p->conn_fd = -1;
	loop_defer_init(&p->again, l, on_again, p);
	loop_timer_init(&p->tick, l, on_tick, p);
	int r = loop_io_init(&p->port, l, p->port_fd, on_io, p);
	if (r < 0)
		serial_pump_fini(p);
	else
		loop_defer_set(&p->again);
	return r;
}

int serial_pump_init_guest(
    struct serial_pump *p, struct loop *l, int port_fd_consume, const struct serial_pump_ops *ops)
{
	*p = (struct serial_pump){ .guest = true, .port_fd = port_fd_consume };
	serial_link_init_guest(&p->link);
	return init(p, l, ops);
}

int serial_pump_init_host(
    struct serial_pump *p, struct loop *l, int port_fd_consume, const struct serial_pump_ops *ops)
{
	struct {
		uint32_t session;
		unsigned char nonce[SERIAL_LINK_NONCE];
	} fresh;
	*p = (struct serial_pump){ .port_fd = port_fd_consume, .conn_fd = -1 };
	id_random(&fresh, sizeof(fresh));
	int r = serial_link_init_host(&p->link, fresh.session | 1, fresh.nonce);
	if (r == 0)
		return init(p, l, ops);
	serial_pump_fini(p);
	return r;
}

void serial_pump_fini(struct serial_pump *p)
{
	if (p->loop) {
		loop_defer_fini(&p->again);
		loop_timer_fini(&p->tick);
		loop_io_fini(&p->port);
		close_conn(p);
	}
	p->port_fd = fd_close(p->port_fd);
	serial_link_fini(&p->link);
}
