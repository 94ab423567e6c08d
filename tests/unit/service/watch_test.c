/* SPDX-License-Identifier: Apache-2.0 */
#include "service_tests.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/str.h"
#include "wire/rpcwire.h"

#define WATCH "/sandglass.v1.SandboxService/WatchEvents"

/* The stream's messages as text, one a line, as far as they came. */
struct watching {
	struct reply reply;
	struct rpc_deframer deframer;
	size_t fed;
	char lines[64][700];
	unsigned n;
};

static void begin(
    struct watching *x, struct http_client *client, const char *key, const char *request)
{
	CLEAN_BUF struct buf body = BUF_INIT;
	const char *const headers[] = { "content-type", "application/connect+json", "x-api-key",
		key, NULL };
	memset(x, 0, sizeof(*x));
	rpc_deframer_init(&x->deframer, 1 << 20, false);
	ck_assert_int_eq(rpc_frame(&body, 0, request, strlen(request), false), 0);
	reply_start(&x->reply, client, "POST", WATCH, headers, buf_data(&body), buf_len(&body));
}

static void feed(struct watching *x)
{
	size_t n = buf_len(&x->reply.body) - x->fed;
	uint8_t flags;
	const void *p;
	if (n)
		ck_assert_int_eq(
		    rpc_deframer_feed(&x->deframer, buf_data(&x->reply.body) + x->fed, n), 0);
	x->fed += n;
	while (x->n < 64 && rpc_deframer_next(&x->deframer, &flags, &p, &n) == 1)
		(void)snprintf(
		    x->lines[x->n++], sizeof(x->lines[0]), "%.*s", (int)n, (const char *)p);
}

static void until(struct watching *x, unsigned n)
{
	for (feed(x); x->n < n; feed(x))
		ck_assert_int_eq(loop_turn(w.loop, true), 0);
}

static void end(struct watching *x)
{
	reply_fini(&x->reply);
	rpc_deframer_fini(&x->deframer);
}

#define HAS(x, i, text) ck_assert_msg(strstr((x)->lines[i], text), "%s", (x)->lines[i])

#define SERVICE_OWN 2 /* subscriptions without clients: gateway and answers */

static struct watching x, y;

START_TEST(events_arrive_in_order)
{
	begin(&x, _i ? w.h2 : w.h1, w.key_a, "{}");
	until(&x, 1);
	HAS(&x, 0, "\"heartbeat\":{}");
	ck_assert_int_eq(call("POST", "/sandboxes", "{\"templateID\":\"code\"}")->status, 201);
	char id[32];
	(void)str_copy(
	    id, sizeof(id), json_string_value(json_object_get(call_json(), "sandboxID")));
	struct sandbox *sb = sandboxes_find(w.sandboxes, id);
	fake_sandbox_emit(sb, SANDBOX_EVENT_OOM);
	fake_sandbox_emit(sb, SANDBOX_EVENT_PIDS_LIMIT);
	ck_assert_int_eq(sandbox_set_timeout(sb, 50, false, NULL), 0);
	fake_sandbox_end(sb, SANDBOX_END_OUT_OF_MEMORY, "the agent was killed for memory");
	until(&x, 6);
	for (int i = 1; i < 6; i++) {
		HAS(&x, i, id);
		HAS(&x, i, "\"time\":\"");
	}
	HAS(&x, 1, "\"created\":{}");
	HAS(&x, 1, "\"state\":\"SANDBOX_STATE_RUNNING\"");
	HAS(&x, 2, "\"memoryExceeded\":{\"kills\":\"1\"}");
	HAS(&x, 3, "\"processLimit\":{\"refused\":\"1\"}");
	HAS(&x, 4, "\"timeoutChanged\":{}");
	HAS(&x, 5,
	    "\"ended\":{\"reason\":\"END_REASON_OUT_OF_MEMORY\",\"detail\":\"the agent was "
	    "killed for memory\"}");
	HAS(&x, 5, "\"state\":\"SANDBOX_STATE_ENDED\"");
	end(&x);
}
END_TEST

START_TEST(each_team_sees_its_own)
{
	struct sandbox *a = fake_sandbox_add(w.sandboxes, TEAM_A, "ia", 1, NULL);
	struct sandbox *b = fake_sandbox_add(w.sandboxes, TEAM_B, "ib", 1, NULL);
	begin(&x, w.h2, w.key_a, "{}");
	begin(&y, w.h2, w.key_b, "{}");
	until(&x, 1);
	until(&y, 1);
	fake_sandbox_end(b, SANDBOX_END_KILLED, "");
	fake_sandbox_end(a, SANDBOX_END_TIMEOUT, "");
	until(&x, 2);
	until(&y, 2);
	HAS(&x, 1, "\"sandboxId\":\"ia\"");
	HAS(&x, 1, "END_REASON_TIMEOUT");
	HAS(&y, 1, "\"sandboxId\":\"ib\"");
	end(&x);
	end(&y);
	RUN_UNTIL(fake_sandboxes_stats(w.sandboxes)->subscribers == SERVICE_OWN);
}
END_TEST

START_TEST(one_sandbox_can_be_watched)
{
	struct sandbox *a = fake_sandbox_add(w.sandboxes, TEAM_A, "ia", 1, NULL);
	struct sandbox *b = fake_sandbox_add(w.sandboxes, TEAM_A, "ib", 1, NULL);
	begin(&x, w.h2, w.key_a, "{\"sandboxId\":\"ib\"}");
	until(&x, 1);
	fake_sandbox_emit(a, SANDBOX_EVENT_OOM);
	fake_sandbox_emit(b, SANDBOX_EVENT_OOM);
	until(&x, 2);
	HAS(&x, 1, "\"sandboxId\":\"ib\"");
	end(&x);
	begin(&x, w.h2, w.key_a, "{\"sandboxId\":\"inone\"}");
	until(&x, 1);
	HAS(&x, 0, "\"code\":\"not_found\"");
	end(&x);
}
END_TEST

START_TEST(slow_readers_are_told)
{
	static char value[16 * 1024];
	static const char *const metadata[] = { "k", value, NULL };
	memset(value, 'x', sizeof(value) - 1);
	struct sandbox *sb = fake_sandbox_add(w.sandboxes, TEAM_A, "ia", 1, metadata);
	begin(&x, w.h2, w.key_a, "{}");
	x.reply.slow = true;
	until(&x, 1);
	/* Nothing is consumed: windows fill, then the queue does. */
	for (int i = 0; i < 200; i++) {
		fake_sandbox_emit(sb, SANDBOX_EVENT_OOM);
		ck_assert_int_eq(loop_turn(w.loop, false), 0);
	}
	RUN_UNTIL(fake_sandboxes_stats(w.sandboxes)->subscribers == SERVICE_OWN);
	x.reply.slow = false;
	if (x.reply.st)
		http_stream_consume(x.reply.st, x.reply.unconsumed);
	RUN_UNTIL(x.reply.closed);
	const char *all = reply_text(&x.reply);
	size_t n = buf_len(&x.reply.body);
	ck_assert_uint_gt(n, LIMIT_STREAM_QUEUE);
	ck_assert_uint_lt(n, 4 * LIMIT_STREAM_QUEUE);
	ck_assert_ptr_nonnull(memmem(all, n, "\"code\":\"resource_exhausted\"", 27));
	ck_assert_ptr_nonnull(memmem(all, n, "were not read fast enough", 25));
	end(&x);
}
END_TEST

START_TEST(watches_end_with_the_server)
{
	begin(&x, w.h2, w.key_a, "{}");
	until(&x, 1);
	service_drain(w.service);
	until(&x, 2);
	HAS(&x, 1, "\"code\":\"unavailable\"");
	HAS(&x, 1, "the server is stopping");
	RUN_UNTIL(x.reply.closed);
	end(&x);
	begin(&x, w.h2, w.key_a, "{}");
	until(&x, 1);
	HAS(&x, 0, "\"code\":\"unavailable\"");
	end(&x);
	begin(&x, w.h2, w.key_a, "{}"); /* cut by the end of the test */
	end(&x);
}
END_TEST

START_TEST(a_watch_is_open_when_the_server_goes)
{
	begin(&x, w.h2, w.key_a, "{}");
	begin(&y, w.h1, w.key_a, "{}");
	until(&x, 1);
	until(&y, 1);
	end(&x);
	end(&y);
}
END_TEST

void add_watch_tests(Suite *s)
{
	TCase *tc = test_case(s, "watch", 20);
	tcase_add_checked_fixture(tc, world_start, world_stop);
	tcase_add_loop_test(tc, events_arrive_in_order, 0, 2);
	tcase_add_test(tc, each_team_sees_its_own);
	tcase_add_test(tc, one_sandbox_can_be_watched);
	tcase_add_test(tc, slow_readers_are_told);
	tcase_add_test(tc, watches_end_with_the_server);
	tcase_add_test(tc, a_watch_is_open_when_the_server_goes);
}
