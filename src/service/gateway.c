/* SPDX-License-Identifier: Apache-2.0 */
#include "service/gateway.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest/guest.h"
#include "rpc/proxy.h"
#include "sandbox/sandbox.h"
#include "service/auth.h"
#include "service/cors.h"
#include "service/gateway_answer.h"
#include "service/mask_host.h"
#include "wire/http.h"

struct gateway {
	struct gateway_conf conf;
	struct map *boxes; /* sandbox id -> struct box, while it has exchanges */
	struct sandbox_sub *sub;
	size_t count;
};

struct box {
	struct gateway *owner; /* NULL once it is gone, while the last exchanges are being cut */
	char id[ID_SANDBOX_LEN + 1];
	struct link exchanges;
	unsigned count;
};

struct exchange {
	struct box *box;
	struct link link;
	struct route route;
	struct http_head head;
	struct proxy *proxy;
};

/* ---- boxes and exchanges ---- */
static struct box *box_get(struct gateway *g, const char *id)
{
	struct box *b = map_get(g->boxes, id);
	if (b)
		return b;
	b = mem_zalloc(sizeof(*b));
	if (!b || map_add(g->boxes, id, b) < 0)
		return mem_free(b);
	b->owner = g;
	link_init(&b->exchanges);
	(void)str_copy(b->id, sizeof(b->id), id);
	return b;
}

static void box_release(struct box *b)
{
	if (b->count > 0)
		return;
	if (b->owner)
		(void)map_remove(b->owner->boxes, b->id);
	(void)mem_free(b);
}

static struct exchange *exchange_new(struct box *b, const struct route *route)
{
	struct exchange *x = mem_zalloc(sizeof(*x));
	if (!x)
		return NULL;
	x->box = b;
	x->route = *route;
	list_push_back(&b->exchanges, &x->link);
	b->count++;
	b->owner->count++;
	return x;
}

static void exchange_free(struct exchange *x)
{
	link_remove(&x->link);
	x->box->count--;
	if (x->box->owner)
		x->box->owner->count--;
	box_release(x->box);
	http_head_fini(&x->head);
	(void)mem_free(x);
}

static void on_event(enum sandbox_event_kind kind, struct sandbox *sb, void *arg)
{
	struct gateway *g = arg;
	struct sandbox_view v;
	sandbox_view(sb, &v);
	struct box *b = kind == SANDBOX_EVENT_ENDED ? map_get(g->boxes, v.id) : NULL;
	if (!b)
		return;
	b->count++; /* stays while its exchanges go */
	for (struct link *l; (l = list_pop_front(&b->exchanges));)
		proxy_abort(container_of(l, struct exchange, link)->proxy);
	b->count--;
	box_release(b);
}

struct gateway *gateway_new(const struct gateway_conf *c)
{
	struct gateway *g = mem_zalloc(sizeof(*g));
	if (!g)
		return NULL;
	g->conf = *c;
	if (g->conf.max_exchanges == 0)
		g->conf.max_exchanges = GATEWAY_MAX_EXCHANGES;
	g->boxes = map_new();
	g->sub = g->boxes ? sandboxes_subscribe(c->sandboxes, NULL, on_event, g) : NULL;
	return g->sub ? g : gateway_free(g);
}

struct gateway *gateway_free(struct gateway *g)
{
	if (!g)
		return NULL;
	void *it = NULL;
	for (struct box *b; g->boxes && (b = map_next(g->boxes, &it, NULL));)
		b->owner = NULL;
	if (g->sub)
		sandboxes_unsubscribe(g->sub);
	(void)map_free(g->boxes);
	return mem_free(g);
}

size_t gateway_count(const struct gateway *g)
{
	return g->count;
}

/* ---- checks ---- */
/* Paths of the agent's port that only we may call. The agent keeps them on another channel; this
 * names them properly, in whatever spelling. */
static bool is_reserved(const char *target)
{
	static const char *const names[] = { "init", "freeze", "unfreeze", "collapse", "fsfreeze",
		"fsthaw", "upgrade" };
	CLEAN_BUF struct buf b = BUF_INIT;
	if (str_unpercent(&b, target, strcspn(target, "?"), false) < 0)
		return false;
	char *path = buf_cstr(&b);
	if (!path)
		return true;
	path += strspn(path, "/.");
	path[strcspn(path, "/")] = 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (str_eq(path, names[i]))
			return true;
	return false;
}

/* 0, or a problem + 1. */
static unsigned check_token(
    const struct route *route, const struct sandbox_view *v, const struct http_head *head)
{
	const char *given = http_fields_get(&head->fields, "e2b-traffic-access-token");
	if (!v->traffic_token || route->port == ROUTE_PORT_ENVD)
		return 0;
	if (!given)
		return GATEWAY_TOKEN_MISSING + 1;
	if (!str_ct_eq(given, strlen(given), v->traffic_token, strlen(v->traffic_token)))
		return GATEWAY_TOKEN_WRONG + 1;
	return 0;
}

/* ---- forwarding ---- */
/* A key of ours, sent along by a client that uses one channel for both planes: the sandbox is
 * hostile and must not see it. */
static bool is_our_secret(const struct http_field *f)
{
	if (str_eq(f->name, "x-api-key"))
		return auth_is_key(f->value);
	if (!str_eq(f->name, "authorization"))
		return false;
	const char *space = strrchr(f->value, ' ');
	return space && auth_is_key(space + 1);
}

static void drop_secrets(struct http_fields *f)
{
	for (size_t i = 0; i < f->n;) {
		bool by_name = str_eq(f->v[i].name, "x-api-key");
		if (is_our_secret(&f->v[i])) {
			http_fields_remove(f, by_name ? "x-api-key" : "authorization");
			i = 0;
		} else {
			i++;
		}
	}
}

/* The program in the sandbox is told another host than the client asked for. */
static int set_masked_host(struct http_head *head, const char *mask, unsigned port)
{
	CLEAN_BUF struct buf host = BUF_INIT;
	int r = mask_host_expand(&host, mask, port);
	const char *text = r == 0 ? buf_cstr(&host) : NULL;
	if (!text)
		return -ENOMEM;
	http_fields_remove(&head->fields, "x-forwarded-host");
	r = http_fields_add(&head->fields, "x-forwarded-host", head->authority);
	return r < 0 ? r : mem_set_str(&head->authority, text);
}

static int make_head(
    struct http_head *dst, const struct http_head *src, unsigned port, const char *mask)
{
	int r = proxy_request_head(dst, src);
	if (r == 0 && mask && !route_is_agent_port(port))
		r = set_masked_host(dst, mask, port);
	if (r < 0)
		return r;
	drop_secrets(&dst->fields);
	http_fields_remove(&dst->fields, "sandglass-port");
	return http_fields_addf(&dst->fields, "sandglass-port", "%u", port);
}

static enum sandbox_state state_of(const struct exchange *x)
{
	struct sandbox_view v = { .state = SANDBOX_GONE };
	struct gateway *g = x->box->owner;
	struct sandbox *sb = g ? sandboxes_find(g->conf.sandboxes, x->route.sandbox_id) : NULL;
	if (sb)
		sandbox_view(sb, &v);
	return v.state;
}

static bool is_pause(enum sandbox_state s)
{
	return s == SANDBOX_PAUSING || s == SANDBOX_PAUSED || s == SANDBOX_RESUMING;
}

/* The agent gave no answer. If the sandbox is going, the request was in flight: reset it. */
static void on_fail(struct http_stream *st, int err, void *arg)
{
	struct exchange *x = arg;
	enum sandbox_state state = state_of(x);
	(void)err;
	if (state == SANDBOX_RUNNING)
		gateway_answer(st, &x->route, GATEWAY_UNREACHABLE, 0);
	else
		gateway_answer_ended(st, is_pause(state));
}

static void on_break(struct http_stream *st, void *arg)
{
	gateway_break(st, is_pause(state_of(arg)));
}

static void on_done(void *arg)
{
	exchange_free(arg);
}

static int exchange_start(struct box *b, const struct route *route, const char *mask,
    struct guest *guest, struct http_stream *st)
{
	struct exchange *x = exchange_new(b, route);
	if (!x) {
		box_release(b);
		return -ENOMEM;
	}
	struct proxy_conf c = { .upstream = guest_data(guest),
		.head = &x->head,
		.on_fail = on_fail,
		.on_break = on_break,
		.on_done = on_done,
		.arg = x };
	int r = make_head(&x->head, http_stream_peer_head(st), route->port, mask);
	if (r == 0)
		r = proxy_start(st, &c, &x->proxy);
	if (r < 0)
		exchange_free(x);
	return r;
}

static void forward(struct gateway *g, const struct route *route, struct http_stream *st)
{
	const struct http_head *head = http_stream_peer_head(st);
	struct sandbox *sb = sandboxes_find(g->conf.sandboxes, route->sandbox_id);
	struct sandbox_view v = { .state = SANDBOX_GONE };
	if (sb)
		sandbox_view(sb, &v);
	struct guest *guest = v.state == SANDBOX_RUNNING ? sandbox_guest(sb) : NULL;
	if (!guest) {
		gateway_answer(
		    st, route, is_pause(v.state) ? GATEWAY_PAUSED : GATEWAY_NOT_FOUND, 0);
		return;
	}
	unsigned problem = check_token(route, &v, head);
	if (problem) {
		gateway_answer(st, route, problem - 1, 0);
		return;
	}
	if (route->port == ROUTE_PORT_ENVD && is_reserved(head->path)) {
		gateway_answer(st, route, GATEWAY_RESERVED, 0);
		return;
	}
	struct box *b = box_get(g, route->sandbox_id);
	if (b && b->count >= g->conf.max_exchanges) {
		gateway_answer(st, route, GATEWAY_BUSY, g->conf.max_exchanges);
		return;
	}
	/* Neither want of memory nor of connections says anything about the sandbox. */
	if (!b || exchange_start(b, route, v.mask_host, guest, st) < 0)
		gateway_answer(st, route, GATEWAY_BUSY, g->conf.max_exchanges);
}

bool gateway_handle(struct gateway *g, struct http_stream *st)
{
	const struct http_head *head = http_stream_peer_head(st);
	struct route route = route_find(&g->conf.names, head);
	if (route.kind == ROUTE_CONTROL)
		return false;
	if (route.kind == ROUTE_MALFORMED)
		gateway_answer_malformed(st, route.error);
	else if (cors_is_preflight(head) && route_is_agent_port(route.port))
		cors_answer(st);
	else
		forward(g, &route, st);
	return true;
}
