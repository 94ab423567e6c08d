/* SPDX-License-Identifier: Apache-2.0 */
/* The gRPC client against the real server, over a unix socket. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fdutil.h"
#include "base/str.h"
#include "proto/types.pb-c.h"
#include "rpc/client_call.h"
#include "rpc/http_client.h"
#include "rpc/http_server.h"
#include "rpc_call_tests.h"

struct pair {
	struct loop *loop;
	struct rpc_router *router;
	struct http_server *server;
	struct http_client *client;
	struct echo echo;
	char path[64];
	int plain_status; /* of requests that are no RPC */
};

struct result {
	unsigned messages, dones;
	char last[64];
	enum rpc_code code;
	char text[256];
	struct client_call *cancel_in_message;
};

static void on_request(struct http_stream *st, void *arg)
{
	struct pair *p = arg;
	if (!rpc_router_handle(p->router, st))
		ck_assert_int_eq(http_answer_text(st, p->plain_status, "plain"), 0);
}

static void pair_init(struct pair *p)
{
	*p = (struct pair){ .loop = loop_new(), .plain_status = 404 };
	struct http_server_conf server = { .on_request = on_request, .arg = p };
	(void)snprintf(p->path, sizeof(p->path), "/tmp/sg-client-call-%d", (int)getpid());
	p->router = rpc_router_new(p->loop);
	echo_init(&p->echo);
	ck_assert_int_eq(rpc_router_add(p->router, &p->echo.service), 0);
	p->server = http_server_new(p->loop, &server);
	int fd = fd_listen_unix(p->path, 0600, 8);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(http_server_listen(p->server, fd, NULL), 0);
	struct http_client_conf client = { .unix_path = p->path, .version = 2 };
	p->client = http_client_new(p->loop, &client);
	ck_assert_ptr_nonnull(p->client);
}

static void pair_fini(struct pair *p)
{
	http_client_free(p->client);
	http_server_free(p->server);
	rpc_router_free(p->router);
	loop_free(p->loop);
	(void)unlink(p->path);
}

static void on_message(struct client_call *c, const ProtobufCMessage *m, void *arg)
{
	struct result *r = arg;
	r->messages++;
	(void)str_copy(r->last, sizeof(r->last), ((const Sandglass__Test__EchoResponse *)m)->text);
	if (r->cancel_in_message)
		client_call_cancel(r->cancel_in_message);
}

static void on_done(struct client_call *c, enum rpc_code code, const char *text, void *arg)
{
	struct result *r = arg;
	(void)c;
	r->dones++;
	r->code = code;
	(void)str_copy(r->text, sizeof(r->text), text);
}

static const struct client_call_ops ops = { .on_message = on_message, .on_done = on_done };

static struct client_call *start(
    struct pair *p, const char *path, uint64_t timeout_ms, struct result *r)
{
	*r = (struct result){ 0 };
	struct client_call *c = client_call_start(p->client, "test", path,
	    &sandglass__test__echo_response__descriptor, NULL, timeout_ms, &ops, r);
	ck_assert_ptr_nonnull(c);
	return c;
}

static void say(struct client_call *c, const char *text, unsigned repeat, unsigned code)
{
	Sandglass__Test__EchoRequest m = SANDGLASS__TEST__ECHO_REQUEST__INIT;
	m.text = (char *)text;
	m.repeat = repeat;
	m.code = code;
	ck_assert_int_eq(client_call_send(c, &m.base), 0);
}

static void finish(struct pair *p, struct result *r)
{
	while (r->dones == 0)
		ck_assert_int_ge(loop_turn(p->loop, true), 0);
	for (int i = 0; i < 20; i++)
		ck_assert_int_ge(loop_turn(p->loop, false), 0);
	ck_assert_uint_eq(r->dones, 1);
}

START_TEST(calls_of_every_kind)
{
	struct pair p;
	struct result r;
	pair_init(&p);
	struct client_call *c = start(&p, "/sandglass.test.Echo/Unary", 10000, &r);
	say(c, "hello", 0, 0);
	client_call_half_close(c);
	finish(&p, &r);
	ck_assert_int_eq(r.code, RPC_OK);
	ck_assert_str_eq(r.last, "hello");
	ck_assert_str_eq(r.text, "");

	c = start(&p, "/sandglass.test.Echo/Unary", 0, &r);
	say(c, "hello", 0, RPC_DATA_LOSS);
	client_call_half_close(c);
	finish(&p, &r);
	ck_assert_int_eq(r.code, RPC_DATA_LOSS);
	ck_assert_str_eq(r.text, "asked for 15: 100% \xc3\xa9\n");

	c = start(&p, "/sandglass.test.Echo/Download", 0, &r);
	say(c, "", 3000, 0);
	client_call_half_close(c);
	finish(&p, &r);
	ck_assert_int_eq(r.code, RPC_OK);
	ck_assert_uint_eq(r.messages, 3000);

	c = start(&p, "/sandglass.test.Echo/Chat", 0, &r);
	for (int i = 0; i < 100; i++)
		say(c, "again", 0, 0);
	client_call_half_close(c);
	ck_assert_uint_gt(client_call_queued(c), 0);
	finish(&p, &r);
	ck_assert_uint_eq(r.messages, 100);
	ck_assert_uint_eq(p.echo.dones, 4);
	pair_fini(&p);
}
END_TEST

START_TEST(server_ends_first)
{
	struct pair p;
	struct result r;
	pair_init(&p);
	struct client_call *c = start(&p, "/sandglass.test.Echo/Chat", 0, &r);
	say(c, "", 0, RPC_ABORTED);
	finish(&p, &r); /* our side was never closed */
	ck_assert_int_eq(r.code, RPC_ABORTED);
	pair_fini(&p);
}
END_TEST

START_TEST(answers_that_are_no_grpc)
{
	struct pair p;
	struct result r;
	pair_init(&p);
	client_call_half_close(start(&p, "/no.Such/Thing", 0, &r));
	finish(&p, &r);
	ck_assert_int_eq(r.code, RPC_UNIMPLEMENTED);
	ck_assert_ptr_nonnull(strstr(r.text, "404"));
	p.plain_status = 200;
	client_call_half_close(start(&p, "/no.Such/Thing", 0, &r));
	finish(&p, &r);
	ck_assert_int_eq(r.code, RPC_UNKNOWN);
	ck_assert_ptr_nonnull(strstr(r.text, "text/plain"));
	pair_fini(&p);
}
END_TEST

START_TEST(deadline_and_cancel)
{
	struct pair p;
	struct result r;
	pair_init(&p);
	struct client_call *c = start(&p, "/sandglass.test.Echo/Download", 20, &r);
	say(c, "hang", 0, 0);
	client_call_half_close(c);
	finish(&p, &r);
	ck_assert_int_eq(r.code, RPC_DEADLINE_EXCEEDED);
	while (p.echo.dones == 0)
		ck_assert_int_ge(loop_turn(p.loop, true), 0);

	c = start(&p, "/sandglass.test.Echo/Download", 0, &r);
	say(c, "hang", 0, 0);
	client_call_half_close(c);
	while (!p.echo.hanging)
		ck_assert_int_ge(loop_turn(p.loop, true), 0);
	client_call_cancel(c);
	client_call_cancel(c);
	ck_assert_uint_eq(r.dones, 0);
	finish(&p, &r);
	ck_assert_int_eq(r.code, RPC_CANCELED);
	while (p.echo.dones < 2)
		ck_assert_int_ge(loop_turn(p.loop, true), 0);
	ck_assert_int_eq(p.echo.last_err, -ECONNRESET);

	c = start(&p, "/sandglass.test.Echo/Download", 0, &r);
	r.cancel_in_message = c;
	say(c, "", 500, 0);
	client_call_half_close(c);
	finish(&p, &r);
	ck_assert_int_eq(r.code, RPC_CANCELED);
	ck_assert_uint_eq(r.messages, 1);
	pair_fini(&p);
}
END_TEST

START_TEST(connection_is_lost)
{
	struct pair p;
	struct result r;
	pair_init(&p);
	struct client_call *c = start(&p, "/sandglass.test.Echo/Download", 0, &r);
	say(c, "hang", 0, 0);
	client_call_half_close(c);
	while (!p.echo.hanging)
		ck_assert_int_ge(loop_turn(p.loop, true), 0);
	p.server = http_server_free(p.server);
	finish(&p, &r);
	ck_assert_int_eq(r.code, RPC_UNAVAILABLE);
	(void)unlink(p.path);
	client_call_half_close(start(&p, "/sandglass.test.Echo/Unary", 0, &r));
	finish(&p, &r);
	ck_assert_int_eq(r.code, RPC_UNAVAILABLE);
	pair_fini(&p);
}
END_TEST

void client_call_tests(Suite *s)
{
	TCase *tc = test_case(s, "client calls", 20);
	tcase_add_test(tc, calls_of_every_kind);
	tcase_add_test(tc, server_ends_first);
	tcase_add_test(tc, answers_that_are_no_grpc);
	tcase_add_test(tc, deadline_and_cancel);
	tcase_add_test(tc, connection_is_lost);
}
