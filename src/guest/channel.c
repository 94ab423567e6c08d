/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/channel.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest/guest.h"
#include "loop/loop.h"
#include "rpc/http_client.h"
#include "rpc/serial_pump.h"

#define ANSWER_MAX 32 /* "OK 1073741824\n" */

struct channel {
	struct loop *loop;
	enum guest_channel_kind kind;
	char *path;
	uint32_t port;
	struct http_dialer dialer;
	struct link dials;
};

/* A connection that is being made; of a serial port also one that is open. */
struct dial {
	struct link link; /* in channel->dials */
	struct channel *channel;
	http_dialed_fn *dialed; /* NULL once it was called */
	void *user;
	int err; /* it could not even be begun */
	struct loop_defer fail;
	/* serial */
	struct serial_pump pump;
	bool pumping;
	/* vsock */
	int fd;
	struct loop_io io;
	char answer[ANSWER_MAX];
	size_t n_answer;
};

/* ---- ends ---- */

static void forget(struct dial *d)
{
	loop_defer_fini(&d->fail);
	loop_io_fini(&d->io);
	d->fd = fd_close(d->fd);
	if (d->pumping)
		serial_pump_fini(&d->pump);
	link_remove(&d->link);
	mem_free(d);
}

/* From the loop; last use of d. */
static void end(struct dial *d, int fd_or_err)
{
	http_dialed_fn *dialed = d->dialed;
	void *user = d->user;
	forget(d);
	if (dialed)
		dialed(fd_or_err, user);
}

static void on_fail(struct loop_defer *f, void *arg)
{
	struct dial *d = arg;
	end(d, d->err);
}

/* ---- serial ---- */

static int on_connection(struct serial_pump *p, int fd_consume)
{
	struct dial *d = container_of(p, struct dial, pump);
	http_dialed_fn *dialed = TAKE(d->dialed);
	dialed(fd_consume, d->user);
	return 0;
}

static void on_end(struct serial_pump *p, int err)
{
	/* A port whose other end goes away before the agent has answered: it does not run yet. */
	end(container_of(p, struct dial, pump), -ECONNREFUSED);
}

static const struct serial_pump_ops pump_ops = { on_connection, on_end };

static int begin_serial(struct dial *d, int fd_consume)
{
	int r = serial_pump_init_host(&d->pump, d->channel->loop, fd_consume, &pump_ops);
	d->pumping = r == 0;
	return r;
}

/* ---- vsock ---- */

/* 0: the line is not complete; 1: the port is open; or -errno. */
static int judge_answer(const struct dial *d)
{
	if (d->answer[d->n_answer - 1] != '\n')
		return d->n_answer < ANSWER_MAX ? 0 : -EPROTO;
	return d->n_answer > 3 && memcmp(d->answer, "OK ", 3) == 0 ? 1 : -EPROTO;
}

/* Byte by byte: what follows the line belongs to the connection. */
static void on_answer(struct loop_io *io, unsigned events, void *arg)
{
	struct dial *d = arg;
	for (int verdict = 0; verdict == 0;) {
		ssize_t n = recv(d->fd, d->answer + d->n_answer, 1, 0);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n > 0)
			d->n_answer++;
		verdict = n > 0 ? judge_answer(d) : -ECONNREFUSED;
		if (verdict == 1) {
			loop_io_fini(&d->io);
			end(d, TAKE_FD(d->fd));
		} else if (verdict < 0) {
			end(d, verdict);
		}
	}
}

static int begin_vsock(struct dial *d, int fd_consume)
{
	char line[ANSWER_MAX];
	int n = snprintf(line, sizeof(line), "CONNECT %u\n", d->channel->port);
	d->fd = fd_consume;
	ssize_t sent = send(d->fd, line, (size_t)n, MSG_NOSIGNAL);
	if (sent != n)
		return sent < 0 ? -errno : -EPROTO;
	int r = loop_io_init(&d->io, d->channel->loop, d->fd, on_answer, d);
	return r < 0 ? r : loop_io_want(&d->io, LOOP_READ);
}

/* ---- the dialer ---- */

static void *start(void *arg, http_dialed_fn *dialed, void *user)
{
	struct channel *ch = arg;
	struct dial *d = mem_zalloc(sizeof(*d));
	if (!d)
		return NULL;
	d->channel = ch;
	d->dialed = dialed;
	d->user = user;
	d->fd = -1;
	list_push_back(&ch->dials, &d->link);
	loop_defer_init(&d->fail, ch->loop, on_fail, d);
	int fd = fd_connect_unix(ch->path);
	int r = fd;
	if (fd >= 0)
		r = ch->kind == GUEST_CHANNEL_SERIAL ? begin_serial(d, fd) : begin_vsock(d, fd);
	if (r < 0) {
		d->err = r;
		loop_defer_set(&d->fail);
	}
	return d;
}

static void cancel(void *dial)
{
	forget(dial);
}

static const struct http_dialer_ops dialer_ops = { start, cancel };

/* ---- life ---- */

struct channel *channel_new(struct loop *l, const struct guest_channel *c)
{
	struct channel *ch = mem_zalloc(sizeof(*ch));
	assert(c->kind != GUEST_CHANNEL_UNIX);
	if (!ch)
		return NULL;
	ch->loop = l;
	ch->kind = c->kind;
	ch->port = c->port;
	ch->path = mem_strdup(c->path);
	ch->dialer = (struct http_dialer){ &dialer_ops, ch };
	link_init(&ch->dials);
	return ch->path ? ch : channel_free(ch);
}

struct channel *channel_free(struct channel *ch)
{
	if (!ch)
		return NULL;
	LIST_EACH_SAFE(k, &ch->dials)
	forget(container_of(k, struct dial, link));
	mem_free(ch->path);
	return mem_free(ch);
}

const struct http_dialer *channel_dialer(const struct channel *ch)
{
	return &ch->dialer;
}

bool channel_is_closed(const struct channel *ch)
{
	return list_is_empty(&ch->dials);
}
