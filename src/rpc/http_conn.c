/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input goes from the stream to the session as it comes. Output is pulled from the session while
 * the stream holds less than OUT_MARK: more stays in the session, where priorities and windows
 * rule, so a slow peer costs no more memory than that and what the windows allow.
 *
 * Every event ends in the same two steps: pump() moves output, settle() closes a finished
 * connection and lets reading follow what the session wants. In an event of the stream both happen
 * before it is left, so that all output of a turn leaves in one call. Output that appears elsewhere
 * (an owner writes to a stream from a timer or from another connection) reaches us by the session's
 * wake and a deferred call.
 *
 * A session that asks for a reset of the connection (HTTP/1.1 has no other way to break off a
 * message) gets one: the peer sees RST and never an end that looks complete.
 */
#include "rpc/http_conn.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/fdutil.h"
#include "base/str.h"
#include "io/stream.h"
#include "wire/http.h"

#define OUT_MARK (128 * 1024)
#define PAUSED_TICK_MS 1000
#define ENDED_TICK_MS 5	 /* after the peer's end, then twice as long each time up to the other */
#define UNHEARD_MS 30000 /* a peer that acknowledges nothing for so long has vanished */
#define UNHEARD_TICK_MS 10000
#define LINGER_MS 2000 /* for the last bytes of a connection that is closed in order */

/* ---- ends ---- */

static void set_state(struct http_conn *c, enum http_conn_state to)
{
	assert(to > c->state);
	c->state = to;
}

/* What the streams are told when the connection ends with err. */
static int stream_error(const struct http_conn *c, int err)
{
	if (c->err)
		return c->err;
	if (!c->server && !c->greeted)
		return -ECONNREFUSED; /* nothing was sent: it may be tried again */
	return err && err != -EPIPE ? err : -ECONNRESET;
}

static void free_session(struct http_conn *c, int err)
{
	assert(!c->in_session);
	c->in_session = true; /* output that its last callbacks make goes nowhere */
	c->session = http_session_free(c->session, err);
	c->in_session = false;
}

/* In order: what the session has given leaves first. */
static void close_flushed(struct http_conn *c, int err)
{
	set_state(c, HTTP_CONN_STATE_CLOSING);
	free_session(c, stream_error(c, err));
	stream_close(c->stream, LINGER_MS);
}

static void break_off(struct http_conn *c, int err)
{
	if (c->state < HTTP_CONN_STATE_CLOSING)
		set_state(c, HTTP_CONN_STATE_CLOSING);
	if (c->stream)
		stream_abort(c->stream, err);
	else
		loop_defer_set(&c->wake);
}

static void gone(struct http_conn *c, int err)
{
	loop_timer_fini(&c->tick);
	loop_defer_fini(&c->wake);
	free_session(c, stream_error(c, err));
	set_state(c, HTTP_CONN_STATE_GONE);
	c->ops->on_gone(c, err);
}

/* The stream is gone, or there never was one. */
static void lost(struct http_conn *c, int err)
{
	c->stream = NULL;
	if (c->state == HTTP_CONN_STATE_OPENING && !c->server && c->ops->on_refused &&
	    c->ops->on_refused(c))
		return;
	gone(c, err);
}

/* ---- time limits ---- */

/* When the connection's present condition runs out of time. */
static uint64_t deadline(const struct http_conn *c)
{
	if (!c->greeted)
		return c->opened_ms + c->open_timeout_ms;
	if (c->state == HTTP_CONN_STATE_UP && stream_queued(c->stream) > 0)
		return c->out_ms + c->stall_timeout_ms;
	if (c->state == HTTP_CONN_STATE_UP && http_session_streams(c->session) == 0) {
		uint64_t last = c->in_ms > c->out_ms ? c->in_ms : c->out_ms;
		return last + c->idle_timeout_ms;
	}
	return UINT64_MAX;
}

/* The condition changes without notice, so look again within half of the shortest limit; and soon
 * while reading is paused, when the loop does not tell of a reset. */
static void arm_tick(struct http_conn *c, uint64_t now)
{
	uint64_t shortest =
	    c->stall_timeout_ms < c->idle_timeout_ms ? c->stall_timeout_ms : c->idle_timeout_ms;
	uint64_t wait = shortest / 2 + 1, end = deadline(c);
	uint64_t left = end > now ? end - now : 0;
	if (wait > UNHEARD_TICK_MS)
		wait = UNHEARD_TICK_MS;
	if (c->paused && wait > PAUSED_TICK_MS)
		wait = PAUSED_TICK_MS;
	if (c->ended_tick_ms && wait > c->ended_tick_ms)
		wait = c->ended_tick_ms;
	loop_timer_set(&c->tick, left < wait ? left : wait);
}

/* ---- output ---- */

/* A session that is done may have a reset to tell, and has little output left besides. */
static bool may_pull(const struct http_conn *c)
{
	return stream_queued(c->stream) < OUT_MARK || http_session_done(c->session);
}

static ssize_t pull(void *arg, struct buf *out)
{
	return http_session_send(arg, out);
}

/* Move output into the stream: 0 or -errno. */
static int pump(struct http_conn *c)
{
	size_t before = stream_queued(c->stream);
	int r = 0;
	c->in_session = true;
	c->more = true;
	while (r == 0 && c->more && may_pull(c)) {
		ssize_t n = stream_fill(c->stream, pull, c->session);
		c->more = n != 0;
		r = n < 0 ? (int)n : 0;
	}
	c->in_session = false;
	if (before == 0 && stream_queued(c->stream) > 0)
		c->out_ms = clock_mono_ms();
	return r;
}

static void follow_reader(struct http_conn *c)
{
	bool pause = !http_session_want_read(c->session);
	if (pause == c->paused)
		return;
	c->paused = pause;
	if (pause) {
		stream_pause(c->stream);
		arm_tick(c, clock_mono_ms());
	} else {
		stream_resume(c->stream);
	}
}

static void settle(struct http_conn *c)
{
	if (c->state != HTTP_CONN_STATE_UP)
		return;
	int r = pump(c);
	if (r < 0)
		break_off(c, r == -ECONNABORTED ? -ECONNRESET : r);
	else if (http_session_done(c->session) && !c->more)
		close_flushed(c, 0);
	else
		follow_reader(c);
	if (c->state == HTTP_CONN_STATE_UP && !c->more && http_session_output_ended(c->session))
		stream_shutdown(c->stream);
}

static void on_wake(struct loop_defer *d, void *arg)
{
	struct http_conn *c = arg;
	if (c->stream)
		settle(c);
	else
		lost(c, c->err ? c->err : -ECONNREFUSED); /* it could not be started */
}

static void session_wake(struct http_session *s, void *arg)
{
	struct http_conn *c = arg;
	if (!c->in_session && c->state == HTTP_CONN_STATE_UP)
		loop_defer_set(&c->wake);
}

static void session_request(struct http_stream *st, void *arg)
{
	struct http_conn *c = arg;
	c->greeted = true;
	c->ops->on_request(c, st);
}

static const struct http_session_ops session_callbacks = { session_request, session_wake };

/* ---- input ---- */

/* The session refused its input: what it has to say about that leaves before the end. */
static void protocol_error(struct http_conn *c, int err)
{
	int r = pump(c);
	if (r < 0)
		break_off(c, err);
	else
		close_flushed(c, err);
}

/* Returns how many bytes the session took; settles. */
static size_t feed(struct http_conn *c, const unsigned char *p, size_t n)
{
	size_t done = 0;
	for (;;) {
		c->in_session = true;
		ssize_t r = http_session_recv(c->session, p + done, n - done, c->in_ms);
		c->in_session = false;
		if (r < 0) {
			protocol_error(c, (int)r);
			return n;
		}
		done += (size_t)r;
		settle(c);
		/* What was sent may have made room, for a body or for the next pipelined request.
		 */
		if (done == n || c->state != HTTP_CONN_STATE_UP ||
		    !http_session_want_read(c->session))
			return done;
	}
}

static int make_session(struct http_conn *c)
{
	const struct http_session_conf conf = {
		.ops = &session_callbacks, .arg = c, .tls = c->tls
	};
	if (c->version == 1)
		c->session = c->server ? h1_server_new(&conf) : h1_client_new(&conf);
	else
		c->session = c->server ? h2_server_new(&conf) : h2_client_new(&conf);
	return c->session ? 0 : -ENOMEM;
}

static void up(struct http_conn *c)
{
	if (!c->session && make_session(c) < 0) {
		break_off(c, -ENOMEM);
		return;
	}
	set_state(c, HTTP_CONN_STATE_UP);
	settle(c);
}

/* Collect first bytes until they tell the version; returns how many of p were taken. */
static size_t sniff(struct http_conn *c, const unsigned char *p, size_t n)
{
	size_t k = sizeof(c->first) - c->n_first;
	k = n < k ? n : k;
	memcpy(c->first + c->n_first, p, k);
	c->n_first += (uint8_t)k;
	c->version = http_sniff(c->first, c->n_first);
	if (c->version == 0) {
		if (c->n_first == sizeof(c->first))
			break_off(c, -EPROTO);
		return k;
	}
	up(c);
	if (c->state == HTTP_CONN_STATE_UP && feed(c, c->first, c->n_first) < c->n_first)
		break_off(c, -EPROTO); /* no session leaves bytes of its first line */
	return k;
}

static size_t stream_on_read(struct stream *s, const void *p, size_t n, void *arg)
{
	struct http_conn *c = arg;
	size_t taken = 0;
	c->in_ms = clock_mono_ms();
	c->pinged = false;
	if (c->state == HTTP_CONN_STATE_OPENING)
		taken = sniff(c, p, n);
	if (c->state == HTTP_CONN_STATE_UP && taken < n)
		taken += feed(c, (const unsigned char *)p + taken, n - taken);
	return c->state == HTTP_CONN_STATE_UP ? taken : n;
}

static void stream_on_eof(struct stream *s, void *arg)
{
	struct http_conn *c = arg;
	if (c->state == HTTP_CONN_STATE_OPENING) {
		break_off(c, -ECONNRESET);
		return;
	}
	if (c->state != HTTP_CONN_STATE_UP)
		return;
	c->in_session = true;
	int r = http_session_recv_eof(c->session);
	c->in_session = false;
	if (r < 0) {
		break_off(c, r); /* what was cut must not look whole */
		return;
	}
	settle(c);
	if (c->state == HTTP_CONN_STATE_UP && !c->more && http_session_streams(c->session) == 0) {
		close_flushed(c, 0);
	} else if (c->state == HTTP_CONN_STATE_UP) {
		/* The loop tells nothing more of a peer that may be gone and not only silent. */
		c->ended_tick_ms = ENDED_TICK_MS;
		arm_tick(c, clock_mono_ms());
	}
}

static void stream_on_open(struct stream *s, void *arg)
{
	struct http_conn *c = arg;
	if (c->tls) {
		int version = str_eq(stream_alpn(s), "h2") ? 2 : 1;
		if (c->server)
			c->version = version;
		else if (c->version != version) {
			c->version = version; /* for the owner's next try */
			break_off(c, -ECONNREFUSED);
			return;
		}
	}
	if (c->server && !c->tls)
		return; /* the first bytes will tell */
	if (!c->server)
		c->greeted = true;
	c->in_ms = clock_mono_ms();
	up(c);
	if (!c->server && c->state == HTTP_CONN_STATE_UP && c->ops->on_up)
		c->ops->on_up(c);
}

static void stream_on_sent(struct stream *s, size_t n, void *arg)
{
	struct http_conn *c = arg;
	if (c->more)
		settle(c);
	if (stream_queued(s) > 0)
		c->out_ms = clock_mono_ms();
}

static void stream_on_close(struct stream *s, int err, void *arg)
{
	lost(arg, err);
}

static const struct stream_ops stream_callbacks = {
	.on_read = stream_on_read,
	.on_eof = stream_on_eof,
	.on_open = stream_on_open,
	.on_sent = stream_on_sent,
	.on_close = stream_on_close,
};

/* ---- time ---- */

/* A peer that is silent although exchanges are open may be dead: 0, or -errno when it is. */
static int check_silence(struct http_conn *c, uint64_t now)
{
	if (stream_is_broken(c->stream))
		return -ECONNRESET;
	if (stream_unheard_ms(c->stream) >= UNHEARD_MS)
		return -ETIMEDOUT;
	if (c->version != 2 || now - c->in_ms < c->stall_timeout_ms / 2)
		return 0;
	if (c->pinged)
		return http_session_ping_answered(c->session) ? 0 : -ETIMEDOUT;
	c->pinged = true;
	http_session_ping(c->session);
	loop_defer_set(&c->wake);
	return 0;
}

static void expire(struct http_conn *c)
{
	bool idle = c->greeted && stream_queued(c->stream) == 0;
	if (!idle) {
		break_off(c, -ETIMEDOUT);
		return;
	}
	http_session_drain(c->session);
	settle(c);
	if (c->state == HTTP_CONN_STATE_UP)
		close_flushed(c, 0);
}

static void on_tick(struct loop_timer *t, void *arg)
{
	struct http_conn *c = arg;
	uint64_t now = clock_mono_ms();
	if (c->state == HTTP_CONN_STATE_CLOSING)
		return; /* the stream's linger limits it */
	if (now >= deadline(c)) {
		expire(c);
		return;
	}
	if (c->ended_tick_ms)
		c->ended_tick_ms =
		    2 * c->ended_tick_ms < PAUSED_TICK_MS ? 2 * c->ended_tick_ms : PAUSED_TICK_MS;
	int r = c->state == HTTP_CONN_STATE_UP ? check_silence(c, now) : 0;
	if (r < 0)
		break_off(c, r);
	else
		arm_tick(c, now);
}

/* ---- interface ---- */

static int open_stream(
    struct http_conn *c, struct loop *l, int fd_consume, const struct http_conn_conf *conf)
{
	c->stream = stream_new(l, fd_consume, conf->connecting, &stream_callbacks, c);
	if (!c->stream)
		return -ENOMEM;
	return conf->tls ? stream_start_tls(c->stream, conf->tls, c->server, conf->tls_host) : 0;
}

int http_conn_init(
    struct http_conn *c, struct loop *l, int fd_consume, const struct http_conn_conf *conf)
{
	*c = (struct http_conn){
		.ops = conf->ops,
		.server = conf->server,
		.tls = conf->tls != NULL,
		.version = conf->server ? 0 : conf->version,
		.open_timeout_ms = conf->open_timeout_ms,
		.idle_timeout_ms = conf->idle_timeout_ms,
		.stall_timeout_ms = conf->stall_timeout_ms,
		.opened_ms = clock_mono_ms(),
	};
	int r = fd_consume >= 0 && !conf->dialing ? open_stream(c, l, fd_consume, conf) : 0;
	if (r == 0 && !c->server)
		r = make_session(c);
	if (r < 0) {
		c->stream = stream_free(c->stream);
		return r;
	}
	c->in_ms = c->out_ms = c->opened_ms;
	loop_defer_init(&c->wake, l, on_wake, c);
	loop_timer_init(&c->tick, l, on_tick, c);
	arm_tick(c, c->opened_ms);
	if (fd_consume < 0 && !conf->dialing) {
		c->err = -ECONNREFUSED;
		loop_defer_set(&c->wake);
	}
	return 0;
}

void http_conn_dialed(
    struct http_conn *c, struct loop *l, int fd_consume, const struct http_conn_conf *conf)
{
	int r = -ECONNREFUSED;
	if (c->state != HTTP_CONN_STATE_OPENING) {
		if (fd_consume >= 0)
			(void)fd_close(fd_consume);
		return;
	}
	if (fd_consume >= 0)
		r = open_stream(c, l, fd_consume, conf);
	if (r < 0)
		break_off(c, r);
}

int http_conn_retry(
    struct http_conn *c, struct loop *l, int fd_consume, const struct http_conn_conf *conf)
{
	int r = open_stream(c, l, fd_consume, conf);
	if (r < 0) {
		c->stream = stream_free(c->stream);
		return r;
	}
	c->err = 0;
	c->in_ms = c->out_ms = c->opened_ms = clock_mono_ms();
	arm_tick(c, c->opened_ms);
	return 0;
}

void http_conn_fini(struct http_conn *c)
{
	loop_timer_fini(&c->tick);
	loop_defer_fini(&c->wake);
	if (c->session && c->stream && http_session_streams(c->session) > 0)
		stream_abort(c->stream, -ECONNRESET); /* cut answers must not look whole */
	c->stream = stream_free(c->stream);
	if (c->state != HTTP_CONN_STATE_GONE)
		set_state(c, HTTP_CONN_STATE_GONE);
	free_session(c, -ECONNRESET);
}

bool http_conn_is_usable(const struct http_conn *c)
{
	return c->session && c->state <= HTTP_CONN_STATE_UP;
}

void http_conn_abort(struct http_conn *c, int err)
{
	c->err = err;
	break_off(c, err);
}

void http_conn_drain(struct http_conn *c)
{
	if (c->state == HTTP_CONN_STATE_OPENING)
		break_off(c, -ECANCELED);
	if (c->state != HTTP_CONN_STATE_UP)
		return;
	http_session_drain(c->session);
	loop_defer_set(&c->wake);
}

struct http_conn *http_conn_of(const struct http_stream *st)
{
	return http_session_arg(http_stream_session(st));
}
