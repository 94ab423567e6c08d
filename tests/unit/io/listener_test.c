/* SPDX-License-Identifier: Apache-2.0 */
#include "io_tests.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fdutil.h"
#include "base/str.h"
#include "io/address.h"
#include "io/listener.h"

static struct loop *loop;
static struct listener *ls;
static unsigned accepted;
static char last_peer[LISTENER_ADDRESS_MAX];
static bool free_at_first;

static void setup(void)
{
	loop = loop_new();
	ls = NULL;
	accepted = 0;
	free_at_first = false;
}

static void teardown(void)
{
	listener_free(ls);
	loop = loop_free(loop);
}

static void on_accept(struct listener *l, int fd, const char *peer, void *arg)
{
	accepted++;
	(void)str_copy(last_peer, sizeof(last_peer), peer);
	fd_close(fd);
	if (free_at_first)
		ls = listener_free(ls);
}

/* Listens on loopback; returns the port. */
static unsigned listen_on(const char *addr)
{
	char text[LISTENER_ADDRESS_MAX];
	struct err err = ERR_INIT;
	int fd = listener_open_tcp(addr, &err);
	ck_assert_msg(fd >= 0, "%s", err_text(&err));
	ls = listener_new(loop, fd, on_accept, NULL);
	ck_assert_ptr_nonnull(ls);
	ck_assert_int_eq(listener_address(ls, text, sizeof(text)), 0);
	return (unsigned)atoi(strrchr(text, ':') + 1);
}

static const struct {
	const char *text, *printed; /* NULL: refused */
} addresses[] = {
	{ "127.0.0.1:3000", "127.0.0.1:3000" },
	{ "0.0.0.0:1", "0.0.0.0:1" },
	{ "[::1]:65535", "[::1]:65535" },
	{ "[::ffff:10.0.0.1]:80", "10.0.0.1:80" },
	{ ":3000", "[::]:3000" },
	{ "127.0.0.1:0", "127.0.0.1:0" },
	{ "", NULL },
	{ ":", NULL },
	{ "3000", NULL },
	{ "127.0.0.1", NULL },
	{ "127.0.0.1:", NULL },
	{ "127.0.0.1:65536", NULL },
	{ "127.0.0.1:-1", NULL },
	{ "127.0.0.1:+1", NULL },
	{ "127.0.0.1: 1", NULL },
	{ "127.0.0.1:1x", NULL },
	{ "127.0.0.1:000001", NULL },
	{ " 127.0.0.1:1", NULL },
	{ "127.1:1", NULL },
	{ "[127.0.0.1]:1", NULL },
	{ "::1:80", NULL },
	{ "[::1]", NULL },
	{ "[]:80", NULL },
	{ "[:80", NULL },
	{ "[::1]x:80", NULL },
	{ "localhost:80", NULL },
	{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:80", NULL },
};

START_TEST(addresses_are_read_strictly)
{
	union address a;
	bool every;
	char text[LISTENER_ADDRESS_MAX];
	int r = address_parse(addresses[_i].text, &a, &every);
	if (!addresses[_i].printed) {
		ck_assert_int_eq(r, -EINVAL);
		return;
	}
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(every, addresses[_i].text[0] == ':');
	address_print(&a, text, sizeof(text));
	ck_assert_str_eq(text, addresses[_i].printed);
}
END_TEST

START_TEST(bad_address_is_named)
{
	struct err err = ERR_INIT;
	ck_assert_int_eq(listener_open_tcp("example.com:80", &err), -1);
	ck_assert_int_eq(err.code, -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "\"example.com:80\": expected ADDR:PORT"));
	err_reset(&err);
	ck_assert_int_eq(listener_open_tcp("192.0.2.1:80", &err), -1); /* not ours: TEST-NET-1 */
	ck_assert_int_eq(err.code, -EADDRNOTAVAIL);
	ck_assert_int_eq(listener_connect_tcp("localhost", 80), -EINVAL);
	ck_assert_int_eq(listener_connect_tcp("127.0.0.1", 65536), -EINVAL);
}
END_TEST

START_TEST(accepts_and_names_the_peer)
{
	unsigned port = listen_on(_i == 0 ? "127.0.0.1:0" : ":0");
	int fd = listener_connect_tcp("127.0.0.1", port);
	ck_assert_int_ge(fd, 0);
	RUN_UNTIL(loop, accepted == 1);
	ck_assert_ptr_nonnull(str_after(last_peer, "127.0.0.1:"));
	fd_close(fd);
}
END_TEST

START_TEST(unix_sockets)
{
	char path[] = "/tmp/sandglass-listen.XXXXXX";
	ck_assert_int_ge(mkstemp(path), 0);
	int fd = fd_listen_unix(path, 0600, 16);
	ck_assert_int_ge(fd, 0);
	ls = listener_new(loop, fd, on_accept, NULL);
	int c = fd_connect_unix(path);
	ck_assert_int_ge(c, 0);
	RUN_UNTIL(loop, accepted == 1);
	ck_assert_str_eq(last_peer, "unix");
	fd_close(c);
	(void)unlink(path);
}
END_TEST

START_TEST(paused_listener_leaves_them_waiting)
{
	unsigned port = listen_on("127.0.0.1:0");
	listener_pause(ls, true);
	int fd = listener_connect_tcp("127.0.0.1", port);
	run_idle(loop);
	ck_assert_uint_eq(accepted, 0);
	listener_pause(ls, false);
	RUN_UNTIL(loop, accepted == 1);
	fd_close(fd);
}
END_TEST

START_TEST(callback_may_free_the_listener)
{
	unsigned port = listen_on("127.0.0.1:0");
	free_at_first = true;
	int a = listener_connect_tcp("127.0.0.1", port);
	int b = listener_connect_tcp("127.0.0.1", port);
	RUN_UNTIL(loop, accepted == 1);
	run_idle(loop);
	ck_assert_uint_eq(accepted, 1);
	fd_close(a);
	fd_close(b);
}
END_TEST

START_TEST(survives_lack_of_descriptors)
{
	unsigned port = listen_on("127.0.0.1:0");
	int fd = listener_connect_tcp("127.0.0.1", port);
	struct rlimit old, none;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	run_idle(loop);
	ck_assert_uint_eq(accepted, 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	RUN_UNTIL(loop, accepted == 1);
	fd_close(fd);
}
END_TEST

void add_listener_tests(Suite *s)
{
	TCase *tc = test_case(s, "listener", 20);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(
	    tc, addresses_are_read_strictly, 0, (int)(sizeof(addresses) / sizeof(*addresses)));
	tcase_add_test(tc, bad_address_is_named);
	tcase_add_loop_test(tc, accepts_and_names_the_peer, 0, 2);
	tcase_add_test(tc, unix_sockets);
	tcase_add_test(tc, paused_listener_leaves_them_waiting);
	tcase_add_test(tc, callback_may_free_the_listener);
	tcase_add_test(tc, survives_lack_of_descriptors);
}
