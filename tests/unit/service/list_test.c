/* SPDX-License-Identifier: Apache-2.0 */
#include "service_tests.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define BASE_NS 1700000000000000000
#define MANY 250

static const char *id_at(size_t i)
{
	const char *s =
	    json_string_value(json_object_get(json_array_get(call_json(), i), "sandboxID"));
	return s ? s : "(none)";
}

static void add_many(void)
{
	char id[24];
	for (int i = 0; i < MANY; i++) {
		/* groups of five started at the same instant */
		(void)snprintf(id, sizeof(id), "i%03d", i);
		(void)fake_sandbox_add(w.sandboxes, TEAM_A, id, BASE_NS + i / 5, NULL);
	}
	(void)fake_sandbox_add(w.sandboxes, TEAM_B, "iforeign", BASE_NS + 1, NULL);
}

/* Walks all pages; order holds the ids one after the other. */
static size_t walk(const char *query, char order[MANY + 8][24])
{
	char path[400], token[256] = "";
	size_t n = 0, pages = 0;
	do {
		(void)snprintf(path, sizeof(path), "/v2/sandboxes?%s%s%s", query,
		    *token ? "&nextToken=" : "", token);
		struct reply *r = call("GET", path, NULL);
		ck_assert_int_eq(r->status, 200);
		ck_assert_str_eq(reply_header(r, "x-total-running"), "250");
		(void)str_copy(token, sizeof(token), reply_header(r, "x-next-token"));
		size_t got = json_array_size(call_json());
		ck_assert_uint_gt(got, 0);
		for (size_t i = 0; i < got; i++, n++) {
			ck_assert_uint_lt(n, MANY + 1);
			(void)str_copy(order[n], sizeof(order[n]), id_at(i));
		}
		ck_assert_uint_lt(++pages, 300);
	} while (*token);
	return n;
}

START_TEST(pages_cover_all_once)
{
	static char down[MANY + 8][24], up[MANY + 8][24];
	add_many();
	ck_assert_uint_eq(walk(_i ? "limit=7" : "limit=100", down), MANY);
	ck_assert_uint_eq(walk(_i ? "order=asc&limit=13" : "order=asc", up), MANY);
	ck_assert_str_eq(down[0], "i245");
	ck_assert_str_eq(down[1], "i246");
	ck_assert_str_eq(down[5], "i240");
	for (int i = 0; i < MANY; i++)
		ck_assert_str_eq(down[i], up[MANY - 1 - i]);
}
END_TEST

START_TEST(version_one_lists_all)
{
	add_many();
	struct reply *r = call("GET", "/sandboxes?limit=3", NULL);
	ck_assert_int_eq(r->status, 200);
	ck_assert_uint_eq(json_array_size(call_json()), MANY);
	ck_assert_str_eq(reply_header(r, "x-next-token"), "");
}
END_TEST

START_TEST(an_empty_list)
{
	struct reply *r = call("GET", "/v2/sandboxes", NULL);
	expect_reply(r, 200, "[]");
	ck_assert_str_eq(reply_header(r, "x-total-running"), "0");
	ck_assert_str_eq(reply_header(r, "x-next-token"), "");
}
END_TEST

START_TEST(metadata_is_decoded_twice)
{
	static const char *const kv[] = { "k e", "v&1", "ä=", "+%", NULL };
	static const struct {
		const char *query;
		bool found;
	} t[] = {
		/* as stock clients send it */
		{ "k%252520e%3Dv%2525261", true },
		{ "k%252520e%253Dv%2525261", true }, /* one level more is the same text */
		{ "k%252Be%3Dv%2525261", true },
		{ "k%252520e%3Dv%2525262", false },
		{ "k%252520e%3Dv%2525261%26%2525C3%2525A4%25253D%3D%25252B%252525", true },
		{ "k%252520e%3Dv%2525261%26other%3Dx", false },
		{ "%26", false },
		{ "", true },
	};
	(void)fake_sandbox_add(w.sandboxes, TEAM_A, "iabc", BASE_NS, kv);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char path[200];
		(void)snprintf(path, sizeof(path), "%s?metadata=%s",
		    i % 2 ? "/sandboxes" : "/v2/sandboxes", t[i].query);
		struct reply *r = call("GET", path, NULL);
		if (strcmp(t[i].query, "%26") == 0) {
			ck_assert_int_eq(r->status, 400);
			continue;
		}
		ck_assert_msg(r->status == 200, "row %zu: %s", i, reply_text(r));
		ck_assert_msg(json_array_size(call_json()) == t[i].found, "row %zu", i);
	}
}
END_TEST

START_TEST(bad_parameters_are_named)
{
	static const struct {
		const char *query, *text;
	} t[] = {
		{ "metadata=a", "metadata: expected key=value pairs joined by '&'" },
		{ "metadata=a%3Db%3Dc", "metadata: expected key=value pairs joined by '&'" },
		{ "metadata=a%3D%25zz", "metadata: expected percent-encoded UTF-8 text" },
		{ "metadata=a%3D%25ff", "metadata: expected percent-encoded UTF-8 text" },
		{ "state=stopped", "state: expected running, paused or both" },
		{ "state=", "state: expected running, paused or both" },
		{ "state=running,", "state: expected running, paused or both" },
		{ "order=up", "order: expected asc or desc" },
		{ "limit=0", "limit: expected a number from 1 to 100" },
		{ "limit=101", "limit: expected a number from 1 to 100" },
		{ "limit=x", "limit: expected a number from 1 to 100" },
		{ "nextToken=x",
		    "nextToken: expected the X-Next-Token of a page in the same order" },
		{ "startedAfter=yesterday",
		    "startedAfter: expected a date such as 2026-01-31T12:00:00Z" },
	};
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char path[200], want[200];
		(void)snprintf(path, sizeof(path), "/v2/sandboxes?%s", t[i].query);
		(void)snprintf(want, sizeof(want),
		    "{\"code\":400,\"message\":\"validation error: %s\"}", t[i].text);
		expect_reply(call("GET", path, NULL), 400, want);
	}
}
END_TEST

START_TEST(a_cursor_is_for_one_order)
{
	char path[300];
	add_many();
	struct reply *r = call("GET", "/v2/sandboxes?limit=1", NULL);
	(void)snprintf(path, sizeof(path), "/v2/sandboxes?order=asc&nextToken=%s",
	    reply_header(r, "x-next-token"));
	ck_assert_int_eq(call("GET", path, NULL)->status, 400);
}
END_TEST

START_TEST(filters_apply)
{
	static const struct {
		const char *query;
		size_t n;
	} t[] = {
		{ "state=running", 2 },
		{ "state=running,paused", 3 },
		{ "state=running&state=paused", 3 },
		{ "state=paused", 1 },
		{ "template=code", 3 },
		{ "template=short", 0 },
		{ "template=unknown", 0 },
		{ "startedAfter=1970-01-01T00%3A00%3A00.000Z", 3 },
		{ "startedAfter=2023-11-14T22%3A13%3A20Z", 3 },
		{ "startedAfter=2023-11-14T22%3A13%3A21Z", 1 },
		{ "startedAfter=2033-11-14T22%3A13%3A21Z", 0 },
		{ "unknown=1", 3 },
	};
	(void)fake_sandbox_add(w.sandboxes, TEAM_A, "iabc", BASE_NS, NULL);
	(void)fake_sandbox_add(w.sandboxes, TEAM_A, "ibcd", BASE_NS + 5000000000, NULL);
	struct sandbox *p = fake_sandbox_add(w.sandboxes, TEAM_A, "icde", BASE_NS, NULL);
	fake_sandboxes_let_pause(w.sandboxes);
	sandbox_pause(p, NULL, NULL);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char path[200];
		(void)snprintf(path, sizeof(path), "/v2/sandboxes?%s", t[i].query);
		ck_assert_int_eq(call("GET", path, NULL)->status, 200);
		ck_assert_msg(json_array_size(call_json()) == t[i].n, "%s", t[i].query);
	}
}
END_TEST

void add_list_tests(Suite *s)
{
	TCase *tc = test_case(s, "list", 40);
	tcase_add_checked_fixture(tc, world_start, world_stop);
	tcase_add_loop_test(tc, pages_cover_all_once, 0, 2);
	tcase_add_test(tc, version_one_lists_all);
	tcase_add_test(tc, an_empty_list);
	tcase_add_test(tc, metadata_is_decoded_twice);
	tcase_add_test(tc, bad_parameters_are_named);
	tcase_add_test(tc, a_cursor_is_for_one_order);
	tcase_add_test(tc, filters_apply);
}
