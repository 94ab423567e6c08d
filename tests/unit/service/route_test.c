/* SPDX-License-Identifier: Apache-2.0 */
#include "service_tests.h"

#include <stdio.h>
#include <string.h>

#include "rpc/problem_page.h"
#include "service/route.h"
#include "wire/http.h"

#define NATIVE "/sandglass.v1.CodeInterpreter/Execute"
#define LONG_ID "i00000000000000000000" /* 21 */

struct row {
	const char *host, *path, *id, *port, *native;
	const char *want; /* "id:port", "control", or the error */
};

static const struct row rows[] = {
	/* by host */
	{ "49983-iabc.box.test", "/", NULL, NULL, NULL, "iabc:49983" },
	{ "49983-iabc.box.test:8443", "/", NULL, NULL, NULL, "iabc:49983" },
	{ "3000-iabc.BOX.Test", "/", NULL, NULL, NULL, "iabc:3000" },
	{ "3000-IABC.box.test", "/", NULL, NULL, NULL, "iabc:3000" },
	{ "3000-iabc-6532622b.box.test", "/", NULL, NULL, NULL, "iabc:3000" },
	{ "3000-iabc.box.test.", "/", NULL, NULL, NULL, "iabc:3000" },
	{ "3000-" LONG_ID ".box.test", "/", NULL, NULL, NULL, LONG_ID ":3000" },
	/* the host wins over headers */
	{ "3000-iabc.box.test", "/", "iother", "49999", NULL, "iabc:3000" },
	{ "3000-iabc.box.test", "/", "iother", NULL, NULL, "iabc:3000" },
	/* malformed hosts */
	{ "3000.box.test", "/", NULL, NULL, NULL, "Invalid host" },
	{ "x3000-iabc.box.test", "/", NULL, NULL, NULL, "Invalid sandbox port" },
	{ "-iabc.box.test", "/", NULL, NULL, NULL, "Invalid sandbox port" },
	{ "0-iabc.box.test", "/", NULL, NULL, NULL, "Invalid sandbox port" },
	{ "65536-iabc.box.test", "/", NULL, NULL, NULL, "Invalid sandbox port" },
	{ "100000-iabc.box.test", "/", NULL, NULL, NULL, "Invalid sandbox port" },
	{ "3000-.box.test", "/", NULL, NULL, NULL, "Invalid sandbox ID" },
	{ "3000-i_c.box.test", "/", NULL, NULL, NULL, "Invalid sandbox ID" },
	{ "3000-" LONG_ID "0.box.test", "/", NULL, NULL, NULL, "Invalid sandbox ID" },
	/* names of the control plane */
	{ "api.box.test", "/", NULL, NULL, NULL, "control" },
	{ "1-api.box.test", "/", NULL, NULL, NULL, "control" },
	{ "1-api.box.test:80", "/", "iabc", "80", NULL, "iabc:80" },
	{ "box.test", "/", NULL, NULL, NULL, "control" },
	{ "sandbox.box.test", "/", NULL, NULL, NULL, "control" },
	{ "www.box.test", "/", NULL, NULL, NULL, "control" },
	{ "3000-iabc.deep.box.test", "/", NULL, NULL, NULL, "control" },
	{ "3000-iabc.elsewhere.test", "/", NULL, NULL, NULL, "control" },
	{ "3000-iabcbox.test", "/", NULL, NULL, NULL, "control" },
	{ "localhost", "/", NULL, NULL, NULL, "control" },
	{ "127.0.0.1:3000", "/", NULL, NULL, NULL, "control" },
	{ "10.0.0.1", "/", NULL, NULL, NULL, "control" },
	{ "[::1]:3000", "/", NULL, NULL, NULL, "control" },
	{ "", "/", NULL, NULL, NULL, "control" },
	{ "[", "/", NULL, NULL, NULL, "control" },
	{ ":", "/", NULL, NULL, NULL, "control" },
	/* by headers */
	{ "localhost:3000", "/", "iabc", "49983", NULL, "iabc:49983" },
	{ "127.0.0.1", "/", "iabc", "1", NULL, "iabc:1" },
	{ "[::1]:3000", "/", "iabc", "65535", NULL, "iabc:65535" },
	{ "sandbox.box.test", "/", "iabc", "49999", NULL, "iabc:49999" },
	{ "api.box.test", "/", "iabc", "49999", NULL, "iabc:49999" },
	{ "my.server.lan", "/health", "iabc-6532622b", "49983", NULL, "iabc:49983" },
	{ "localhost", "/", "iabc", NULL, NULL, "missing header" },
	{ "localhost", "/", NULL, "49983", NULL, "missing header" },
	{ "localhost", "/", "", "49983", NULL, "Invalid sandbox ID" },
	{ "localhost", "/", "IABC", "49983", NULL, "Invalid sandbox ID" },
	{ "localhost", "/", "../etc", "49983", NULL, "Invalid sandbox ID" },
	{ "localhost", "/", LONG_ID "0", "49983", NULL, "Invalid sandbox ID" },
	{ "localhost", "/", "iabc", "", NULL, "Invalid sandbox port" },
	{ "localhost", "/", "iabc", "+80", NULL, "Invalid sandbox port" },
	{ "localhost", "/", "iabc", "80 ", NULL, "Invalid sandbox port" },
	{ "localhost", "/", "iabc", "-1", NULL, "Invalid sandbox port" },
	/* native calls */
	{ "localhost", "/sandglass.v1.ProcessService/Start", NULL, NULL, "iabc", "iabc:49983" },
	{ "localhost", "/process.Process/List", NULL, NULL, "iabc", "iabc:49983" },
	{ "localhost", "/filesystem.Filesystem/Stat", NULL, NULL, "iabc", "iabc:49983" },
	{ "localhost", "/process.Process/List", NULL, NULL, NULL,
	    "missing header sandglass-sandbox-id" },
	{ "localhost", NATIVE, NULL, NULL, "iabc", "iabc:49999" },
	{ "localhost", NATIVE, "iabc", NULL, NULL, "iabc:49999" },
	{ "localhost", NATIVE, "iabc", "49999", "iother", "iabc:49999" },
	{ "localhost", NATIVE, NULL, NULL, NULL, "missing header sandglass-sandbox-id" },
	{ "localhost", NATIVE, NULL, NULL, "?", "Invalid sandbox ID" },
	{ "localhost", "/sandglass.v1.SandboxService/GetSandbox", NULL, NULL, "iabc", "control" },
	{ "localhost", "/sandboxes", NULL, NULL, "iabc", "control" },
	{ "49999-iabc.box.test", NATIVE, NULL, NULL, "iother", "iabc:49999" },
};

static void add(struct http_head *h, const char *name, const char *value)
{
	if (value)
		ck_assert_int_eq(http_fields_add(&h->fields, name, value), 0);
}

static void find(const struct route_names *names, const struct row *t, char *dst, size_t cap)
{
	struct http_head h = HTTP_HEAD_INIT;
	ck_assert_int_eq(http_head_set_request(&h, "GET", "http", t->host, t->path), 0);
	add(&h, "e2b-sandbox-id", t->id);
	add(&h, "e2b-sandbox-port", t->port);
	add(&h, "sandglass-sandbox-id", t->native);
	struct route r = route_find(names, &h);
	if (r.kind == ROUTE_SANDBOX)
		(void)snprintf(dst, cap, "%s:%u", r.sandbox_id, r.port);
	else
		(void)snprintf(dst, cap, "%s", r.kind == ROUTE_CONTROL ? "control" : r.error);
	http_head_fini(&h);
}

START_TEST(routing_table)
{
	static const char *const api_hosts[] = { "1-api.box.test", NULL };
	const struct route_names names = { .domain = "box.test:8443", .api_hosts = api_hosts };
	char got[80];
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		find(&names, &rows[i], got, sizeof(got));
		ck_assert_msg(strcmp(got, rows[i].want) == 0, "row %zu, host '%s': %s, not %s", i,
		    rows[i].host, got, rows[i].want);
	}
}
END_TEST

START_TEST(without_a_domain_hosts_mean_nothing)
{
	const struct route_names names = { .domain = "" }, null = { 0 };
	const struct row t = { "3000-iabc.box.test", "/", NULL, NULL, NULL, "control" };
	char got[80];
	find(&names, &t, got, sizeof(got));
	ck_assert_str_eq(got, "control");
	find(&null, &t, got, sizeof(got));
	ck_assert_str_eq(got, "control");
}
END_TEST

START_TEST(duplicate_headers_are_refused)
{
	static const char *const names[] = { "e2b-sandbox-id", "e2b-sandbox-port",
		"sandglass-sandbox-id" };
	for (size_t i = 0; i < 3; i++) {
		struct http_head h = HTTP_HEAD_INIT;
		ck_assert_int_eq(http_head_set_request(&h, "GET", "http", "localhost", "/"), 0);
		add(&h, "e2b-sandbox-id", "1");
		add(&h, "e2b-sandbox-port", "1");
		add(&h, "sandglass-sandbox-id", "1");
		add(&h, names[i], "2");
		struct route r = route_find(&(struct route_names){ .domain = "x" }, &h);
		ck_assert_int_eq(r.kind, ROUTE_MALFORMED);
		ck_assert_str_eq(r.error, "duplicate header");
		http_head_fini(&h);
	}
}
END_TEST

#define MOZILLA "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"

START_TEST(pages_are_for_people)
{
	static const struct {
		const char *agent, *accept, *mode, *with;
		bool page;
	} t[] = {
		{ MOZILLA, NULL, NULL, NULL, true },
		{ "opera", NULL, NULL, NULL, true },
		{ "x MSIE y", NULL, NULL, NULL, true },
		{ MOZILLA, "text/html,application/json", NULL, NULL, true },
		{ MOZILLA, "application/json", NULL, NULL, false },
		{ MOZILLA, "application/json", "navigate", NULL, true },
		{ MOZILLA, "text/html", "navigate", NULL, true },
		{ MOZILLA, "text/html", "cors", NULL, false },
		{ MOZILLA, NULL, "no-cors", NULL, false },
		{ MOZILLA, NULL, "same-origin", NULL, false },
		{ MOZILLA, NULL, "websocket", NULL, false },
		{ MOZILLA, "text/html", NULL, "XMLHttpRequest", false },
		{ "node", NULL, "cors", NULL, false },
		{ "curl/8", "text/html", NULL, NULL, false },
		{ NULL, "text/html", "navigate", NULL, false },
	};
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct http_head h = HTTP_HEAD_INIT;
		add(&h, "user-agent", t[i].agent);
		add(&h, "accept", t[i].accept);
		add(&h, "sec-fetch-mode", t[i].mode);
		add(&h, "x-requested-with", t[i].with);
		ck_assert_msg(problem_wants_page(&h) == t[i].page, "row %zu", i);
		http_head_fini(&h);
	}
}
END_TEST

void add_route_tests(Suite *s)
{
	TCase *tc = test_case(s, "route", 10);
	tcase_add_test(tc, routing_table);
	tcase_add_test(tc, without_a_domain_hosts_mean_nothing);
	tcase_add_test(tc, duplicate_headers_are_refused);
	tcase_add_test(tc, pages_are_for_people);
}
