/* SPDX-License-Identifier: Apache-2.0 */
#include "io_tests.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "io/tls.h"
#include "lib/cert.h"

static struct loop *loop;
static struct peer server, client;
static struct test_cert cert;
static struct tls_ctx *server_ctx, *client_ctx;

static void setup(void)
{
	struct err err = ERR_INIT;
	loop = loop_new();
	test_cert_make(&cert, "sandglass.test");
	server_ctx = tls_server_new(cert.cert_file, cert.key_file, &err);
	client_ctx = tls_client_new(cert.cert_file, &err);
	ck_assert_msg(server_ctx && client_ctx, "%s", err_text(&err));
	server = client = (struct peer){ 0 };
}

static void teardown(void)
{
	server_ctx = tls_free(server_ctx); /* streams may outlive their context's owner */
	client_ctx = tls_free(client_ctx);
	peer_fini(&server);
	peer_fini(&client);
	test_cert_remove(&cert);
	loop = loop_free(loop);
}

static void start(const char *host)
{
	int fds[2];
	pair_tcp(fds);
	peer_open(&client, loop, fds[0]);
	peer_open(&server, loop, fds[1]);
	ck_assert_int_eq(stream_start_tls(client.s, client_ctx, false, host), 0);
	ck_assert_int_eq(stream_start_tls(server.s, server_ctx, true, NULL), 0);
}

static void connect_both(void)
{
	start("sandglass.test");
	RUN_UNTIL(loop, client.opens == 1 && server.opens == 1);
}

START_TEST(handshake_chooses_h2)
{
	connect_both();
	ck_assert_str_eq(stream_alpn(client.s), "h2");
	ck_assert_str_eq(stream_alpn(server.s), "h2");
	ck_assert_int_eq(stream_start_tls(client.s, client_ctx, false, NULL), -EINVAL);
}
END_TEST

START_TEST(bulk_both_ways)
{
	size_t n = 3 * 1024 * 1024 + 17;
	start("127.0.0.1");
	peer_write_pattern(&client, n); /* queued before the handshake */
	peer_write_pattern(&server, n);
	RUN_UNTIL(loop, client.total == n && server.total == n);
	ck_assert(pattern_ok(&client.got));
	ck_assert(pattern_ok(&server.got));
	ck_assert_uint_eq(client.sent, n);
	ck_assert_uint_le(server.most, 256 * 1024);
}
END_TEST

START_TEST(pause_and_resume)
{
	size_t n = 5 * 1024 * 1024;
	connect_both();
	stream_pause(server.s);
	peer_write_pattern(&client, n);
	run_idle(loop);
	ck_assert_uint_eq(server.total, 0);
	server.take_max = 1000; /* pauses at every read */
	for (int i = 0; i < 50; i++) {
		stream_resume(server.s);
		run_idle(loop);
	}
	ck_assert_uint_gt(server.total, 0);
	server.take_max = 0;
	stream_resume(server.s);
	RUN_UNTIL(loop, server.total == n);
	ck_assert(pattern_ok(&server.got));
}
END_TEST

START_TEST(orderly_end)
{
	connect_both();
	peer_write(&client, "last");
	stream_close(client.s, 5000);
	RUN_UNTIL(loop, server.eofs == 1);
	ck_assert_uint_eq(server.total, 4);
	stream_close(server.s, 5000);
	RUN_UNTIL(loop, server.closes == 1 && client.closes == 1);
	ck_assert_int_eq(server.close_err, 0);
	ck_assert_int_eq(client.close_err, 0);
}
END_TEST

START_TEST(abort_is_a_reset)
{
	connect_both();
	stream_abort(server.s, -ECANCELED);
	RUN_UNTIL(loop, client.closes == 1);
	ck_assert_int_eq(client.close_err, -ECONNRESET);
	ck_assert_uint_eq(client.eofs, 0);
}
END_TEST

/* An end of the connection that the peer's TLS did not announce is no end of the data. */
START_TEST(truncation_is_an_error)
{
	connect_both();
	(void)shutdown(stream_fd(server.s), SHUT_WR);
	RUN_UNTIL(loop, client.closes == 1);
	ck_assert_int_eq(client.close_err, -ECONNRESET);
	ck_assert_uint_eq(client.eofs, 0);
}
END_TEST

START_TEST(garbage_is_a_protocol_error)
{
	int fds[2];
	pair_tcp(fds);
	peer_open(&server, loop, fds[0]);
	ck_assert_int_eq(stream_start_tls(server.s, server_ctx, true, NULL), 0);
	ck_assert_int_eq(send(fds[1], "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
	RUN_UNTIL(loop, server.closes == 1);
	ck_assert_int_eq(server.close_err, -EPROTO);
	ck_assert_uint_eq(server.opens, 0);
	(void)close(fds[1]);
}
END_TEST

START_TEST(peer_gone_in_handshake)
{
	int fds[2];
	pair_tcp(fds);
	peer_open(&server, loop, fds[0]);
	ck_assert_int_eq(stream_start_tls(server.s, server_ctx, true, NULL), 0);
	(void)close(fds[1]);
	RUN_UNTIL(loop, server.closes == 1);
	ck_assert_int_eq(server.close_err, -ECONNRESET);
}
END_TEST

START_TEST(wrong_host_is_refused)
{
	start(_i == 0 ? "other.test" : "127.0.0.2");
	RUN_UNTIL(loop, client.closes == 1 && server.closes == 1);
	ck_assert_int_eq(client.close_err, -EPROTO);
	ck_assert_uint_eq(client.opens, 0);
}
END_TEST

START_TEST(unknown_issuer_is_refused)
{
	struct test_cert other;
	struct err err = ERR_INIT;
	test_cert_make(&other, "sandglass.test");
	tls_free(client_ctx);
	client_ctx = tls_client_new(other.cert_file, &err);
	start("sandglass.test");
	RUN_UNTIL(loop, client.closes == 1 && server.closes == 1);
	ck_assert_int_eq(client.close_err, -EPROTO);
	/* A second connection is not harmed by what the first left behind. */
	tls_free(client_ctx);
	client_ctx = tls_client_new(cert.cert_file, &err);
	peer_fini(&client);
	peer_fini(&server);
	client = server = (struct peer){ 0 };
	connect_both();
	test_cert_remove(&other);
}
END_TEST

START_TEST(bad_files_are_named)
{
	struct err err = ERR_INIT;
	ck_assert_ptr_null(tls_server_new("/nonexistent", cert.key_file, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "certificate file \"/nonexistent\""));
	err_reset(&err);
	ck_assert_ptr_null(tls_server_new(cert.cert_file, "/nonexistent", &err));
	ck_assert_int_eq(err.code, -ENOENT);
	err_reset(&err);
	ck_assert_ptr_null(tls_server_new(cert.cert_file, cert.cert_file, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "every user may access it"));
	err_reset(&err);
	ck_assert_int_eq(chmod(cert.cert_file, 0600), 0);
	ck_assert_ptr_null(tls_server_new(cert.cert_file, cert.cert_file, &err));
	ck_assert_int_eq(err.code, -EINVAL);
	err_reset(&err);
	ck_assert_ptr_null(tls_client_new("/nonexistent", &err));
	ck_assert_ptr_nonnull(strstr(err.text, "CA file"));
}
END_TEST

START_TEST(foreign_key_is_refused)
{
	struct test_cert other;
	struct err err = ERR_INIT;
	test_cert_make(&other, "sandglass.test");
	ck_assert_ptr_null(tls_server_new(cert.cert_file, other.key_file, &err));
	ck_assert_int_eq(err.code, -EINVAL);
	test_cert_remove(&other);
}
END_TEST

START_TEST(allocation_failures_are_returned)
{
	int fds[2];
	struct err err = ERR_INIT;
	pair_tcp(fds);
	peer_open(&client, loop, fds[0]);
	mem_fail_after(0);
	ck_assert_int_eq(stream_start_tls(client.s, client_ctx, false, NULL), -ENOMEM);
	ck_assert_ptr_null(tls_client_new(NULL, &err));
	mem_fail_after(-1);
	ck_assert_int_eq(err.code, -ENOMEM);
	(void)close(fds[1]);
}
END_TEST

void add_tls_tests(Suite *s)
{
	TCase *tc = test_case(s, "tls", 20);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, handshake_chooses_h2);
	tcase_add_test(tc, bulk_both_ways);
	tcase_add_test(tc, pause_and_resume);
	tcase_add_test(tc, orderly_end);
	tcase_add_test(tc, abort_is_a_reset);
	tcase_add_test(tc, truncation_is_an_error);
	tcase_add_test(tc, garbage_is_a_protocol_error);
	tcase_add_test(tc, peer_gone_in_handshake);
	tcase_add_loop_test(tc, wrong_host_is_refused, 0, 2);
	tcase_add_test(tc, unknown_issuer_is_refused);
	tcase_add_test(tc, bad_files_are_named);
	tcase_add_test(tc, foreign_key_is_refused);
	tcase_add_test(tc, allocation_failures_are_returned);
}
