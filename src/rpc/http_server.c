/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Above max_connections up to REFUSED_MAX connections more are taken only to be told 503, in
 * whatever version they speak; beyond that they are closed unheard.
 */
#include "rpc/http_server.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/fdutil.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "io/listener.h"
#include "loop/loop.h"
#include "rpc/http_conn.h"

#define HEAD_TIMEOUT_MS (30 * 1000)
#define IDLE_TIMEOUT_MS (650 * 1000)
#define STALL_TIMEOUT_MS (120 * 1000)
#define REFUSED_MAX 64
#define REFUSED_TIMEOUT_MS 5000

struct server_listener {
	struct link link;
	struct http_server *server;
	struct listener *listener;
	struct tls_ctx *tls;
};

struct server_conn {
	struct http_conn conn;
	struct link link; /* in server->conns */
	struct http_server *server;
	bool refused;
	char peer[LISTENER_ADDRESS_MAX];
};

struct http_server {
	struct loop *loop;
	struct http_server_conf conf;
	struct link listeners, conns;
	size_t n_conns, n_refused;
	bool draining;
	void (*on_empty)(void *arg);
	void *empty_arg;
	struct loop_defer empty;
};

/* ---- connections ---- */

static void forget(struct server_conn *sc)
{
	struct http_server *s = sc->server;
	link_remove(&sc->link);
	if (sc->refused)
		s->n_refused--;
	else
		s->n_conns--;
	mem_free(sc);
	if (s->draining && list_is_empty(&s->conns))
		loop_defer_set(&s->empty);
}

static void conn_request(struct http_conn *c, struct http_stream *st)
{
	struct server_conn *sc = container_of(c, struct server_conn, conn);
	if (!sc->refused) {
		sc->server->conf.on_request(st, sc->server->conf.arg);
		return;
	}
	http_conn_drain(c);
	(void)http_answer_text(st, 503, "too many connections");
}

static void conn_gone(struct http_conn *c, int err)
{
	forget(container_of(c, struct server_conn, conn));
}

static const struct http_conn_ops conn_ops = {
	.on_request = conn_request,
	.on_gone = conn_gone,
};

static int add_conn(struct http_server *s, int fd_consume, struct tls_ctx *tls, const char *peer)
{
	CLEAN_FD int fd = fd_consume;
	bool refused = s->n_conns >= s->conf.max_connections;
	if (s->draining || (refused && s->n_refused >= REFUSED_MAX))
		return -EMFILE;
	const struct http_conn_conf conf = {
		.ops = &conn_ops,
		.server = true,
		.tls = tls,
		.open_timeout_ms = refused ? REFUSED_TIMEOUT_MS : s->conf.head_timeout_ms,
		.idle_timeout_ms = refused ? REFUSED_TIMEOUT_MS : s->conf.idle_timeout_ms,
		.stall_timeout_ms = refused ? REFUSED_TIMEOUT_MS : s->conf.stall_timeout_ms,
	};
	struct server_conn *sc = mem_zalloc(sizeof(*sc));
	if (!sc)
		return -ENOMEM;
	int r = http_conn_init(&sc->conn, s->loop, TAKE_FD(fd), &conf);
	if (r < 0) {
		mem_free(sc);
		return r;
	}
	sc->server = s;
	sc->refused = refused;
	(void)str_copy(sc->peer, sizeof(sc->peer), peer);
	list_push_back(&s->conns, &sc->link);
	if (refused)
		s->n_refused++;
	else
		s->n_conns++;
	return 0;
}

static void on_accept(struct listener *ls, int fd_consume, const char *peer, void *arg)
{
	struct server_listener *sl = arg;
	/* A connection that cannot be had is closed; its client will see that. */
	(void)add_conn(sl->server, fd_consume, sl->tls, peer);
}

static void close_listeners(struct http_server *s)
{
	for (struct link *k; (k = list_pop_front(&s->listeners));) {
		struct server_listener *sl = container_of(k, struct server_listener, link);
		listener_free(sl->listener);
		mem_free(sl);
	}
}

/* ---- interface ---- */

static void on_empty_turn(struct loop_defer *d, void *arg)
{
	struct http_server *s = arg;
	if (s->on_empty)
		s->on_empty(s->empty_arg);
}

static uint64_t or_default(uint64_t v, uint64_t def)
{
	return v ? v : def;
}

struct http_server *http_server_new(struct loop *l, const struct http_server_conf *c)
{
	struct http_server *s = mem_zalloc(sizeof(*s));
	if (!s)
		return NULL;
	s->loop = l;
	s->conf = *c;
	s->conf.max_connections = (unsigned)or_default(c->max_connections, LIMIT_CONNECTIONS);
	s->conf.head_timeout_ms = or_default(c->head_timeout_ms, HEAD_TIMEOUT_MS);
	s->conf.idle_timeout_ms = or_default(c->idle_timeout_ms, IDLE_TIMEOUT_MS);
	s->conf.stall_timeout_ms = or_default(c->stall_timeout_ms, STALL_TIMEOUT_MS);
	link_init(&s->listeners);
	link_init(&s->conns);
	loop_defer_init(&s->empty, l, on_empty_turn, s);
	return s;
}

struct http_server *http_server_free(struct http_server *s)
{
	if (!s)
		return NULL;
	close_listeners(s);
	for (struct link *k; (k = list_first(&s->conns));) {
		struct server_conn *sc = container_of(k, struct server_conn, link);
		http_conn_fini(&sc->conn);
		forget(sc);
	}
	loop_defer_fini(&s->empty);
	return mem_free(s);
}

int http_server_listen(struct http_server *s, int fd_consume, struct tls_ctx *tls)
{
	CLEAN_FD int fd = fd_consume;
	CLEAN_FREE struct server_listener *sl = mem_zalloc(sizeof(*sl));
	if (!sl)
		return -ENOMEM;
	sl->server = s;
	sl->tls = tls;
	sl->listener = listener_new(s->loop, TAKE_FD(fd), on_accept, sl);
	if (!sl->listener)
		return -ENOMEM;
	list_push_back(&s->listeners, &TAKE(sl)->link);
	return 0;
}

int http_server_adopt(struct http_server *s, int fd_consume)
{
	return add_conn(s, fd_consume, NULL, "");
}

void http_server_drain(struct http_server *s, void (*on_empty)(void *arg), void *arg)
{
	s->draining = true;
	s->on_empty = on_empty;
	s->empty_arg = arg;
	close_listeners(s);
	LIST_EACH_SAFE(k, &s->conns)
	http_conn_drain(&container_of(k, struct server_conn, link)->conn);
	if (list_is_empty(&s->conns))
		loop_defer_set(&s->empty);
}

void http_server_reset(struct http_server *s)
{
	LIST_EACH(k, &s->conns)
	http_conn_abort(&container_of(k, struct server_conn, link)->conn, -ECONNRESET);
}

size_t http_server_connections(const struct http_server *s)
{
	return s->n_conns + s->n_refused;
}

const char *http_server_peer(const struct http_stream *st)
{
	struct http_conn *c = http_conn_of(st);
	return container_of(c, struct server_conn, conn)->peer;
}
