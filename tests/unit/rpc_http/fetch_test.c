/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc_http_tests.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

struct result {
	unsigned calls;
	int err, status;
	char body[64];
	size_t n;
	bool free_client;
};

static void done(int err, int status, const void *body, size_t n, void *arg)
{
	struct result *r = arg;
	r->calls++;
	r->err = err;
	r->status = status;
	r->n = n;
	if (n < sizeof(r->body) && body)
		memcpy(r->body, body, n + 1); /* with the NUL that follows */
	if (r->free_client)
		w.client = http_client_free(w.client);
}

static struct http_fetch *fetch(struct result *r, const char *method, const char *path,
    const char *body, size_t max, uint64_t timeout_ms)
{
	struct http_head head = HTTP_HEAD_INIT;
	ck_assert_int_eq(http_head_set_request(&head, method, "http", "x", path), 0);
	struct http_fetch *f = http_fetch_start(
	    w.client, &head, body, body ? strlen(body) : 0, max, timeout_ms, done, r);
	http_head_fini(&head);
	return f;
}

START_TEST(whole_exchange)
{
	struct result r = { 0 };
	world_start(_i, false, NULL);
	(void)fetch(&r, "POST", "/collect", "the body", 1000, 5000);
	ck_assert_uint_eq(r.calls, 0);
	RUN_UNTIL(r.calls == 1);
	ck_assert_int_eq(r.err, 0);
	ck_assert_int_eq(r.status, 200);
	ck_assert_str_eq(r.body, "the body");
	memset(&r, 0, sizeof(r));
	r.free_client = true;
	(void)fetch(&r, "GET", "/fields", NULL, 0, 5000);
	RUN_UNTIL(r.calls == 1);
	ck_assert_int_eq(r.status, 204);
	ck_assert_uint_eq(r.n, 0);
	world_stop();
}
END_TEST

START_TEST(answer_above_the_limit)
{
	struct result r = { 0 };
	world_start(_i, false, NULL);
	(void)fetch(&r, "GET", "/hello", NULL, 4, 5000);
	RUN_UNTIL(r.calls == 1);
	ck_assert_int_eq(r.err, -EFBIG);
	memset(&r, 0, sizeof(r));
	(void)fetch(&r, "GET", "/hello", NULL, 5, 5000);
	RUN_UNTIL(r.calls == 1);
	ck_assert_int_eq(r.err, 0);
	world_stop();
}
END_TEST

START_TEST(time_runs_out)
{
	struct result r = { 0 };
	world_start(_i, false, NULL);
	(void)fetch(&r, "GET", "/hold", NULL, 4, 30);
	RUN_UNTIL(r.calls == 1);
	ck_assert_int_eq(r.err, -ETIMEDOUT);
	RUN_UNTIL(w.closes == 1); /* the server heard of it */
	world_stop();
}
END_TEST

START_TEST(server_breaks_off)
{
	struct result r = { 0 };
	world_start(_i, false, NULL);
	(void)fetch(&r, "GET", "/reset-early", NULL, 4, 5000);
	RUN_UNTIL(r.calls == 1);
	ck_assert_int_lt(r.err, 0);
	world_stop();
}
END_TEST

START_TEST(cancelled_fetch_is_silent)
{
	struct result r = { 0 };
	world_start(_i, false, NULL);
	struct http_fetch *f = fetch(&r, "GET", "/hold", NULL, 4, 5000);
	RUN_UNTIL(w.requests == 1);
	http_fetch_cancel(f);
	RUN_UNTIL(w.closes == 1);
	http_fetch_cancel(fetch(&r, "GET", "/hold", NULL, 4, 5000));
	run_idle();
	ck_assert_uint_eq(r.calls, 0);
	world_stop();
}
END_TEST

START_TEST(no_connection)
{
	struct result r = { 0 };
	world_start(_i, false, NULL);
	http_client_free(w.client);
	w.client = client_to(1, _i, NULL);
	(void)fetch(&r, "GET", "/", NULL, 4, 5000);
	ck_assert_uint_eq(r.calls, 0);
	RUN_UNTIL(r.calls == 1);
	ck_assert_int_eq(r.err, -ECONNREFUSED);
	world_stop();
}
END_TEST

/* Every allocation of a whole exchange fails once: the caller always hears, nothing leaks. */
START_TEST(allocation_sweep)
{
	world_start(_i, false, NULL);
	struct result warm = { 0 };
	(void)fetch(&warm, "GET", "/hello", NULL, 100, 5000);
	RUN_UNTIL(warm.calls == 1);
	struct http_client *kept = w.client;
	for (long n = 0; n < 60; n++) {
		struct result r = { 0 };
		w.client = client_to(w.origin_port, _i, NULL);
		mem_fail_after(n);
		struct http_head head = { .method = (char *)"GET",
			.scheme = (char *)"http",
			.authority = (char *)"x",
			.path = (char *)"/missing",
			.length = -1 };
		struct http_fetch *f =
		    http_fetch_start(w.client, &head, NULL, 0, 100, 5000, done, &r);
		mem_fail_after(-1);
		if (f)
			RUN_UNTIL(r.calls == 1);
		if (r.calls == 1)
			ck_assert(r.err < 0 || r.status == 404);
		http_client_free(w.client);
	}
	w.client = kept;
	world_stop();
}
END_TEST

void add_fetch_tests(Suite *s)
{
	TCase *tc = test_case(s, "fetch", 20);
	tcase_add_loop_test(tc, whole_exchange, 1, 3);
	tcase_add_loop_test(tc, answer_above_the_limit, 1, 3);
	tcase_add_loop_test(tc, time_runs_out, 1, 3);
	tcase_add_loop_test(tc, server_breaks_off, 1, 3);
	tcase_add_loop_test(tc, cancelled_fetch_is_silent, 1, 3);
	tcase_add_loop_test(tc, no_connection, 1, 3);
	tcase_add_loop_test(tc, allocation_sweep, 1, 3);
}
