/* SPDX-License-Identifier: Apache-2.0 */
#include "service_tests.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define GONE(id) "{\"sandboxId\":\"" id "\",\"message\":\"The sandbox was not found\",\"code\":502}"
#define BROWSER "Mozilla/5.0 (X11; Linux x86_64)"

static const char *const to_envd[] = { "e2b-sandbox-id", "iabc", "e2b-sandbox-port", "49983",
	NULL };
static const char *const to_code[] = { "e2b-sandbox-id", "iabc", "e2b-sandbox-port", "49999",
	NULL };
static const char *const to_3000[] = { "e2b-sandbox-id", "iabc", "e2b-sandbox-port", "3000", NULL };

static struct sandbox *own(void)
{
	return fake_sandbox_add(w.sandboxes, TEAM_A, "iabc", 1, NULL);
}

/* ---- forwarding ---- */
START_TEST(requests_reach_the_agent)
{
	const char *const by_host[] = { ":authority", "8000-iabc.box.test", NULL };
	const char *const native[] = { "sandglass-sandbox-id", "iabc", NULL };
	(void)own();
	struct reply *r = call_with("GET", "/health?x=1", to_envd, NULL);
	expect_reply(r, 200, "agent");
	ck_assert_str_eq(w.seen.path, "/health?x=1");
	ck_assert_str_eq(w.seen.port, "49983");
	expect_reply(call_with("POST", "/echo", to_code, "some body"), 200, "some body");
	ck_assert_str_eq(w.seen.method, "POST");
	ck_assert_str_eq(w.seen.port, "49999");
	expect_reply(call_with("GET", "/", by_host, NULL), 200, "agent");
	ck_assert_str_eq(w.seen.port, "8000");
	expect_reply(
	    call_with("POST", "/sandglass.v1.CodeInterpreter/Execute", native, "{}"), 200, "agent");
	ck_assert_str_eq(w.seen.port, "49999");
}
END_TEST

START_TEST(the_port_header_is_ours_alone)
{
	const char *const headers[] = { "e2b-sandbox-id", "iabc", "e2b-sandbox-port", "3000",
		"sandglass-port", "49983", NULL };
	struct reply r;
	(void)own();
	expect_reply(call_with("GET", "/", headers, NULL), 200, "agent");
	ck_assert_str_eq(w.seen.port, "3000");
	reply_start(&r, w.h2, "GET", "/", headers, NULL, 0);
	RUN_UNTIL(r.closed);
	ck_assert_str_eq(w.seen.port, "3000");
	reply_fini(&r);
}
END_TEST

START_TEST(keys_stay_outside)
{
	char bearer[64];
	(void)snprintf(bearer, sizeof(bearer), "Bearer %s", w.key_a);
	const char *const ours[] = { "e2b-sandbox-id", "iabc", "e2b-sandbox-port", "49999",
		"x-api-key", w.key_a, "authorization", bearer, "x-other", "1", NULL };
	const char *const theirs[] = { "e2b-sandbox-id", "iabc", "e2b-sandbox-port", "3000",
		"x-api-key", "abc", "authorization", "Basic dXNlcjo=", NULL };
	(void)own();
	expect_reply(call_with("GET", "/", ours, NULL), 200, "agent");
	ck_assert_ptr_null(strstr(w.seen.headers, "e2b_"));
	ck_assert_ptr_nonnull(strstr(w.seen.headers, "x-other: 1"));
	expect_reply(call_with("GET", "/", theirs, NULL), 200, "agent");
	ck_assert_ptr_nonnull(strstr(w.seen.headers, "x-api-key: abc"));
	ck_assert_ptr_nonnull(strstr(w.seen.headers, "authorization: Basic dXNlcjo="));
}
END_TEST

START_TEST(the_host_is_masked)
{
	const char *const to_port[] = { ":authority", "8000-iabc.box.test", "x-forwarded-host",
		"forged", NULL };
	const char *const to_agent[] = { ":authority", "49983-iabc.box.test", NULL };
	struct sandbox *sb = own();
	expect_reply(call_with("GET", "/", to_port, NULL), 200, "agent");
	ck_assert_str_eq(w.seen.host, "8000-iabc.box.test");
	ck_assert_ptr_nonnull(strstr(w.seen.headers, "x-forwarded-host: forged\n"));
	fake_sandbox_set_mask_host(sb, "${PORT}.local:${PORT}");
	expect_reply(call_with("GET", "/", to_port, NULL), 200, "agent");
	ck_assert_str_eq(w.seen.host, "8000.local:8000");
	ck_assert_ptr_nonnull(strstr(w.seen.headers, "x-forwarded-host: 8000-iabc.box.test\n"));
	ck_assert_ptr_null(strstr(w.seen.headers, "forged"));
	fake_sandbox_set_mask_host(sb, "fixed");
	expect_reply(call_with("GET", "/", to_port, NULL), 200, "agent");
	ck_assert_str_eq(w.seen.host, "fixed");
	expect_reply(call_with("GET", "/", to_agent, NULL), 200, "agent");
	ck_assert_str_eq(w.seen.host, "49983-iabc.box.test");
	ck_assert_ptr_null(strstr(w.seen.headers, "x-forwarded-host"));
}
END_TEST

/* ---- refusals ---- */
START_TEST(unknown_sandboxes_are_502)
{
	struct sandbox *sb = own();
	const char *const other[] = { "e2b-sandbox-id", "iother-6532622b", "e2b-sandbox-port",
		"49983", NULL };
	struct reply *r = call_with("GET", "/health", other, NULL);
	expect_reply(r, 502, GONE("iother"));
	ck_assert_str_eq(reply_header(r, "content-type"), "application/json; charset=utf-8");
	fake_sandbox_end(sb, SANDBOX_END_KILLED, "");
	expect_reply(call_with("GET", "/health", to_envd, NULL), 502, GONE("iabc"));
	ck_assert_uint_eq(w.seen.requests, 0);
}
END_TEST

START_TEST(paused_ones_say_so)
{
	static const char *const grpc[] = { "sandglass-sandbox-id", "iabc", "content-type",
		"application/grpc", NULL };
	struct reply r;
	fake_sandboxes_let_pause(w.sandboxes);
	sandbox_pause(own(), NULL, NULL);
	expect_reply(call_with("GET", "/health", to_envd, NULL), 502,
	    "{\"sandboxId\":\"iabc\",\"message\":\"The sandbox is paused, connect to it to let it "
	    "go "
	    "on\",\"code\":502}");
	reply_start(&r, w.h2, "POST", "/sandglass.v1.CodeInterpreter/Execute", grpc, "", 0);
	RUN_UNTIL(r.closed);
	ck_assert_str_eq(reply_header(&r, "grpc-status"), "14");
	reply_fini(&r);
}
END_TEST

START_TEST(malformed_routes_are_400)
{
	const char *const half[] = { "e2b-sandbox-id", "iabc", NULL };
	const char *const host[] = { ":authority", "x-iabc.box.test", NULL };
	struct reply *r = call_with("GET", "/health", half, NULL);
	expect_reply(r, 400, "missing header");
	ck_assert_str_eq(reply_header(r, "content-type"), "text/plain; charset=utf-8");
	expect_reply(call_with("GET", "/", host, NULL), 400, "Invalid sandbox port");
}
END_TEST

START_TEST(reserved_paths_are_404)
{
	static const char *const paths[] = { "/init", "/freeze", "/unfreeze", "/collapse",
		"/fsfreeze", "/fsthaw", "/upgrade", "/init?x=1", "/init/", "//init", "/./init",
		"/%69nit" };
	char want[300];
	(void)own();
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		int n = (int)strcspn(paths[i], "?");
		(void)snprintf(want, sizeof(want),
		    "{\"message\":\"This endpoint is reserved for the E2B control plane and is not "
		    "reachable through the sandbox URL\",\"path\":\"%.*s\",\"code\":404}",
		    n, paths[i]);
		expect_reply(call_with("POST", paths[i], to_envd, "{}"), 404, want);
	}
	ck_assert_uint_eq(w.seen.requests, 0);
	expect_reply(call_with("POST", "/init", to_3000, "{}"), 200, "agent");
	expect_reply(call_with("POST", "/initial", to_envd, "{}"), 200, "agent");
	expect_reply(call_with("GET", "/files?path=/init", to_envd, NULL), 200, "agent");
}
END_TEST

START_TEST(traffic_tokens_guard_all_but_envd)
{
	const char *const wrong[] = { "e2b-sandbox-id", "iabc", "e2b-sandbox-port", "3000",
		"e2b-traffic-access-token", "wrong", NULL };
	const char *const right[] = { "e2b-sandbox-id", "iabc", "e2b-sandbox-port", "3000",
		"E2B-Traffic-Access-Token", "secret", NULL };
	fake_sandbox_set_traffic_token(own(), "secret");
	expect_reply(call_with("GET", "/", to_3000, NULL), 403,
	    "{\"sandboxId\":\"iabc\",\"message\":\"Sandbox is secured with traffic access token. "
	    "Token header 'e2b-traffic-access-token' is missing\",\"code\":403}");
	expect_reply(call_with("GET", "/", wrong, NULL), 403,
	    "{\"sandboxId\":\"iabc\",\"message\":\"Sandbox is secured with traffic access token. "
	    "Provided token in header 'e2b-traffic-access-token' is invalid\",\"code\":403}");
	ck_assert_int_eq(call_with("GET", "/", to_code, NULL)->status, 403);
	expect_reply(call_with("GET", "/", right, NULL), 200, "agent");
	expect_reply(call_with("GET", "/", to_envd, NULL), 200, "agent");
}
END_TEST

START_TEST(requests_of_a_sandbox_are_limited)
{
	struct reply r[3];
	(void)own();
	for (unsigned i = 0; i < 3; i++) {
		reply_start(&r[i], w.h1, "GET", "/hold", to_3000, NULL, 0);
		RUN_UNTIL(w.seen.requests == i + 1);
	}
	expect_reply(call_with("GET", "/", to_3000, NULL), 429,
	    "{\"sandboxId\":\"iabc\",\"message\":\"The sandbox has too many concurrent incoming "
	    "connections (limit: 3)\",\"code\":429,\"connectionLimit\":3}");
	(void)fake_sandbox_add(w.sandboxes, TEAM_A, "iother", 1, NULL);
	const char *const other[] = { "e2b-sandbox-id", "iother", "e2b-sandbox-port", "1", NULL };
	expect_reply(call_with("GET", "/", other, NULL), 200, "agent");
	reply_fini(&r[0]);
	RUN_UNTIL(w.seen.closes == 2);
	expect_reply(call_with("GET", "/", to_3000, NULL), 200, "agent");
	reply_fini(&r[1]);
	reply_fini(&r[2]);
}
END_TEST

START_TEST(browsers_get_pages)
{
	const char *const page[] = { "e2b-sandbox-id", "inone", "e2b-sandbox-port", "3000",
		"user-agent", BROWSER, "accept", "text/html", NULL };
	const char *const script[] = { "e2b-sandbox-id", "inone", "e2b-sandbox-port", "3000",
		"user-agent", BROWSER, "sec-fetch-mode", "cors", "origin", "https://a.test", NULL };
	const char *const host[] = { ":authority", "1-i0.box.test", "user-agent", BROWSER, NULL };
	struct reply *r = call_with("GET", "/", page, NULL);
	ck_assert_int_eq(r->status, 502);
	ck_assert_str_eq(reply_header(r, "content-type"), "text/html; charset=utf-8");
	ck_assert_str_eq(reply_header(r, "content-security-policy"),
	    "default-src 'none'; style-src 'unsafe-inline'");
	ck_assert_ptr_nonnull(strstr(reply_text(r),
	    "Sandbox <code>inone</code>, port <code>3000</code>, host <code>localhost</code>."));
	r = call_with("GET", "/", host, NULL);
	ck_assert_ptr_nonnull(strstr(reply_text(r), "host <code>1-i0.box.test</code>."));
	r = call_with("GET", "/", script, NULL);
	expect_reply(r, 502, GONE("inone"));
	ck_assert_str_eq(reply_header(r, "access-control-allow-origin"), "*");
}
END_TEST

START_TEST(grpc_calls_get_a_status)
{
	static const struct {
		const char *type, *want;
	} t[] = {
		{ "application/grpc", "application/grpc" },
		{ "application/grpc+proto", "application/grpc" },
		{ "application/grpc-web", "application/grpc-web" },
		{ "application/grpc-web-text", "application/grpc-web-text" },
	};
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		const char *const headers[] = { "sandglass-sandbox-id", "inone", "content-type",
			t[i].type, NULL };
		const char *const none[] = { "content-type", t[i].type, NULL };
		struct reply r;
		reply_start(
		    &r, w.h2, "POST", "/sandglass.v1.CodeInterpreter/Execute", headers, "", 0);
		RUN_UNTIL(r.closed);
		ck_assert_int_eq(r.status, 200);
		ck_assert_ptr_nonnull(str_after(reply_header(&r, "content-type"), t[i].want));
		ck_assert_str_eq(reply_header(&r, "grpc-status"), "5");
		ck_assert_str_eq(reply_header(&r, "grpc-message"), "The sandbox was not found");
		reply_fini(&r);
		reply_start(&r, w.h2, "POST", "/sandglass.v1.CodeInterpreter/Execute", none, "", 0);
		RUN_UNTIL(r.closed);
		ck_assert_str_eq(reply_header(&r, "grpc-status"), "3");
		ck_assert_str_eq(
		    reply_header(&r, "grpc-message"), "missing header sandglass-sandbox-id");
		reply_fini(&r);
	}
	const char *const connect[] = { "sandglass-sandbox-id", "inone", "content-type",
		"application/connect+json", NULL };
	expect_reply(call_with("POST", "/sandglass.v1.CodeInterpreter/Execute", connect, ""), 502,
	    GONE("inone"));
}
END_TEST

START_TEST(preflights)
{
	const char *const envd[] = { "e2b-sandbox-id", "iabc", "e2b-sandbox-port", "49983",
		"origin", "https://a.test", "access-control-request-method", "POST", NULL };
	const char *const app[] = { "e2b-sandbox-id", "iabc", "e2b-sandbox-port", "3000", "origin",
		"https://a.test", "access-control-request-method", "POST", NULL };
	(void)own();
	struct reply *r = call_with("OPTIONS", "/process.Process/Start", envd, NULL);
	expect_reply(r, 204, "");
	ck_assert_str_eq(reply_header(r, "access-control-allow-origin"), "*");
	ck_assert_str_eq(reply_header(r, "access-control-max-age"), "7200");
	ck_assert_uint_eq(w.seen.requests, 0);
	expect_reply(call_with("OPTIONS", "/", app, NULL), 200, "agent");
	ck_assert_str_eq(w.seen.method, "OPTIONS");
}
END_TEST

/* ---- ends ---- */
START_TEST(requests_in_flight_are_reset)
{
	struct http_client *client = _i & 1 ? w.h2 : w.h1;
	struct sandbox *sb = own();
	struct reply early, late, body;
	reply_start(&early, client, "GET", "/hold", to_envd, NULL, 0);
	RUN_UNTIL(w.seen.requests == 1);
	reply_start(&late, client, "GET", "/stream", to_3000, NULL, 0);
	RUN_UNTIL(buf_len(&late.body) == 4);
	reply_start(&body, client, "POST", "/hold", to_3000, "unread", 6);
	RUN_UNTIL(w.seen.requests == 3);
	if (_i & 2)
		http_client_reset(w.data, -ECONNRESET); /* the agent's channel breaks first */
	fake_sandbox_end(sb, SANDBOX_END_TIMEOUT, "");
	RUN_UNTIL(early.closed && late.closed && body.closed);
	ck_assert_int_ne(early.close_err, 0);
	ck_assert_int_ne(late.close_err, 0);
	ck_assert_int_ne(body.close_err, 0);
	ck_assert_int_eq(early.status, 0);
	ck_assert_int_eq(late.status, 200);
	ck_assert(!late.ended);
	expect_reply(call_with("GET", "/health", to_envd, NULL), 502, GONE("iabc"));
	reply_fini(&early);
	reply_fini(&late);
	reply_fini(&body);
}
END_TEST

/* Of a gRPC call the last word is a status; gRPC-Web has no place for it that is safe. */
START_TEST(grpc_answers_end_with_a_status)
{
	static const char *const types[] = { "application/grpc", "application/grpc+json",
		"application/grpc-web+proto" };
	struct sandbox *sb = own();
	struct reply r[3];
	for (unsigned i = 0; i < 3; i++) {
		const char *const headers[] = { "e2b-sandbox-id", "iabc", "e2b-sandbox-port",
			"49999", "content-type", types[i], NULL };
		reply_start(&r[i], w.h2, "POST", "/stream", headers, "", 0);
		RUN_UNTIL(buf_len(&r[i].body) == 4);
	}
	if (_i)
		http_client_reset(w.data, -ECONNRESET); /* the agent's channel breaks first */
	fake_sandbox_end(sb, SANDBOX_END_CRASHED, "");
	for (unsigned i = 0; i < 3; i++) {
		RUN_UNTIL(r[i].closed);
		const char *status = http_fields_get(&r[i].trailers, "grpc-status");
		ck_assert_int_eq(r[i].ended, i < 2);
		ck_assert_int_eq(r[i].close_err == 0, i < 2);
		ck_assert_str_eq(status ? status : "none", i < 2 ? "14" : "none");
		reply_fini(&r[i]);
	}
}
END_TEST

START_TEST(an_agent_that_fails_is_502)
{
	const char *const grpc[] = { "e2b-sandbox-id", "iabc", "e2b-sandbox-port", "49999",
		"content-type", "application/grpc", NULL };
	struct reply r;
	(void)own();
	expect_reply(call_with("GET", "/reset", to_envd, NULL), 502, GONE("iabc"));
	reply_start(&r, w.h2, "POST", "/reset", grpc, "", 0);
	RUN_UNTIL(r.closed);
	ck_assert_str_eq(reply_header(&r, "grpc-status"), "14");
	reply_fini(&r);
}
END_TEST

START_TEST(the_server_stops_in_the_middle)
{
	struct reply r[2];
	(void)own();
	reply_start(&r[0], w.h1, "GET", "/hold", to_envd, NULL, 0);
	reply_start(&r[1], w.h2, "GET", "/stream", to_3000, NULL, 0);
	RUN_UNTIL(w.seen.requests == 2);
	reply_fini(&r[0]);
	reply_fini(&r[1]);
}
END_TEST

void add_gateway_tests(Suite *s)
{
	TCase *tc = test_case(s, "gateway", 20);
	tcase_add_checked_fixture(tc, world_start, world_stop);
	tcase_add_test(tc, requests_reach_the_agent);
	tcase_add_test(tc, the_port_header_is_ours_alone);
	tcase_add_test(tc, the_host_is_masked);
	tcase_add_test(tc, keys_stay_outside);
	tcase_add_test(tc, unknown_sandboxes_are_502);
	tcase_add_test(tc, paused_ones_say_so);
	tcase_add_test(tc, malformed_routes_are_400);
	tcase_add_test(tc, reserved_paths_are_404);
	tcase_add_test(tc, traffic_tokens_guard_all_but_envd);
	tcase_add_test(tc, requests_of_a_sandbox_are_limited);
	tcase_add_test(tc, browsers_get_pages);
	tcase_add_test(tc, grpc_calls_get_a_status);
	tcase_add_test(tc, preflights);
	tcase_add_loop_test(tc, requests_in_flight_are_reset, 0, 4);
	tcase_add_loop_test(tc, grpc_answers_end_with_a_status, 0, 2);
	tcase_add_test(tc, an_agent_that_fails_is_502);
	tcase_add_test(tc, the_server_stops_in_the_middle);
}
