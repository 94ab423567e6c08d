/* SPDX-License-Identifier: Apache-2.0 */
#include "io_tests.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- one end ---- */

static size_t on_read(struct stream *s, const void *p, size_t n, void *arg)
{
	struct peer *peer = arg;
	ck_assert(!peer->inside);
	ck_assert_ptr_eq(s, peer->s);
	ck_assert_uint_eq(peer->opens, 1);
	ck_assert_uint_eq(peer->eofs, 0);
	size_t take = peer->take_max && n > peer->take_max ? peer->take_max : n;
	if (n > peer->most)
		peer->most = n;
	peer->total += take;
	if (!peer->drop)
		ck_assert_int_eq(buf_append(&peer->got, p, take), 0);
	if (peer->then)
		peer->then(peer);
	return take;
}

static void on_eof(struct stream *s, void *arg)
{
	struct peer *peer = arg;
	ck_assert(!peer->inside);
	peer->eofs++;
}

static void on_open(struct stream *s, void *arg)
{
	struct peer *peer = arg;
	ck_assert(!peer->inside);
	peer->opens++;
}

static void on_sent(struct stream *s, size_t n, void *arg)
{
	struct peer *peer = arg;
	ck_assert(!peer->inside);
	peer->sent += n;
}

static void on_close(struct stream *s, int err, void *arg)
{
	struct peer *peer = arg;
	ck_assert(!peer->inside);
	peer->closes++;
	peer->close_err = err;
	peer->s = NULL;
}

const struct stream_ops peer_ops = { on_read, on_eof, on_open, on_sent, on_close };
const struct stream_ops peer_ops_without_eof = { on_read, NULL, NULL, NULL, on_close };

void peer_open(struct peer *p, struct loop *l, int fd)
{
	p->s = stream_new(l, fd, false, &peer_ops, p);
	ck_assert_ptr_nonnull(p->s);
}

void peer_fini(struct peer *p)
{
	p->inside = true;
	p->s = stream_free(p->s);
	buf_fini(&p->got);
}

void peer_write(struct peer *p, const char *text)
{
	p->inside = true;
	ck_assert_int_eq(stream_write(p->s, text, strlen(text)), 0);
	p->inside = false;
}

static unsigned char pattern(size_t i)
{
	return (unsigned char)(i * 2654435761u >> 13);
}

void peer_write_pattern(struct peer *p, size_t n)
{
	unsigned char *mem = malloc(n);
	ck_assert_ptr_nonnull(mem);
	for (size_t i = 0; i < n; i++)
		mem[i] = pattern(i);
	p->inside = true;
	ck_assert_int_eq(stream_write(p->s, mem, n), 0);
	p->inside = false;
	free(mem);
}

bool pattern_ok(const struct buf *b)
{
	for (size_t i = 0; i < buf_len(b); i++)
		if (buf_data(b)[i] != pattern(i))
			return false;
	return true;
}

/* ---- descriptors ---- */

void pair_unix(int fds[2])
{
	ck_assert_int_eq(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
}

void pair_tcp(int fds[2])
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(a);
	int ls = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(ls, 0);
	ck_assert_int_eq(bind(ls, (struct sockaddr *)&a, n), 0);
	ck_assert_int_eq(listen(ls, 1), 0);
	ck_assert_int_eq(getsockname(ls, (struct sockaddr *)&a, &n), 0);
	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(fds[0], (struct sockaddr *)&a, n), 0);
	fds[1] = accept4(ls, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	ck_assert_int_ge(fds[1], 0);
	(void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
	(void)close(ls);
}

void set_blocking(int fd)
{
	struct timeval limit = { .tv_sec = 5 };
	ck_assert_int_eq(fcntl(fd, F_SETFL, 0), 0);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
}

void run_idle(struct loop *l)
{
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(loop_turn(l, false), 0);
}

static Suite *io_suite(void)
{
	Suite *s = suite_create("io");
	add_stream_tests(s);
	add_stream_end_tests(s);
	add_tls_tests(s);
	add_listener_tests(s);
	return s;
}

TEST_MAIN(io_suite)
