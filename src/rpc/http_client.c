/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection has a session from the moment it is begun, so requests can be placed on it before it
 * is up. One that takes no more requests (told to go away, aborted, timed out) is retired: it
 * leaves the list that requests look at and lives on only for the streams it carries.
 */
#include "rpc/http_client.h"

#include <assert.h>
#include <errno.h>

#include "base/fdutil.h"
#include "base/list.h"
#include "base/mem.h"
#include "io/listener.h"
#include "loop/loop.h"
#include "rpc/http_conn.h"

#define MAX_CONNECTIONS 4
#define CONNECT_TIMEOUT_MS 5000
#define STALL_TIMEOUT_MS (120 * 1000)
/* Below the five seconds after which common HTTP/1.1 servers close: a request must not meet that.
 */
#define IDLE_TIMEOUT_H1_MS 4000
#define IDLE_TIMEOUT_H2_MS (300 * 1000)

struct client_conn {
	struct http_conn conn;
	struct link link; /* in client->conns or client->retired */
	struct http_client *client;
	void *dial;	  /* in progress */
	unsigned address; /* which of the client's hosts */
	bool second;	  /* and the other one was tried before */
	bool retired;
};

struct http_client {
	struct loop *loop;
	char *unix_path, *hosts[2], *tls_host;
	struct http_dialer dialer; /* ops may be NULL */
	unsigned address;	   /* of hosts, where to try first: where it went well */
	unsigned port, max_connections;
	struct tls_ctx *tls;
	int version;
	uint64_t connect_timeout_ms;
	struct link conns, retired;
	unsigned n_conns;
};

/* ---- connections ---- */

static void retire(struct client_conn *cc)
{
	if (cc->retired)
		return;
	cc->retired = true;
	cc->client->n_conns--;
	link_remove(&cc->link);
	list_push_back(&cc->client->retired, &cc->link);
}

static void forget(struct client_conn *cc)
{
	retire(cc);
	if (cc->dial)
		cc->client->dialer.ops->cancel(cc->dial);
	link_remove(&cc->link);
	mem_free(cc);
}

static void conn_gone(struct http_conn *c, int err)
{
	struct client_conn *cc = container_of(c, struct client_conn, conn);
	if (c->version != 0)
		cc->client->version = c->version; /* with TLS it is the peer who decides */
	forget(cc);
}

static void conn_up(struct http_conn *c)
{
	struct client_conn *cc = container_of(c, struct client_conn, conn);
	cc->client->address = cc->address;
}

static bool conn_refused(struct http_conn *c);

static const struct http_conn_ops conn_ops = {
	.on_up = conn_up,
	.on_refused = conn_refused,
	.on_gone = conn_gone,
};

static int begin_connect(const struct http_client *c, unsigned address)
{
	return c->unix_path ? fd_connect_unix(c->unix_path)
			    : listener_connect_tcp(c->hosts[address], c->port);
}

static struct http_conn_conf conn_conf(const struct http_client *c)
{
	return (struct http_conn_conf){
		.ops = &conn_ops,
		.dialing = c->dialer.ops != NULL,
		.connecting = true,
		.tls = c->tls,
		.tls_host = c->tls_host,
		.version = c->version,
		.open_timeout_ms = c->connect_timeout_ms,
		.idle_timeout_ms = c->version == 1 ? IDLE_TIMEOUT_H1_MS : IDLE_TIMEOUT_H2_MS,
		.stall_timeout_ms = STALL_TIMEOUT_MS,
	};
}

static bool conn_refused(struct http_conn *c)
{
	struct client_conn *cc = container_of(c, struct client_conn, conn);
	const struct http_conn_conf conf = conn_conf(cc->client);
	if (cc->second || !cc->client->hosts[!cc->address])
		return false;
	cc->second = true;
	cc->address = !cc->address;
	int fd = begin_connect(cc->client, cc->address);
	return fd >= 0 && http_conn_retry(c, cc->client->loop, fd, &conf) == 0;
}

static void on_dialed(int fd_consume, void *user)
{
	struct client_conn *cc = user;
	const struct http_conn_conf conf = conn_conf(cc->client);
	cc->dial = NULL;
	http_conn_dialed(&cc->conn, cc->client->loop, fd_consume, &conf);
}

/* 0, or -ENOMEM. */
static int begin_conn(struct http_client *c, struct client_conn *cc)
{
	const struct http_conn_conf conf = conn_conf(c);
	if (!c->dialer.ops)
		return http_conn_init(&cc->conn, c->loop, begin_connect(c, c->address), &conf);
	int r = http_conn_init(&cc->conn, c->loop, -1, &conf);
	if (r < 0)
		return r;
	cc->dial = c->dialer.ops->start(c->dialer.arg, on_dialed, cc);
	if (cc->dial)
		return 0;
	http_conn_fini(&cc->conn);
	return -ENOMEM;
}

static struct client_conn *open_conn(struct http_client *c)
{
	struct client_conn *cc = mem_zalloc(sizeof(*cc));
	if (!cc)
		return NULL;
	if (begin_conn(c, cc) < 0)
		return mem_free(cc);
	cc->client = c;
	cc->address = c->address;
	list_push_back(&c->conns, &cc->link);
	c->n_conns++;
	return cc;
}

/* ---- requests ---- */

struct request {
	const struct http_head *head;
	bool end;
	const struct http_handler *handler;
	void *user;
};

/* NULL and -EAGAIN when this connection has no room, -ESHUTDOWN when it never will. */
static struct http_stream *place(struct client_conn *cc, const struct request *rq, int *ret_err)
{
	*ret_err = -ESHUTDOWN;
	if (!http_conn_is_usable(&cc->conn))
		return NULL;
	return http_session_request(
	    cc->conn.session, rq->head, rq->end, rq->handler, rq->user, ret_err);
}

static struct http_stream *place_anywhere(
    struct http_client *c, const struct request *rq, int *ret_err)
{
	LIST_EACH_SAFE(k, &c->conns)
	{
		struct client_conn *cc = container_of(k, struct client_conn, link);
		struct http_stream *st = place(cc, rq, ret_err);
		if (st || *ret_err == -ENOMEM)
			return st;
		if (*ret_err == -ESHUTDOWN)
			retire(cc);
	}
	*ret_err = -EAGAIN;
	return NULL;
}

struct http_stream *http_client_request(struct http_client *c, const struct http_head *head,
    bool end, const struct http_handler *h, void *user, int *ret_err)
{
	const struct request rq = { head, end, h, user };
	int err;
	struct http_stream *st = place_anywhere(c, &rq, &err);
	if (!st && err == -EAGAIN && c->n_conns < c->max_connections) {
		struct client_conn *cc = open_conn(c);
		err = -ENOMEM;
		if (cc)
			st = place(cc, &rq, &err);
	}
	if (!st && ret_err)
		*ret_err = err;
	return st;
}

/* ---- life ---- */

struct http_client *http_client_new(struct loop *l, const struct http_client_conf *conf)
{
	struct http_client *c = mem_zalloc(sizeof(*c));
	if (!c)
		return NULL;
	assert(!!conf->unix_path + !!conf->host + !!conf->dialer == 1);
	if (conf->dialer)
		c->dialer = *conf->dialer;
	c->loop = l;
	c->port = conf->port;
	c->tls = conf->tls;
	c->version = conf->version ? conf->version : 2;
	c->max_connections = conf->max_connections ? conf->max_connections : MAX_CONNECTIONS;
	c->connect_timeout_ms =
	    conf->connect_timeout_ms ? conf->connect_timeout_ms : CONNECT_TIMEOUT_MS;
	link_init(&c->conns);
	link_init(&c->retired);
	if (mem_set_str(&c->unix_path, conf->unix_path) < 0 ||
	    mem_set_str(&c->hosts[0], conf->host) < 0 ||
	    mem_set_str(&c->hosts[1], conf->host2) < 0 ||
	    mem_set_str(&c->tls_host, conf->tls_host) < 0)
		return http_client_free(c);
	return c;
}

static void retire_all(struct http_client *c)
{
	LIST_EACH_SAFE(k, &c->conns)
	retire(container_of(k, struct client_conn, link));
}

struct http_client *http_client_free(struct http_client *c)
{
	if (!c)
		return NULL;
	retire_all(c);
	c->max_connections = 0; /* a callback that asks for more gets none */
	for (struct link *k; (k = list_first(&c->retired));) {
		struct client_conn *cc = container_of(k, struct client_conn, link);
		http_conn_fini(&cc->conn);
		forget(cc);
	}
	mem_free(c->unix_path);
	mem_free(c->hosts[0]);
	mem_free(c->hosts[1]);
	mem_free(c->tls_host);
	return mem_free(c);
}

void http_client_reset(struct http_client *c, int err)
{
	retire_all(c);
	LIST_EACH(k, &c->retired)
	http_conn_abort(&container_of(k, struct client_conn, link)->conn, err);
}

struct loop *http_client_loop(const struct http_client *c)
{
	return c->loop;
}
