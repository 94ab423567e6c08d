/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/ports/ports.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/ports/closed_page.h"
#include "guest-kernel-agent/system/request.h"
#include "loop/loop.h"
#include "rpc/http_client.h"
#include "rpc/proxy.h"
#include "wire/http.h"

#define CONNECTIONS_MAX 4096 /* to one port: more than the daemon lets through to the sandbox */
#define CONNECT_TIMEOUT_MS 5000
#define IDLE_MS 60000 /* connections to a port are closed after this */
#define PORTS_MAX 256 /* ports with connections; more are refused */

/* One port over one version of HTTP. */
struct upstream {
	struct ports *owner;
	char key[16];
	unsigned port;
	struct http_client *client;
	unsigned exchanges;
	struct loop_timer idle;
};

struct ports {
	struct loop *loop;
	const struct identity *identity;
	struct map *upstreams;
};

struct exchange {
	struct upstream *up;
	struct http_head head;
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
	http_client_free(up->client);
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

/* Node binds "localhost" to ::1 alone, most others to 127.0.0.1 or to every address. */
static struct http_client *make_client(struct loop *l, unsigned port, int version)
{
	const struct http_client_conf c = { .host = "127.0.0.1",
		.host2 = "::1",
		.port = port,
		.version = version,
		.max_connections = CONNECTIONS_MAX,
		.connect_timeout_ms = CONNECT_TIMEOUT_MS };
	return http_client_new(l, &c);
}

/* 0, -EAGAIN or -ENOMEM. */
static int upstream_get(struct ports *p, unsigned port, int version, struct upstream **ret)
{
	char key[16];
	(void)snprintf(key, sizeof(key), "%u/%d", port, version);
	struct upstream *up = map_get(p->upstreams, key);
	*ret = up;
	if (up)
		return 0;
	if (map_size(p->upstreams) >= PORTS_MAX)
		return -EAGAIN;
	up = mem_zalloc(sizeof(*up));
	if (!up)
		return -ENOMEM;
	(void)str_copy(up->key, sizeof(up->key), key);
	up->owner = p;
	up->port = port;
	up->client = make_client(p->loop, port, version);
	if (!up->client || map_add(p->upstreams, key, up) < 0) {
		http_client_free(up->client);
		mem_free(up);
		return -ENOMEM;
	}
	loop_timer_init(&up->idle, p->loop, on_idle, up);
	*ret = up;
	return 0;
}

/* ---- exchanges ---- */

static void exchange_free(struct exchange *x)
{
	if (--x->up->exchanges == 0)
		loop_timer_set(&x->up->idle, IDLE_MS);
	http_head_fini(&x->head);
	mem_free(x);
}

/* A WebSocket over HTTP/2 has no key (RFC 8441 5), and over HTTP/1.1 it must have one. */
static int add_websocket_key(struct http_head *head)
{
	static const char name[] = "sec-websocket-key";
	unsigned char random[16];
	CLEAN_BUF struct buf key = BUF_INIT;
	const char *protocol = http_fields_get(&head->fields, "upgrade");
	if (!head->upgrade || !str_ieq(protocol, "websocket") ||
	    http_fields_get(&head->fields, name))
		return 0;
	id_random(random, sizeof(random));
	bool made = str_base64(&key, random, sizeof(random), true) == 0;
	const char *text = made ? buf_cstr(&key) : NULL;
	return text ? http_fields_add(&head->fields, name, text) : -ENOMEM;
}

/* The request's head as the program gets it: what is between us and the gateway is left out. */
static int copy_head(struct http_head *dst, const struct http_head *src)
{
	int r = proxy_request_head(dst, src);
	http_fields_remove(&dst->fields, "sandglass-port");
	return r < 0 ? r : add_websocket_key(dst);
}

static void on_fail(struct http_stream *st, int err, void *arg)
{
	struct exchange *x = arg;
	closed_page_answer(st, x->up->owner->identity, x->up->port, err);
}

static void on_done(void *arg)
{
	exchange_free(arg);
}

static int exchange_start(struct upstream *up, struct http_stream *st)
{
	struct exchange *x = mem_zalloc(sizeof(*x));
	if (!x)
		return -ENOMEM;
	const struct proxy_conf c = { .upstream = up->client,
		.head = &x->head,
		.on_fail = on_fail,
		.on_done = on_done,
		.arg = x };
	x->up = up;
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
	struct upstream *up;
	int r = upstream_get(p, port, is_grpc ? 2 : 1, &up);
	if (r == 0)
		r = exchange_start(up, st);
	if (r < 0)
		closed_page_answer(st, p->identity, port, r);
}
