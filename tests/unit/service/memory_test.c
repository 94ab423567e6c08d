/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The n-th allocation fails, for every n: what was asked for is refused or comes whole, nothing is
 * lost, and the next request is served.
 */
#include "service_tests.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/template.h"
#include "service/create_body.h"
#include "service/cursor.h"
#include "service/list_query.h"
#include "service/params.h"
#include "wire/url.h"
#include "service/web.h"
#include "store/store.h"

#define MANY 400 /* more than any of these allocates */

/* ---- parts ---- */
static struct templates *templates;

static int parse_url(void)
{
	struct url u;
	int r = url_parse(&u, "/a/b%20c?d=e&metadata=k%3Dv%26l%3Dw");
	if (r == 0)
		url_fini(&u);
	return r;
}

static int read_query(void)
{
	struct url u;
	struct list_query q;
	int r = url_parse(&u, "/a?metadata=k%3Dv%26l%3Dw&limit=3");
	if (r < 0)
		return r;
	r = list_query_read(&u, true, templates, &q, NULL);
	list_query_fini(&q);
	url_fini(&u);
	return r;
}

static int read_body(void)
{
	static const char text[] =
	    "{\"templateID\":\"code\",\"metadata\":{\"a\":\"b\",\"c\":\"d\"},"
	    "\"envVars\":{\"A\":\"1\",\"B\":\"2\"}}";
	struct params p = { 0 };
	json_t *body = json_loads(text, 0, NULL);
	int r = create_body_read(body, true, templates, &p, NULL);
	params_fini(&p);
	json_decref(body);
	return r;
}

static int encode_cursor(void)
{
	struct sandbox_cursor c = { .started_ns = 1, .id = "iabc" };
	char *token = cursor_encode(&c, true);
	(void)mem_free(token);
	return token ? 0 : -ENOMEM;
}

static int load_web(void)
{
	struct web *web = web_load(TOP_SRCDIR "/contrib/web", NULL);
	(void)web_free(web);
	return web ? 0 : -ENOMEM;
}

static int make_auth(void)
{
	struct store_team team = { .id = TEAM_A };
	struct store_key row = { .team_id = TEAM_A };
	struct auth *a = auth_new();
	int r = a ? auth_set_keys(a, &row, 1, &team, 1, NULL) : -ENOMEM;
	if (a)
		ck_assert_uint_eq(auth_key_count(a), r == 0);
	(void)auth_free(a);
	return r;
}

START_TEST(parts_give_up_cleanly)
{
	static int (*const parts[])(
	    void) = { parse_url, read_query, read_body, encode_cursor, load_web, make_auth };
	int r = -1;
	templates = world_templates();
	for (long n = 0; r != 0; n++) {
		ck_assert_int_lt(n, MANY);
		mem_fail_after(n);
		r = parts[_i]();
		mem_fail_after(-1);
		ck_assert_int_le(r, 0);
		ck_assert(r == 0 || _i == 4 || r == -ENOMEM);
	}
	templates = templates_free(templates);
}
END_TEST

START_TEST(a_service_is_made_whole_or_not)
{
	struct service *s = NULL;
	struct service_conf c = { .loop = w.loop,
		.sandboxes = w.sandboxes,
		.templates = w.templates,
		.auth = w.auth,
		.descriptors = "",
		.web_dir = TOP_SRCDIR "/contrib/web",
		.domain = DOMAIN };
	for (long n = 0; !s; n++) {
		struct err err = ERR_INIT;
		ck_assert_int_lt(n, MANY);
		mem_fail_after(n);
		s = service_new(&c, &err);
		mem_fail_after(-1);
		ck_assert_int_eq(s == NULL, err.code != 0);
	}
	service_free(s);
}
END_TEST

/* ---- requests ---- */
#define TO_3000 "e2b-sandbox-id", "iabc", "e2b-sandbox-port", "3000"

static const struct {
	const char *method, *path, *body;
	const char *headers[8];
} requests[] = {
	{ "GET", "/sandboxes/iabc", NULL, { NULL } },
	{ "GET", "/v2/sandboxes?metadata=a%3Db&limit=1", NULL, { NULL } },
	{ "POST", "/sandboxes", "{\"templateID\":\"code\",\"envVars\":{\"A\":\"b\"}}", { NULL } },
	{ "POST", "/sandboxes", "{}", { NULL } },
	{ "GET", "/templates", NULL, { NULL } },
	{ "PATCH", "/sandboxes", NULL, { NULL } },
	{ "GET", "/nothing", NULL, { "origin", "x" } },
	{ "GET", "/", NULL, { NULL } },
	{ "GET", "/sandboxes/iabc/metrics", NULL, { NULL } },
	{ "OPTIONS", "/", NULL, { "origin", "x", "access-control-request-method", "POST" } },
	{ "GET", "/x", NULL, { TO_3000 } },
	{ "GET", "/x", NULL, { "e2b-sandbox-id", "inone", "e2b-sandbox-port", "3000" } },
	{ "GET", "/x", NULL, { "e2b-sandbox-id", "inone" } },
	{ "GET", "/x", NULL,
	    { "e2b-sandbox-id", "inone", "e2b-sandbox-port", "1", "user-agent", "opera" } },
	{ "POST", "/x", "", { TO_3000, "content-type", "application/grpc-web" } },
	{ "POST", "/sandglass.v1.SandboxService/CreateSandbox", "{\"env\":{\"A\":\"b\"}}",
	    { "content-type", "application/json", "origin", "x" } },
	{ "POST", "/sandglass.v1.SandboxService/ListSandboxes", "{}",
	    { "content-type", "application/json" } },
	{ "POST", "/sandglass.v1.SandboxService/ListTemplates", "{}",
	    { "content-type", "application/json" } },
	{ "POST", "/sandglass.v1.SandboxService/GetSandbox", "{\"sandboxId\":\"iabc\"}",
	    { "content-type", "application/json" } },
};

static int status_with(int which, long fail_after, int version)
{
	const char *headers[16] = { "x-api-key", w.key_a };
	const char *body = requests[which].body;
	struct reply r;
	for (size_t i = 0; i < 8 && requests[which].headers[i]; i++)
		headers[2 + i] = requests[which].headers[i];
	w.fail_after = fail_after;
	reply_start(&r, version == 1 ? w.h1 : w.h2, requests[which].method, requests[which].path,
	    headers, body, body ? strlen(body) : 0);
	RUN_UNTIL(r.closed);
	w.fail_after = -1;
	mem_fail_after(-1);
	int status = r.close_err ? -1 : r.status;
	reply_fini(&r);
	return status;
}

START_TEST(requests_survive)
{
	static const char *const metadata[] = { "a", "b", NULL };
	(void)fake_sandbox_add(w.sandboxes, TEAM_A, "iabc", 1, metadata);
	(void)fake_sandbox_add(w.sandboxes, TEAM_A, "ibcd", 1, metadata);
	for (int version = 1; version <= 2; version++) {
		int want = status_with(_i, -1, version);
		ck_assert_int_gt(want, 0);
		int whole = 0, hurt = 0;
		for (long n = 0; n < MANY && whole < 20; n++) {
			int got = status_with(_i, n, version);
			whole = got == want ? whole + 1 : 0;
			hurt += got != want;
			ck_assert_int_eq(status_with(_i, -1, version), want);
		}
		ck_assert_int_eq(whole, 20);
		ck_assert_int_gt(hurt, 0);
	}
}
END_TEST

void add_memory_tests(Suite *s)
{
	TCase *parts = test_case(s, "memory of parts", 20), *tc = test_case(s, "memory", 60);
	tcase_add_loop_test(parts, parts_give_up_cleanly, 0, 6);
	tcase_add_checked_fixture(tc, world_start, world_stop);
	tcase_add_test(tc, a_service_is_made_whole_or_not);
	tcase_add_loop_test(tc, requests_survive, 0, sizeof(requests) / sizeof(requests[0]));
}
