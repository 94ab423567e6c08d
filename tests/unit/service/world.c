/* SPDX-License-Identifier: Apache-2.0 */
#include "service_tests.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/template.h"
#include "io/listener.h"
#include "lib/fake_images.h"
#include "lib/tmpdir.h"
#include "proto/descriptors.h"
#include "rpc/http_server.h"
#include "store/store.h"

struct world w;

/* ---- the agent ---- */

static void note_request(struct http_stream *st)
{
	const struct http_head *h = http_stream_peer_head(st);
	const char *port = http_fields_get(&h->fields, "sandglass-port");
	size_t at = 0;
	w.seen.requests++;
	w.seen.headers[0] = 0;
	(void)str_copy(w.seen.method, sizeof(w.seen.method), h->method);
	(void)str_copy(w.seen.path, sizeof(w.seen.path), h->path);
	(void)str_copy(w.seen.host, sizeof(w.seen.host), h->authority);
	(void)str_copy(w.seen.port, sizeof(w.seen.port), port ? port : "");
	ck_assert_uint_eq(http_fields_count(&h->fields, "sandglass-port"), 1);
	for (size_t i = 0; i < h->fields.n && at < sizeof(w.seen.headers); i++)
		at += (size_t)snprintf(w.seen.headers + at, sizeof(w.seen.headers) - at, "%s: %s\n",
		    h->fields.v[i].name, h->fields.v[i].value);
}

static void agent_closed(struct http_stream *st, int err, void *user)
{
	w.seen.closes++;
	if (w.seen.held == st)
		w.seen.held = NULL;
}

static void agent_data(struct http_stream *st, const void *p, size_t n, void *user)
{
	(void)http_stream_write(st, p, n);
}

static void agent_sent(struct http_stream *st, size_t n, void *user)
{
	http_stream_consume(st, n);
}

static void agent_end(struct http_stream *st, const struct http_fields *trailers, void *user)
{
	(void)http_stream_end(st, NULL);
}

/* /echo sends the body back; /hold answers nothing; /stream sends a part of an answer; /reset
 * breaks; others say "agent". */
static void agent_request(struct http_stream *st, void *arg)
{
	static const struct http_handler echo = { .on_data = agent_data,
		.on_end = agent_end,
		.on_sent = agent_sent,
		.on_close = agent_closed };
	static const struct http_handler plain = { .on_close = agent_closed };
	struct http_head head = HTTP_HEAD_INIT;
	const char *path = http_stream_peer_head(st)->path;
	note_request(st);
	head.status = 200;
	if (str_after(path, "/echo")) {
		http_stream_set_handler(st, &echo, NULL);
		ck_assert_int_eq(http_stream_respond(st, &head, false), 0);
	} else if (str_after(path, "/reset")) {
		http_stream_set_handler(st, &plain, NULL);
		http_stream_reset(st, HTTP_RESET_INTERNAL);
	} else if (str_after(path, "/hold") || str_after(path, "/stream")) {
		http_stream_set_handler(st, &plain, NULL);
		w.seen.held = st;
		if (str_after(path, "/stream")) {
			ck_assert_int_eq(http_stream_respond(st, &head, false), 0);
			ck_assert_int_eq(http_stream_write(st, "part", 4), 0);
		}
	} else {
		http_stream_set_handler(st, &plain, NULL);
		ck_assert_int_eq(http_answer(st, 200, "text/plain", "agent", 5), 0);
	}
	http_head_fini(&head);
}

/* ---- the world ---- */

static void on_heal(struct loop_defer *d, void *arg)
{
	mem_fail_after(-1);
}

static void front_request(struct http_stream *st, void *arg)
{
	if (w.fail_after >= 0) {
		mem_fail_after(w.fail_after);
		loop_defer_set(&w.heal);
	}
	service_on_request(st, w.service);
}

struct templates *world_templates(void)
{
	struct tmpdir dir;
	struct err err = ERR_INIT;
	tmpdir_make(&dir);
	tmpdir_write(&dir, "code.yaml",
	    "name: code-interpreter-v1\n"
	    "aliases: [code]\n"
	    "description: for tests\n"
	    "resources: {cpus: 1.5, memory: 256MiB, disk: 1GiB, pids: 64}\n"
	    "pool: {size: 3, max: 4}\n"
	    "timeout: {default: 200, max: 3600}\n");
	tmpdir_write(&dir, "short.yaml",
	    "name: short\nbase: debian:bookworm\ntimeout: {default: 20, max: 60}\n");
	struct templates *ts = templates_load(dir.path, &err);
	ck_assert_msg(ts != NULL, "%s", err_text(&err));
	tmpdir_remove(&dir);
	return ts;
}

static void make_keys(void)
{
	struct store_team teams[2] = { { .id = TEAM_A, .name = "a", .max_sandboxes = 1000 },
		{ .id = TEAM_B, .name = "b", .max_sandboxes = 2 } };
	struct store_key keys[2];
	ck_assert_int_eq(auth_make_key(w.key_a, &keys[0]), 0);
	ck_assert_int_eq(auth_make_key(w.key_b, &keys[1]), 0);
	(void)str_copy(keys[0].team_id, sizeof(keys[0].team_id), TEAM_A);
	(void)str_copy(keys[1].team_id, sizeof(keys[1].team_id), TEAM_B);
	ck_assert_int_eq(auth_set_keys(w.auth, keys, 2, teams, 2, NULL), 0);
}

static struct http_server *serve(
    void (*fn)(struct http_stream *st, void *arg), void *arg, unsigned *ret_port)
{
	struct http_server_conf c = { .on_request = fn, .arg = arg };
	struct http_server *s = http_server_new(w.loop, &c);
	struct err err = ERR_INIT;
	ck_assert_ptr_nonnull(s);
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);
	int fd = listener_open_tcp("127.0.0.1:0", &err);
	ck_assert_msg(fd >= 0, "%s", err_text(&err));
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	*ret_port = ntohs(addr.sin_port);
	ck_assert_int_eq(http_server_listen(s, fd, NULL), 0);
	return s;
}

static struct http_client *connect_to(unsigned port, int version)
{
	struct http_client_conf c = {
		.host = "127.0.0.1", .port = port, .version = version, .max_connections = 64
	};
	struct http_client *client = http_client_new(w.loop, &c);
	ck_assert_ptr_nonnull(client);
	return client;
}

void world_start(void)
{
	static const char *const api_hosts[] = { "api." DOMAIN, "1-api." DOMAIN, NULL };
	unsigned port, agent_port;
	struct err err = ERR_INIT;
	memset(&w, 0, sizeof(w));
	w.fail_after = -1;
	w.loop = loop_new();
	loop_defer_init(&w.heal, w.loop, on_heal, NULL);
	w.templates = world_templates();
	w.sandboxes = fake_sandboxes_new(w.loop, w.templates);
	w.images = fake_images_new(w.loop);
	w.auth = auth_new();
	ck_assert(w.loop && w.auth && w.images);
	make_keys();
	struct service_conf c = { .loop = w.loop,
		.sandboxes = w.sandboxes,
		.templates = w.templates,
		.auth = w.auth,
		.descriptors = proto_descriptors,
		.n_descriptors = sizeof(proto_descriptors),
		.web_dir = TOP_SRCDIR "/contrib/web",
		.domain = DOMAIN ":8443",
		.api_hosts = api_hosts,
		.images = w.images,
		.host_base = true,
		.driver = "namespace",
		.max_exchanges = 3 };
	w.service = service_new(&c, &err);
	ck_assert_msg(w.service != NULL, "%s", err_text(&err));
	w.front = serve(front_request, NULL, &port);
	w.agent = serve(agent_request, NULL, &agent_port);
	w.h1 = connect_to(port, 1);
	w.h2 = connect_to(port, 2);
	w.data = connect_to(agent_port, 2);
	fake_sandboxes_set_data(w.sandboxes, w.data);
}

static struct reply last;
static json_t *last_json;

void world_stop(void)
{
	reply_fini(&last);
	json_decref(last_json);
	last_json = NULL;
	http_client_free(w.h1);
	http_client_free(w.h2);
	http_server_free(w.front);
	service_free(w.service);
	http_client_free(w.data);
	http_server_free(w.agent);
	for (int i = 0; i < 3; i++) /* what was to come from a later turn */
		ck_assert_int_eq(loop_turn(w.loop, false), 0);
	loop_defer_fini(&w.heal);
	fake_sandboxes_free(w.sandboxes);
	(void)images_free(w.images);
	auth_free(w.auth);
	templates_free(w.templates);
	loop_free(w.loop);
}

/* ---- requests ---- */

static void on_head(struct http_stream *st, void *user)
{
	struct reply *r = user;
	const struct http_head *h = http_stream_peer_head(st);
	r->status = h->status;
	for (size_t i = 0; i < h->fields.n; i++)
		ck_assert_int_eq(
		    http_fields_add(&r->head, h->fields.v[i].name, h->fields.v[i].value), 0);
}

static void on_data(struct http_stream *st, const void *p, size_t n, void *user)
{
	struct reply *r = user;
	ck_assert_int_eq(buf_append(&r->body, p, n), 0);
	if (r->slow)
		r->unconsumed += n;
	else
		http_stream_consume(st, n);
}

static void on_end(struct http_stream *st, const struct http_fields *trailers, void *user)
{
	struct reply *r = user;
	r->ended = true;
	for (size_t i = 0; trailers && i < trailers->n; i++)
		ck_assert_int_eq(
		    http_fields_add(&r->trailers, trailers->v[i].name, trailers->v[i].value), 0);
}

static void on_close(struct http_stream *st, int err, void *user)
{
	struct reply *r = user;
	r->closed = true;
	r->close_err = err;
	r->st = NULL;
}

static const struct http_handler client_handler = {
	.on_head = on_head,
	.on_data = on_data,
	.on_end = on_end,
	.on_close = on_close,
};

void reply_start(struct reply *r, struct http_client *c, const char *method, const char *path,
    const char *const *headers, const void *body, size_t n)
{
	struct http_head head = HTTP_HEAD_INIT;
	const char *authority = "localhost";
	int err = 0;
	memset(r, 0, sizeof(*r));
	for (const char *const *h = headers; h && *h; h += 2) {
		if (str_eq(h[0], ":authority"))
			authority = h[1];
		else
			ck_assert_int_eq(http_fields_add(&head.fields, h[0], h[1]), 0);
	}
	ck_assert_int_eq(http_head_set_request(&head, method, "http", authority, path), 0);
	r->st = http_client_request(c, &head, body == NULL, &client_handler, r, &err);
	ck_assert_msg(r->st != NULL, "request: %s", err_name(err));
	http_head_fini(&head);
	if (body) {
		ck_assert_int_eq(http_stream_write(r->st, body, n), 0);
		ck_assert_int_eq(http_stream_end(r->st, NULL), 0);
	}
}

void reply_fini(struct reply *r)
{
	static const struct http_handler none;
	if (r->st) {
		http_stream_set_handler(r->st, &none, NULL);
		http_stream_reset(r->st, HTTP_RESET_CANCEL);
	}
	http_fields_fini(&r->head);
	http_fields_fini(&r->trailers);
	buf_fini(&r->body);
	memset(r, 0, sizeof(*r));
}

const char *reply_text(struct reply *r)
{
	const char *s = buf_cstr(&r->body);
	ck_assert_ptr_nonnull(s);
	return s;
}

const char *reply_header(const struct reply *r, const char *name)
{
	const char *v = http_fields_get(&r->head, name);
	return v ? v : "";
}

struct reply *call_with(
    const char *method, const char *path, const char *const *headers, const char *body)
{
	reply_fini(&last);
	json_decref(last_json);
	last_json = NULL;
	reply_start(&last, w.h1, method, path, headers, body, body ? strlen(body) : 0);
	RUN_UNTIL(last.closed);
	return &last;
}

struct reply *call(const char *method, const char *path, const char *body)
{
	const char *const headers[] = { "x-api-key", w.key_a, NULL };
	return call_with(method, path, headers, body);
}

json_t *call_json(void)
{
	struct err err = ERR_INIT;
	if (last_json)
		return last_json;
	last_json = json_parse(buf_data(&last.body), buf_len(&last.body), LIMIT_JSON_BODY, &err);
	ck_assert_msg(last_json != NULL, "%s in: %s", err_text(&err), reply_text(&last));
	return last_json;
}
