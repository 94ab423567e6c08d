/* SPDX-License-Identifier: Apache-2.0 */
/* The host's calls against agents of every temper, over real unix sockets. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest/guest.h"
#include "guest_tests.h"
#include "lib/tmpdir.h"
#include "loop/loop.h"
#include "rpc/http_client.h"
#include "rpc/http_server.h"

/* ---- an agent ---- */

struct answer {
	int status;	   /* 0 = break the stream; -1 = never answer */
	const char *body;  /* may be NULL */
	unsigned delay_ms; /* before it is sent */
};

struct agent {
	struct loop *loop;
	struct tmpdir dir;
	char path[128];
	struct http_server *server;
	struct buf log; /* "POST /boot {...}\n" each */
	const struct answer *answers;
	size_t n_answers, at; /* the last one is repeated */
	struct http_stream *late;
	struct loop_timer timer, start;
	int answered; /* of the call under test */
	struct err err;
};

static void send_answer(struct agent *a, struct http_stream *st, const struct answer *w)
{
	if (w->status == 0)
		http_stream_reset(st, HTTP_RESET_INTERNAL);
	else if (w->status > 0)
		(void)http_answer(st, w->status, NULL, w->body, w->body ? strlen(w->body) : 0);
}

static void on_late(struct loop_timer *t, void *arg)
{
	struct agent *a = arg;
	send_answer(a, TAKE(a->late), &a->answers[a->at - 1]);
}

static void on_body(struct http_stream *st, int err, const void *p, size_t n, void *arg)
{
	struct agent *a = arg;
	const struct http_head *h = http_stream_peer_head(st);
	if (err < 0)
		return;
	ck_assert_int_eq(buf_printf(&a->log, "%s %s %.*s\n", h->method, h->path, (int)n,
			     n ? (const char *)p : ""),
	    0);
	size_t i = a->at < a->n_answers ? a->at++ : a->n_answers - 1;
	if (a->answers[i].delay_ms == 0) {
		send_answer(a, st, &a->answers[i]);
		return;
	}
	a->late = st;
	loop_timer_set(&a->timer, a->answers[i].delay_ms);
}

static void on_request(struct http_stream *st, void *arg)
{
	ck_assert_int_eq(http_collect(st, 65536, on_body, arg), 0);
}

static void listen_now(struct agent *a)
{
	const struct http_server_conf c = { .on_request = on_request, .arg = a };
	a->server = http_server_new(a->loop, &c);
	int fd = fd_listen_unix(a->path, 0600, 16);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(http_server_listen(a->server, fd, NULL), 0);
}

static void on_start(struct loop_timer *t, void *arg)
{
	listen_now(arg);
}

static struct agent agent;
static struct guest *guest;

/* Both channels lead to the same agent. */
static struct guest *open_guest(const struct agent *a)
{
	const struct guest_channel channel = { .kind = GUEST_CHANNEL_UNIX, .path = a->path };
	return guest_new(a->loop, &channel, &channel);
}

static void setup(void)
{
	agent = (struct agent){ .loop = loop_new() };
	tmpdir_make(&agent.dir);
	(void)tmpdir_at(&agent.dir, "s", agent.path);
	loop_timer_init(&agent.timer, agent.loop, on_late, &agent);
	loop_timer_init(&agent.start, agent.loop, on_start, &agent);
	guest = open_guest(&agent);
	ck_assert_ptr_nonnull(guest);
}

static void teardown(void)
{
	guest = guest_free(guest);
	(void)http_server_free(agent.server);
	loop_timer_fini(&agent.timer);
	loop_timer_fini(&agent.start);
	for (unsigned i = 0; i < 5; i++)
		(void)loop_turn(agent.loop, false);
	buf_fini(&agent.log);
	(void)loop_free(agent.loop);
	tmpdir_remove(&agent.dir);
}

static void behave(const struct answer *answers, size_t n)
{
	agent.answers = answers;
	agent.n_answers = n;
	if (!agent.server)
		listen_now(&agent);
}
#define BEHAVE(...)                                              \
	static const struct answer answers_[] = { __VA_ARGS__ }; \
	behave(answers_, sizeof(answers_) / sizeof(answers_[0]))

static void on_done(const struct err *err, void *arg)
{
	struct agent *a = arg;
	a->answered++;
	a->err = *err;
}

static void wait_done(void)
{
	ck_assert_int_eq(agent.answered, 0); /* never from inside the call */
	while (agent.answered == 0)
		ck_assert_int_eq(loop_turn(agent.loop, true), 0);
	ck_assert_int_eq(agent.answered, 1);
}

static void expect_error(int code, const char *words)
{
	wait_done();
	ck_assert_msg(agent.err.code == code, "%d: %s", agent.err.code, agent.err.text);
	ck_assert_msg(strstr(agent.err.text, words) != NULL, "%s", agent.err.text);
}

static void expect_success(void)
{
	wait_done();
	ck_assert_msg(agent.err.code == 0, "%s", agent.err.text);
}

static void boot(uint64_t timeout_ms)
{
	static const char *const env[] = { "A=b=c", "EMPTY=", NULL };
	static const char *const kernels[] = { "python", NULL };
	const struct guest_boot b = { .template_id = "tid",
		.user = "user",
		.workdir = "/w",
		.env = env,
		.kernels = kernels,
		.history_s = 60,
		.history_count = 7,
		.history_bytes = 5000000000,
		.pids = 64 };
	guest_boot(guest, &b, timeout_ms, on_done, &agent);
}

static void init(const char *token)
{
	static const char *const env[] = { "K=v", NULL };
	const struct guest_identity id = { .sandbox_id = "i1",
		.template_id = "tid",
		.access_token = token,
		.env = env,
		.default_user = "user",
		.default_workdir = "/w" };
	guest_init(guest, &id, on_done, &agent);
}

/* ---- boot ---- */

START_TEST(boot_waits_for_ready)
{
	BEHAVE({ .status = 204 }, { 503, "{\"ready\":false,\"reason\":\"starting\"}", 1100 },
	    { .status = 200, .body = "{\"ready\":true}" });
	boot(2000);
	expect_success();
	ck_assert_ptr_nonnull(strstr(buf_cstr(&agent.log),
	    "POST /boot {\"templateId\":\"tid\",\"user\":\"user\",\"workdir\":\"/w\","
	    "\"env\":{\"A\":\"b=c\",\"EMPTY\":\"\"},\"kernels\":[\"python\"],"
	    "\"pids\":64,\"history\":{\"seconds\":60,\"count\":7,\"bytes\":5000000000}}\n"
	    "GET /ready?wait="));
}
END_TEST

START_TEST(agent_comes_later)
{
	static const struct answer answers[] = { { .status = 204 }, { .status = 200 } };
	agent.answers = answers;
	agent.n_answers = 2;
	loop_timer_set(&agent.start, 60);
	boot(5000);
	expect_success();
}
END_TEST

START_TEST(agent_never_comes)
{
	boot(120);
	expect_error(-ETIMEDOUT, "the sandbox's agent did not answer POST /boot");
}
END_TEST

START_TEST(kernels_will_never_come)
{
	BEHAVE({ .status = 204 },
	    { .status = 503,
		.body = "{\"ready\":false,\"reason\":\"no kernel \\u001b[31m\\nfor x\"}" });
	boot(5000);
	expect_error(-EPROTO, "answered 503 to GET /ready");
	ck_assert_ptr_nonnull(strstr(agent.err.text, ": no kernel ?[31m?for x"));
}
END_TEST

START_TEST(never_ready)
{
	BEHAVE({ .status = 204 }, { 503, "{\"reason\":\"starting\"}", 150 }, { 503, NULL, 30 });
	boot(220);
	wait_done();
	ck_assert_int_eq(agent.err.code, -ETIMEDOUT);
}
END_TEST

START_TEST(never_answers)
{
	BEHAVE({ .status = -1 });
	boot(120);
	expect_error(-ETIMEDOUT, "did not answer POST /boot");
}
END_TEST

START_TEST(breaks_and_comes_back)
{
	BEHAVE({ .status = 0 }, { .status = 0 }, { .status = 204 }, { .status = 0 },
	    { .status = 200 });
	boot(5000);
	expect_success();
}
END_TEST

START_TEST(boot_is_refused)
{
	BEHAVE({ .status = 409, .body = "{\"code\":409,\"message\":\"not twice\"}" });
	boot(5000);
	expect_error(-EPROTO, "the sandbox's agent answered 409 to POST /boot: not twice");
}
END_TEST

START_TEST(answer_is_too_long)
{
	static char text[9000];
	static struct answer answers[] = { { 204, NULL, 0 }, { 200, text, 0 } };
	memset(text, 'x', sizeof(text) - 1);
	behave(answers, 2);
	boot(5000);
	expect_error(-EPROTO, "the sandbox's agent sent more than 4096 bytes to GET /ready");
}
END_TEST

/* Something that does not speak HTTP/2 at all. */
static void on_accept(struct loop_io *io, unsigned events, void *arg)
{
	static const char noise[] = "HTTP/1.1 200 OK\r\n\r\n\0\0\0\0 and so on and so on";
	int fd = accept4(io->fd, NULL, NULL, SOCK_CLOEXEC);
	(void)!write(fd, noise, sizeof(noise));
	(void)close(fd);
}

START_TEST(no_agent_at_all)
{
	struct loop_io io = { 0 };
	int fd = fd_listen_unix(agent.path, 0600, 16);
	ck_assert_int_eq(loop_io_init(&io, agent.loop, fd, on_accept, NULL), 0);
	ck_assert_int_eq(loop_io_want(&io, LOOP_READ), 0);
	boot(300);
	wait_done(); /* at once, or after some tries that were cut off */
	ck_assert_int_lt(agent.err.code, 0);
	loop_io_fini(&io);
	(void)close(fd);
}
END_TEST

/* ---- check ---- */

static const struct {
	struct answer answer;
	int code;
	const char *words;
} states[] = {
	{ { .status = 200, .body = "{\"initialised\":true}" }, 0, "" },
	{ { .status = 200, .body = "{\"initialised\":false}" }, -ESTALE, "has no identity" },
	{ { .status = 200, .body = "{}" }, -ESTALE, "has no identity" },
	{ { .status = 200, .body = "{\"initialised\":1}" }, -EPROTO,
	    "initialised: expected true or false" },
	{ { .status = 200, .body = "{\"initialised\":" }, -EPROTO, "invalid JSON" },
	{ { .status = 200, .body = "[]" }, -EPROTO, "expected a JSON object" },
	{ { .status = 200, .body = NULL }, -EPROTO, "invalid JSON" },
	{ { .status = 204, .body = NULL }, -EPROTO, "answered 204 to GET /state" },
	{ { .status = 500, .body = "{\"initialised\":true}" }, -EPROTO,
	    "answered 500 to GET /state" },
};

START_TEST(check)
{
	behave(&states[_i].answer, 1);
	guest_check(guest, 2000, on_done, &agent);
	wait_done();
	ck_assert_msg(agent.err.code == states[_i].code, "%s", agent.err.text);
	ck_assert_msg(strstr(agent.err.text, states[_i].words) != NULL, "%s", agent.err.text);
}
END_TEST

/* ---- init ---- */

static json_t *logged_body(const char *start)
{
	const char *s = strstr(buf_cstr(&agent.log), start);
	ck_assert_ptr_nonnull(s);
	s += strlen(start);
	return json_parse_object(s, strcspn(s, "\n"), 65536, false, NULL);
}

START_TEST(init_tells_everything)
{
	const char *s = NULL;
	int64_t ns = 0;
	BEHAVE({ .status = 204 });
	init("secret");
	expect_success();
	CLEAN_JSON json_t *o = logged_body("POST /init ");
	ck_assert_int_eq(json_get_str(o, "sandboxId", 99, &s, NULL), 0);
	ck_assert_str_eq(s, "i1");
	ck_assert_int_eq(json_get_str(o, "accessToken", 99, &s, NULL), 0);
	ck_assert_str_eq(s, "secret");
	ck_assert_int_eq(json_get_str(o, "entropy", 99, &s, NULL), 0);
	CLEAN_BUF struct buf raw = BUF_INIT;
	ck_assert_int_eq(str_unbase64(&raw, s, strlen(s)), 0);
	ck_assert_uint_eq(buf_len(&raw), 32);
	ck_assert_int_eq(
	    json_get_int(o, "timestamp", 1700000000000000000, INT64_MAX, &ns, NULL), 0);
	json_t *env = NULL;
	ck_assert_int_eq(json_get_str_map(o, "envVars", 9, 99, &env, NULL), 0);
	ck_assert_int_eq(json_get_str(env, "K", 9, &s, NULL), 0);
	ck_assert_str_eq(s, "v");
}
END_TEST

/* ---- snapshots ---- */

static void log_without_bodies(char *dst, size_t cap)
{
	size_t n = 0;
	for (const char *p = buf_cstr(&agent.log); p && *p; p = strchr(p, '\n') + 1)
		n += (size_t)snprintf(dst + n, cap - n, "%.*s\n", (int)strcspn(p + 6, " ?") + 6, p);
}

START_TEST(wake_waits_for_ready)
{
	char log[200];
	const char *s = NULL;
	BEHAVE({ .status = 0 }, { .status = 204 }, { .status = 204 },
	    { 503, "{\"ready\":false,\"reason\":\"starting\"}", 1100 }, { .status = 200 });
	guest_wake(guest, true, 2000, on_done, &agent);
	expect_success();
	log_without_bodies(log, sizeof(log));
	ck_assert_str_eq(log, "POST /wake\nPOST /wake\nPOST /clock\nGET /ready\nGET /ready\n");
	CLEAN_JSON json_t *o = logged_body("POST /wake ");
	ck_assert_int_eq(json_get_str(o, "entropy", 99, &s, NULL), 0);
	ck_assert_uint_ge(strlen(s), 44);
}
END_TEST

/* An answer that took its time says little about when the clock was set. */
START_TEST(wake_sets_the_clock_until_that_is_quick)
{
	char log[200];
	BEHAVE({ .status = 204 }, { 204, NULL, 40 }, { 204, NULL, 40 }, { .status = 204 },
	    { .status = 200 });
	guest_wake(guest, false, 2000, on_done, &agent);
	expect_success();
	log_without_bodies(log, sizeof(log));
	ck_assert_str_eq(log, "POST /wake\nPOST /clock\nPOST /clock\nPOST /clock\nGET /ready\n");
	ck_assert_ptr_nonnull(strstr(buf_cstr(&agent.log), "\"warmUp\":false"));
	ck_assert_ptr_nonnull(strstr(buf_cstr(&agent.log), "POST /clock {\"timestamp\":"));
}
END_TEST

START_TEST(clock_is_refused)
{
	BEHAVE({ .status = 204 }, { .status = 500, .body = "{\"message\":\"clock: no\"}" });
	guest_wake(guest, true, 2000, on_done, &agent);
	expect_error(-EPROTO, "answered 500 to POST /clock: clock: no");
}
END_TEST

START_TEST(wake_is_refused)
{
	BEHAVE({ .status = 500, .body = "{\"message\":\"clock: no\"}" });
	guest_wake(guest, true, 2000, on_done, &agent);
	expect_error(-EPROTO, "answered 500 to POST /wake: clock: no");
}
END_TEST

START_TEST(quiesce)
{
	BEHAVE({ .status = 204 }, { .status = 409, .body = "{\"message\":\"a process runs\"}" });
	guest_quiesce(guest, 2000, on_done, &agent);
	expect_success();
	agent.answered = 0;
	guest_quiesce(guest, 2000, on_done, &agent);
	expect_error(-EPROTO, "answered 409 to POST /quiesce: a process runs");
}
END_TEST

/* The time is that of the try which got through. */
START_TEST(every_try_tells_its_time)
{
	int64_t ns[3] = { 0 };
	BEHAVE({ .status = 0 }, { .status = 0 }, { .status = 204 }, { .status = 204 },
	    { .status = 200 });
	if (_i)
		guest_wake(guest, true, 2000, on_done, &agent);
	else
		init("secret");
	expect_success();
	const char *p = buf_cstr(&agent.log);
	for (int i = 0; i < 3; i++) {
		p = strstr(p, "\"timestamp\":") + 12;
		ns[i] = strtoll(p, NULL, 10);
	}
	ck_assert_int_gt(ns[0], 1700000000000000000);
	ck_assert_int_gt(ns[1], ns[0]);
	ck_assert_int_gt(ns[2], ns[1]);
}
END_TEST

START_TEST(init_without_token)
{
	BEHAVE({ .status = 204 });
	init(NULL);
	expect_success();
	CLEAN_JSON json_t *o = logged_body("POST /init ");
	ck_assert(json_is_null(json_object_get(o, "accessToken")));
}
END_TEST

START_TEST(init_is_asked_again)
{
	BEHAVE({ .status = 0 }, { .status = 204 });
	init("secret");
	expect_success();
}
END_TEST

START_TEST(init_is_refused)
{
	BEHAVE({ .status = 409, .body = "{\"message\":\"another one\"}" });
	init("secret");
	expect_error(-EPROTO, "answered 409 to POST /init: another one");
}
END_TEST

START_TEST(init_with_bad_text)
{
	static const char *const env[] = { "K=\xff\xfe", NULL };
	const struct guest_identity id = { .sandbox_id = "i1",
		.template_id = "t",
		.env = env,
		.default_user = "u",
		.default_workdir = "/" };
	BEHAVE({ .status = 204 });
	guest_init(guest, &id, on_done, &agent);
	expect_error(-EINVAL, "POST /init: not valid UTF-8");
}
END_TEST

/* ---- notices ---- */

START_TEST(notices)
{
	BEHAVE({ .status = 204 });
	for (int i = 1; i <= 50; i++)
		guest_notice(guest, "oom", i);
	guest_notice(guest, "pids", 7);
	guest_notice(guest, "unknown", 7);
	while (!strstr(buf_cstr(&agent.log), "\"count\":50}"))
		ck_assert_int_eq(loop_turn(agent.loop, true), 0);
	for (unsigned i = 0; i < 20; i++)
		ck_assert_int_eq(loop_turn(agent.loop, false), 0);
	/* the first, the other kind, and the latest: not one each */
	unsigned n = 0;
	for (const char *s = buf_cstr(&agent.log); *s; s++)
		n += *s == '\n';
	ck_assert_uint_eq(n, 3);
	ck_assert_ptr_nonnull(
	    strstr(buf_cstr(&agent.log), "POST /notice {\"kind\":\"pids\",\"count\":7}\n"));
}
END_TEST

/* ---- limits ---- */

static struct guest_limits told;
static unsigned tellings;

static void on_limits(const struct guest_limits *now, void *arg)
{
	told = *now;
	tellings++;
}

static const char *asked(unsigned which)
{
	const char *s = buf_cstr(&agent.log);
	while (s && which--)
		s = strchr(s, '\n') ? strchr(s, '\n') + 1 : NULL;
	return s ? s : "";
}

START_TEST(limits_of_a_machine)
{
	const struct guest_limits known = { 1, 0 };
	BEHAVE({ .status = 200, .body = "{\"oom\":1,\"pids\":0}" },
	    { .status = 200, .body = "{\"oom\":3,\"pids\":7}" },
	    { .status = 200, .body = "{\"oom\":-3,\"pids\":7}" }, { .status = -1 });
	tellings = 0;
	guest_watch_limits(guest, &known, on_limits, NULL);
	while (!*asked(2))
		ck_assert_int_eq(loop_turn(agent.loop, true), 0);
	ck_assert_uint_eq(tellings, 1); /* the first was no news */
	ck_assert_uint_eq(told.oom_kills, 3);
	ck_assert_uint_eq(told.pids_refused, 7);
	ck_assert_ptr_nonnull(str_after(asked(0), "GET /limits?oom=1&pids=0&wait=60000"));
	ck_assert_ptr_nonnull(str_after(asked(2), "GET /limits?oom=3&pids=7&wait=60000"));
	init("secret"); /* a question that is held back keeps nothing else from being asked */
	while (!strstr(buf_cstr(&agent.log), "POST /init"))
		ck_assert_int_eq(loop_turn(agent.loop, true), 0);
	guest_unwatch_limits(guest);
	ck_assert_uint_eq(tellings, 1);			      /* nonsense is none either */
	told = (struct guest_limits){ INT64_MAX, INT64_MAX }; /* the longest question */
	guest_watch_limits(guest, &told, on_limits, NULL);
	while (!*asked(4))
		ck_assert_int_eq(loop_turn(agent.loop, true), 0);
	ck_assert_ptr_nonnull(str_after(asked(4), "GET /limits?oom=9223372036854775807&pids="
						  "9223372036854775807&wait=60000"));
}
END_TEST

/* ---- life ---- */

START_TEST(free_drops_what_is_pending)
{
	BEHAVE({ .status = -1 });
	boot(5000);
	for (int i = 0; i < _i; i++)
		(void)loop_turn(agent.loop, false);
	guest_notice(guest, "oom", 1);
	guest = guest_free(guest);
	for (unsigned i = 0; i < 10; i++)
		(void)loop_turn(agent.loop, false);
	ck_assert_int_eq(agent.answered, 0);
	ck_assert_ptr_null(guest_free(NULL));
}
END_TEST

struct stream_end {
	int calls, err;
};

static void on_close(struct http_stream *st, int err, void *user)
{
	struct stream_end *e = user;
	e->calls++;
	e->err = err;
}

START_TEST(reset_breaks_data_streams)
{
	static const struct http_handler h = { .on_close = on_close };
	struct http_head head = HTTP_HEAD_INIT;
	struct stream_end e = { 0 };
	int r = 0;
	BEHAVE({ .status = -1 });
	ck_assert_int_eq(http_head_set_request(&head, "GET", "http", "x", "/stream"), 0);
	ck_assert_ptr_nonnull(http_client_request(guest_data(guest), &head, true, &h, &e, &r));
	while (buf_len(&agent.log) == 0)
		ck_assert_int_eq(loop_turn(agent.loop, true), 0);
	guest_reset(guest);
	for (unsigned i = 0; i < 5; i++)
		(void)loop_turn(agent.loop, false);
	ck_assert_int_eq(e.calls, 1);
	ck_assert_int_lt(e.err, 0);
	http_head_fini(&head);
}
END_TEST

START_TEST(every_allocation_may_fail)
{
	BEHAVE({ .status = 204 });
	guest = guest_free(guest);
	long n = 0;
	for (; !guest; n++) {
		mem_fail_after(n);
		guest = open_guest(&agent);
		mem_fail_after(-1);
	}
	for (n = 0;; n++) {
		agent.answered = 0;
		mem_fail_after(n);
		init("secret");
		mem_fail_after(-1);
		wait_done();
		if (agent.err.code == 0)
			break;
		ck_assert_int_eq(agent.err.code, -ENOMEM);
		ck_assert_int_lt(n, 200);
	}
}
END_TEST

static Suite *guest_suite(void)
{
	Suite *s = suite_create("guest");
	TCase *tc = test_case(s, "guest", 20);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, boot_waits_for_ready);
	tcase_add_test(tc, agent_comes_later);
	tcase_add_test(tc, agent_never_comes);
	tcase_add_test(tc, kernels_will_never_come);
	tcase_add_test(tc, never_ready);
	tcase_add_test(tc, never_answers);
	tcase_add_test(tc, breaks_and_comes_back);
	tcase_add_test(tc, boot_is_refused);
	tcase_add_test(tc, answer_is_too_long);
	tcase_add_test(tc, no_agent_at_all);
	tcase_add_loop_test(tc, check, 0, sizeof(states) / sizeof(states[0]));
	tcase_add_test(tc, init_tells_everything);
	tcase_add_test(tc, wake_waits_for_ready);
	tcase_add_test(tc, wake_sets_the_clock_until_that_is_quick);
	tcase_add_test(tc, clock_is_refused);
	tcase_add_test(tc, wake_is_refused);
	tcase_add_test(tc, quiesce);
	tcase_add_loop_test(tc, every_try_tells_its_time, 0, 2);
	tcase_add_test(tc, init_without_token);
	tcase_add_test(tc, init_is_asked_again);
	tcase_add_test(tc, init_is_refused);
	tcase_add_test(tc, init_with_bad_text);
	tcase_add_test(tc, notices);
	tcase_add_test(tc, limits_of_a_machine);
	tcase_add_loop_test(tc, free_drops_what_is_pending, 0, 8);
	tcase_add_test(tc, reset_breaks_data_streams);
	tcase_add_test(tc, every_allocation_may_fail);
	add_channel_tests(s);
	return s;
}

TEST_MAIN(guest_suite)
