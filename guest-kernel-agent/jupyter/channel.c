/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/jupyter/channel.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "base/fdutil.h"

#define RETRY_MS 10
#define READ_BYTES (64 * 1024)

static void connect_begin(struct channel *c);

static void channel_update(struct channel *c)
{
	unsigned want = 0;

	if (c->closed)
		return;
	if (!c->connected || buf_len(zmtp_out(&c->zmtp)))
		want |= LOOP_WRITE;
	if (c->connected && !c->paused)
		want |= LOOP_READ;
	if (loop_io_want(&c->io, want) < 0)
		loop_timer_set(&c->retry, RETRY_MS);
}

static void channel_lose(struct channel *c, const struct err *why)
{
	if (c->closed)
		return;
	c->closed = true;
	loop_io_fini(&c->io);
	loop_timer_cancel(&c->retry);
	loop_defer_cancel(&c->again);
	c->fd = fd_close(c->fd);
	c->ops->on_close(c, why, c->arg);
}

/* ---- connecting ---- */

static void connect_later(struct channel *c)
{
	loop_io_fini(&c->io);
	c->fd = fd_close(c->fd);
	loop_timer_set(&c->retry, RETRY_MS);
}

static void connect_done(struct channel *c)
{
	int one = 1;

	if (c->addr.ss_family == AF_INET)
		(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->connected = true;
	channel_update(c);
}

static void connect_check(struct channel *c)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error)
		connect_later(c);
	else
		connect_done(c);
}

/* ---- traffic ---- */

/* Hand over messages until the input is used up or the owner has enough. 0 or -errno. */
static int channel_parse(struct channel *c, struct err *why)
{
	while (!c->paused && buf_len(&c->in)) {
		size_t used;
		int r = zmtp_feed(&c->zmtp, buf_data(&c->in), buf_len(&c->in), &used, why);

		if (r < 0)
			return r;
		buf_consume(&c->in, used);
		if (!c->opened && zmtp_is_open(&c->zmtp)) {
			c->opened = true;
			c->ops->on_open(c, c->arg);
		}
		if (r == ZMTP_E_MESSAGE)
			c->ops->on_message(c, c->arg);
	}
	return 0;
}

static int channel_read(struct channel *c, struct err *why)
{
	void *space;

	if (buf_reserve(&c->in, READ_BYTES, &space) < 0)
		return err_set(why, -ENOMEM, "no memory to read from the kernel");
	ssize_t n = read(c->fd, space, READ_BYTES);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n == 0 || (n < 0 && errno == ECONNRESET))
		return -EPIPE; /* the peer is gone: its business, why stays empty */
	if (n < 0)
		return err_set(why, -errno, "reading from the kernel failed: %s", err_name(-errno));
	buf_commit(&c->in, (size_t)n);
	return channel_parse(c, why);
}

static int channel_write(struct channel *c, struct err *why)
{
	struct buf *out = zmtp_out(&c->zmtp);

	while (buf_len(out)) {
		ssize_t n = send(c->fd, buf_data(out), buf_len(out), MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
			return -EPIPE;
		if (n < 0 && errno != EINTR)
			return err_set(
			    why, -errno, "writing to the kernel failed: %s", err_name(-errno));
		if (n > 0)
			buf_consume(out, (size_t)n);
	}
	buf_reset(out);
	return 0;
}

static void on_io(struct loop_io *io, unsigned events, void *arg)
{
	struct channel *c = arg;
	struct err why = ERR_INIT;
	int r = 0;

	if (!c->connected) {
		connect_check(c);
		return;
	}
	if (events & LOOP_READ && !c->paused)
		r = channel_read(c, &why);
	if (r == 0)
		r = channel_write(c, &why);
	if (r < 0)
		channel_lose(c, &why);
	else
		channel_update(c);
}

static void on_again(struct loop_defer *d, void *arg)
{
	struct channel *c = arg;
	struct err why = ERR_INIT;
	int r = c->connected ? channel_parse(c, &why) : 0;

	if (r == 0 && c->connected)
		r = channel_write(c, &why);
	if (r < 0)
		channel_lose(c, &why);
	else
		channel_update(c);
}

static void on_retry(struct loop_timer *t, void *arg)
{
	struct channel *c = arg;

	if (c->fd < 0)
		connect_begin(c);
	else
		channel_update(c);
}

static void connect_begin(struct channel *c)
{
	c->fd = socket(c->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0 || loop_io_init(&c->io, c->loop, c->fd, on_io, c) < 0) {
		connect_later(c);
		return;
	}
	if (connect(c->fd, (struct sockaddr *)&c->addr, c->addr_len) == 0)
		connect_done(c);
	else if (errno == EINPROGRESS)
		channel_update(c);
	else
		connect_later(c);
}

int channel_init(struct channel *c, struct loop *l, enum zmtp_role role,
    const struct sockaddr *addr, socklen_t addr_len, const struct channel_ops *ops, void *arg)
{
	*c = (struct channel){ .loop = l, .ops = ops, .arg = arg, .fd = -1, .addr_len = addr_len };
	memcpy(&c->addr, addr, addr_len);
	loop_timer_init(&c->retry, l, on_retry, c);
	loop_defer_init(&c->again, l, on_again, c);
	if (zmtp_init(&c->zmtp, role) < 0)
		return -ENOMEM;
	connect_begin(c);
	return 0;
}

void channel_fini(struct channel *c)
{
	if (!c->loop)
		return;
	loop_io_fini(&c->io);
	loop_timer_fini(&c->retry);
	loop_defer_fini(&c->again);
	c->fd = fd_close(c->fd);
	buf_fini(&c->in);
	zmtp_fini(&c->zmtp);
	c->loop = NULL;
}

/* ---- for the owner ---- */

void channel_flush(struct channel *c)
{
	struct err ignored = ERR_INIT;

	if (c->closed || !c->connected)
		return;
	/* An error shows again in on_io(), which may tell the owner. */
	(void)channel_write(c, &ignored);
	channel_update(c);
}

void channel_pause(struct channel *c)
{
	c->paused = true;
	channel_update(c);
}

void channel_resume(struct channel *c)
{
	if (!c->paused || c->closed)
		return;
	c->paused = false;
	loop_defer_set(&c->again);
}
