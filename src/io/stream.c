/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Life of a stream:
 *
 *   STARTING ---> HANDSHAKE ---> OPEN ---> CLOSING ---> CLOSED
 *   CONNECTING -^            (TLS only)    stream_close()   descriptor gone, on_close is due
 *
 * From any state a failure or stream_abort() leads to CLOSED, stream_free() to FREED. Each
 * direction is open, ending or ended: rx is ending while the peer's end is known but bytes before
 * it were not taken yet, tx while bytes or TLS's close_notify have still to leave before the
 * descriptor is shut.
 *
 * The loop enters by on_io(), on_turn() and on_timer(). Only from there is the owner called, and
 * only there is anything sent: what callbacks queue is flushed in one call when the entry point is
 * left, what is queued from elsewhere by on_turn(). So the bytes of one turn leave together.
 *
 * Fairness: an entry reads READ_TURN bytes and writes WRITE_TURN bytes at most; whoever has more
 * waits for the descriptor's next event. (A deferred call would not do: it runs before other
 * descriptors.)
 */
#include "io/stream.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fdutil.h"
#include "base/mem.h"
#include "io/tls_session.h"
#include "loop/loop.h"

#define READ_TURN (256 * 1024)
#define WRITE_TURN (256 * 1024)
#define OUT_FIRST 1024	      /* first size of the output buffer */
#define OUT_SMALL (16 * 1024) /* up to here it is freed whenever it is empty */
#define OUT_KEEP_MS 200	      /* a larger one when it was found empty after this time: between */
			      /* the sends of a bulk transfer that would cost more than they do */

enum stream_state {
	STREAM_STATE_STARTING,
	STREAM_STATE_CONNECTING,
	STREAM_STATE_HANDSHAKE,
	STREAM_STATE_OPEN,
	STREAM_STATE_CLOSING,
	STREAM_STATE_CLOSED,
	STREAM_STATE_FREED,
};

enum side { SIDE_OPEN, SIDE_ENDING, SIDE_ENDED };

struct stream {
	struct loop *loop;
	const struct stream_ops *ops;
	void *arg;
	enum stream_state state;
	enum side rx, tx;
	int fd;
	int err;	  /* of on_close */
	int broken;	  /* writing failed with this; what the peer sent before is still read */
	unsigned entered; /* entry points on the stack */
	bool is_socket;
	bool paused;
	bool read_on;	  /* without waiting for an event, when the timer fires */
	unsigned rx_wait; /* events that reading waits for */
	unsigned tx_wait; /* events that writing waits for; 0 = it may be tried */
	struct buf in;	  /* offered but not taken */
	struct buf out;
	struct tls_session *tls;
	struct loop_io io;
	struct loop_defer turn;
	struct loop_timer timer; /* CLOSING: end of the linger; OPEN: read_on, or output memory */
};

#define TO(state) (1u << STREAM_STATE_##state)

static void set_state(struct stream *s, enum stream_state to)
{
	static const unsigned moves[] = {
		[STREAM_STATE_STARTING] = TO(HANDSHAKE) | TO(OPEN) | TO(CLOSED) | TO(FREED),
		[STREAM_STATE_CONNECTING] = TO(HANDSHAKE) | TO(OPEN) | TO(CLOSED) | TO(FREED),
		[STREAM_STATE_HANDSHAKE] = TO(OPEN) | TO(CLOSED) | TO(FREED),
		[STREAM_STATE_OPEN] = TO(CLOSING) | TO(CLOSED) | TO(FREED),
		[STREAM_STATE_CLOSING] = TO(CLOSED) | TO(FREED),
		[STREAM_STATE_CLOSED] = TO(FREED),
		[STREAM_STATE_FREED] = 0,
	};
	assert(moves[s->state] & (1u << to));
	s->state = to;
}

/* ---- ends ---- */

static void close_descriptor(struct stream *s)
{
	loop_io_fini(&s->io);
	loop_timer_cancel(&s->timer);
	s->tls = tls_session_free(s->tls);
	s->fd = fd_close(s->fd);
}

/* on_close follows from the loop. */
static void finish(struct stream *s, int err)
{
	close_descriptor(s);
	set_state(s, STREAM_STATE_CLOSED);
	s->err = err;
	loop_defer_set(&s->turn);
}

/* Make close(2) send a reset instead of an orderly end. */
static void arm_reset(const struct stream *s)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };
	if (s->is_socket)
		(void)setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static void destroy(struct stream *s)
{
	loop_defer_fini(&s->turn);
	loop_timer_fini(&s->timer);
	buf_fini(&s->in);
	buf_fini(&s->out);
	mem_free(s);
}

/* ---- transport: plain or TLS ---- */

static ssize_t plain_read(struct stream *s, void *p, size_t n)
{
	ssize_t r;
	do
		r = s->is_socket ? recv(s->fd, p, n, 0) : read(s->fd, p, n);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

static ssize_t plain_write(struct stream *s, const void *p, size_t n)
{
	ssize_t r;
	do
		r = s->is_socket ? send(s->fd, p, n, MSG_NOSIGNAL) : write(s->fd, p, n);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

/* Bytes, 0 at the end, -EAGAIN, or -errno. */
static ssize_t transport_read(struct stream *s, void *p, size_t n)
{
	s->rx_wait = LOOP_READ;
	return s->tls ? tls_session_read(s->tls, p, n, &s->rx_wait) : plain_read(s, p, n);
}

static ssize_t transport_write(struct stream *s, const void *p, size_t n)
{
	s->tx_wait = LOOP_WRITE;
	ssize_t r = s->tls ? tls_session_write(s->tls, p, n, &s->tx_wait) : plain_write(s, p, n);
	/* A plain socket that takes a part is full: spare the call that would only say so. */
	if (r > 0 && (s->tls || (size_t)r == n))
		s->tx_wait = 0;
	return r;
}

/* ---- events wanted ---- */

static unsigned wanted(const struct stream *s)
{
	unsigned want = 0;
	switch (s->state) {
	case STREAM_STATE_CONNECTING:
		return LOOP_WRITE;
	case STREAM_STATE_HANDSHAKE:
		return s->rx_wait;
	case STREAM_STATE_OPEN:
		if (s->rx == SIDE_OPEN && !s->paused && buf_len(&s->in) == 0)
			want |= s->rx_wait;
		if (buf_len(&s->out) > 0 || s->tx == SIDE_ENDING)
			want |= s->tx_wait;
		return want;
	case STREAM_STATE_CLOSING:
		return s->tx == SIDE_ENDED ? LOOP_READ : s->tx_wait;
	default:
		return 0;
	}
}

static void refresh(struct stream *s)
{
	if (s->state >= STREAM_STATE_CLOSED)
		return;
	int r = loop_io_want(&s->io, wanted(s));
	if (r < 0)
		finish(s, r);
}

/* ---- reading ---- */

/* Hand bytes to the owner; returns how many it took. */
static size_t offer(struct stream *s, const void *p, size_t n)
{
	size_t taken = s->ops->on_read(s, p, n, s->arg);
	assert(taken <= n);
	if (taken < n)
		s->paused = true;
	return taken;
}

static void offer_kept(struct stream *s)
{
	size_t n = buf_len(&s->in);
	if (s->paused || n == 0)
		return;
	size_t taken = offer(s, buf_data(&s->in), n);
	if (s->state == STREAM_STATE_OPEN) {
		buf_consume(&s->in, taken);
		if (taken == n)
			buf_fini(&s->in);
	}
}

static void offer_fresh(struct stream *s, const unsigned char *p, size_t n)
{
	size_t taken = offer(s, p, n);
	if (s->state == STREAM_STATE_OPEN && taken < n &&
	    buf_append(&s->in, p + taken, n - taken) < 0)
		finish(s, -ENOMEM);
}

static void tell_eof(struct stream *s)
{
	if (s->rx != SIDE_ENDING || s->paused || buf_len(&s->in) > 0)
		return;
	s->rx = SIDE_ENDED;
	if (s->ops->on_eof)
		s->ops->on_eof(s, s->arg);
	else
		stream_close(s, 0);
}

/* Read until p is full or the transport has no more; plain sockets are asked once. */
static ssize_t fill(struct stream *s, unsigned char *p, size_t cap, size_t *got)
{
	*got = 0;
	for (;;) {
		ssize_t r = transport_read(s, p + *got, cap - *got);
		if (r > 0)
			*got += (size_t)r;
		if (r <= 0 || !s->tls || *got == cap)
			return r;
	}
}

/* In the loop's next turn: a deferred call would run before other descriptors have theirs. */
static void read_on_later(struct stream *s)
{
	s->read_on = true;
	loop_timer_set(&s->timer, 0);
}

static void read_turn(struct stream *s)
{
	unsigned char p[READ_TURN];
	size_t got;
	ssize_t r = fill(s, p, sizeof(p), &got);
	if (got > 0)
		offer_fresh(s, p, got);
	if (s->state != STREAM_STATE_OPEN)
		return;
	if (s->broken && (got == 0 || s->paused))
		finish(s, s->broken);
	else if (r == 0)
		s->rx = SIDE_ENDING;
	else if (r < 0 && r != -EAGAIN)
		finish(s, (int)r);
	else if (s->broken || (s->tls && r > 0 && tls_session_has_pending(s->tls)))
		read_on_later(s);
}

static bool may_read(const struct stream *s)
{
	return s->state == STREAM_STATE_OPEN && s->rx == SIDE_OPEN && !s->paused &&
	       buf_len(&s->in) == 0;
}

/* The peer's remaining bytes are of no interest, only their end is. */
static void discard_turn(struct stream *s)
{
	unsigned char p[READ_TURN];
	ssize_t r = plain_read(s, p, sizeof(p));
	if (r <= 0 && r != -EAGAIN)
		s->rx = SIDE_ENDED;
}

/* ---- writing ---- */

/* A peer may have answered and closed before it took everything: read its last words first. */
static void write_failed(struct stream *s, int err)
{
	buf_fini(&s->out);
	if (!may_read(s)) {
		finish(s, err);
		return;
	}
	s->broken = err;
	s->tx = SIDE_ENDED;
	read_on_later(s);
}

static void keep_or_free_out(struct stream *s)
{
	if (buf_len(&s->out) > 0)
		return;
	if (s->out.cap <= OUT_SMALL)
		buf_fini(&s->out);
	else if (s->state == STREAM_STATE_OPEN && !loop_timer_is_armed(&s->timer))
		loop_timer_set(&s->timer, OUT_KEEP_MS);
}

/* Send once; returns how many bytes left. */
static size_t send_some(struct stream *s, size_t max)
{
	size_t n = buf_len(&s->out) < max ? buf_len(&s->out) : max;
	ssize_t r = transport_write(s, buf_data(&s->out), n);
	if (r <= 0) {
		if (r != -EAGAIN)
			write_failed(s, r < 0 ? (int)r : -EPIPE);
		return 0;
	}
	buf_consume(&s->out, (size_t)r);
	return (size_t)r;
}

static bool may_write(const struct stream *s)
{
	return (s->state == STREAM_STATE_OPEN || s->state == STREAM_STATE_CLOSING) &&
	       buf_len(&s->out) > 0 && s->tx_wait == 0;
}

static void flush(struct stream *s)
{
	size_t total = 0;
	while (may_write(s) && total < WRITE_TURN) {
		size_t sent = 0;
		while (may_write(s) && total + sent < WRITE_TURN)
			sent += send_some(s, WRITE_TURN - total - sent);
		total += sent;
		/* The owner may queue more now, which this turn still takes. */
		if (sent > 0 && s->state == STREAM_STATE_OPEN && s->ops->on_sent)
			s->ops->on_sent(s, sent, s->arg);
	}
	if (may_write(s))
		s->tx_wait = LOOP_WRITE;
	keep_or_free_out(s);
}

static void end_writing(struct stream *s)
{
	if (s->tls) {
		s->tx_wait = LOOP_WRITE;
		if (tls_session_end(s->tls, &s->tx_wait) == -EAGAIN)
			return;
	}
	/* Fails when the peer has reset the connection, which reading will tell. */
	if (s->is_socket)
		(void)shutdown(s->fd, SHUT_WR);
	s->tx = SIDE_ENDED;
}

/* ---- entry points ---- */

/* Do all that can be done now, then wait for the rest. */
static void drive(struct stream *s)
{
	if (s->state == STREAM_STATE_OPEN)
		tell_eof(s);
	flush(s);
	bool alive = s->state == STREAM_STATE_OPEN || s->state == STREAM_STATE_CLOSING;
	if (alive && s->tx == SIDE_ENDING && buf_len(&s->out) == 0 && s->tx_wait == 0)
		end_writing(s);
	if (s->state == STREAM_STATE_CLOSING && s->tx == SIDE_ENDED &&
	    (s->rx != SIDE_OPEN || !s->is_socket))
		finish(s, 0);
	refresh(s);
}

static void enter(struct stream *s)
{
	s->entered++;
}

static void leave(struct stream *s)
{
	drive(s);
	s->entered--;
	if (s->state == STREAM_STATE_FREED && s->entered == 0)
		destroy(s);
}

static void opened(struct stream *s)
{
	set_state(s, STREAM_STATE_OPEN);
	s->rx_wait = LOOP_READ;
	s->tx_wait = 0;
	if (s->ops->on_open)
		s->ops->on_open(s, s->arg);
	/* The peer's first bytes may have come with the end of its handshake. */
	if (s->tls && may_read(s) && tls_session_has_pending(s->tls))
		read_turn(s);
}

static void handshake(struct stream *s)
{
	int r = tls_session_handshake(s->tls, &s->rx_wait);
	if (r == 0)
		opened(s);
	else if (r != -EAGAIN)
		finish(s, r);
}

static void connected(struct stream *s)
{
	if (s->tls) {
		set_state(s, STREAM_STATE_HANDSHAKE);
		handshake(s);
	} else {
		opened(s);
	}
}

static void connect_ended(struct stream *s)
{
	int err = 0;
	socklen_t n = sizeof(err);
	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &n) < 0)
		err = errno;
	if (err)
		finish(s, -err);
	else
		connected(s);
}

static void on_io(struct loop_io *io, unsigned events, void *arg)
{
	struct stream *s = arg;
	enter(s);
	if (events & s->tx_wait)
		s->tx_wait = 0;
	switch (s->state) {
	case STREAM_STATE_CONNECTING:
		connect_ended(s);
		break;
	case STREAM_STATE_HANDSHAKE:
		handshake(s);
		break;
	case STREAM_STATE_OPEN:
		if (may_read(s) && (events & s->rx_wait))
			read_turn(s);
		break;
	case STREAM_STATE_CLOSING:
		if (s->tx == SIDE_ENDED)
			discard_turn(s);
		break;
	default:
		break;
	}
	leave(s);
}

/* Deferred work: the first turn, output queued outside of callbacks, kept input, and on_close. */
static void on_turn(struct loop_defer *d, void *arg)
{
	struct stream *s = arg;
	enter(s);
	if (s->state == STREAM_STATE_CLOSED) {
		s->ops->on_close(s, s->err, s->arg);
		(void)stream_free(s);
	} else if (s->state == STREAM_STATE_STARTING) {
		connected(s);
	} else if (s->state == STREAM_STATE_OPEN) {
		offer_kept(s);
		if (s->tls && may_read(s) && tls_session_has_pending(s->tls))
			read_turn(s);
	}
	leave(s);
}

static void read_on(struct stream *s)
{
	s->read_on = false;
	if (may_read(s))
		read_turn(s);
	else if (s->broken)
		finish(s, s->broken);
}

static void linger_over(struct stream *s)
{
	bool flushed = s->tx == SIDE_ENDED;
	if (!flushed)
		arm_reset(s); /* a cut answer must not look like a whole one */
	finish(s, flushed ? 0 : -ETIMEDOUT);
}

static void on_timer(struct loop_timer *t, void *arg)
{
	struct stream *s = arg;
	enter(s);
	if (s->state == STREAM_STATE_CLOSING)
		linger_over(s);
	if (s->state == STREAM_STATE_OPEN && buf_len(&s->out) == 0)
		buf_fini(&s->out);
	if (s->state == STREAM_STATE_OPEN && s->read_on)
		read_on(s);
	leave(s);
}

/* ---- interface ---- */

static void probe_socket(struct stream *s)
{
	int domain = -1, on = 1;
	socklen_t n = sizeof(domain);
	s->is_socket = getsockopt(s->fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) == 0;
	if (domain == AF_INET || domain == AF_INET6)
		(void)setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

struct stream *stream_new(
    struct loop *l, int fd_consume, bool connecting, const struct stream_ops *ops, void *arg)
{
	CLEAN_FD int fd = fd_consume;
	struct stream *s = mem_zalloc(sizeof(*s));
	if (!s)
		return NULL;
	s->loop = l;
	s->ops = ops;
	s->arg = arg;
	s->fd = fd;
	s->state = connecting ? STREAM_STATE_CONNECTING : STREAM_STATE_STARTING;
	loop_defer_init(&s->turn, l, on_turn, s);
	loop_timer_init(&s->timer, l, on_timer, s);
	probe_socket(s);
	/* Asking for an event once tells whether the loop can watch this descriptor at all. */
	if (loop_io_init(&s->io, l, fd, on_io, s) < 0 ||
	    loop_io_want(&s->io, connecting ? LOOP_WRITE : LOOP_READ) < 0) {
		loop_io_fini(&s->io);
		destroy(s);
		return NULL;
	}
	if (!connecting)
		loop_defer_set(&s->turn);
	TAKE_FD(fd);
	return s;
}

int stream_start_tls(struct stream *s, struct tls_ctx *ctx, bool server, const char *host)
{
	if (s->tls || (s->state != STREAM_STATE_STARTING && s->state != STREAM_STATE_CONNECTING))
		return -EINVAL;
	s->tls = tls_session_new(ctx, s->fd, server, host);
	return s->tls ? 0 : -ENOMEM;
}

const char *stream_alpn(const struct stream *s)
{
	return s->tls ? tls_session_alpn(s->tls) : "";
}

int stream_write(struct stream *s, const void *p, size_t n)
{
	if (s->state >= STREAM_STATE_CLOSING || s->tx != SIDE_OPEN)
		return -EPIPE;
	int r = buf_len(&s->out) == 0 && n < OUT_FIRST ? buf_reserve(&s->out, OUT_FIRST, NULL) : 0;
	if (r == 0)
		r = buf_append(&s->out, p, n);
	if (r == 0 && s->entered == 0 && may_write(s))
		loop_defer_set(&s->turn);
	return r;
}

ssize_t stream_fill(struct stream *s, ssize_t (*make)(void *arg, struct buf *out), void *arg)
{
	CLEAN_BUF struct buf nowhere = BUF_INIT;
	bool open = s->state < STREAM_STATE_CLOSING && s->tx == SIDE_OPEN;
	ssize_t r = make(arg, open ? &s->out : &nowhere);
	if (s->entered == 0 && may_write(s))
		loop_defer_set(&s->turn);
	return r > 0 && !open ? -EPIPE : r;
}

size_t stream_queued(const struct stream *s)
{
	return buf_len(&s->out);
}

void stream_pause(struct stream *s)
{
	s->paused = true;
	if (s->entered == 0)
		refresh(s);
}

void stream_resume(struct stream *s)
{
	if (!s->paused)
		return;
	s->paused = false;
	if (s->state != STREAM_STATE_OPEN)
		return;
	if (buf_len(&s->in) > 0 || s->rx == SIDE_ENDING || s->tls)
		loop_defer_set(&s->turn);
	else if (s->entered == 0)
		refresh(s);
}

void stream_shutdown(struct stream *s)
{
	if (s->state >= STREAM_STATE_CLOSING || s->tx != SIDE_OPEN)
		return;
	s->tx = SIDE_ENDING;
	if (s->state == STREAM_STATE_OPEN && s->entered == 0)
		loop_defer_set(&s->turn);
}

void stream_close(struct stream *s, uint64_t linger_ms)
{
	if (s->state >= STREAM_STATE_CLOSING)
		return;
	if (s->state != STREAM_STATE_OPEN) {
		finish(s, 0);
		return;
	}
	if (s->broken) {
		finish(s, s->broken);
		return;
	}
	set_state(s, STREAM_STATE_CLOSING);
	if (s->tx == SIDE_OPEN)
		s->tx = SIDE_ENDING;
	loop_timer_set(&s->timer, linger_ms);
	if (s->entered == 0)
		loop_defer_set(&s->turn);
}

void stream_abort(struct stream *s, int err)
{
	if (s->state >= STREAM_STATE_CLOSED)
		return;
	arm_reset(s);
	finish(s, err);
}

struct stream *stream_free(struct stream *s)
{
	if (!s)
		return NULL;
	if (s->state < STREAM_STATE_CLOSED) {
		if (buf_len(&s->out) > 0)
			arm_reset(s);
		close_descriptor(s);
	}
	if (s->state != STREAM_STATE_FREED)
		set_state(s, STREAM_STATE_FREED);
	loop_defer_cancel(&s->turn);
	if (s->entered == 0)
		destroy(s);
	return NULL;
}

bool stream_is_broken(const struct stream *s)
{
	struct pollfd p = { .fd = s->fd };
	return s->fd >= 0 && poll(&p, 1, 0) == 1 && (p.revents & (POLLERR | POLLHUP)) != 0;
}

uint64_t stream_unheard_ms(const struct stream *s)
{
	struct tcp_info info = { 0 };
	socklen_t n = sizeof(info);
	if (s->fd < 0 || getsockopt(s->fd, IPPROTO_TCP, TCP_INFO, &info, &n) < 0)
		return 0;
	return info.tcpi_unacked > 0 || info.tcpi_probes > 0 ? info.tcpi_last_ack_recv : 0;
}

int stream_fd(const struct stream *s)
{
	return s->fd;
}
