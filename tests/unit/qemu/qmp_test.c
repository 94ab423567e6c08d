/* SPDX-License-Identifier: Apache-2.0 */
/* The client of QEMU's control socket against a peer that says what the test wants. */
#include "vmm/qemu/qmp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "base/mem.h"
#include "base/str.h"
#include "lib/test.h"
#include "loop/loop.h"
#include "qemu_tests.h"

#define GREETING                                                                          \
	"{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}," \
	" \"package\": \"x\"}, \"capabilities\": [\"oob\"]}}\r\n"
#define CAPS "{\"execute\":\"qmp_capabilities\",\"id\":0}\n"
#define CAPS_OK "{\"return\": {}, \"id\": 0}\r\n"

enum free_at { NEVER, AT_READY, AT_EVENT, AT_DONE, AT_CLOSED };

struct world {
	struct loop *loop;
	struct qmp *q;
	int peer;
	int ready, closed, events, done[3];
	int code[3];
	char text[3][ERR_TEXT_MAX], event[64];
	int64_t value[3];
	struct err err;
	enum free_at free_at;
};

static void maybe_free(struct world *w, enum free_at at)
{
	if (w->free_at == at)
		w->q = qmp_free(w->q);
}

static void on_ready(struct qmp *q, void *arg)
{
	struct world *w = arg;
	w->ready++;
	maybe_free(w, AT_READY);
}

static void on_event(struct qmp *q, const char *name, const json_t *data, void *arg)
{
	struct world *w = arg;
	w->events++;
	(void)str_copy(w->event, sizeof(w->event), name);
	maybe_free(w, AT_EVENT);
}

static void on_closed(struct qmp *q, const struct err *err, void *arg)
{
	struct world *w = arg;
	w->closed++;
	w->err = *err;
	maybe_free(w, AT_CLOSED);
}

static const struct qmp_ops ops = {
	.on_ready = on_ready, .on_event = on_event, .on_closed = on_closed
};

static void take(struct world *w, int i, const struct err *err, const json_t *ret)
{
	w->done[i]++;
	w->code[i] = err->code;
	(void)str_copy(w->text[i], sizeof(w->text[i]), err_text(err));
	w->value[i] = json_integer_value(json_object_get(ret, "n"));
	maybe_free(w, AT_DONE);
}

static void on_first(const struct err *err, const json_t *ret, void *arg)
{
	take(arg, 0, err, ret);
}

static void on_second(const struct err *err, const json_t *ret, void *arg)
{
	take(arg, 1, err, ret);
}

static void turn(struct world *w)
{
	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(loop_turn(w->loop, false), 0);
}

static void open_world(struct world *w, enum free_at at)
{
	int sv[2];
	*w = (struct world){ .free_at = at };
	w->loop = loop_new();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	w->peer = sv[0];
	w->q = qmp_new(w->loop, sv[1], &ops, w, NULL);
	ck_assert_ptr_nonnull(w->q);
}

static void close_world(struct world *w)
{
	w->q = qmp_free(w->q);
	w->peer = fd_close(w->peer);
	turn(w);
	w->loop = loop_free(w->loop);
}

static void say_n(struct world *w, const char *p, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t k = send(w->peer, p + done, n - done, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (k < 0 && errno != EAGAIN)
			return; /* it was hung up on */
		done += k > 0 ? (size_t)k : 0;
		turn(w);
	}
	turn(w);
}

static void say(struct world *w, const char *text)
{
	say_n(w, text, strlen(text));
}

static void expect(struct world *w, const char *text)
{
	char got[4096] = "";
	ssize_t n = recv(w->peer, got, sizeof(got) - 1, MSG_DONTWAIT);
	got[n < 0 ? 0 : n] = '\0';
	ck_assert_str_eq(got, text);
}

static void negotiate(struct world *w)
{
	say(w, GREETING);
	expect(w, CAPS);
	say(w, CAPS_OK);
	ck_assert_int_eq(w->ready, 1);
}

START_TEST(greets_and_negotiates)
{
	struct world w;
	open_world(&w, NEVER);
	ck_assert_int_eq(qmp_command(w.q, "stop", NULL, on_first, &w), -ENOTCONN);
	negotiate(&w);
	ck_assert(qmp_is_ready(w.q));
	ck_assert_uint_eq(qmp_version(w.q), 7002022);
	close_world(&w);
	/* the same, a byte at a time */
	open_world(&w, NEVER);
	for (const char *p = GREETING; *p; p++)
		say_n(&w, p, 1);
	expect(&w, CAPS);
	for (const char *p = CAPS_OK; *p; p++)
		say_n(&w, p, 1);
	ck_assert_int_eq(w.ready, 1);
	close_world(&w);
	ck_assert_int_eq(w.closed, 0); /* who frees it knows */
}
END_TEST

START_TEST(answers_find_their_commands)
{
	struct world w;
	open_world(&w, NEVER);
	negotiate(&w);
	ck_assert_int_eq(qmp_command(w.q, "a", json_pack("{s:i}", "x", 1), on_first, &w), 0);
	ck_assert_int_eq(qmp_command(w.q, "b", NULL, on_second, &w), 0);
	turn(&w);
	expect(&w, "{\"execute\":\"a\",\"id\":1,\"arguments\":{\"x\":1}}\n"
		   "{\"execute\":\"b\",\"id\":2}\n");
	say(&w, "{\"return\": {\"n\": 22}, \"id\": 2}\n{\"event\": \"STOP\", \"data\": {}}\n"
		"{\"error\": {\"class\": \"GenericError\", \"desc\": \"no way\"}, \"id\": 1}\n");
	ck_assert_int_eq(w.done[0], 1);
	ck_assert_int_eq(w.code[0], -EIO);
	ck_assert_str_eq(w.text[0], "QEMU: no way");
	ck_assert_int_eq(w.done[1], 1);
	ck_assert_int_eq(w.code[1], 0);
	ck_assert_int_eq(w.value[1], 22);
	ck_assert_int_eq(w.events, 1);
	ck_assert_str_eq(w.event, "STOP");
	/* an answer that comes twice is one too many */
	say(&w, "{\"return\": {}, \"id\": 2}\n");
	ck_assert_int_eq(w.closed, 1);
	ck_assert_int_eq(w.err.code, -EPROTO);
	ck_assert_int_eq(w.done[1], 1);
	close_world(&w);
}
END_TEST

START_TEST(a_hang_up_answers_everything_once)
{
	struct world w;
	open_world(&w, NEVER);
	negotiate(&w);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(qmp_command(w.q, "a", NULL, i ? on_second : on_first, &w), 0);
	turn(&w);
	expect(&w, "{\"execute\":\"a\",\"id\":1}\n{\"execute\":\"a\",\"id\":2}\n");
	w.peer = fd_close(w.peer);
	turn(&w);
	ck_assert_int_eq(w.done[0], 1);
	ck_assert_int_eq(w.done[1], 1);
	ck_assert_int_eq(w.code[0], -ECONNRESET);
	ck_assert_int_eq(w.closed, 1);
	ck_assert_ptr_nonnull(strstr(w.err.text, "hung up"));
	ck_assert(!qmp_is_ready(w.q));
	ck_assert_int_eq(qmp_command(w.q, "a", NULL, on_first, &w), -ENOTCONN);
	close_world(&w);
	ck_assert_int_eq(w.closed, 1);
}
END_TEST

START_TEST(commands_are_bounded)
{
	struct world w;
	open_world(&w, NEVER);
	negotiate(&w);
	for (unsigned i = 0; i < QMP_COMMANDS_MAX; i++)
		ck_assert_int_eq(qmp_command(w.q, "a", NULL, on_first, &w), 0);
	ck_assert_int_eq(qmp_command(w.q, "a", NULL, on_first, &w), -ENOBUFS);
	say(&w, "{\"return\": {}, \"id\": 7}\n");
	ck_assert_int_eq(qmp_command(w.q, "a", NULL, on_first, &w), 0);
	close_world(&w);
	ck_assert_int_eq(w.done[0], 1); /* the others were dropped with it */
}
END_TEST

static void expect_refused(const char *text, bool negotiated)
{
	struct world w;
	open_world(&w, NEVER);
	if (negotiated)
		negotiate(&w);
	if (negotiated)
		ck_assert_int_eq(qmp_command(w.q, "a", NULL, on_first, &w), 0);
	say(&w, text);
	ck_assert_msg(w.closed == 1, "%s: not refused", text);
	ck_assert_msg(w.err.code == -EPROTO, "%s: %s", text, w.err.text);
	ck_assert_int_eq(w.done[0], negotiated);
	close_world(&w);
}

START_TEST(what_is_no_answer_is_refused)
{
	static const char *const greetings[] = { "\n", "hello\n", "[]\n", "{}\n", CAPS_OK,
		"{\"QMP\": {}}\n", "{\"QMP\": {\"version\": {\"qemu\": {\"major\": 7}}}}\n",
		"{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 1, \"minor\": 2000, \"major\": "
		"7}}}}\n",
		"{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 1, \"minor\": \"2\", \"major\": "
		"7}}}}\n" };
	static const char *const answers[] = { "\n", "garbage\n", "[]\n", "{}\n", "{\"id\": 1}\n",
		"{\"return\": {}}\n", "{\"return\": {}, \"id\": 2}\n",
		"{\"return\": {}, \"id\": \"1\"}\n", "{\"return\": {}, \"id\": -1}\n",
		"{\"return\": {}, \"id\": 1.5}\n", "{\"error\": {}, \"id\": 1}\n",
		"{\"error\": \"x\", \"id\": 1}\n", "{\"event\": 1}\n",
		"{\"event\": \"X\", \"data\": 3}\n",
		"{\"return\": {}, \"return\": {}, \"id\": 1}\n", "{\"return\": {}, \"id\": 1}x\n",
		GREETING };
	for (size_t i = 0; i < sizeof(greetings) / sizeof(greetings[0]); i++)
		expect_refused(greetings[i], false);
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		expect_refused(answers[i], true);
}
END_TEST

START_TEST(long_lines_are_refused)
{
	struct world w;
	char *line = mem_alloc(QMP_LINE_MAX + 65536);
	memset(line, 'a', QMP_LINE_MAX + 65536);
	open_world(&w, NEVER);
	negotiate(&w);
	say_n(&w, line, QMP_LINE_MAX + 65536);
	ck_assert_int_eq(w.closed, 1);
	ck_assert_int_eq(w.err.code, -EMSGSIZE);
	close_world(&w);
	/* the longest that is taken */
	open_world(&w, NEVER);
	negotiate(&w);
	int n = snprintf(line, QMP_LINE_MAX, "{\"event\": \"LONG\", \"data\": {\"x\": \"");
	memset(line + n, 'y', QMP_LINE_MAX - 4 - (size_t)n);
	memcpy(line + QMP_LINE_MAX - 4, "\"}}\n", 4);
	say_n(&w, line, QMP_LINE_MAX);
	ck_assert_int_eq(w.events, 1);
	ck_assert_int_eq(w.closed, 0);
	close_world(&w);
	(void)mem_free(line);
}
END_TEST

START_TEST(cut_anywhere_ends_once)
{
	static const char all[] = GREETING CAPS_OK
	    "{\"event\": \"RESUME\", \"data\": {}}\n{\"return\": {\"n\": 1}, \"id\": 1}\n";
	for (size_t n = 0; n < sizeof(all); n++) {
		struct world w;
		open_world(&w, NEVER);
		size_t done = 0;
		for (; done < n && !w.ready; done++)
			say_n(&w, all + done, 1);
		if (w.ready)
			ck_assert_int_eq(qmp_command(w.q, "a", NULL, on_first, &w), 0);
		say_n(&w, all + done, n - done);
		w.peer = fd_close(w.peer);
		turn(&w);
		ck_assert_int_eq(w.closed, 1);
		ck_assert_int_eq(w.done[0], w.ready);
		close_world(&w);
	}
}
END_TEST

START_TEST(may_be_freed_from_any_callback)
{
	for (enum free_at at = AT_READY; at <= AT_CLOSED; at++) {
		struct world w;
		open_world(&w, at);
		say(&w, GREETING CAPS_OK);
		if (w.q)
			ck_assert_int_eq(qmp_command(w.q, "a", NULL, on_first, &w), 0);
		if (w.q)
			ck_assert_int_eq(qmp_command(w.q, "b", NULL, on_second, &w), 0);
		say(&w, "{\"event\": \"X\"}\n{\"event\": \"Y\"}\n{\"return\": {}, \"id\": 1}\n"
			"{\"return\": {}, \"id\": 2}\n");
		w.peer = fd_close(w.peer);
		turn(&w);
		ck_assert_ptr_null(w.q);
		ck_assert_int_eq(w.events, at == AT_READY ? 0 : at == AT_EVENT ? 1 : 2);
		ck_assert_int_eq(w.done[1], at == AT_CLOSED);
		close_world(&w);
	}
	/* and from the answers that a hang-up gives */
	struct world w;
	open_world(&w, AT_DONE);
	negotiate(&w);
	ck_assert_int_eq(qmp_command(w.q, "a", NULL, on_first, &w), 0);
	ck_assert_int_eq(qmp_command(w.q, "b", NULL, on_second, &w), 0);
	w.peer = fd_close(w.peer);
	turn(&w);
	ck_assert_int_eq(w.done[0], 1);
	ck_assert_int_eq(w.done[1], 0);
	ck_assert_int_eq(w.closed, 0);
	close_world(&w);
}
END_TEST

void add_qmp_tests(Suite *s)
{
	TCase *tc = test_case(s, "qmp", 30);
	tcase_add_test(tc, greets_and_negotiates);
	tcase_add_test(tc, answers_find_their_commands);
	tcase_add_test(tc, a_hang_up_answers_everything_once);
	tcase_add_test(tc, commands_are_bounded);
	tcase_add_test(tc, what_is_no_answer_is_refused);
	tcase_add_test(tc, long_lines_are_refused);
	tcase_add_test(tc, cut_anywhere_ends_once);
	tcase_add_test(tc, may_be_freed_from_any_callback);
}
