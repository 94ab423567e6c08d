/* SPDX-License-Identifier: Apache-2.0 */
#include "service_tests.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "image/template.h"

#define NOT_FOUND(id)                                  \
	"{\"code\":404,\"message\":\"Sandbox \\\"" id  \
	"\\\" doesn't exist or you don't have access " \
	"to it\"}"

static struct sandbox *own(const char *id)
{
	return fake_sandbox_add(w.sandboxes, TEAM_A, id, 1700000000123000000, NULL);
}

static const char *text_of(const char *key)
{
	const char *s = json_string_value(json_object_get(call_json(), key));
	return s ? s : "(none)";
}

/* ---- create ---- */
START_TEST(create_answers_the_sandbox)
{
	struct reply *r = call("POST", _i ? "/v2/sandboxes" : "/sandboxes",
	    "{\"templateID\":\"code\",\"envVars\":{\"A\":\"b\"}}");
	char want[512];
	ck_assert_int_eq(r->status, 201);
	(void)snprintf(want, sizeof(want),
	    "{\"templateID\":\"%s\",\"sandboxID\":\"%s\",\"clientID\":\"6532622b\","
	    "\"envdVersion\":\"0.6.13\",\"alias\":\"code-interpreter-v1\","
	    "\"trafficAccessToken\":null,\"domain\":null,\"isolation\":\"namespace\","
	    "\"envdAccessToken\":\"accesstoken\"}",
	    templates_at(w.templates, 0)->id, text_of("sandboxID"));
	ck_assert_str_eq(reply_text(r), want);
	ck_assert_str_eq(reply_header(r, "content-type"), "application/json; charset=utf-8");
	const struct fake_sandboxes_stats *st = fake_sandboxes_stats(w.sandboxes);
	ck_assert_str_eq(st->template_ref, "code-interpreter-v1");
	ck_assert_str_eq(st->team_id, TEAM_A);
	ck_assert_str_eq(st->env, "A=b");
	ck_assert_uint_eq(st->team_limit, 1000);
	ck_assert_uint_eq(st->timeout_s, _i ? 300 : 15);
}
END_TEST

START_TEST(create_without_security)
{
	(void)call("POST", "/sandboxes", "{\"templateID\":\"code\",\"secure\":false}");
	ck_assert_str_eq(text_of("envdAccessToken"), "(none)");
	(void)call("POST", "/v2/sandboxes",
	    "{\"templateID\":\"code\",\"network\":{\"allowPublicTraffic\":false}}");
	ck_assert_str_eq(text_of("trafficAccessToken"), "traffictoken");
}
END_TEST

START_TEST(create_with_a_masked_host)
{
	char path[64];
	(void)call("POST", "/v2/sandboxes",
	    "{\"templateID\":\"code\",\"network\":{\"maskRequestHost\":\"a:${PORT}\"}}");
	(void)snprintf(path, sizeof(path), "/sandboxes/%s", text_of("sandboxID"));
	struct reply *r = call("GET", path, NULL);
	ck_assert_ptr_nonnull(strstr(reply_text(r),
	    "\"network\":{\"allowPublicTraffic\":true,\"maskRequestHost\":\"a:${PORT}\"}"));
}
END_TEST

START_TEST(create_refuses_bad_bodies)
{
	expect_reply(call("POST", "/sandboxes", ""), 400,
	    "{\"code\":400,\"message\":\"validation error: invalid JSON at line 1, column 0: "
	    "unexpected token near end of file\"}");
	expect_reply(call("POST", "/sandboxes", "[]"), 400,
	    "{\"code\":400,\"message\":\"validation error: expected a JSON object\"}");
	expect_reply(call("POST", "/sandboxes", "{}"), 400,
	    "{\"code\":400,\"message\":\"validation error: templateID: expected the name or id of "
	    "a "
	    "template\"}");
	expect_reply(call("POST", "/sandboxes", "{\"templateID\":\"none\"}"), 404,
	    "{\"code\":404,\"message\":\"template 'none' not found\"}");
	expect_reply(call("POST", "/v2/sandboxes", "{\"templateID\":\"code\",\"autoPause\":true}"),
	    501,
	    "{\"code\":501,\"message\":\"the driver 'fake' of this server cannot pause a "
	    "sandbox\"}");
	ck_assert_uint_eq(fake_sandboxes_stats(w.sandboxes)->created, 0);
}
END_TEST

START_TEST(create_tells_failures)
{
	const char *const b[] = { "x-api-key", w.key_b, NULL };
	fake_sandboxes_fail(w.sandboxes, SANDBOX_E_CAPACITY, "this machine is full");
	expect_reply(call("POST", "/sandboxes", "{\"templateID\":\"code\"}"), 503,
	    "{\"code\":503,\"message\":\"this machine is full\","
	    "\"error_code\":\"sandbox_capacity_unavailable\"}");
	fake_sandboxes_fail(w.sandboxes, -ETIMEDOUT, "it did not start");
	expect_reply(call("POST", "/sandboxes", "{\"templateID\":\"code\"}"), 504,
	    "{\"code\":504,\"message\":\"it did not start\","
	    "\"error_code\":\"sandbox_placement_timeout\"}");
	fake_sandboxes_fail(w.sandboxes, -EIO, "broken \xff bytes");
	expect_reply(call("POST", "/sandboxes", "{\"templateID\":\"code\"}"), 500,
	    "{\"code\":500,\"message\":\"broken ? bytes\","
	    "\"error_code\":\"internal_server_error\"}");
	fake_sandboxes_fail(w.sandboxes, 0, NULL);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(
		    call_with("POST", "/sandboxes", b, "{\"templateID\":\"code\"}")->status, 201);
	expect_reply(call_with("POST", "/sandboxes", b, "{\"templateID\":\"code\"}"), 429,
	    "{\"code\":429,\"message\":\"you have reached the maximum number of concurrent E2B "
	    "sandboxes (2)\"}");
}
END_TEST

START_TEST(a_client_that_leaves_gets_no_sandbox)
{
	static const char body[] = "{\"templateID\":\"code\"}";
	const char *const headers[] = { "x-api-key", w.key_a, NULL };
	const struct fake_sandboxes_stats *st = fake_sandboxes_stats(w.sandboxes);
	struct reply r;
	fake_sandboxes_hold(w.sandboxes, true);
	reply_start(&r, w.h1, "POST", "/sandboxes", headers, body, strlen(body));
	RUN_UNTIL(st->creating == 1);
	reply_fini(&r);
	RUN_UNTIL(st->cancelled == 1);
	ck_assert_uint_eq(st->created, 0);
	/* and one that is still waiting when the server stops */
	reply_start(&r, w.h1, "POST", "/sandboxes", headers, body, strlen(body));
	RUN_UNTIL(st->creating == 1);
	reply_fini(&r);
}
END_TEST

START_TEST(large_bodies_are_refused)
{
	static char big[1100 * 1024];
	memset(big, ' ', sizeof(big) - 1);
	expect_reply(call("POST", "/sandboxes", big), 413,
	    "{\"code\":413,\"message\":\"expected a body of at most 1048576 bytes\"}");
}
END_TEST

/* ---- one sandbox ---- */
START_TEST(get_shows_all)
{
	static const char *const metadata[] = { "k", "v", NULL };
	char want[900];
	(void)fake_sandbox_add(w.sandboxes, TEAM_A, "iabc", 1700000000123000000, metadata);
	(void)snprintf(want, sizeof(want),
	    "{\"templateID\":\"%s\",\"alias\":\"code-interpreter-v1\",\"sandboxID\":\"iabc\","
	    "\"clientID\":\"6532622b\",\"startedAt\":\"2023-11-14T22:13:20.123Z\","
	    "\"endAt\":\"2023-11-14T22:18:20.123Z\",\"cpuCount\":2,\"memoryMB\":256,"
	    "\"diskSizeMB\":1024,\"state\":\"running\",\"envdVersion\":\"0.6.13\","
	    "\"metadata\":{\"k\":\"v\"},\"volumeMounts\":[],\"isolation\":\"namespace\","
	    "\"allowInternetAccess\":true,\"domain\":null,\"network\":{\"allowPublicTraffic\":true}"
	    ","
	    "\"lifecycle\":{\"autoResume\":false,\"onTimeout\":\"kill\"},"
	    "\"envdAccessToken\":\"accesstoken\"}",
	    templates_at(w.templates, 0)->id);
	expect_reply(call("GET", "/sandboxes/iabc", NULL), 200, want);
	expect_reply(call("GET", "/sandboxes/iabc-6532622b", NULL), 200, want);
}
END_TEST

static const struct {
	const char *method, *path, *body;
} on_sandbox[] = {
	{ "GET", "", NULL },
	{ "DELETE", "", NULL },
	{ "POST", "/timeout", "{\"timeout\":5}" },
	{ "POST", "/refreshes", "{}" },
	{ "POST", "/connect", "{\"timeout\":5}" },
	{ "POST", "/resume", "{}" },
	{ "POST", "/pause", "{}" },
	{ "POST", "/fork", "{}" },
	{ "POST", "/snapshots", "{}" },
	{ "PUT", "/network", "{}" },
	{ "GET", "/metrics", NULL },
	{ "GET", "/logs", NULL },
};

START_TEST(unknown_and_foreign_ones_are_404)
{
	char path[64];
	struct sandbox *ending = own("iend");
	fake_sandbox_add(w.sandboxes, TEAM_B, "iforeign", 1, NULL);
	sandbox_ref(ending);
	fake_sandbox_end(ending, SANDBOX_END_TIMEOUT, "");
	(void)snprintf(path, sizeof(path), "/sandboxes/inone%s", on_sandbox[_i].path);
	expect_reply(
	    call(on_sandbox[_i].method, path, on_sandbox[_i].body), 404, NOT_FOUND("inone"));
	(void)snprintf(path, sizeof(path), "/sandboxes/iforeign%s", on_sandbox[_i].path);
	expect_reply(
	    call(on_sandbox[_i].method, path, on_sandbox[_i].body), 404, NOT_FOUND("iforeign"));
	(void)snprintf(path, sizeof(path), "/sandboxes/iend%s", on_sandbox[_i].path);
	expect_reply(
	    call(on_sandbox[_i].method, path, on_sandbox[_i].body), 404, NOT_FOUND("iend"));
	(void)snprintf(path, sizeof(path), "/sandboxes/a-b-c%s", on_sandbox[_i].path);
	expect_reply(call(on_sandbox[_i].method, path, on_sandbox[_i].body), 400,
	    "{\"code\":400,\"message\":\"Invalid sandbox ID\"}");
	sandbox_unref(ending);
}
END_TEST

START_TEST(ids_are_checked)
{
	static const char *const bad[] = { "UPPER", "-x", "x-", "i%20x", "%2e%2e",
		"i0000000000000000000000", "i%F0%9F%98%80" };
	char path[64];
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		(void)snprintf(path, sizeof(path), "/sandboxes/%s", bad[i]);
		expect_reply(call("GET", path, NULL), 400,
		    "{\"code\":400,\"message\":\"Invalid sandbox ID\"}");
	}
}
END_TEST

START_TEST(kill_once)
{
	(void)own("iabc");
	struct reply *r = call("DELETE", "/sandboxes/iabc", NULL);
	expect_reply(r, 204, "");
	expect_reply(call("DELETE", "/sandboxes/iabc", NULL), 404, NOT_FOUND("iabc"));
	(void)own("ibcd");
	fake_sandboxes_fail(w.sandboxes, -EIO, "it will not die");
	expect_reply(call("DELETE", "/sandboxes/ibcd", NULL), 500,
	    "{\"code\":500,\"message\":\"it will not die\","
	    "\"error_code\":\"internal_server_error\"}");
}
END_TEST

static int64_t seconds_left(const struct sandbox *sb)
{
	struct sandbox_view v;
	sandbox_view(sb, &v);
	return (v.end_at_ns - clock_real_ns() + 500000000) / 1000000000;
}

START_TEST(timeouts_move_the_end)
{
	struct sandbox *sb = own("iabc");
	expect_reply(call("POST", "/sandboxes/iabc/timeout", "{\"timeout\":100}"), 204, "");
	ck_assert_int_eq(seconds_left(sb), 100);
	expect_reply(call("POST", "/sandboxes/iabc/timeout", "{\"timeout\":50}"), 204, "");
	ck_assert_int_eq(seconds_left(sb), 50);
	expect_reply(call("POST", "/sandboxes/iabc/refreshes", "{\"duration\":20}"), 204, "");
	ck_assert_int_eq(seconds_left(sb), 50);
	expect_reply(call("POST", "/sandboxes/iabc/refreshes", "{\"duration\":70}"), 204, "");
	ck_assert_int_eq(seconds_left(sb), 70);
	expect_reply(call("POST", "/sandboxes/iabc/refreshes", NULL), 204, "");
	expect_reply(call("POST", "/sandboxes/iabc/timeout", "{\"timeout\":0}"), 204, "");
	ck_assert_int_eq(seconds_left(sb), 0);
	expect_reply(call("POST", "/sandboxes/iabc/refreshes", NULL), 204, "");
	ck_assert_int_eq(seconds_left(sb), 15);
}
END_TEST

static void expect_shown_end(const struct sandbox *sb)
{
	char end[CLOCK_RFC3339_MAX], want[CLOCK_RFC3339_MAX + 16];
	struct sandbox_view v;
	sandbox_view(sb, &v);
	(void)snprintf(want, sizeof(want), "\"endAt\":\"%s\"", clock_rfc3339(v.end_at_ns, end));
	ck_assert_ptr_nonnull(strstr(buf_cstr(&call("GET", "/sandboxes/iabc", NULL)->body), want));
}

/* Its text is kept between requests. */
START_TEST(get_follows_changes)
{
	static const char *const metadata[] = { "k", "later", NULL };
	struct sandbox *sb = own("iabc");
	expect_shown_end(sb);
	expect_shown_end(sb);
	expect_reply(call("POST", "/sandboxes/iabc/timeout", "{\"timeout\":100}"), 204, "");
	expect_shown_end(sb);
	expect_reply(call("DELETE", "/sandboxes/iabc", NULL), 204, "");
	expect_reply(call("GET", "/sandboxes/iabc", NULL), 404, NOT_FOUND("iabc"));
	sb = fake_sandbox_add(w.sandboxes, TEAM_A, "iabc", 1700000000123000000, metadata);
	ck_assert_ptr_nonnull(
	    strstr(buf_cstr(&call("GET", "/sandboxes/iabc", NULL)->body), "later"));
}
END_TEST

START_TEST(timeouts_are_checked)
{
	(void)own("iabc");
	expect_reply(call("POST", "/sandboxes/iabc/timeout", "{}"), 400,
	    "{\"code\":400,\"message\":\"validation error: timeout: expected a number of "
	    "seconds\"}");
	expect_reply(call("POST", "/sandboxes/iabc/timeout", "{\"timeout\":-1}"), 400,
	    "{\"code\":400,\"message\":\"validation error: timeout: expected an integer from 0 to "
	    "31622400\"}");
	expect_reply(call("POST", "/sandboxes/iabc/timeout", "{\"timeout\":3601}"), 400,
	    "{\"code\":400,\"message\":\"validation error: timeout: expected at most 3600 "
	    "seconds\"}");
	expect_reply(call("POST", "/sandboxes/iabc/refreshes", "{\"duration\":3601}"), 400,
	    "{\"code\":400,\"message\":\"validation error: duration: expected an integer from 0 to "
	    "3600\"}");
}
END_TEST

START_TEST(connect_extends)
{
	struct sandbox *sb = own("iabc");
	struct reply *r = call("POST", "/sandboxes/iabc/connect", "{\"timeout\":100}");
	ck_assert_int_eq(r->status, 200);
	ck_assert_str_eq(text_of("sandboxID"), "iabc");
	ck_assert_str_eq(text_of("envdAccessToken"), "accesstoken");
	ck_assert_int_eq(seconds_left(sb), 100);
	ck_assert_int_eq(call("POST", "/sandboxes/iabc/connect", "{\"timeout\":50}")->status, 200);
	ck_assert_int_eq(seconds_left(sb), 100);
	ck_assert_int_eq(call("POST", "/v2/sandboxes/iabc/connect", NULL)->status, 200);
	ck_assert_int_eq(seconds_left(sb), 300);
	ck_assert_int_eq(
	    call("POST", "/v2/sandboxes/iabc/connect", "{\"memory\":false,\"timeout\":400}")
		->status,
	    200);
	ck_assert_int_eq(seconds_left(sb), 400);
	expect_reply(call("POST", "/sandboxes/iabc/connect", "{}"), 400,
	    "{\"code\":400,\"message\":\"validation error: timeout: expected a number of "
	    "seconds\"}");
	expect_reply(call("POST", "/v2/sandboxes/iabc/connect", "{\"memory\":1}"), 400,
	    "{\"code\":400,\"message\":\"validation error: memory: expected true or false\"}");
}
END_TEST

START_TEST(numbers_for_prometheus)
{
	const char *const none[] = { NULL };
	(void)own("iabc");
	ck_assert_int_eq(call_with("GET", "/metrics", none, NULL)->status, 401);
	struct reply *r = call("GET", "/metrics", NULL);
	ck_assert_int_eq(r->status, 200);
	ck_assert_str_eq(
	    reply_header(r, "content-type"), "text/plain; version=0.0.4; charset=utf-8");
	const char *text = reply_text(r);
	ck_assert_ptr_nonnull(strstr(text,
	    "# HELP sandglass_sandboxes Sandboxes by state.\n# TYPE sandglass_sandboxes gauge\n"
	    "sandglass_sandboxes{state=\"running\"} 1\n"));
	ck_assert_ptr_nonnull(strstr(text, "\nsandglass_memory_budget_bytes 4096\n"));
	ck_assert_ptr_nonnull(
	    strstr(text, "\nsandglass_pool_hits_total{template=\"code-interpreter-v1\"} 7\n"));
	ck_assert_ptr_nonnull(strstr(text, "\nsandglass_memory_available_bytes "));
}
END_TEST

START_TEST(pause_and_go_on)
{
	struct sandbox *sb = own("iabc");
	fake_sandboxes_let_pause(w.sandboxes);
	expect_reply(call("POST", "/sandboxes/iabc/pause", "{\"memory\":false}"), 400,
	    "{\"code\":400,\"message\":\"validation error: memory: a pause of this server keeps "
	    "the "
	    "memory, expected true\"}");
	ck_assert_int_eq(call("POST", "/sandboxes/iabc/pause", NULL)->status, 204);
	expect_reply(call("POST", "/sandboxes/iabc/pause", "{}"), 409,
	    "{\"code\":409,\"message\":\"sandbox iabc is paused\"}");
	ck_assert_ptr_nonnull(
	    strstr(reply_text(call("GET", "/sandboxes/iabc", NULL)), "\"state\":\"paused\""));
	expect_reply(call("POST", "/v2/sandboxes/iabc/connect", "{\"memory\":false}"), 400,
	    "{\"code\":400,\"message\":\"validation error: memory: a pause of this server keeps "
	    "the "
	    "memory, expected true\"}");
	ck_assert_int_eq(call("POST", "/v2/sandboxes/iabc/connect", "{}")->status, 201);
	ck_assert_str_eq(text_of("sandboxID"), "iabc");
	ck_assert_int_eq(seconds_left(sb), 300);
	ck_assert_int_eq(call("POST", "/sandboxes/iabc/pause", NULL)->status, 204);
	ck_assert_int_eq(call("POST", "/sandboxes/iabc/resume", "{\"timeout\":40}")->status, 201);
	ck_assert_int_eq(seconds_left(sb), 40);
}
END_TEST

START_TEST(one_that_pauses_at_its_end)
{
	char path[64];
	fake_sandboxes_let_pause(w.sandboxes);
	ck_assert_int_eq(
	    call("POST", "/v2/sandboxes", "{\"templateID\":\"code\",\"autoPause\":true}")->status,
	    201);
	(void)snprintf(path, sizeof(path), "/sandboxes/%s", text_of("sandboxID"));
	ck_assert_ptr_nonnull(
	    strstr(reply_text(call("GET", path, NULL)), "\"onTimeout\":\"pause\""));
}
END_TEST

START_TEST(what_the_driver_cannot_is_said)
{
	(void)own("iabc");
	expect_reply(call("POST", "/sandboxes/iabc/pause", "{\"memory\":true}"), 501,
	    "{\"code\":501,\"message\":\"the driver 'fake' of this server cannot pause a "
	    "sandbox\"}");
	expect_reply(call("POST", "/sandboxes/iabc/fork", "{}"), 501,
	    "{\"code\":501,\"message\":\"this server cannot fork a sandbox: its driver 'namespace' "
	    "does not support it\"}");
	expect_reply(call("POST", "/sandboxes/iabc/snapshots", NULL), 501,
	    "{\"code\":501,\"message\":\"this server cannot snapshot a sandbox: its driver "
	    "'namespace' does not support it\"}");
	expect_reply(call("POST", "/sandboxes/iabc/resume", "{}"), 409,
	    "{\"code\":409,\"message\":\"sandbox iabc is running\"}");
	expect_reply(call("POST", "/v3/templates", "{}"), 501,
	    "{\"code\":501,\"message\":\"this server has no template builds over the API\"}");
	expect_reply(call("GET", "/volumes", NULL), 501,
	    "{\"code\":501,\"message\":\"this server has no volumes\"}");
}
END_TEST

/* ---- metrics, logs ---- */
START_TEST(metrics_are_the_present)
{
	(void)own("iabc");
	ck_assert_int_eq(call("GET", "/sandboxes/iabc/metrics", NULL)->status, 200);
	json_t *m = json_array_get(call_json(), 0);
	ck_assert_uint_eq(json_array_size(call_json()), 1);
	ck_assert_int_eq(json_integer_value(json_object_get(m, "memUsed")), 50 << 20);
	ck_assert_int_eq(json_integer_value(json_object_get(m, "memTotal")), 512 << 20);
	ck_assert_int_eq(json_integer_value(json_object_get(m, "memCache")), 0);
	ck_assert_int_eq(json_integer_value(json_object_get(m, "diskUsed")), 4096);
	ck_assert_int_eq(json_integer_value(json_object_get(m, "diskTotal")), 1 << 30);
	ck_assert_int_eq(json_integer_value(json_object_get(m, "cpuCount")), 2);
	ck_assert(json_is_real(json_object_get(m, "cpuUsedPct")));
	ck_assert(json_is_string(json_object_get(m, "timestamp")));
	ck_assert_int_gt(json_integer_value(json_object_get(m, "timestampUnix")), 1700000000);
	expect_reply(call("GET", "/sandboxes/iabc/metrics?end=1", NULL), 200, "[]");
	expect_reply(call("GET", "/sandboxes/iabc/metrics?start=99999999999", NULL), 200, "[]");
	ck_assert_int_eq(call("GET", "/sandboxes/iabc/metrics?start=x", NULL)->status, 400);
	expect_reply(call("GET", "/sandboxes/iabc/logs?limit=5", NULL), 200,
	    "{\"logs\":[],\"logEntries\":[]}");
	expect_reply(call("GET", "/v2/sandboxes/iabc/logs", NULL), 200, "{\"logs\":[]}");
}
END_TEST

START_TEST(metrics_of_one_that_leaves)
{
	const char *const headers[] = { "x-api-key", w.key_a, NULL };
	struct reply r;
	(void)own("iabc");
	for (int turns = 1; turns < 8; turns++) {
		reply_start(&r, w.h2, "GET", "/sandboxes/iabc/metrics", headers, NULL, 0);
		for (int i = 0; i < turns; i++)
			ck_assert_int_eq(loop_turn(w.loop, false), 0);
		reply_fini(&r);
	}
}
END_TEST

/* ---- templates, teams, the rest ---- */
START_TEST(templates_are_listed)
{
	const struct template *t = templates_at(w.templates, 0);
	char want[200];
	ck_assert_int_eq(call("GET", "/templates?teamID=x", NULL)->status, 200);
	json_t *v = json_array_get(call_json(), 0);
	static const char *const keys[] = { "templateID", "buildID", "cpuCount", "memoryMB",
		"diskSizeMB", "public", "aliases", "names", "createdAt", "updatedAt", "createdBy",
		"lastSpawnedAt", "spawnCount", "buildCount", "envdVersion", "buildStatus" };
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		ck_assert_msg(json_object_get(v, keys[i]) != NULL, "%s", keys[i]);
	ck_assert_uint_eq(strlen(json_string_value(json_object_get(v, "buildID"))), 36);
	ck_assert_str_eq(
	    json_string_value(json_array_get(json_object_get(v, "aliases"), 1)), "code");
	(void)snprintf(want, sizeof(want), "{\"templateID\":\"%s\",\"public\":true}", t->id);
	expect_reply(call("GET", "/templates/aliases/code", NULL), 200, want);
	expect_reply(call("GET", "/templates/aliases/none", NULL), 404,
	    "{\"code\":404,\"message\":\"template 'none' not found\"}");
	expect_reply(call("DELETE", "/templates/a%2Fb%3Ac", NULL), 404,
	    "{\"code\":404,\"message\":\"template 'a/b:c' not found\"}");
	ck_assert_int_eq(call("DELETE", "/templates/code", NULL)->status, 403);
	expect_reply(call("GET", "/snapshots?limit=3", NULL), 200, "[]");
}
END_TEST

START_TEST(teams_are_the_key_s_own)
{
	char want[256], bearer[80];
	(void)snprintf(bearer, sizeof(bearer), "Bearer %s", w.key_b);
	const char *const headers[] = { "authorization", bearer, NULL };
	(void)snprintf(want, sizeof(want),
	    "[{\"teamID\":\"" TEAM_B "\",\"name\":\"b\",\"apiKey\":\"%s\",\"isDefault\":true}]",
	    w.key_b);
	expect_reply(call_with("GET", "/teams", headers, NULL), 200, want);
}
END_TEST

START_TEST(other_paths_and_methods)
{
	expect_reply(call("GET", "/nothing/here?x=1", NULL), 404,
	    "{\"code\":404,\"message\":\"no such endpoint: GET /nothing/here\"}");
	expect_reply(call("GET", "/sandboxes/", NULL), 404,
	    "{\"code\":404,\"message\":\"no such endpoint: GET /sandboxes/\"}");
	struct reply *r = call("PATCH", "/sandboxes/iabc", NULL);
	expect_reply(r, 405, "{\"code\":405,\"message\":\"method not allowed\"}");
	ck_assert_str_eq(reply_header(r, "allow"), "GET, DELETE");
	expect_reply(call("GET", "/sandboxes/%zz", NULL), 400,
	    "{\"code\":400,\"message\":\"validation error: the request target is malformed\"}");
}
END_TEST

/* ---- browsers ---- */
START_TEST(pages_of_other_origins_may_call)
{
	const char *const preflight[] = { "origin", "https://a.test",
		"access-control-request-method", "POST", "access-control-request-headers",
		"x-api-key, x-metadata-a", NULL };
	const char *const strange[] = { "origin", "https://a.test", "access-control-request-method",
		"POST", "access-control-request-headers", "x<y>", NULL };
	const char *const simple[] = { "origin", "https://a.test", NULL };
	struct reply *r = call_with("OPTIONS", "/sandboxes", preflight, NULL);
	expect_reply(r, 204, "");
	ck_assert_str_eq(reply_header(r, "access-control-allow-origin"), "*");
	ck_assert_str_eq(reply_header(r, "access-control-allow-credentials"), "");
	ck_assert_str_eq(
	    reply_header(r, "access-control-allow-headers"), "x-api-key, x-metadata-a");
	ck_assert_ptr_nonnull(strstr(reply_header(r, "access-control-allow-methods"), "DELETE"));
	r = call_with("OPTIONS", "/any/path", strange, NULL);
	ck_assert_ptr_nonnull(
	    strstr(reply_header(r, "access-control-allow-headers"), "connect-protocol-version"));
	r = call_with("GET", "/health", simple, NULL);
	ck_assert_str_eq(reply_header(r, "access-control-allow-origin"), "*");
	ck_assert_ptr_nonnull(
	    strstr(reply_header(r, "access-control-expose-headers"), "grpc-status"));
	r = call_with("GET", "/sandboxes", simple, NULL);
	ck_assert_int_eq(r->status, 401);
	ck_assert_str_eq(reply_header(r, "access-control-allow-origin"), "*");
	ck_assert_str_eq(
	    reply_header(call("GET", "/snapshots", NULL), "access-control-allow-origin"), "");
}
END_TEST

void add_rest_tests(Suite *s)
{
	TCase *tc = test_case(s, "rest", 20);
	tcase_add_checked_fixture(tc, world_start, world_stop);
	tcase_add_loop_test(tc, create_answers_the_sandbox, 0, 2);
	tcase_add_test(tc, create_with_a_masked_host);
	tcase_add_test(tc, create_without_security);
	tcase_add_test(tc, create_refuses_bad_bodies);
	tcase_add_test(tc, create_tells_failures);
	tcase_add_test(tc, a_client_that_leaves_gets_no_sandbox);
	tcase_add_test(tc, large_bodies_are_refused);
	tcase_add_test(tc, get_shows_all);
	tcase_add_test(tc, get_follows_changes);
	tcase_add_loop_test(
	    tc, unknown_and_foreign_ones_are_404, 0, sizeof(on_sandbox) / sizeof(on_sandbox[0]));
	tcase_add_test(tc, ids_are_checked);
	tcase_add_test(tc, kill_once);
	tcase_add_test(tc, timeouts_move_the_end);
	tcase_add_test(tc, timeouts_are_checked);
	tcase_add_test(tc, connect_extends);
	tcase_add_test(tc, numbers_for_prometheus);
	tcase_add_test(tc, pause_and_go_on);
	tcase_add_test(tc, one_that_pauses_at_its_end);
	tcase_add_test(tc, what_the_driver_cannot_is_said);
	tcase_add_test(tc, metrics_are_the_present);
	tcase_add_test(tc, metrics_of_one_that_leaves);
	tcase_add_test(tc, templates_are_listed);
	tcase_add_test(tc, teams_are_the_key_s_own);
	tcase_add_test(tc, other_paths_and_methods);
	tcase_add_test(tc, pages_of_other_origins_may_call);
}
