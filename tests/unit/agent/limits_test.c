/* SPDX-License-Identifier: Apache-2.0 */
/* GET /limits over files that look like the kernel's. */
#include "guest-kernel-agent/system/limits.h"

#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "lib/test.h"
#include "lib/tmpdir.h"
#include "loop/loop.h"
#include "rpc/http_client.h"
#include "rpc/http_server.h"
#include "unit/agent/agent_tests.h"

static struct tmpdir dir;
static struct loop *loop;
static struct limits *limits;
static struct http_server *server;
static struct http_client *client;
static struct {
	int n, err, status;
	char body[256];
} answer;

static void on_request(struct http_stream *st, void *arg)
{
	limits_handle(limits, st, http_stream_peer_head(st)->path);
}

/* In place, as the kernel does it. */
static void count(const char *name, const char *text)
{
	char path[128];
	CLEAN_FD int fd = open(tmpdir_at(&dir, name, path), O_WRONLY | O_CREAT, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, text, strlen(text), 0), (ssize_t)strlen(text));
}

static void setup(void)
{
	const struct http_server_conf sc = { .on_request = on_request };
	char path[128];
	tmpdir_make(&dir);
	count("memory.events", "low 0\nmax 9\noom 5\noom_kill 3\noom_group_kill 7\n");
	count("pids.events", "max 40\n");
	loop = loop_new();
	limits = limits_new(loop, dir.path);
	server = http_server_new(loop, &sc);
	int fd = fd_listen_unix(tmpdir_at(&dir, "s", path), 0600, 16);
	ck_assert_int_eq(http_server_listen(server, fd, NULL), 0);
	const struct http_client_conf cc = { .unix_path = path };
	client = http_client_new(loop, &cc);
	memset(&answer, 0, sizeof(answer));
}

static void teardown(void)
{
	(void)http_client_free(client);
	(void)http_server_free(server);
	for (unsigned i = 0; i < 5; i++)
		(void)loop_turn(loop, false);
	(void)limits_free(limits);
	(void)loop_free(loop);
	tmpdir_remove(&dir);
}

static void on_answer(int err, int status, const void *body, size_t n, void *arg)
{
	answer.n++;
	answer.err = err;
	answer.status = status;
	(void)str_copy(answer.body, sizeof(answer.body), body ? body : "");
}

static void ask(const char *target)
{
	struct http_head head = HTTP_HEAD_INIT;
	answer.n = 0;
	ck_assert_int_eq(http_head_set_request(&head, "GET", "http", "agent", target), 0);
	ck_assert_ptr_nonnull(
	    http_fetch_start(client, &head, NULL, 0, 256, 10000, on_answer, NULL));
	http_head_fini(&head);
}

static void expect(int status, const char *text)
{
	while (!answer.n)
		ck_assert_int_eq(loop_turn(loop, true), 0);
	ck_assert_int_eq(answer.err, 0);
	ck_assert_int_eq(answer.status, status);
	ck_assert_msg(strstr(answer.body, text) != NULL, "%s", answer.body);
}

/* A while in which nothing may come. */
static void expect_nothing(void)
{
	for (unsigned i = 0; i < 20; i++) {
		ck_assert_int_eq(loop_turn(loop, false), 0);
		(void)usleep(1000);
	}
	ck_assert_int_eq(answer.n, 0);
}

START_TEST(news_is_told_at_once)
{
	ask("/limits?oom=3&pids=40&wait=60000");
	expect_nothing();
	count("pids.events", "max 41\n");
	expect(200, "{\"oom\":3,\"pids\":41}");
	ask("/limits?oom=3&pids=41&wait=60000");
	expect_nothing();
	count("memory.events", "low 0\nmax 9\noom 5\noom_kill 4\noom_group_kill 7\n");
	expect(200, "{\"oom\":4,\"pids\":41}");
	ask("/limits?oom=3&pids=41&wait=60000"); /* who asks late has missed nothing */
	expect(200, "{\"oom\":4,\"pids\":41}");
}
END_TEST

/* A second question sees a count first; the first is answered all the same. */
START_TEST(each_question_is_answered)
{
	struct http_head head = HTTP_HEAD_INIT;
	ask("/limits?oom=3&pids=40&wait=60000");
	expect_nothing();
	ck_assert_int_eq(http_head_set_request(&head, "GET", "http", "agent", "/limits?wait=0"), 0);
	ck_assert_ptr_nonnull(
	    http_fetch_start(client, &head, NULL, 0, 256, 10000, on_answer, NULL));
	http_head_fini(&head);
	count("pids.events", "max 41\n");
	while (answer.n < 2)
		ck_assert_int_eq(loop_turn(loop, true), 0);
	ck_assert_str_eq(answer.body, "{\"oom\":3,\"pids\":41}");
}
END_TEST

START_TEST(a_new_sandbox_has_met_none)
{
	limits_begin(limits);
	ask("/limits?oom=0&pids=0&wait=30");
	expect(200, "{\"oom\":0,\"pids\":0}"); /* when the wait is over */
	count("pids.events", "max 42\n");
	ask("/limits?wait=60000");
	expect(200, "{\"oom\":0,\"pids\":2}");
}
END_TEST

START_TEST(bad_questions)
{
	static const char *const targets[] = { "/limits?oom=x", "/limits?pids=-1",
		"/limits?wait=99999999999999999999", "/limits?oom=%zz" };
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		ask(targets[i]);
		expect(400, i < 3 ? "expected numbers" : "%zz");
	}
}
END_TEST

START_TEST(a_kernel_that_does_not_count)
{
	(void)limits_free(limits);
	limits = limits_new(loop, "/nowhere");
	ck_assert_ptr_nonnull(limits);
	ask("/limits?wait=30");
	expect(200, "{\"oom\":0,\"pids\":0}");
}
END_TEST

void add_limits_tests(Suite *s)
{
	TCase *tc = test_case(s, "limits", 20);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, news_is_told_at_once);
	tcase_add_test(tc, each_question_is_answered);
	tcase_add_test(tc, a_new_sandbox_has_met_none);
	tcase_add_test(tc, bad_questions);
	tcase_add_test(tc, a_kernel_that_does_not_count);
}
