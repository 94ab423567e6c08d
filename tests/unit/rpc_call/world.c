/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "proto/types.pb-c.h"
#include "rpc_call_tests.h"

#define ECHO_PATH "/sandglass.test.Echo/"

/* ---- the service ---- */

struct download {
	unsigned next, total;
};

static struct echo *echo_of(struct call *c)
{
	return call_service_arg(c);
}

static void answer(struct call *c, const char *text, unsigned index)
{
	Sandglass__Test__EchoResponse m = SANDGLASS__TEST__ECHO_RESPONSE__INIT;
	m.text = (char *)text;
	m.index = index;
	int r = call_send(c, &m.base);
	ck_assert(r == 0 || r == -ENOMEM);
	if (r < 0)
		call_finish(c, RPC_RESOURCE_EXHAUSTED, "out of memory");
}

static void on_done(struct call *c, int err)
{
	struct echo *e = echo_of(c);
	e->dones++;
	e->last_err = err;
	e->hanging = NULL;
	free(call_user(c));
}

static void finish(struct call *c, unsigned code)
{
	if (code)
		call_finish(c, (enum rpc_code)code, "asked for %u: 100%% \xc3\xa9\n", code);
	else
		call_finish(c, RPC_OK, NULL);
}

static void unary_on_message(struct call *c, const ProtobufCMessage *msg)
{
	const Sandglass__Test__EchoRequest *m = (const void *)msg;
	echo_of(c)->messages++;
	if (str_eq(m->text, "hang")) {
		echo_of(c)->hanging = c;
		return;
	}
	if (str_eq(m->text, "metadata")) {
		ck_assert_int_eq(call_add_header(c, "x-header", "h"), 0);
		ck_assert_int_eq(call_add_trailer(c, "x-trailer", "t"), 0);
		ck_assert_int_eq(call_add_trailer(c, "x-trailer", "u"), 0);
	}
	if (!str_eq(m->text, "silent") && !m->code)
		answer(c, m->text, 0);
	if (str_eq(m->text, "twice")) {
		Sandglass__Test__EchoResponse again = SANDGLASS__TEST__ECHO_RESPONSE__INIT;
		ck_assert_int_lt(call_send(c, &again.base), 0);
	}
	finish(c, m->code);
	call_finish(c, RPC_INTERNAL, "the second status is ignored");
	Sandglass__Test__EchoResponse late = SANDGLASS__TEST__ECHO_RESPONSE__INIT;
	ck_assert_int_lt(call_send(c, &late.base), 0);
}

static void download_go_on(struct call *c)
{
	struct download *d = call_user(c);
	while (d->next < d->total && call_is_ready(c)) {
		char text[1024];
		memset(text, 'x', sizeof(text) - 1);
		text[d->total > ANSWERS_MAX ? sizeof(text) - 1 : 8] = '\0';
		answer(c, text, d->next++);
	}
	if (d->next == d->total) {
		(void)call_add_trailer(c, "x-trailer", "done"); /* tests look for it */
		call_finish(c, RPC_OK, NULL);
	}
}

static void download_on_message(struct call *c, const ProtobufCMessage *msg)
{
	const Sandglass__Test__EchoRequest *m = (const void *)msg;
	echo_of(c)->messages++;
	if (str_eq(m->text, "hang")) {
		echo_of(c)->hanging = c;
		ck_assert_int_eq(call_send_head(c), 0);
		return;
	}
	if (m->code) {
		for (unsigned i = 0; i < m->repeat; i++)
			answer(c, m->text, i);
		finish(c, m->code);
		return;
	}
	struct download *d = mem_zalloc(sizeof(*d));
	if (!d) {
		call_finish(c, RPC_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	d->total = m->repeat;
	call_set_user(c, d);
	download_go_on(c);
}

static void download_on_ready(struct call *c)
{
	echo_of(c)->readies++;
	if (call_user(c))
		download_go_on(c);
}

static void upload_on_message(struct call *c, const ProtobufCMessage *msg)
{
	(void)msg;
	echo_of(c)->messages++;
	if (!call_user(c))
		call_set_user(c, mem_zalloc(sizeof(unsigned)));
	(*(unsigned *)call_user(c))++;
}

static void upload_on_half_close(struct call *c)
{
	echo_of(c)->half_closes++;
	answer(c, "sum", call_user(c) ? *(unsigned *)call_user(c) : 0);
	call_finish(c, RPC_OK, NULL);
}

static void chat_on_message(struct call *c, const ProtobufCMessage *msg)
{
	const Sandglass__Test__EchoRequest *m = (const void *)msg;
	echo_of(c)->messages++;
	if (m->code)
		finish(c, m->code);
	else
		answer(c, m->text, m->repeat);
}

static void chat_on_half_close(struct call *c)
{
	echo_of(c)->half_closes++;
	call_finish(c, RPC_OK, NULL);
}

static const struct rpc_method methods[] = {
	{ .name = "Unary", .on_message = unary_on_message, .on_done = on_done },
	{ .name = "Download",
	    .server_stream = true,
	    .on_message = download_on_message,
	    .on_ready = download_on_ready,
	    .on_done = on_done },
	{ .name = "Upload",
	    .client_stream = true,
	    .on_message = upload_on_message,
	    .on_half_close = upload_on_half_close,
	    .on_done = on_done },
	{ .name = "Chat",
	    .client_stream = true,
	    .server_stream = true,
	    .on_message = chat_on_message,
	    .on_half_close = chat_on_half_close,
	    .on_done = on_done },
};

void echo_init(struct echo *e)
{
	*e = (struct echo){ .last_err = 1 };
	e->service = (struct rpc_service){ .descriptor = &sandglass__test__echo__descriptor,
		.methods = methods,
		.n_methods = sizeof(methods) / sizeof(methods[0]),
		.arg = e };
}

/* ---- the world ---- */

static enum rpc_code gate(struct call *c, char *text, size_t cap, void *arg)
{
	struct echo *e = arg;
	if (e->gate != RPC_OK)
		(void)snprintf(text, cap, "no entry to %s", call_method(c));
	else
		e->passed++;
	return e->gate;
}

static void on_request(struct http_stream *st, void *arg)
{
	struct world *w = arg;
	if (!rpc_router_handle(w->router, st)) {
		w->unhandled++;
		http_stream_reset(st, HTTP_RESET_REFUSED);
	}
}

void world_init(struct world *w, int version)
{
	*w = (struct world){ 0 };
	echo_init(&w->echo);
	w->loop = loop_new();
	ck_assert_ptr_nonnull(w->loop);
	w->router = rpc_router_new(w->loop);
	ck_assert_ptr_nonnull(w->router);
	ck_assert_int_eq(rpc_router_add(w->router, &w->echo.service), 0);
	rpc_router_set_gate(w->router, gate, &w->echo);
	loopback_init(&w->lb, version, on_request, w);
}

void world_fini(struct world *w)
{
	loopback_fini(&w->lb);
	rpc_router_free(w->router);
	loop_free(w->loop);
}

void world_settle(struct world *w)
{
	for (int i = 0; i < 40; i++) {
		loopback_pump(&w->lb);
		ck_assert_int_ge(loop_turn(w->loop, false), 0);
	}
}

/* ---- clients ---- */

const struct speech speeches[] = {
	{ "grpc", 2, "application/grpc", RPC_GRPC, RPC_PROTO, true },
	{ "grpc+json", 2, "application/grpc+json", RPC_GRPC, RPC_JSON, true },
	{ "web", 1, "application/grpc-web+proto", RPC_GRPC_WEB, RPC_PROTO, true },
	{ "web h2", 2, "application/grpc-web", RPC_GRPC_WEB, RPC_PROTO, true },
	{ "web text", 1, "application/grpc-web-text", RPC_GRPC_WEB_TEXT, RPC_PROTO, true },
	{ "connect json", 1, "application/json", RPC_CONNECT_UNARY, RPC_JSON, false },
	{ "connect proto", 2, "application/proto", RPC_CONNECT_UNARY, RPC_PROTO, false },
	{ "connect stream json", 1, "application/connect+json", RPC_CONNECT_STREAM, RPC_JSON,
	    true },
	{ "connect stream proto", 2, "application/connect+proto", RPC_CONNECT_STREAM, RPC_PROTO,
	    true },
};
const unsigned n_speeches = sizeof(speeches) / sizeof(speeches[0]);

void speech_call(struct world *w, const struct speech *sp, const char *method, const char *text,
    unsigned repeat, unsigned code, struct exchange *x, struct answer *ret)
{
	const char *fields[] = { "content-type", sp->content_type, "te", "trailers", NULL };
	char path[128];
	struct buf body = BUF_INIT;
	(void)snprintf(path, sizeof(path), ECHO_PATH "%s", method);
	speech_add(sp, &body, text, repeat, code);
	exchange_send(&w->lb, x, "POST", path, fields, buf_data(&body), buf_len(&body));
	buf_fini(&body);
	world_settle(w);
	if (ret)
		speech_read(sp, x, ret);
}
