/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/process/input.h"

#include <errno.h>
#include <unistd.h>

#include "base/fdutil.h"

static void piece_end(struct input *in, struct input_piece *piece, int err)
{
	link_remove(&piece->link);
	in->queued -= piece->n;
	piece->done(piece, err);
}

static void close_now(struct input *in, int err)
{
	loop_io_fini(&in->io);
	in->fd = fd_close(in->fd);
	for (struct link *k; (k = list_first(&in->pieces));)
		piece_end(in, container_of(k, struct input_piece, link), err);
}

/* 1 when the piece is written, 0 when the process takes no more now, or -errno. */
static int write_piece(struct input *in, struct input_piece *piece)
{
	while (piece->n > 0) {
		ssize_t n = write(in->fd, piece->p, piece->n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		piece->p += n;
		piece->n -= (size_t)n;
		in->queued -= (size_t)n;
	}
	return 1;
}

static void on_writable(struct loop_io *io, unsigned events, void *arg)
{
	struct input *in = arg;
	struct link *k = list_first(&in->pieces);
	struct input_piece *piece = k ? container_of(k, struct input_piece, link) : NULL;
	int r = piece ? write_piece(in, piece) : 0;
	if (r < 0) {
		close_now(in, r);
		return;
	}
	bool last = list_is_empty(&in->pieces) || (r > 0 && piece->link.next == &in->pieces);
	if (last && in->closing) {
		/* Before done(), which may end everything. */
		loop_io_fini(&in->io);
		in->fd = fd_close(in->fd);
	} else if (last) {
		(void)loop_io_want(&in->io, 0);
	}
	if (r > 0)
		piece_end(in, piece, 0);
}

int input_init(struct input *in, struct loop *l, int fd_consume)
{
	link_init(&in->pieces);
	in->fd = fd_consume;
	int r = loop_io_init(&in->io, l, in->fd, on_writable, in);
	if (r < 0)
		in->fd = fd_close(in->fd);
	return r;
}

void input_fini(struct input *in)
{
	if (in->pieces.next)
		close_now(in, -EPIPE);
}

bool input_is_open(const struct input *in)
{
	return in->fd >= 0 && !in->closing;
}

int input_add(struct input *in, struct input_piece *piece)
{
	if (!input_is_open(in))
		return -EPIPE;
	if (piece->n > INPUT_QUEUE_MAX - in->queued)
		return -ENOBUFS;
	int r = loop_io_want(&in->io, LOOP_WRITE);
	if (r < 0)
		return r;
	list_push_back(&in->pieces, &piece->link);
	in->queued += piece->n;
	return 0;
}

void input_remove(struct input *in, struct input_piece *piece)
{
	if (!link_is_linked(&piece->link))
		return;
	link_remove(&piece->link);
	in->queued -= piece->n;
}

void input_close(struct input *in)
{
	if (!input_is_open(in))
		return;
	in->closing = true;
	if (list_is_empty(&in->pieces))
		close_now(in, 0);
}
