/* SPDX-License-Identifier: Apache-2.0 */
/* How streams end, seen from both sides of a TCP connection. */
#include "io_tests.h"

#include <errno.h>
#include <linux/filter.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/listener.h"

static struct loop *loop;
static struct peer a, b;
static int raw; /* the other end of a, where a test wants a bare descriptor */

static void setup_tcp(void)
{
	int fds[2];
	loop = loop_new();
	pair_tcp(fds);
	a = b = (struct peer){ 0 };
	raw = -1;
	peer_open(&a, loop, fds[0]);
	peer_open(&b, loop, fds[1]);
	run_idle(loop);
}

static void setup_raw(void)
{
	int fds[2];
	loop = loop_new();
	pair_tcp(fds);
	a = b = (struct peer){ 0 };
	peer_open(&a, loop, fds[0]);
	raw = fds[1];
	run_idle(loop);
}

static void teardown(void)
{
	peer_fini(&a);
	peer_fini(&b);
	if (raw >= 0)
		(void)close(raw);
	loop = loop_free(loop);
}

static void call_close(struct peer *p, uint64_t linger_ms)
{
	p->inside = true;
	stream_close(p->s, linger_ms);
	p->inside = false;
}

START_TEST(close_flushes)
{
	peer_write(&a, "last");
	call_close(&a, 5000);
	ck_assert_int_eq(stream_write(a.s, "x", 1), -EPIPE);
	RUN_UNTIL(loop, b.eofs == 1);
	ck_assert_uint_eq(b.total, 4);
	ck_assert_uint_eq(a.closes, 0); /* waits for the peer's end */
	call_close(&b, 5000);
	RUN_UNTIL(loop, a.closes == 1 && b.closes == 1);
	ck_assert_int_eq(a.close_err, 0);
	ck_assert_int_eq(b.close_err, 0);
}
END_TEST

START_TEST(half_close_keeps_the_other_half)
{
	peer_write(&a, "question");
	stream_shutdown(a.s);
	RUN_UNTIL(loop, b.eofs == 1);
	peer_write(&b, "answer");
	RUN_UNTIL(loop, a.total == 6);
	call_close(&b, 1000);
	RUN_UNTIL(loop, a.eofs == 1 && b.closes == 1);
	ck_assert_int_eq(b.close_err, 0);
	ck_assert_uint_eq(a.closes, 0);
	ck_assert_int_eq(stream_write(a.s, "x", 1), -EPIPE);
}
END_TEST

START_TEST(abort_resets)
{
	a.inside = true;
	stream_abort(a.s, -ECANCELED);
	stream_abort(a.s, -EIO); /* no effect any more */
	a.inside = false;
	RUN_UNTIL(loop, a.closes == 1 && b.closes == 1);
	ck_assert_int_eq(a.close_err, -ECANCELED);
	ck_assert_int_eq(b.close_err, -ECONNRESET);
	ck_assert_uint_eq(b.eofs, 0);
}
END_TEST

START_TEST(free_of_unsent_bytes_resets)
{
	stream_pause(b.s);
	peer_write_pattern(&a, 16 * 1024 * 1024);
	run_idle(loop);
	ck_assert_uint_gt(stream_queued(a.s), 0);
	a.s = stream_free(a.s);
	b.drop = true;
	stream_resume(b.s);
	RUN_UNTIL(loop, b.closes == 1);
	ck_assert_int_eq(b.close_err, -ECONNRESET);
	ck_assert_uint_eq(b.eofs, 0);
}
END_TEST

START_TEST(linger_has_an_end)
{
	stream_pause(b.s);
	peer_write_pattern(&a, 16 * 1024 * 1024);
	call_close(&a, 50);
	RUN_UNTIL(loop, a.closes == 1);
	ck_assert_int_eq(a.close_err, -ETIMEDOUT);
	b.drop = true;
	stream_resume(b.s);
	RUN_UNTIL(loop, b.closes == 1);
	ck_assert_int_eq(b.close_err, -ECONNRESET);
}
END_TEST

START_TEST(silent_peer_does_not_hold_a_flushed_close)
{
	peer_write(&a, "bye");
	call_close(&a, 20);
	RUN_UNTIL(loop, a.closes == 1);
	ck_assert_int_eq(a.close_err, 0);
	RUN_UNTIL(loop, b.eofs == 1);
	ck_assert_uint_eq(b.total, 3);
}
END_TEST

/* A server that refuses a body must not have its answer destroyed by a reset. */
START_TEST(answer_survives_a_peer_that_still_sends)
{
	char chunk[32 * 1024] = { 0 }, text[16];
	run_idle(loop);
	peer_write(&a, "413 too big");
	call_close(&a, 5000);
	for (int i = 0; i < 64; i++) {
		run_idle(loop);
		ck_assert_int_gt(send(raw, chunk, sizeof(chunk), MSG_NOSIGNAL), 0);
	}
	set_blocking(raw);
	ck_assert_int_eq(recv(raw, text, sizeof(text), 0), 11);
	ck_assert_int_eq(recv(raw, text, sizeof(text), 0), 0);
	ck_assert_int_eq(shutdown(raw, SHUT_WR), 0);
	RUN_UNTIL(loop, a.closes == 1);
	ck_assert_int_eq(a.close_err, 0);
	ck_assert_uint_eq(a.total, 0);
}
END_TEST

START_TEST(last_words_are_read_after_a_failed_write)
{
	ck_assert_int_eq(send(raw, "503 go away", 11, MSG_NOSIGNAL), 11);
	struct linger now = { 1, 0 };
	(void)setsockopt(raw, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	(void)close(raw);
	raw = -1;
	peer_write_pattern(&a, 4 * 1024 * 1024);
	RUN_UNTIL(loop, a.closes == 1);
	ck_assert_uint_eq(a.total, 11);
	ck_assert_int_lt(a.close_err, 0);
	ck_assert_uint_eq(a.eofs, 0);
}
END_TEST

START_TEST(eof_closes_an_owner_that_does_not_listen_for_it)
{
	int fds[2];
	struct peer p = { .opens = 1 };
	pair_tcp(fds);
	p.s = stream_new(loop, fds[0], false, &peer_ops_without_eof, &p);
	ck_assert_int_eq(stream_write(p.s, "bye", 3), 0);
	(void)shutdown(fds[1], SHUT_WR);
	RUN_UNTIL(loop, p.closes == 1);
	ck_assert_int_eq(p.close_err, 0);
	char text[8];
	ck_assert_int_eq(recv(fds[1], text, sizeof(text), 0), 3);
	(void)close(fds[1]);
	peer_fini(&p);
}
END_TEST

START_TEST(broken_is_seen_while_paused)
{
	stream_pause(a.s);
	ck_assert(!stream_is_broken(a.s));
	struct linger now = { 1, 0 };
	(void)setsockopt(raw, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	(void)close(raw);
	raw = -1;
	run_idle(loop);
	ck_assert_uint_eq(a.closes, 0);
	ck_assert(stream_is_broken(a.s));
}
END_TEST

/* A peer whose machine is gone: a socket filter drops what it is sent, so that it answers nothing.
 */
START_TEST(vanished_peer_is_unheard)
{
	struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog filter = { .len = 1, .filter = &drop };
	uint64_t unheard = 0;
	ck_assert_int_eq(stream_write(a.s, "x", 1), 0);
	run_idle(loop);
	for (int i = 0; i < 1000 && stream_unheard_ms(a.s) > 0; i++)
		(void)poll(NULL, 0, 1);
	ck_assert_uint_eq(stream_unheard_ms(a.s), 0); /* not read, but acknowledged */
	ck_assert_int_eq(setsockopt(raw, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)), 0);
	ck_assert_int_eq(stream_write(a.s, "y", 1), 0);
	for (int i = 0; i < 1000 && unheard < 100; i++) {
		run_idle(loop);
		(void)poll(NULL, 0, 10);
		unheard = stream_unheard_ms(a.s);
	}
	ck_assert_uint_ge(unheard, 100);
	ck_assert(!stream_is_broken(a.s));
}
END_TEST

START_TEST(refused_connection_is_told_by_on_close)
{
	struct peer p = { 0 };
	int fds[2];
	pair_tcp(fds);
	(void)close(fds[0]);
	(void)close(fds[1]);
	int fd = listener_connect_tcp("127.0.0.1", 1); /* nobody listens on tcpmux */
	if (fd == -ECONNREFUSED)
		return; /* told at once */
	ck_assert_int_ge(fd, 0);
	p.s = stream_new(loop, fd, true, &peer_ops, &p);
	ck_assert_int_eq(stream_write(p.s, "x", 1), 0);
	RUN_UNTIL(loop, p.closes == 1);
	ck_assert_int_eq(p.close_err, -ECONNREFUSED);
	ck_assert_uint_eq(p.opens, 0);
	peer_fini(&p);
}
END_TEST

START_TEST(close_before_the_first_turn)
{
	int fds[2];
	struct peer p = { 0 };
	pair_tcp(fds);
	peer_open(&p, loop, fds[0]);
	call_close(&p, 1000);
	RUN_UNTIL(loop, p.closes == 1);
	ck_assert_uint_eq(p.opens, 0);
	(void)close(fds[1]);
	peer_fini(&p);
}
END_TEST

void add_stream_end_tests(Suite *s)
{
	TCase *tc = test_case(s, "stream ends", 20);
	tcase_add_checked_fixture(tc, setup_tcp, teardown);
	tcase_add_test(tc, close_flushes);
	tcase_add_test(tc, half_close_keeps_the_other_half);
	tcase_add_test(tc, abort_resets);
	tcase_add_test(tc, free_of_unsent_bytes_resets);
	tcase_add_test(tc, linger_has_an_end);
	tcase_add_test(tc, silent_peer_does_not_hold_a_flushed_close);
	tcase_add_test(tc, eof_closes_an_owner_that_does_not_listen_for_it);
	tcase_add_test(tc, refused_connection_is_told_by_on_close);
	tcase_add_test(tc, close_before_the_first_turn);
	TCase *rc = test_case(s, "stream and bare peer", 20);
	tcase_add_checked_fixture(rc, setup_raw, teardown);
	tcase_add_test(rc, answer_survives_a_peer_that_still_sends);
	tcase_add_test(rc, last_words_are_read_after_a_failed_write);
	tcase_add_test(rc, broken_is_seen_while_paused);
	tcase_add_test(rc, vanished_peer_is_unheard);
}
