/* SPDX-License-Identifier: Apache-2.0 */
/* The API client against a server in this process, which says what it wants. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "lib/test.h"
#include "lib/tmpdir.h"
#include "vmm/firecracker/api.h"
#include "vmm_tests.h"

struct rig {
	struct tmpdir dir;
	struct loop *loop;
	char path[128];
	int listener, conn;
	struct fc_api api;
	unsigned answers;
	struct err err;
	char body[256];
};

static void rig_open(struct rig *r)
{
	*r = (struct rig){ .conn = -1 };
	tmpdir_make(&r->dir);
	(void)tmpdir_at(&r->dir, "api", r->path);
	r->loop = loop_new();
	ck_assert_int_eq(fc_api_open(&r->api, r->loop, r->path), -ENOENT);
	r->listener = fd_listen_unix(r->path, 0600, 4);
	ck_assert_int_ge(r->listener, 0);
	ck_assert_int_eq(fc_api_open(&r->api, r->loop, r->path), 0);
	r->conn = accept(r->listener, NULL, NULL);
	ck_assert_int_ge(r->conn, 0);
}

static void rig_close(struct rig *r)
{
	fc_api_close(&r->api);
	fc_api_close(&r->api);
	(void)fd_close(r->conn);
	(void)fd_close(r->listener);
	(void)loop_free(r->loop);
	tmpdir_remove(&r->dir);
}

static void on_answer(const struct err *err, struct buf *body, void *arg)
{
	struct rig *r = arg;
	r->answers++;
	r->err = *err;
	(void)snprintf(r->body, sizeof(r->body), "%.*s", (int)buf_len(body),
	    buf_len(body) ? (const char *)buf_data(body) : "");
}

static void call(struct rig *r, const char *body, unsigned limit)
{
	struct buf b = BUF_INIT;
	ck_assert_int_eq(buf_append_str(&b, body), 0);
	r->answers = 0;
	fc_api_call(&r->api, "PUT", "/vsock", &b, limit, on_answer, r);
	ck_assert_uint_eq(r->answers, 0); /* never from inside */
}

static void until_answered(struct rig *r)
{
	for (int i = 0; i < 5000 && !r->answers; i++) {
		(void)loop_turn(r->loop, false);
		(void)poll(NULL, 0, i > 10);
	}
	ck_assert_uint_eq(r->answers, 1);
}

static void say(struct rig *r, const char *text)
{
	ck_assert_int_eq(write(r->conn, text, strlen(text)), (ssize_t)strlen(text));
}

static void read_request(struct rig *r, const char *want)
{
	char text[512];
	for (int i = 0; i < 3; i++)
		(void)loop_turn(r->loop, false);
	ssize_t n = read(r->conn, text, sizeof(text) - 1);
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	ck_assert_str_eq(text, want);
}

START_TEST(test_calls)
{
	struct rig r;
	rig_open(&r);
	for (int i = 0; i < 3; i++) { /* on one connection */
		call(&r, "{}", 5000);
		read_request(&r, "PUT /vsock HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
				 "application/json\r\nContent-Length: 2\r\n\r\n{}");
		say(&r, "HTTP/1.1 200 \r\nContent-");
		(void)loop_turn(r.loop, false);
		say(&r, "Length: 5\r\n\r\n[1");
		(void)loop_turn(r.loop, false);
		say(&r, ",2]");
		until_answered(&r);
		ck_assert_int_eq(r.err.code, 0);
		ck_assert_str_eq(r.body, "[1,2]");
	}
	r.answers = 0;
	fc_api_call(&r.api, "GET", "/", NULL, 5000, on_answer, &r);
	read_request(&r, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
	say(&r, "HTTP/1.1 204 \r\n\r\n");
	until_answered(&r);
	ck_assert_str_eq(r.body, "");
	ck_assert(fc_api_is_open(&r.api));
	rig_close(&r);
}
END_TEST

START_TEST(test_refused)
{
	struct rig r;
	rig_open(&r);
	call(&r, "{}", 5000);
	say(&r, "HTTP/1.1 400 \r\nContent-Length: 32\r\n\r\n{\"fault_message\":\"Not so, sir.\"}");
	until_answered(&r);
	ck_assert_int_eq(r.err.code, -EREMOTEIO);
	ck_assert_str_eq(r.err.text, "PUT /vsock: Not so, sir.");
	ck_assert(fc_api_is_open(&r.api)); /* a refusal breaks nothing */
	rig_close(&r);
}
END_TEST

START_TEST(test_lost)
{
	static const struct {
		const char *text; /* NULL = hang up at once */
		bool hang_up;
		int code;
	} cases[] = {
		{ NULL, true, -ECONNRESET },
		{ "HTTP/1.1 204", true, -ECONNRESET },
		{ "HTTP/1.1 200 \r\nContent-Length: 9\r\n\r\n{}", true, -ECONNRESET },
		{ "nonsense", false, -EBADMSG },
		{ "HTTP/1.1 204 \r\n\r\nHTTP/1.1 204 \r\n\r\n", false, -EBADMSG },
		{ "HTTP/1.1 204 \r\n", false, -ETIMEDOUT },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct rig r;
		rig_open(&r);
		call(&r, "{}", cases[i].code == -ETIMEDOUT ? 30 : 5000);
		if (cases[i].text)
			say(&r, cases[i].text);
		if (cases[i].hang_up)
			r.conn = fd_close(r.conn);
		until_answered(&r);
		ck_assert_msg(r.err.code == cases[i].code, "%zu: %s", i, r.err.text);
		ck_assert(!fc_api_is_open(&r.api));
		/* Its state is not known: nothing more is asked. */
		call(&r, "{}", 5000);
		until_answered(&r);
		ck_assert_int_eq(r.err.code, -ECONNRESET);
		rig_close(&r);
	}
}
END_TEST

START_TEST(test_between_calls)
{
	struct rig r;
	rig_open(&r);
	say(&r, "HTTP/1.1 204 \r\n\r\n"); /* nobody asked */
	for (int i = 0; i < 3; i++)
		(void)loop_turn(r.loop, false);
	ck_assert(!fc_api_is_open(&r.api));
	rig_close(&r);
	rig_open(&r);
	r.conn = fd_close(r.conn);
	for (int i = 0; i < 3; i++)
		(void)loop_turn(r.loop, false);
	ck_assert(!fc_api_is_open(&r.api));
	rig_close(&r);
}
END_TEST

START_TEST(test_cancel)
{
	struct rig r;
	rig_open(&r);
	call(&r, "{}", 5000);
	fc_api_cancel(&r.api);
	ck_assert(!fc_api_is_open(&r.api));
	for (int i = 0; i < 5; i++)
		(void)loop_turn(r.loop, false);
	ck_assert_uint_eq(r.answers, 0);
	rig_close(&r);
	rig_open(&r); /* with an answer that is about to be told */
	call(&r, "{}", 5000);
	say(&r, "HTTP/1.1 204 \r\n\r\n");
	ck_assert(fc_api_drain(&r.api));
	fc_api_cancel(&r.api);
	for (int i = 0; i < 5; i++)
		(void)loop_turn(r.loop, false);
	ck_assert_uint_eq(r.answers, 0);
	rig_close(&r);
}
END_TEST

/* A body that does not fit into the socket at once. */
START_TEST(test_large)
{
	static char body[50000], got[60000];
	struct rig r;
	size_t n = 0;
	rig_open(&r);
	memset(body, 'a', sizeof(body) - 1);
	int small = 4096;
	(void)setsockopt(r.api.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	call(&r, body, 5000);
	for (int i = 0; i < 5000 && n < sizeof(body); i++) {
		(void)loop_turn(r.loop, false);
		ssize_t k = recv(r.conn, got + n, sizeof(got) - n, MSG_DONTWAIT);
		n += k > 0 ? (size_t)k : 0;
	}
	ck_assert_ptr_nonnull(memmem(got, n, body, sizeof(body) - 1));
	say(&r, "HTTP/1.1 204 \r\n\r\n");
	until_answered(&r);
	ck_assert_int_eq(r.err.code, 0);
	rig_close(&r);
}
END_TEST

START_TEST(test_limit_of_create)
{
	ck_assert_uint_eq(fc_api_create_limit(0), 30000);
	ck_assert_uint_eq(fc_api_create_limit(1000ull << 20), 40000);
	ck_assert_uint_eq(fc_api_create_limit(1ull << 50), 3600000);
}
END_TEST

void add_fc_api(Suite *s)
{
	TCase *tc = test_case(s, "api", 20);
	tcase_add_test(tc, test_calls);
	tcase_add_test(tc, test_refused);
	tcase_add_test(tc, test_lost);
	tcase_add_test(tc, test_between_calls);
	tcase_add_test(tc, test_cancel);
	tcase_add_test(tc, test_large);
	tcase_add_test(tc, test_limit_of_create);
}
