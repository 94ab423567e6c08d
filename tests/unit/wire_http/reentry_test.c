/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owners that act from inside their callbacks: on their own stream, on others, on everything at
 * once. Nothing is asserted about the traffic but the rules of the header; the sanitizers watch the
 * memory.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "harness.h"

static struct peer client, server;
static uint64_t seed;

static unsigned roll(unsigned n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % n;
}

static void act(struct exchange *x)
{
	bool on_server = x->peer == &server;
	switch (roll(12)) {
	case 0:
		http_stream_reset(x->st, HTTP_RESET_CANCEL);
		break;
	case 1:
	case 2:
	case 3:
		(void)exchange_write(x, roll(3000));
		break;
	case 4:
		(void)exchange_end(x, roll(2) ? "t" : NULL);
		break;
	case 5:
	case 6:
		if (on_server)
			(void)exchange_respond(x, roll(8) ? 200 : 103, -1, roll(4) == 0);
		break;
	case 7:
		http_stream_set_handler(x->st, &peer_handler, x);
		break;
	case 8:
		http_stream_consume(x->st, roll(5000));
		break;
	default:
		break;
	}
}

/* After on_close and before: nobody's stream is touched when it is gone. */
static void act_anywhere(struct exchange *x, enum peer_event ev)
{
	struct peer *p = x->peer;
	for (unsigned i = roll(3); i > 0; i--) {
		struct exchange *other = roll(2) ? x : p->x[roll((unsigned)p->n)];
		if (other->st)
			act(other);
	}
	if (ev == PEER_CLOSE && p == &client && p->n < 200 && roll(3) == 0)
		(void)peer_request(p, "POST", "/again", -1, roll(2));
	if (ev == PEER_CLOSE || ev == PEER_DATA)
		ck_assert_uint_lt(p->n, PEER_EXCHANGES - 1);
}

static void one_run(peer_new_fn *new_server, peer_new_fn *new_client)
{
	peer_init(&server, new_server, 65535, 0);
	peer_init(&client, new_client, 65535, 0);
	server.script = client.script = act_anywhere;
	server.hold = roll(2);
	client.hold = roll(2);
	size_t step = roll(2) ? 0 : 1 + roll(200);
	for (int i = 0; i < 12; i++) {
		(void)peer_request(&client, roll(4) ? "POST" : "HEAD", "/", -1, roll(3) == 0);
		peers_run(&client, &server, step);
		for (size_t k = 0; k < client.n; k++)
			if (client.x[k]->st && roll(4) == 0)
				act(client.x[k]);
		for (size_t k = 0; k < server.n; k++)
			if (server.x[k]->st && roll(4) == 0)
				act(server.x[k]);
		if (roll(20) == 0)
			http_session_drain(roll(2) ? client.s : server.s);
		if (roll(40) == 0)
			(void)http_session_recv_eof(roll(2) ? client.s : server.s);
	}
	peers_run(&client, &server, step);
	peer_fini(&client);
	peer_fini(&server);
}

START_TEST(owners_act_anywhere)
{
	seed = (uint64_t)_i * 7919 + 1;
	for (int i = 0; i < 150; i++) {
		one_run(h1_server_new, h1_client_new);
		one_run(h2_server_new, h2_client_new);
	}
}
END_TEST

/* One chosen event resets one chosen stream. */
static enum peer_event reset_on;
static bool reset_other;

static void reset_then(struct exchange *x, enum peer_event ev)
{
	struct peer *p = x->peer;
	if (ev == PEER_REQUEST && reset_on != PEER_REQUEST) {
		(void)exchange_respond(x, 200, -1, false);
		(void)exchange_write(x, 100);
	}
	if (ev != reset_on)
		return;
	for (size_t i = 0; i < p->n; i++)
		if (p->x[i]->st && (p->x[i] != x) == reset_other)
			http_stream_reset(p->x[i]->st, HTTP_RESET_CANCEL);
}

START_TEST(reset_in_every_event)
{
	bool h2 = _i & 1, on_server = _i & 2;
	reset_other = _i & 4;
	reset_on = (enum peer_event)(_i >> 3);
	peer_init(&server, h2 ? h2_server_new : h1_server_new, 0, 0);
	peer_init(&client, h2 ? h2_client_new : h1_client_new, 0, 0);
	client.script = server.script = reset_then;
	if (on_server)
		client.script = NULL;
	for (int i = 0; i < 4; i++) {
		struct exchange *c = peer_request(&client, "POST", "/", -1, false);
		if (!c->st)
			continue;
		(void)exchange_write(c, 100);
		(void)exchange_end(c, NULL);
	}
	peers_run(&client, &server, 0);
	peers_run(&client, &server, 0);
	peer_fini(&client);
	peer_fini(&server);
}
END_TEST

static void request_again(struct exchange *x, enum peer_event ev)
{
	if (ev == PEER_CLOSE && x->peer->n < 4)
		ck_assert_int_eq(peer_request(x->peer, "GET", "/", -1, true)->err, -ESHUTDOWN);
}

START_TEST(free_ends_all_streams)
{
	peer_init(&client, _i ? h2_client_new : h1_client_new, 0, 0);
	client.script = request_again;
	struct exchange *x = peer_request(&client, "GET", "/", -1, true);
	if (_i)
		(void)peer_request(&client, "GET", "/", -1, true);
	client.s = http_session_free(client.s, -ETIMEDOUT);
	ck_assert_int_eq(x->err, -ETIMEDOUT);
	peer_fini(&client);
}
END_TEST

void reentry_tests(Suite *s)
{
	TCase *tc = test_case(s, "reentry", 60);
	tcase_add_loop_test(tc, owners_act_anywhere, 0, 6);
	tcase_add_loop_test(tc, reset_in_every_event, 0, 6 << 3);
	tcase_add_loop_test(tc, free_ends_all_streams, 0, 2);
}
