/* SPDX-License-Identifier: Apache-2.0 */
/* The n-th allocation fails, for every n of a conversation: no crash, no leak, every owner hears
 * its end. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "harness.h"

static struct peer client, server;

static void serve(struct exchange *x, enum peer_event ev)
{
	if (ev != PEER_END || x->peer != &server)
		return;
	if (exchange_respond(x, 200, -1, false) < 0 || exchange_write(x, 3000) < 0 ||
	    exchange_end(x, "t") < 0)
		http_stream_reset(x->st, HTTP_RESET_INTERNAL);
}

static void converse(int version)
{
	peer_init(&server, version == 1 ? h1_server_new : h2_server_new, 0, 0);
	if (!server.s)
		return;
	server.script = serve;
	peer_init(&client, version == 1 ? h1_client_new : h2_client_new, 0, 0);
	for (int i = 0; client.s && i < 2; i++) {
		struct exchange *c = peer_request(&client, "POST", "/path", -1, false);
		if (c->st && (exchange_write(c, 2000) < 0 || exchange_end(c, "t") < 0))
			http_stream_reset(c->st, HTTP_RESET_CANCEL);
		peers_run(&client, &server, version == 1 ? 13 : 0);
		if (client.send_err < 0 || client.recv_err < 0 || server.send_err < 0 ||
		    server.recv_err < 0)
			break;
	}
	if (client.s)
		peer_fini(&client);
	peer_fini(&server);
}

START_TEST(every_allocation_may_fail)
{
	long before = mem_alloc_count();
	converse(_i);
	long total = mem_alloc_count() - before;
	ck_assert_int_gt(total, 20);
	for (long n = 0; n < total; n++) {
		mem_fail_after(n);
		converse(_i);
		mem_fail_after(-1);
	}
	converse(_i);
}
END_TEST

/* A single failure, after which memory is there again. */
static long calls;
static void recover(struct exchange *x, enum peer_event ev)
{
	serve(x, ev);
	if (++calls == 2)
		mem_fail_after(-1);
}

START_TEST(one_allocation_may_fail)
{
	for (long n = 0; n < 400; n++) {
		calls = 0;
		peer_init(&server, _i == 1 ? h1_server_new : h2_server_new, 0, 0);
		peer_init(&client, _i == 1 ? h1_client_new : h2_client_new, 0, 0);
		server.script = client.script = recover;
		mem_fail_after(n);
		struct exchange *c = peer_request(&client, "GET", "/", -1, true);
		peers_run(&client, &server, 0);
		mem_fail_after(-1);
		peers_run(&client, &server, 0);
		ck_assert(c->closes == 1 || client.send_err < 0 || server.send_err < 0 ||
			  client.recv_err < 0 || server.recv_err < 0);
		peer_fini(&client);
		peer_fini(&server);
	}
}
END_TEST

void sweep_tests(Suite *s)
{
	TCase *tc = test_case(s, "sweep", 60);
	tcase_add_loop_test(tc, every_allocation_may_fail, 1, 3);
	tcase_add_loop_test(tc, one_allocation_may_fail, 1, 3);
}
