/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes through a stream: order, flow control, memory. */
#include "io_tests.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

static struct loop *loop;
static struct peer a, b;

static void setup_unix(void)
{
	int fds[2];
	loop = loop_new();
	pair_unix(fds);
	a = b = (struct peer){ 0 };
	peer_open(&a, loop, fds[0]);
	peer_open(&b, loop, fds[1]);
}

static void teardown(void)
{
	peer_fini(&a);
	peer_fini(&b);
	loop = loop_free(loop);
}

static bool got(const struct peer *p, const char *text)
{
	return buf_len(&p->got) == strlen(text) &&
	       memcmp(buf_data(&p->got), text, strlen(text)) == 0;
}

START_TEST(bytes_pass_both_ways)
{
	peer_write(&a, "ping"); /* before on_open: kept until then */
	RUN_UNTIL(loop, got(&b, "ping"));
	peer_write(&b, "pong");
	RUN_UNTIL(loop, got(&a, "pong"));
	ck_assert_uint_eq(a.sent, 4);
	ck_assert_uint_eq(b.sent, 4);
	ck_assert_uint_eq(stream_queued(a.s), 0);
	ck_assert_uint_eq(a.opens, 1);
	ck_assert_str_eq(stream_alpn(a.s), "");
}
END_TEST

START_TEST(writes_of_one_turn_leave_together)
{
	int fd = dup(stream_fd(b.s));
	b.s = stream_free(b.s);
	run_idle(loop);
	peer_write(&a, "one ");
	peer_write(&a, "two ");
	peer_write(&a, "three");
	ck_assert_uint_eq(stream_queued(a.s), 13);
	char text[32];
	ck_assert_int_eq(recv(fd, text, sizeof(text), MSG_DONTWAIT), -1);
	ck_assert_int_eq(loop_turn(loop, false), 0);
	ck_assert_int_eq(recv(fd, text, sizeof(text), MSG_DONTWAIT), 13);
	(void)close(fd);
}
END_TEST

START_TEST(untaken_bytes_are_kept)
{
	b.take_max = 3;
	peer_write(&a, "abcdefgh");
	RUN_UNTIL(loop, got(&b, "abc"));
	peer_write(&a, "ij");
	run_idle(loop);
	ck_assert(got(&b, "abc")); /* paused by taking less */
	stream_resume(b.s);
	run_idle(loop);
	ck_assert(got(&b, "abcdef"));
	b.take_max = 0;
	stream_resume(b.s);
	RUN_UNTIL(loop, got(&b, "abcdefghij"));
}
END_TEST

START_TEST(eof_waits_for_untaken_bytes)
{
	b.take_max = 2;
	peer_write(&a, "abc");
	stream_shutdown(a.s);
	RUN_UNTIL(loop, got(&b, "ab"));
	run_idle(loop);
	ck_assert_uint_eq(b.eofs, 0);
	stream_resume(b.s);
	RUN_UNTIL(loop, b.eofs == 1);
	ck_assert(got(&b, "abc"));
}
END_TEST

START_TEST(paused_reader_holds_the_writer)
{
	size_t n = 8 * 1024 * 1024;
	run_idle(loop);
	stream_pause(b.s);
	peer_write_pattern(&a, n);
	run_idle(loop);
	ck_assert_uint_gt(stream_queued(a.s), 0);
	ck_assert_uint_eq(a.sent + stream_queued(a.s), n);
	ck_assert_uint_eq(b.total, 0);
	stream_resume(b.s);
	RUN_UNTIL(loop, b.total == n);
	ck_assert(pattern_ok(&b.got));
	ck_assert_uint_eq(a.sent, n);
	ck_assert_uint_le(b.most, 256 * 1024);
}
END_TEST

static void write_again(struct peer *p)
{
	if (p->total < 1000)
		ck_assert_int_eq(stream_write(p->s, "x", 1), 0);
}

START_TEST(callbacks_may_write)
{
	a.then = b.then = write_again;
	peer_write(&a, "x");
	RUN_UNTIL(loop, a.total >= 1000 || b.total >= 1000);
}
END_TEST

static void free_itself(struct peer *p)
{
	p->inside = true;
	p->s = stream_free(p->s);
}

START_TEST(free_inside_on_read)
{
	b.then = free_itself;
	peer_write(&a, "x");
	RUN_UNTIL(loop, !b.s);
	RUN_UNTIL(loop, a.eofs == 1);
	ck_assert_uint_eq(b.closes, 0);
}
END_TEST

START_TEST(allocation_failures_are_returned)
{
	int fds[2];
	pair_unix(fds);
	mem_fail_after(0);
	ck_assert_ptr_null(stream_new(loop, fds[0], false, &peer_ops, &a));
	ck_assert_int_eq(stream_write(a.s, "x", 1), -ENOMEM);
	mem_fail_after(-1);
	char c;
	ck_assert_int_eq(read(fds[1], &c, 1), 0); /* fds[0] was closed */
	(void)close(fds[1]);
	ck_assert_uint_eq(stream_queued(a.s), 0);
	b.take_max = 1;
	peer_write(&a, "xyz");
	run_idle(loop);
	b.take_max = 0;
	peer_write(&a, "!");
	stream_resume(b.s);
	RUN_UNTIL(loop, got(&b, "xyz!"));
}
END_TEST

START_TEST(no_memory_for_untaken_bytes_ends_the_stream)
{
	run_idle(loop);
	b.take_max = 1;
	b.drop = true;
	peer_write(&a, "xyz");
	mem_fail_after(0);
	for (int i = 0; i < 5; i++)
		(void)loop_turn(loop, false);
	mem_fail_after(-1);
	RUN_UNTIL(loop, b.closes == 1);
	ck_assert_int_eq(b.close_err, -ENOMEM);
}
END_TEST

START_TEST(terminal_is_a_stream)
{
	int fds[2];
	struct peer t = { 0 };
	ck_assert_int_eq(pipe(fds), 0);
	peer_open(&t, loop, fds[0]); /* no socket: read(2), no shutdown(2) */
	ck_assert_int_eq(write(fds[1], "tty", 3), 3);
	RUN_UNTIL(loop, got(&t, "tty"));
	(void)close(fds[1]);
	RUN_UNTIL(loop, t.eofs == 1);
	stream_close(t.s, 1000);
	RUN_UNTIL(loop, t.closes == 1);
	ck_assert_int_eq(t.close_err, 0);
	peer_fini(&t);
}
END_TEST

void add_stream_tests(Suite *s)
{
	TCase *tc = test_case(s, "stream", 20);
	tcase_add_checked_fixture(tc, setup_unix, teardown);
	tcase_add_test(tc, bytes_pass_both_ways);
	tcase_add_test(tc, writes_of_one_turn_leave_together);
	tcase_add_test(tc, untaken_bytes_are_kept);
	tcase_add_test(tc, eof_waits_for_untaken_bytes);
	tcase_add_test(tc, paused_reader_holds_the_writer);
	tcase_add_test(tc, callbacks_may_write);
	tcase_add_test(tc, free_inside_on_read);
	tcase_add_test(tc, allocation_failures_are_returned);
	tcase_add_test(tc, no_memory_for_untaken_bytes_ends_the_stream);
	tcase_add_test(tc, terminal_is_a_stream);
}
