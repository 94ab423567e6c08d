/* SPDX-License-Identifier: Apache-2.0 */
/*
 * boot:  POST /boot until it is taken, then GET /ready?wait=MS until 200 or the limit. The agent
 * holds /ready back while its kernels start; a 503 that comes early says that they never will.
 * check: GET /state.
 * wake:  POST /wake, POST /clock on the way that is open now, then /ready as above.
 * init:  POST /init; asked again after a lost connection, because the agent knows a repetition.
 */
#include "guest/guest.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest/call.h"
#include "guest/channel.h"
#include "guest/watch.h"
#include "rpc/http_client.h"

#define INIT_LIMIT_MS 5000
#define NOTICE_LIMIT_MS 5000
#define READY_WAIT_MS 10000
#define READY_LAST_MS 100 /* not worth another question */
#define CLOCK_SOON_MS 10
#define CLOCK_TRIES_MAX 10
#define ENTROPY_BYTES 32
#define CLOSING_STEP_MS 1  /* a channel's linger limits their number */
#define DATA_CONNECTIONS 8 /* times LIMIT_STREAMS_PER_CONN requests at a time */

struct notice {
	struct guest_call call;
	const char *kind;
	int64_t count;
	enum { NOTICE_IDLE, NOTICE_SENDING, NOTICE_NEWER } state; /* NEWER: count changed since */
};

struct guest {
	struct http_client *control, *data;
	struct channel *control_channel, *data_channel; /* NULL: a unix socket of the agent's own */
	struct loop_timer closing;			/* guest_close_channels() waits */
	struct guest_call call;
	guest_fn *done;
	void *arg;
	json_t *request; /* of /init and /wake, whose time is that of the try */
	unsigned clock_tries;
	uint64_t ready_wait_ms; /* how long the agent was asked to hold /ready back */
	struct notice notices[2];
	struct guest_watch watch;
};

/* ---- life ---- */

/* A serial port has room for one connection. */
static struct http_client *open_channel(struct loop *l, const struct guest_channel *channel,
    unsigned connections, struct channel **ret_channel)
{
	struct http_client_conf conf = { .version = 2, .max_connections = connections };
	if (channel->kind == GUEST_CHANNEL_UNIX) {
		conf.unix_path = channel->path;
		return http_client_new(l, &conf);
	}
	*ret_channel = channel_new(l, channel);
	if (!*ret_channel)
		return NULL;
	conf.dialer = channel_dialer(*ret_channel);
	if (channel->kind == GUEST_CHANNEL_SERIAL)
		conf.max_connections = 1;
	return http_client_new(l, &conf);
}

static void close_clients(struct guest *g)
{
	(void)http_client_free(g->control);
	(void)http_client_free(g->data);
	(void)channel_free(g->control_channel);
	(void)channel_free(g->data_channel);
}

static void on_closing(struct loop_timer *t, void *arg);

static void drop_request(struct guest *g)
{
	json_decref(g->request);
	g->request = NULL;
	g->call.prepare = NULL;
}

static void on_call_done(struct guest_call *c)
{
	struct guest *g = container_of(c, struct guest, call);
	struct err err = c->err;
	drop_request(g);
	g->done(&err, g->arg);
}

struct guest *guest_new(
    struct loop *l, const struct guest_channel *control, const struct guest_channel *data)
{
	static const char *const kinds[] = { "oom", "pids" };
	struct guest *g = mem_zalloc(sizeof(*g));
	if (!g)
		return NULL;
	g->control = open_channel(l, control, 1, &g->control_channel);
	g->data = open_channel(l, data, DATA_CONNECTIONS, &g->data_channel);
	if (!g->control || !g->data) {
		close_clients(g);
		return mem_free(g);
	}
	loop_timer_init(&g->closing, l, on_closing, g);
	guest_call_init(&g->call, l, g->control);
	g->call.done = on_call_done;
	for (size_t i = 0; i < 2; i++) {
		guest_call_init(&g->notices[i].call, l, g->control);
		g->notices[i].kind = kinds[i];
	}
	guest_watch_init(&g->watch, l, g->control);
	return g;
}

struct guest *guest_free(struct guest *g)
{
	if (!g)
		return NULL;
	guest_call_fini(&g->call);
	drop_request(g);
	for (size_t i = 0; i < 2; i++)
		guest_call_fini(&g->notices[i].call);
	guest_watch_fini(&g->watch);
	loop_timer_fini(&g->closing);
	close_clients(g);
	return mem_free(g);
}

struct http_client *guest_data(struct guest *g)
{
	return g->data;
}

void guest_reset(struct guest *g)
{
	http_client_reset(g->data, -ECONNRESET);
}

/* ---- requests ---- */

/* "K=V" vector to object; NULL when out of memory or not UTF-8. */
static json_t *env_object(const char *const *env)
{
	json_t *o = json_object();
	for (; o && env && *env; env++) {
		size_t n = strcspn(*env, "=");
		const char *value = (*env)[n] ? *env + n + 1 : "";
		if (json_object_setn_new(o, *env, n, json_string(value)) < 0) {
			json_decref(o);
			return NULL;
		}
	}
	return o;
}

static json_t *text_array(const char *const *v)
{
	json_t *a = json_array();
	for (; a && v && *v; v++) {
		if (json_array_append_new(a, json_string(*v)) < 0) {
			json_decref(a);
			return NULL;
		}
	}
	return a;
}

static int write_body(struct guest_call *c, json_t *o_consume)
{
	CLEAN_JSON json_t *o = o_consume;
	if (!o)
		return err_set(&c->err, -EINVAL, "%s %s: not valid UTF-8, or out of memory",
		    c->method, c->path);
	int r = json_write(&c->body, o, false);
	return r < 0 ? err_set(&c->err, r, "%s %s: out of memory", c->method, c->path) : 0;
}

/* Prepare the guest's one call. */
static void begin(struct guest *g, const char *method, const char *path, guest_fn *done, void *arg)
{
	assert(!guest_call_is_active(&g->call) && !loop_timer_is_armed(&g->closing));
	err_reset(&g->call.err);
	buf_reset(&g->call.body);
	g->call.method = method;
	(void)str_copy(g->call.path, sizeof(g->call.path), path);
	g->done = done;
	g->arg = arg;
}

/* The clock of a machine that is told its time late would be late. */
static int set_time(struct guest_call *c)
{
	const struct guest *g = container_of(c, struct guest, call);
	buf_reset(&c->body);
	if (json_object_set_new(g->request, "timestamp", json_integer(clock_real_ns())) < 0)
		return -ENOMEM;
	return json_write(&c->body, g->request, false);
}

/* Takes over the request, which may be NULL; the agent is told the time with it. */
static int prepare_timed(struct guest *g, json_t *request_consume)
{
	struct guest_call *c = &g->call;
	int r = write_body(c, json_incref(request_consume));
	g->request = request_consume;
	c->prepare = set_time;
	return r;
}

static void start(struct guest_call *c, int r, uint64_t timeout_ms)
{
	if (r < 0)
		guest_call_start_failed(c);
	else
		guest_call_start(c, timeout_ms);
}

/* A text member of an answer, NULL when there is none. *ret_o owns it. */
static const char *answer_text(const char *body, size_t n, const char *key, json_t **ret_o)
{
	const char *s = NULL;
	*ret_o = json_parse_object(body, n, CALL_ANSWER_MAX, false, NULL);
	if (*ret_o)
		(void)json_get_str(*ret_o, key, CALL_ANSWER_MAX, &s, NULL);
	return s;
}

/* ---- boot ---- */

/* The agent answers a little before our own limit runs out. */
static enum call_verdict ask_ready(struct guest *g)
{
	struct guest_call *c = &g->call;
	uint64_t left = guest_call_time_left(c) * 9 / 10;
	g->ready_wait_ms = left < READY_WAIT_MS ? left : READY_WAIT_MS;
	c->method = "GET";
	drop_request(g);
	buf_reset(&c->body);
	(void)snprintf(
	    c->path, sizeof(c->path), "/ready?wait=%llu", (unsigned long long)g->ready_wait_ms);
	return CALL_AGAIN;
}

static enum call_verdict judge_ready(struct guest_call *c, int status, const char *body, size_t n)
{
	struct guest *g = container_of(c, struct guest, call);
	uint64_t took = clock_mono_ms() - c->asked_ms;
	CLEAN_JSON json_t *o = NULL;
	if (status == 200)
		return CALL_DONE;
	bool early = took * 2 < g->ready_wait_ms, last = guest_call_time_left(c) < READY_LAST_MS;
	if (status == 503 && !early && !last)
		return ask_ready(g);
	(void)guest_call_refuse(c, status, answer_text(body, n, "reason", &o));
	if (last)
		c->err.code = -ETIMEDOUT;
	return CALL_DONE;
}

/* Of /boot and /wake. */
static enum call_verdict judge_start(struct guest_call *c, int status, const char *body, size_t n)
{
	CLEAN_JSON json_t *o = NULL;
	if (status != 204)
		return guest_call_refuse(c, status, answer_text(body, n, "message", &o));
	c->judge = judge_ready;
	return ask_ready(container_of(c, struct guest, call));
}

void guest_boot(
    struct guest *g, const struct guest_boot *b, uint64_t timeout_ms, guest_fn *done, void *arg)
{
	begin(g, "POST", "/boot", done, arg);
	g->call.judge = judge_start;
	json_t *o = json_pack("{s:s, s:s, s:s, s:o, s:o, s:i, s:{s:I, s:I, s:I}}", "templateId",
	    b->template_id, "user", b->user, "workdir", b->workdir, "env", env_object(b->env),
	    "kernels", text_array(b->kernels), "pids", (int)b->pids, "history", "seconds",
	    (json_int_t)b->history_s, "count", (json_int_t)b->history_count, "bytes",
	    (json_int_t)b->history_bytes);
	start(&g->call, write_body(&g->call, o), timeout_ms);
}

/* ---- snapshots ---- */

static enum call_verdict judge_done(struct guest_call *c, int status, const char *body, size_t n);
static int make_entropy(struct buf *text);

void guest_quiesce(struct guest *g, uint64_t timeout_ms, guest_fn *done, void *arg)
{
	begin(g, "POST", "/quiesce", done, arg);
	g->call.judge = judge_done;
	start(&g->call, write_body(&g->call, json_object()), timeout_ms);
}

/* The clock is right when its answer came soon after the time was told. */
static enum call_verdict judge_clock(struct guest_call *c, int status, const char *body, size_t n)
{
	struct guest *g = container_of(c, struct guest, call);
	uint64_t took = clock_mono_ms() - c->asked_ms;
	if (status == 204 && took > CLOCK_SOON_MS && g->clock_tries++ < CLOCK_TRIES_MAX)
		return CALL_AGAIN;
	return judge_start(c, status, body, n);
}

static enum call_verdict judge_wake(struct guest_call *c, int status, const char *body, size_t n)
{
	struct guest *g = container_of(c, struct guest, call);
	if (status != 204)
		return judge_start(c, status, body, n);
	c->judge = judge_clock;
	(void)str_copy(c->path, sizeof(c->path), "/clock");
	(void)json_object_clear(g->request); /* the time is all */
	return CALL_AGAIN;
}

void guest_wake(struct guest *g, bool warm_up, uint64_t timeout_ms, guest_fn *done, void *arg)
{
	CLEAN_BUF struct buf entropy = BUF_INIT;
	begin(g, "POST", "/wake", done, arg);
	g->call.judge = judge_wake;
	g->clock_tries = 0;
	int r = make_entropy(&entropy);
	if (r < 0)
		(void)err_set(&g->call.err, r, "POST /wake: out of memory");
	else
		r = prepare_timed(g,
		    json_pack("{s:s, s:b}", "entropy", buf_cstr(&entropy), "warmUp", (int)warm_up));
	start(&g->call, r, timeout_ms);
}

/* ---- closing ---- */

static bool is_closed(const struct channel *ch)
{
	return !ch || channel_is_closed(ch);
}

static void on_closing(struct loop_timer *t, void *arg)
{
	struct guest *g = arg;
	const struct err none = ERR_INIT;
	if (!is_closed(g->control_channel) || !is_closed(g->data_channel)) {
		loop_timer_set(&g->closing, CLOSING_STEP_MS);
		return;
	}
	g->done(&none, g->arg);
}

void guest_close_channels(struct guest *g, guest_fn *done, void *arg)
{
	assert(!guest_call_is_active(&g->call) && !loop_timer_is_armed(&g->closing));
	g->done = done;
	g->arg = arg;
	http_client_reset(g->control, -ECONNRESET);
	http_client_reset(g->data, -ECONNRESET);
	loop_timer_set(&g->closing, CLOSING_STEP_MS);
}

/* ---- check ---- */

static enum call_verdict judge_state(struct guest_call *c, int status, const char *body, size_t n)
{
	struct err err = ERR_INIT;
	bool initialised = false;
	if (status != 200)
		return guest_call_refuse(c, status, NULL);
	CLEAN_JSON json_t *o = json_parse_object(body, n, CALL_ANSWER_MAX, false, &err);
	if (!o || json_get_bool(o, "initialised", &initialised, &err) < 0)
		return guest_call_refuse(c, status, err.text);
	if (!initialised)
		(void)err_set(&c->err, -ESTALE, "the sandbox's agent has no identity");
	return CALL_DONE;
}

void guest_check(struct guest *g, uint64_t timeout_ms, guest_fn *done, void *arg)
{
	begin(g, "GET", "/state", done, arg);
	g->call.judge = judge_state;
	guest_call_start(&g->call, timeout_ms);
}

/* ---- init ---- */

static enum call_verdict judge_done(struct guest_call *c, int status, const char *body, size_t n)
{
	CLEAN_JSON json_t *o = NULL;
	return status == 204 ? CALL_DONE
			     : guest_call_refuse(c, status, answer_text(body, n, "message", &o));
}

/* Fresh for every sandbox, as base64 text. */
static int make_entropy(struct buf *text)
{
	unsigned char entropy[ENTROPY_BYTES];
	id_random(entropy, sizeof(entropy));
	return str_base64(text, entropy, sizeof(entropy), true) < 0 || !buf_cstr(text) ? -ENOMEM
										       : 0;
}

static json_t *init_request(const struct guest_identity *id, const char *entropy)
{
	return json_pack("{s:s, s:s, s:s?, s:o, s:s, s:s, s:s, s:I}", "sandboxId", id->sandbox_id,
	    "templateId", id->template_id, "accessToken", id->access_token, "envVars",
	    env_object(id->env), "entropy", entropy, "user", id->default_user, "workdir",
	    id->default_workdir, "diskBytes", (json_int_t)id->disk_bytes);
}

void guest_init(struct guest *g, const struct guest_identity *id, guest_fn *done, void *arg)
{
	CLEAN_BUF struct buf entropy = BUF_INIT;
	begin(g, "POST", "/init", done, arg);
	g->call.judge = judge_done;
	int r = make_entropy(&entropy);
	if (r < 0)
		(void)err_set(&g->call.err, r, "POST /init: out of memory");
	else
		r = prepare_timed(g, init_request(id, buf_cstr(&entropy)));
	start(&g->call, r, INIT_LIMIT_MS);
}

/* ---- notices ---- */

static void send_notice(struct notice *nt);

static void on_notice_done(struct guest_call *c)
{
	struct notice *nt = container_of(c, struct notice, call);
	bool newer = nt->state == NOTICE_NEWER;
	if (c->err.code)
		log_debug("%s", err_text(&c->err));
	nt->state = NOTICE_IDLE;
	if (newer)
		send_notice(nt);
}

static enum call_verdict judge_notice(struct guest_call *c, int status, const char *body, size_t n)
{
	return status == 204 ? CALL_DONE : guest_call_refuse(c, status, NULL);
}

static void send_notice(struct notice *nt)
{
	struct guest_call *c = &nt->call;
	err_reset(&c->err);
	nt->state = NOTICE_SENDING;
	c->method = "POST";
	(void)str_copy(c->path, sizeof(c->path), "/notice");
	c->judge = judge_notice;
	c->done = on_notice_done;
	json_t *o = json_pack("{s:s, s:I}", "kind", nt->kind, "count", (json_int_t)nt->count);
	start(c, write_body(c, o), NOTICE_LIMIT_MS);
}

void guest_notice(struct guest *g, const char *kind, int64_t count)
{
	for (size_t i = 0; i < 2; i++) {
		struct notice *nt = &g->notices[i];
		if (!str_eq(nt->kind, kind))
			continue;
		nt->count = count;
		if (nt->state == NOTICE_IDLE)
			send_notice(nt);
		else
			nt->state = NOTICE_NEWER;
	}
}

/* ---- limits ---- */

void guest_watch_limits(
    struct guest *g, const struct guest_limits *known, guest_limits_fn *told, void *arg)
{
	guest_watch_start(&g->watch, known, told, arg);
}

void guest_unwatch_limits(struct guest *g)
{
	guest_watch_stop(&g->watch);
}
