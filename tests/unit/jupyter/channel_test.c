/* SPDX-License-Identifier: Apache-2.0 */
/* Channels against a peer on a unix socket that the test plays itself. */
#include "jupyter_tests.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "guest-kernel-agent/jupyter/channel.h"
#include "lib/tmpdir.h"

#define PEER_HELLO                                                                   \
	"\xff\0\0\0\0\0\0\0\1\x7f\3\0NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" \
	"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"                     \
	"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06ROUTER"

static struct loop *loop;
static struct tmpdir dir;
static struct channel channel;
static struct sockaddr_un addr;
static int listener, peer;
static unsigned opens, messages, closes;
static int why_code;
static char last[32];
static bool pause_at_message;

static void on_open(struct channel *c, void *arg)
{
	opens++;
}

static void on_message(struct channel *c, void *arg)
{
	struct zmtp_span f = zmtp_frame(&c->zmtp, zmtp_frames(&c->zmtp) - 1);

	ck_assert(!c->paused);
	messages++;
	(void)snprintf(last, sizeof(last), "%.*s", (int)f.n, (const char *)f.p);
	if (pause_at_message)
		channel_pause(c);
}

static void on_close(struct channel *c, const struct err *why, void *arg)
{
	closes++;
	why_code = why->code;
}

static const struct channel_ops ops = { on_open, on_message, on_close };

static void setup(void)
{
	tmpdir_make(&dir);
	loop = loop_new();
	opens = messages = closes = 0;
	pause_at_message = false;
	peer = listener = -1;
	addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/s", dir.path);
	ck_assert_int_eq(channel_init(&channel, loop, ZMTP_DEALER, (struct sockaddr *)&addr,
			     sizeof(addr), &ops, NULL),
	    0);
}

static void teardown(void)
{
	channel_fini(&channel);
	(void)fd_close(peer);
	(void)fd_close(listener);
	loop_free(loop);
	tmpdir_remove(&dir);
}

static void on_time(struct loop_timer *t, void *arg)
{
	*(bool *)arg = true;
}

static void turns(unsigned ms)
{
	struct loop_timer t = { 0 };
	bool passed = false;

	loop_timer_init(&t, loop, on_time, &passed);
	loop_timer_set(&t, ms);
	while (!passed)
		ck_assert_int_eq(loop_turn(loop, true), 0);
	loop_timer_fini(&t);
}

static void until(const unsigned *counter, unsigned n)
{
	while (*counter < n)
		ck_assert_int_eq(loop_turn(loop, true), 0);
}

static void say(const void *p, size_t n)
{
	ck_assert_int_eq(fd_write_all(peer, p, n), 0);
}

static void accept_peer(void)
{
	listener = fd_listen_unix(addr.sun_path, 0600, 4);
	ck_assert_int_ge(listener, 0);
	do {
		turns(2);
		peer = accept(listener, NULL, NULL);
	} while (peer < 0);
}

static void open_channel(void)
{
	accept_peer();
	say(PEER_HELLO, sizeof(PEER_HELLO) - 1);
	until(&opens, 1);
}

START_TEST(test_waits_for_the_listener)
{
	struct zmtp_span text = { "early", 5 };
	char got[256];
	ssize_t n;

	turns(30);
	ck_assert_uint_eq(closes, 0);
	ck_assert_int_eq(zmtp_send(&channel.zmtp, &text, 1), 0);
	channel_flush(&channel);
	open_channel();
	turns(5);
	n = read(peer, got, sizeof(got));
	ck_assert_int_gt(n, 64);
	ck_assert_mem_eq(got + n - 7, "\0\5early", 7);
}
END_TEST

START_TEST(test_pause)
{
	open_channel();
	pause_at_message = true;
	say("\0\1a\0\1b\0\1c", 9);
	until(&messages, 1);
	turns(10);
	ck_assert_uint_eq(messages, 1);
	ck_assert_str_eq(last, "a");
	pause_at_message = false;
	channel_resume(&channel);
	ck_assert_uint_eq(messages, 1); /* not from inside the call */
	until(&messages, 3);
	ck_assert_str_eq(last, "c");
}
END_TEST

/* What the peer sent before it went away is still delivered. */
START_TEST(test_end_of_peer)
{
	open_channel();
	say("\0\1a\0\1b", 6);
	peer = fd_close(peer);
	until(&closes, 1);
	ck_assert_uint_eq(messages, 2);
	ck_assert_int_eq(why_code, 0);
	turns(30);
	ck_assert_uint_eq(closes, 1);
}
END_TEST

START_TEST(test_protocol_error)
{
	open_channel();
	say("\xf0", 1);
	say("\xf0", 1);
	until(&closes, 1);
	ck_assert_int_eq(why_code, -EPROTO);
}
END_TEST

START_TEST(test_large_request)
{
	static char text[4 << 20];
	struct zmtp_span frame = { text, sizeof(text) };
	char got[65536];
	size_t total = 0;

	open_channel();
	memset(text, 'x', sizeof(text));
	ck_assert_int_eq(zmtp_send(&channel.zmtp, &frame, 1), 0);
	channel_flush(&channel);
	ck_assert_int_eq(fd_set_nonblock(peer), 0);
	while (total < sizeof(text) + 9) {
		ssize_t n = read(peer, got, sizeof(got));

		if (n > 0)
			total += (size_t)n;
		else
			ck_assert_int_eq(loop_turn(loop, false), 0);
	}
	ck_assert_uint_eq(buf_len(zmtp_out(&channel.zmtp)), 0);
}
END_TEST

void add_channel_tests(Suite *s)
{
	TCase *tc = test_case(s, "channel", 20);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_waits_for_the_listener);
	tcase_add_test(tc, test_pause);
	tcase_add_test(tc, test_end_of_peer);
	tcase_add_test(tc, test_protocol_error);
	tcase_add_test(tc, test_large_request);
}
