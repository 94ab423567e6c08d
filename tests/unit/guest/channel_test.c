/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Channels of virtual machines, both ends: the host's calls over a serial port whose clients are
 * cut off at every byte, and over a vsock device of every temper.
 */
#include "guest/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fdutil.h"
#include "base/mem.h"
#include "guest/guest.h"
#include "guest_tests.h"
#include "lib/fake_port.h"
#include "lib/tmpdir.h"
#include "loop/loop.h"
#include "rpc/http_client.h"
#include "rpc/http_server.h"
#include "rpc/serial_pump.h"

#define BIG (700 * 1000)

static struct {
	struct loop *loop;
	struct tmpdir dir;
	char path[128];
	struct fake_port port;
	struct serial_pump pump; /* the agent's */
	struct http_server *server;
	unsigned requests, wrong, port_ends;
	struct guest *guest;
	int answered;
	struct err err;
} w;

static char big[BIG];

/* ---- the agent ---- */

static void on_body(struct http_stream *st, int err, const void *p, size_t n, void *arg)
{
	const struct http_head *h = http_stream_peer_head(st);
	bool state = strcmp(h->path, "/state") == 0 && strcmp(h->method, "GET") == 0 && n == 0;
	bool echo = strcmp(h->path, "/echo") == 0;
	if (err < 0)
		return;
	w.requests++;
	if (state)
		(void)http_answer_text(st, 200, "{\"initialised\":true}");
	else if (echo)
		(void)http_answer(st, 200, "text/plain", p, n);
	else if (strcmp(h->path, "/quiesce") == 0 || strcmp(h->path, "/wake") == 0 ||
		 strcmp(h->path, "/clock") == 0)
		(void)http_answer(st, 204, NULL, NULL, 0);
	else if (strncmp(h->path, "/ready", 6) == 0)
		(void)http_answer_text(st, 200, "{}");
	else
		w.wrong++;
}

static void on_request(struct http_stream *st, void *arg)
{
	ck_assert_int_eq(http_collect(st, BIG, on_body, arg), 0);
}

static int on_connection(struct serial_pump *p, int fd_consume)
{
	return http_server_adopt(w.server, fd_consume);
}

static void on_port_end(struct serial_pump *p, int err)
{
	w.port_ends++;
}

static const struct serial_pump_ops pump_ops = { on_connection, on_port_end };

static void serve(void)
{
	const struct http_server_conf c = { .on_request = on_request };
	w.server = http_server_new(w.loop, &c);
	ck_assert_ptr_nonnull(w.server);
}

static void start_agent(void)
{
	int fd = fake_port_open(&w.port, w.loop, w.path);
	ck_assert_int_eq(serial_pump_init_guest(&w.pump, w.loop, fd, &pump_ops), 0);
}

/* ---- world ---- */

static struct guest *open_guest(enum guest_channel_kind kind)
{
	const struct guest_channel c = { .kind = kind, .path = w.path, .port = 49001 };
	struct guest *g = guest_new(w.loop, &c, &c);
	ck_assert_ptr_nonnull(g);
	return g;
}

static void setup(void)
{
	memset(&w, 0, sizeof(w));
	w.loop = loop_new();
	tmpdir_make(&w.dir);
	(void)tmpdir_at(&w.dir, "s", w.path);
	serve();
}

static void turn(unsigned n)
{
	while (n--)
		ck_assert_int_eq(loop_turn(w.loop, false), 0);
}

static void teardown(void)
{
	w.guest = guest_free(w.guest);
	serial_pump_fini(&w.pump);
	fake_port_close(&w.port);
	w.server = http_server_free(w.server);
	turn(5);
	(void)loop_free(w.loop);
	tmpdir_remove(&w.dir);
}

static void on_done(const struct err *err, void *arg)
{
	w.answered++;
	w.err = *err;
}

static void wait_done(void)
{
	while (w.answered == 0)
		ck_assert_int_eq(loop_turn(w.loop, true), 0);
	ck_assert_int_eq(w.answered, 1);
	w.answered = 0;
}

static void check_works(void)
{
	guest_check(w.guest, 10000, on_done, NULL);
	wait_done();
	ck_assert_msg(w.err.code == 0, "%s", w.err.text);
	ck_assert_uint_eq(w.wrong, 0);
}

/* ---- serial ---- */

/* From the first byte of the flush to the last of a request, and on to its answer. */
START_TEST(request_after_a_cut_always_works)
{
	const long greeting = SERIAL_LINK_FLUSH + SERIAL_LINK_ACK;
	start_agent();
	for (long cut = 0; cut < 160; cut++) {
		long in = _i ? -1 : greeting - 60 + cut;
		long out = _i ? cut : -1;
		while (w.port.client_fd >= 0) /* the client of before */
			turn(1);
		fake_port_cut(&w.port, in, out);
		w.guest = open_guest(GUEST_CHANNEL_SERIAL);
		check_works();
		w.guest = guest_free(w.guest);
	}
	ck_assert_uint_ge(w.port.clients, 310);
	ck_assert_uint_eq(w.port_ends, 0);
}
END_TEST

/* virtio-serial: the answer to a client that has gone is read by the next one, which knows by
 * session and nonce that it is not its own. */
START_TEST(every_client_has_a_greeting_of_its_own)
{
	struct serial_pump p[2];
	int sv[2][2];
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(
		    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv[i]), 0);
		ck_assert_int_eq(serial_pump_init_host(&p[i], w.loop, sv[i][0], &pump_ops), 0);
	}
	const size_t nonce = SERIAL_LINK_HEAD; /* in the answer that is awaited */
	ck_assert_uint_ne(p[0].link.session, p[1].link.session);
	ck_assert_mem_ne(p[0].link.ack + nonce, p[1].link.ack + nonce, SERIAL_LINK_NONCE);
	for (int i = 0; i < 2; i++) {
		serial_pump_fini(&p[i]);
		(void)fd_close(sv[i][1]);
	}
}
END_TEST

static void on_fetched(int err, int status, const void *body, size_t n, void *arg)
{
	w.answered++;
	(void)err_set(&w.err, err, "fetch");
	if (err < 0)
		return;
	ck_assert_int_eq(status, 200);
	ck_assert_uint_eq(n, BIG);
	ck_assert_mem_eq(body, big, BIG);
}

static void fetch_big(void)
{
	struct http_head head = HTTP_HEAD_INIT;
	ck_assert_int_eq(http_head_set_request(&head, "POST", "http", "x", "/echo"), 0);
	err_reset(&w.err);
	ck_assert_ptr_nonnull(
	    http_fetch_start(guest_data(w.guest), &head, big, BIG, BIG, 20000, on_fetched, NULL));
	http_head_fini(&head);
	wait_done();
}

/* A body cut anywhere is no request, and the next one is whole. */
START_TEST(bodies_pass_whole)
{
	for (size_t i = 0; i < BIG; i++)
		big[i] = (char)(i / 3 + i % 251);
	memset(big + 100000, 0, 200000);
	start_agent();
	w.guest = open_guest(GUEST_CHANNEL_SERIAL);
	fetch_big();
	ck_assert_int_eq(w.err.code, 0);
	for (long cut = 20000; cut < 2 * BIG; cut += 54321) {
		unsigned before = w.requests;
		fake_port_cut(&w.port, cut < BIG ? cut : -1, cut < BIG ? -1 : cut - BIG);
		fetch_big();
		ck_assert_int_ne(w.err.code, 0);
		ck_assert_uint_eq(w.requests, before + (cut >= BIG));
		fetch_big();
		ck_assert_int_eq(w.err.code, 0);
	}
	ck_assert_uint_eq(w.wrong, 0);
}
END_TEST

/* Connections of the same guest wait for their turn; one client at a time is all a port takes. */
START_TEST(second_client_waits_for_the_first)
{
	start_agent();
	w.guest = open_guest(GUEST_CHANNEL_SERIAL);
	check_works();
	struct guest *other = open_guest(GUEST_CHANNEL_SERIAL);
	guest_check(other, 10000, on_done, NULL);
	turn(50);
	ck_assert_int_eq(w.answered, 0);
	w.guest = guest_free(w.guest);
	wait_done();
	ck_assert_int_eq(w.err.code, 0);
	other = guest_free(other);
	ck_assert_uint_eq(w.port.clients, 2);
}
END_TEST

/* ---- a port that hangs up, as the real ones do and sockets do not: the master of a terminal ----
 */

static void open_terminal(int *ret_port, char path[64])
{
	struct termios raw;
	int client;
	ck_assert_int_eq(openpty(ret_port, &client, path, NULL, NULL), 0);
	ck_assert_int_eq(tcgetattr(client, &raw), 0);
	cfmakeraw(&raw);
	ck_assert_int_eq(tcsetattr(client, TCSANOW, &raw), 0);
	ck_assert_int_eq(fcntl(*ret_port, F_SETFL, O_NONBLOCK), 0);
	(void)close(client);
}

static int open_client(const char *path)
{
	int fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	return fd;
}

/* The greeting without the flush, which the first ones after a start do not need. */
static void greet(int fd, uint32_t session, unsigned char ack[SERIAL_LINK_ACK])
{
	static const unsigned char nonce[SERIAL_LINK_NONCE] = "0123456789abcdef";
	struct serial_link l;
	ck_assert_int_eq(serial_link_init_host(&l, session, nonce), 0);
	size_t n = buf_len(&l.out) - SERIAL_LINK_FLUSH;
	ck_assert_int_eq(
	    write(fd, (const char *)buf_data(&l.out) + SERIAL_LINK_FLUSH, n), (ssize_t)n);
	memcpy(ack, l.ack, SERIAL_LINK_ACK);
	serial_link_fini(&l);
}

static void on_time(struct loop_timer *t, void *arg)
{
	*(bool *)arg = true;
}

/* How often the loop turned: an agent that looks at a port which reports its hang-up for ever turns
 * without end. */
static unsigned turns_within(unsigned ms)
{
	struct loop_timer t;
	bool over = false;
	unsigned n = 0;
	loop_timer_init(&t, w.loop, on_time, &over);
	loop_timer_set(&t, ms);
	for (; !over; n++)
		ck_assert_int_eq(loop_turn(w.loop, true), 0);
	loop_timer_fini(&t);
	return n;
}

/* Its own is the last that comes; one of the old client's greeting may come before. */
static void wait_for_ack(int client, const unsigned char ack[SERIAL_LINK_ACK])
{
	unsigned char got[4 * SERIAL_LINK_ACK];
	size_t n = 0;
	while (n < SERIAL_LINK_ACK || memcmp(got + n - SERIAL_LINK_ACK, ack, SERIAL_LINK_ACK)) {
		turn(1);
		ssize_t more = read(client, got + n, sizeof(got) - n);
		if (more > 0)
			n += (size_t)more;
		ck_assert_uint_lt(n, sizeof(got));
	}
}

/* What it reads while nobody is there it would answer to nobody: the answer is dropped on the way,
 * and a client that comes at that moment waits for it for ever. */
START_TEST(agent_rests_and_reads_nothing_without_a_client)
{
	unsigned char old[SERIAL_LINK_ACK], ack[SERIAL_LINK_ACK];
	char path[64];
	int port, waiting = 0;
	open_terminal(&port, path);
	int client = open_client(path);
	greet(client, 7, old);
	(void)close(client);
	for (; waiting < SERIAL_LINK_ACK; turn(1)) /* the kernel passes it on when it has time */
		ck_assert_int_eq(ioctl(port, FIONREAD, &waiting), 0);
	ck_assert_int_eq(serial_pump_init_guest(&w.pump, w.loop, port, &pump_ops), 0);
	ck_assert_uint_lt(turns_within(100), 20);
	ck_assert_int_eq(ioctl(port, FIONREAD, &waiting), 0);
	ck_assert_int_eq(waiting, SERIAL_LINK_ACK);
	client = open_client(path);
	greet(client, 8, ack);
	wait_for_ack(client, ack);
	(void)close(client);
	ck_assert_uint_lt(turns_within(100), 20);
	ck_assert_uint_eq(w.port_ends, 0);
}
END_TEST

/* ---- agents of every temper ---- */

START_TEST(agent_that_comes_late)
{
	int fd = fake_port_open(&w.port, w.loop, w.path);
	w.guest = open_guest(GUEST_CHANNEL_SERIAL);
	guest_check(w.guest, 10000, on_done, NULL);
	turn(50);
	ck_assert_int_eq(w.answered, 0);
	ck_assert_int_eq(serial_pump_init_guest(&w.pump, w.loop, fd, &pump_ops), 0);
	wait_done();
	ck_assert_int_eq(w.err.code, 0);
}
END_TEST

START_TEST(agent_that_never_comes)
{
	int fd = fake_port_open(&w.port, w.loop, w.path);
	w.guest = open_guest(GUEST_CHANNEL_SERIAL);
	guest_check(w.guest, 100, on_done, NULL);
	wait_done();
	ck_assert_int_eq(w.err.code, -ETIMEDOUT);
	(void)fd_close(fd);
}
END_TEST

START_TEST(port_that_is_gone)
{
	w.guest = open_guest(GUEST_CHANNEL_SERIAL);
	guest_check(w.guest, 100, on_done, NULL);
	wait_done();
	ck_assert_int_eq(w.err.code, -ETIMEDOUT);
	ck_assert_ptr_nonnull(strstr(w.err.text, "GET /state"));
}
END_TEST

START_TEST(vmm_that_dies_breaks_streams)
{
	start_agent();
	w.guest = open_guest(GUEST_CHANNEL_SERIAL);
	check_works();
	fake_port_close(&w.port);
	guest_check(w.guest, 200, on_done, NULL);
	wait_done();
	ck_assert_int_ne(w.err.code, 0);
	ck_assert_uint_eq(http_server_connections(w.server), 0);
}
END_TEST

static void close_channels(void)
{
	guest_close_channels(w.guest, on_done, NULL);
	ck_assert_int_eq(w.answered, 0);
	wait_done();
	ck_assert_int_eq(w.err.code, 0);
}

START_TEST(quiesce_close_wake)
{
	start_agent();
	w.guest = open_guest(GUEST_CHANNEL_SERIAL);
	for (unsigned i = 1; i <= 3; i++) {
		guest_quiesce(w.guest, 5000, on_done, NULL);
		wait_done();
		ck_assert_int_eq(w.err.code, 0);
		close_channels();
		turn(5);
		ck_assert_int_eq(w.port.client_fd, -1);
		ck_assert_uint_eq(http_server_connections(w.server), 0); /* the agent knows */
		guest_wake(w.guest, true, 5000, on_done, NULL);
		wait_done();
		ck_assert_int_eq(w.err.code, 0);
		ck_assert_uint_eq(w.port.clients, i + 1);
	}
	ck_assert_uint_eq(w.wrong, 0);
}
END_TEST

/* A machine that is stopped takes nothing: that must not last. */
START_TEST(closing_does_not_wait_for_a_stopped_machine)
{
	start_agent();
	w.guest = open_guest(GUEST_CHANNEL_SERIAL);
	check_works();
	(void)loop_io_want(&w.port.client, 0);
	(void)loop_io_want(&w.port.port, 0);
	close_channels();
}
END_TEST

/* The agent ends a connection, as its server does with an idle one. */
START_TEST(agent_closes_and_is_called_again)
{
	start_agent();
	w.guest = open_guest(GUEST_CHANNEL_SERIAL);
	for (unsigned i = 0; i < 3; i++) {
		check_works();
		w.server = http_server_free(w.server);
		serve();
		turn(20);
	}
	check_works();
}
END_TEST

/* ---- vsock ---- */

static struct {
	struct listener *listener;
	const char *answer;
	unsigned clients, refuse; /* so many are closed without an answer */
	char line[64];
	int fd;			/* said half of its answer */
	struct loop_timer rest; /* and will say the rest */
} vsock;

static void on_rest(struct loop_timer *t, void *arg)
{
	const char *rest = vsock.answer + strlen(vsock.answer) / 2;
	(void)send(vsock.fd, rest, strlen(rest), MSG_NOSIGNAL);
	ck_assert_int_eq(http_server_adopt(w.server, TAKE_FD(vsock.fd)), 0);
}

static void on_vsock_client(struct listener *ls, int fd_consume, const char *peer, void *arg)
{
	ssize_t n = recv(fd_consume, vsock.line, sizeof(vsock.line) - 1, 0);
	ck_assert_int_gt(n, 0);
	vsock.line[n] = '\0';
	if (vsock.clients++ < vsock.refuse || vsock.fd >= 0) {
		(void)fd_close(fd_consume);
		return;
	}
	(void)send(fd_consume, vsock.answer, strlen(vsock.answer) / 2, MSG_NOSIGNAL);
	vsock.fd = fd_consume;
	loop_timer_set(&vsock.rest, 3);
}

static void start_vsock(const char *answer, unsigned refuse)
{
	int fd = fd_listen_unix(w.path, 0600, 8);
	ck_assert_int_ge(fd, 0);
	memset(&vsock, 0, sizeof(vsock));
	vsock.answer = answer;
	vsock.refuse = refuse;
	vsock.fd = -1;
	loop_timer_init(&vsock.rest, w.loop, on_rest, NULL);
	vsock.listener = listener_new(w.loop, fd, on_vsock_client, NULL);
	w.guest = open_guest(GUEST_CHANNEL_VSOCK);
}

static void stop_vsock(void)
{
	if (!vsock.listener)
		return;
	vsock.listener = listener_free(vsock.listener);
	loop_timer_fini(&vsock.rest);
	vsock.fd = fd_close(vsock.fd);
}

START_TEST(vsock_connects)
{
	start_vsock("OK 1073741824\n", 3);
	check_works();
	ck_assert_str_eq(vsock.line, "CONNECT 49001\n");
	ck_assert_uint_eq(vsock.clients, 4);
	check_works(); /* over the same */
	ck_assert_uint_eq(vsock.clients, 4);
	close_channels();
	turn(5);
	ck_assert_uint_eq(http_server_connections(w.server), 0);
	check_works();
	ck_assert_uint_eq(vsock.clients, 5);
	stop_vsock();
}
END_TEST

static const char *const bad_answers[] = {
	"NO\n", "OK\n", "\n", "OK 1234567890123456789012345678901234567890\n",
	"OK", /* and nothing more */
};

START_TEST(vsock_says_something_else)
{
	start_vsock(bad_answers[_i], 0);
	guest_check(w.guest, 150, on_done, NULL);
	wait_done();
	ck_assert_int_eq(w.err.code, -ETIMEDOUT);
	ck_assert_uint_eq(w.requests, 0);
	stop_vsock();
}
END_TEST

/* ---- both ---- */

START_TEST(every_allocation_may_fail)
{
	const enum guest_channel_kind kind = _i ? GUEST_CHANNEL_VSOCK : GUEST_CHANNEL_SERIAL;
	const struct guest_channel c = { .kind = kind, .path = w.path, .port = 1 };
	if (_i)
		start_vsock("OK 1\n", 0);
	else
		start_agent();
	w.guest = guest_free(w.guest);
	for (long n = 0; !w.guest; n++) {
		mem_fail_after(n);
		w.guest = guest_new(w.loop, &c, &c);
		mem_fail_after(-1);
	}
	for (long n = 0;; n++) {
		w.answered = 0;
		mem_fail_after(n);
		guest_check(w.guest, 5000, on_done, NULL);
		mem_fail_after(-1);
		wait_done();
		if (w.err.code == 0)
			break;
		ck_assert_int_eq(w.err.code, -ENOMEM);
	}
	stop_vsock();
}
END_TEST

START_TEST(free_while_dialing)
{
	for (unsigned turns = 0; turns < 12; turns++) {
		if (_i)
			start_vsock("OK 1\n", 0);
		else
			start_agent();
		w.guest = guest_free(w.guest);
		w.guest = open_guest(_i ? GUEST_CHANNEL_VSOCK : GUEST_CHANNEL_SERIAL);
		guest_check(w.guest, 5000, on_done, NULL);
		turn(turns);
		w.guest = guest_free(w.guest);
		w.answered = 0;
		turn(5);
		ck_assert_int_eq(w.answered, 0);
		serial_pump_fini(&w.pump);
		fake_port_close(&w.port);
		stop_vsock();
	}
}
END_TEST

void add_channel_tests(Suite *s)
{
	TCase *tc = test_case(s, "channel", 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, request_after_a_cut_always_works, 0, 2);
	tcase_add_test(tc, every_client_has_a_greeting_of_its_own);
	tcase_add_test(tc, bodies_pass_whole);
	tcase_add_test(tc, second_client_waits_for_the_first);
	tcase_add_test(tc, agent_rests_and_reads_nothing_without_a_client);
	tcase_add_test(tc, agent_that_comes_late);
	tcase_add_test(tc, agent_that_never_comes);
	tcase_add_test(tc, port_that_is_gone);
	tcase_add_test(tc, vmm_that_dies_breaks_streams);
	tcase_add_test(tc, quiesce_close_wake);
	tcase_add_test(tc, closing_does_not_wait_for_a_stopped_machine);
	tcase_add_test(tc, agent_closes_and_is_called_again);
	tcase_add_test(tc, vsock_connects);
	tcase_add_loop_test(
	    tc, vsock_says_something_else, 0, sizeof(bad_answers) / sizeof(bad_answers[0]));
	tcase_add_loop_test(tc, every_allocation_may_fail, 0, 2);
	tcase_add_loop_test(tc, free_while_dialing, 0, 2);
}
