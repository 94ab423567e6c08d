/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/fake_port.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <check.h>

#include "base/fdutil.h"

static void drop_client(struct fake_port *f)
{
	loop_io_fini(&f->client);
	f->client_fd = fd_close(f->client_fd);
	(void)loop_io_want(&f->port, 0);
	f->in_left = f->out_left = -1;
	listener_pause(f->listener, false);
}

/* Moves what fits; small pieces, so that cuts are exact. False when the source has ended. */
static bool move(struct fake_port *f, int from, int to, long *left)
{
	char piece[4096];
	size_t max = sizeof(piece);
	if (*left >= 0 && (size_t)*left < max)
		max = (size_t)*left;
	ssize_t n = max ? recv(from, piece, max, MSG_PEEK) : 0;
	if (n < 0)
		return errno == EAGAIN;
	if (n == 0)
		return false;
	ssize_t sent = send(to, piece, (size_t)n, MSG_NOSIGNAL);
	if (sent < 0)
		return errno == EAGAIN;
	ck_assert_int_eq(recv(from, piece, (size_t)sent, 0), sent);
	if (*left >= 0)
		*left -= sent;
	return *left != 0;
}

static void on_client(struct loop_io *io, unsigned events, void *arg)
{
	struct fake_port *f = arg;
	if (!move(f, f->client_fd, f->port_fd, &f->in_left))
		drop_client(f);
}

static void on_port(struct loop_io *io, unsigned events, void *arg)
{
	struct fake_port *f = arg;
	if (f->client_fd >= 0 && !move(f, f->port_fd, f->client_fd, &f->out_left))
		drop_client(f);
}

static void on_client_comes(struct listener *ls, int fd_consume, const char *peer, void *arg)
{
	struct fake_port *f = arg;
	ck_assert_int_eq(f->client_fd, -1);
	f->client_fd = fd_consume;
	f->clients++;
	listener_pause(ls, true);
	ck_assert_int_eq(loop_io_init(&f->client, f->loop, fd_consume, on_client, f), 0);
	ck_assert_int_eq(loop_io_want(&f->client, LOOP_READ), 0);
	ck_assert_int_eq(loop_io_want(&f->port, LOOP_READ), 0);
}

int fake_port_open(struct fake_port *f, struct loop *l, const char *path)
{
	int pair[2], fd = fd_listen_unix(path, 0600, 1);
	ck_assert_int_ge(fd, 0);
	*f = (struct fake_port){ .loop = l, .client_fd = -1, .in_left = -1, .out_left = -1 };
	f->listener = listener_new(l, fd, on_client_comes, f);
	ck_assert_ptr_nonnull(f->listener);
	ck_assert_int_eq(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	f->port_fd = pair[0];
	ck_assert_int_eq(loop_io_init(&f->port, l, f->port_fd, on_port, f), 0);
	return pair[1];
}

void fake_port_close(struct fake_port *f)
{
	if (!f->listener)
		return;
	if (f->client_fd >= 0)
		drop_client(f);
	loop_io_fini(&f->port);
	f->port_fd = fd_close(f->port_fd);
	f->listener = listener_free(f->listener);
}

void fake_port_cut(struct fake_port *f, long in, long out)
{
	f->in_left = in;
	f->out_left = out;
}
