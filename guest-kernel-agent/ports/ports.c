/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/ports/ports.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/ports/closed_page.h"
#include "guest-kernel-agent/system/request.h"
#include "loop/loop.h"
#include "rpc/http_client.h"
#include "rpc/proxy.h"
#include "wire/http.h"

#define CONNECTIONS_MAX 512 /* to one port */
#define CONNECT_TIMEOUT_MS 5000
#define IDLE_MS 60000 /* connections to a port are closed after this */
#define PORTS_MAX 256 /* ports with connections; more are refused */

/* Node binds "localhost" to ::1 alone, most others to 127.0.0.1 or to every address. */
static const char *const addresses[] = { "127.0.0.1", "::1" };

/* One port over one version of HTTP: the clients that lead there. */
struct upstream {
	struct ports *owner;
	char key[16];
	unsigned port;
	int version;
	unsigned address; /* where to try first */
	struct http_client *clients[2];
	unsigned exchanges;
	struct loop_timer idle;
};

struct ports {
	struct loop *loop;
	const struct identity *identity;
	struct map *upstreams;
};

/* One attempt to pass a request on. */
struct exchange {
	struct upstream *up;
	struct http_head head;
	unsigned address;
	bool second;
	bool bodiless; /* so that it can be sent again */
};

struct ports *ports_new(struct loop *l, const struct identity *id)
{
	struct ports *p = mem_zalloc(sizeof(*p));
	if (!p)
		return NULL;
	p->loop = l;
	p->identity = id;
	p->upstreams = map_new();
	return p->upstreams ? p : mem_free(p);
}

/* ---- upstreams ---- */

static void upstream_free(struct upstream *up)
{
	(void)map_remove(up->owner->upstreams, up->key);
	loop_timer_fini(&up->idle);
	http_client_free(up->clients[0]);
	http_client_free(up->clients[1]);
	mem_free(up);
}

static void on_idle(struct loop_timer *t, void *arg)
{
	upstream_free(arg);
}

struct ports *ports_free(struct ports *p)
{
	void *it = NULL;
	if (!p)
		return NULL;
	for (struct upstream *up; (up = map_next(p->upstreams, &it, NULL));)
		upstream_free(up);
	map_free(p->upstreams);
	return mem_free(p);
}

static struct upstream *upstream_get(struct ports *p, unsigned port, int version)
{
	char key[16];
	(void)snprintf(key, sizeof(key), "%u/%d", port, version);
	struct upstream *up = map_get(p->upstreams, key);
	if (up || map_size(p->upstreams) >= PORTS_MAX)
		return up;
	up = mem_zalloc(sizeof(*up));
	if (!up || map_add(p->upstreams, key, up) < 0) {
		mem_free(up);
		return NULL;
	}
	(void)str_copy(up->key, sizeof(up->key), key);
	up->owner = p;
	up->port = port;
	up->version = version;
	loop_timer_init(&up->idle, p->loop, on_idle, up);
	return up;
}

static struct http_client *upstream_client(struct upstream *up, unsigned address)
{
	struct http_client_conf c = { .host = addresses[address],
		.port = up->port,
		.version = up->version,
		.max_connections = CONNECTIONS_MAX,
		.connect_timeout_ms = CONNECT_TIMEOUT_MS };
	if (!up->clients[address])
		up->clients[address] = http_client_new(up->owner->loop, &c);
	return up->clients[address];
}

/* ---- exchanges ---- */

static void exchange_free(struct exchange *x)
{
	if (--x->up->exchanges == 0)
		loop_timer_set(&x->up->idle, IDLE_MS);
	http_head_fini(&x->head);
	mem_free(x);
}

/* There is nothing of it that a first attempt could use up. */
static bool is_bodiless(const struct http_stream *st)
{
	const struct http_head *h = http_stream_peer_head(st);
	bool plain = str_eq(h->method, "GET") || str_eq(h->method, "HEAD");
	return http_stream_peer_ended(st) || h->length == 0 || (plain && h->length < 0);
}

/* The request's head as the program gets it: what is between us and the gateway is left out. */
static int copy_head(struct http_head *dst, const struct http_head *src)
{
	int r = proxy_request_head(dst, src);
	http_fields_remove(&dst->fields, "sandglass-port");
	return r;
}

static int exchange_start(
    struct upstream *up, struct http_stream *st, unsigned address, bool second);

static void on_fail(struct http_stream *st, int err, void *arg)
{
	struct exchange *x = arg;
	struct upstream *up = x->up;
	int r = err;
	if (err == -ECONNREFUSED && !x->second) {
		up->address = !x->address;
		if (x->bodiless)
			r = exchange_start(up, st, up->address, true);
	}
	if (r < 0)
		closed_page_answer(st, up->owner->identity, up->port, r);
}

static void on_done(void *arg)
{
	exchange_free(arg);
}

static int exchange_start(
    struct upstream *up, struct http_stream *st, unsigned address, bool second)
{
	struct exchange *x = mem_zalloc(sizeof(*x));
	struct proxy_conf c = { .upstream = upstream_client(up, address),
		.on_fail = on_fail,
		.on_done = on_done,
		.arg = x };
	if (!x || !c.upstream) {
		mem_free(x);
		return -ENOMEM;
	}
	c.head = &x->head;
	x->up = up;
	x->address = address;
	x->second = second;
	x->bodiless = is_bodiless(st);
	up->exchanges++;
	loop_timer_cancel(&up->idle);
	int r = copy_head(&x->head, http_stream_peer_head(st));
	if (r == 0)
		r = proxy_start(st, &c, NULL);
	if (r < 0)
		exchange_free(x);
	return r;
}

void ports_handle(struct ports *p, struct http_stream *st, unsigned port)
{
	const char *type = request_header(st, "content-type");
	const char *grpc = type ? str_after(type, "application/grpc") : NULL;
	bool is_grpc = grpc && !str_after(grpc, "-web");
	struct upstream *up = upstream_get(p, port, is_grpc ? 2 : 1);
	int r = up ? exchange_start(up, st, up->address, false) : -EAGAIN;
	if (r < 0)
		closed_page_answer(st, p->identity, port, r);
}
