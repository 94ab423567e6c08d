/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of a create: what is read, what is refused and in which words. */
#include "service_tests.h"

#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "image/template.h"
#include "service/create_body.h"
#include "service/params.h"

static struct templates *templates;

static void setup(void)
{
	templates = world_templates();
}

static void teardown(void)
{
	templates = templates_free(templates);
}

/* "" when it was accepted, else the text. */
static const char *read_body(const char *text, bool version2, struct params *ret, struct err *err)
{
	json_t *body = json_parse_object(text, strlen(text), 1 << 20, false, err);
	ck_assert_msg(body != NULL, "%s: %s", text, err->text);
	memset(ret, 0, sizeof(*ret));
	int r = create_body_read(body, version2, templates, ret, err);
	ck_assert_int_eq(r != 0, err->code != 0);
	json_decref(body);
	return err->text;
}

#define T "{\"templateID\":\"code\""
#define MASK                                                                                  \
	"network: maskRequestHost: expected a host name with an optional port, which may be " \
	"${PORT}"

static const struct {
	const char *body, *error;
} refused[] = {
	{ "{}", "templateID: expected the name or id of a template" },
	{ "{\"templateID\":null}", "templateID: expected the name or id of a template" },
	{ "{\"templateID\":1}", "templateID: expected a string" },
	{ "{\"templateID\":\"none\"}", "template 'none' not found" },
	{ T ",\"timeout\":0}", "timeout: expected an integer from 1 to 2147483647" },
	{ T ",\"timeout\":1.5}", "timeout: expected an integer from 1 to 2147483647" },
	{ T ",\"timeout\":\"5\"}", "timeout: expected an integer from 1 to 2147483647" },
	{ T ",\"timeout\":3601}",
	    "timeout: expected a number of seconds up to 3600, the maximum of "
	    "template 'code-interpreter-v1'" },
	{ T ",\"autoPause\":true,\"autoPauseMemory\":false}",
	    "autoPauseMemory: a pause of this server keeps the memory, expected true" },
	{ T ",\"cpuCount\":0}", "cpuCount: expected an integer from 1 to 2147483647" },
	{ T ",\"cpuCount\":257}", "cpuCount: expected a number from 1 to 256" },
	{ T ",\"memoryMB\":63}", "memoryMB: expected a number from 64 to 1048576" },
	{ T ",\"diskSizeMB\":15}", "diskSizeMB: expected a number from 16 to 4194304" },
	{ T ",\"autoPause\":1}", "autoPause: expected true or false" },
	{ T ",\"autoPauseMemory\":1}", "autoPauseMemory: expected true or false" },
	{ T ",\"autoResume\":{\"enabled\":true}}",
	    "autoResume: enabled: this server resumes a sandbox only when it is asked to, expected "
	    "false" },
	{ T ",\"autoResume\":true}", "autoResume: expected an object" },
	{ T ",\"secure\":\"yes\"}", "secure: expected true or false" },
	{ T ",\"allow_internet_access\":0}", "allow_internet_access: expected true or false" },
	{ T ",\"metadata\":[]}", "metadata: expected an object" },
	{ T ",\"metadata\":{\"a\":1}}", "metadata.a: expected a string" },
	{ T ",\"metadata\":{\"\":\"x\"}}", "metadata: expected keys that are not empty" },
	{ T ",\"envVars\":{\"a\":null}}", "envVars.a: expected a string" },
	{ T ",\"envVars\":{\"a=b\":\"\"}}",
	    "envVars: expected names that are not empty and have no '='" },
	{ T ",\"volumeMounts\":[{\"name\":\"v\",\"path\":\"/v\"}]}",
	    "volumeMounts: this server has no volumes, expected an empty list" },
	{ T ",\"volumeMounts\":{}}", "volumeMounts: expected an array" },
	{ T ",\"iam\":{\"tokens\":{\"t\":{}}}}",
	    "iam: tokens: this server issues no identity tokens, expected none" },
	{ T ",\"mcp\":[]}", "mcp: expected an object" },
	{ T ",\"network\":[]}", "network: expected an object" },
	{ T ",\"network\":{\"denyOut\":[\"10.0.0.0/8\"]}}",
	    "network: denyOut: this server can allow or deny all traffic only, expected [] or "
	    "[\"0.0.0.0/0\"]" },
	{ T ",\"network\":{\"allowOut\":[\"pypi.org\"],\"denyOut\":[\"0.0.0.0/0\"]}}",
	    "network: allowOut: this server can allow or deny all traffic only, expected [] or "
	    "[\"0.0.0.0/0\"]" },
	{ T ",\"network\":{\"allowOut\":[1]}}",
	    "network: allowOut: this server can allow or deny all traffic only, expected [] or "
	    "[\"0.0.0.0/0\"]" },
	{ T ",\"network\":{\"allowPublicTraffic\":0}}",
	    "network: allowPublicTraffic: expected true or false" },
	{ T ",\"network\":{\"maskRequestHost\":\"a b\"}}", MASK },
	{ T ",\"network\":{\"maskRequestHost\":\"http://a\"}}", MASK },
	{ T ",\"network\":{\"maskRequestHost\":\"a${HOST}\"}}", MASK },
	{ T ",\"network\":{\"maskRequestHost\":1}}",
	    "network: maskRequestHost: expected a string" },
	{ T ",\"network\":{\"httpsPorts\":[443]}}",
	    "network: httpsPorts: not supported by this server, expected an empty list" },
	{ T ",\"network\":{\"egressProxy\":{\"address\":\"x\"}}}",
	    "network: egressProxy: not supported by this server, expected null" },
	{ T ",\"network\":{\"rules\":{\"a.b\":[]}}}",
	    "network: rules: not supported by this server, expected {}" },
	{ T ",\"secure\":false,\"network\":{\"allowPublicTraffic\":false}}",
	    "network: allowPublicTraffic: false needs secure to be true" },
};

START_TEST(refused_with_the_field)
{
	struct err err = ERR_INIT;
	struct params p;
	ck_assert_str_eq(read_body(refused[_i].body, false, &p, &err), refused[_i].error);
	ck_assert_int_eq(err.code > 0, strstr(refused[_i].error, "not found") != NULL);
	params_fini(&p);
}
END_TEST

START_TEST(harmless_defaults_pass)
{
	static const char *const bodies[] = {
		T
		",\"autoPause\":false,\"autoPauseMemory\":true,\"autoResume\":{\"enabled\":false}}",
		T ",\"autoPauseMemory\":false,\"autoResume\":{},\"mcp\":null,\"iam\":null}",
		T ",\"volumeMounts\":[],\"iam\":{\"tokens\":{}},\"mcp\":{\"server\":{}}}",
		T ",\"network\":{}}",
		T ",\"network\":null,\"metadata\":null,\"envVars\":null,\"timeout\":null}",
		T ",\"network\":{\"allowOut\":[],\"denyOut\":[],\"allowPublicTraffic\":true,"
		  "\"maskRequestHost\":\"\",\"httpsPorts\":[],\"egressProxy\":null,\"rules\":{}}}",
		T ",\"network\":{\"allowOut\":[\"0.0.0.0/0\"],\"denyOut\":[\"0.0.0.0/0\"]}}",
		T ",\"someFutureField\":{\"a\":[1]}}",
	};
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct err err = ERR_INIT;
		struct params p;
		ck_assert_str_eq(read_body(bodies[i], i % 2, &p, &err), "");
		ck_assert(p.p.internet && p.p.secure && p.p.allow_public_traffic);
		ck_assert_str_eq(p.p.template_ref, "code-interpreter-v1");
		params_fini(&p);
	}
}
END_TEST

START_TEST(versions_differ)
{
	struct err err = ERR_INIT;
	struct params p;
	ck_assert_str_eq(read_body(T "}", false, &p, &err), "");
	ck_assert_uint_eq(p.p.timeout_s, 15);
	ck_assert(p.p.secure);
	params_fini(&p);
	ck_assert_str_eq(read_body(T "}", true, &p, &err), "");
	ck_assert_uint_eq(p.p.timeout_s, 300);
	params_fini(&p);
	ck_assert_str_eq(read_body(T ",\"secure\":false}", false, &p, &err), "");
	ck_assert(!p.p.secure);
	params_fini(&p);
	ck_assert_str_eq(read_body(T ",\"secure\":false}", true, &p, &err), "");
	ck_assert(p.p.secure);
	params_fini(&p);
	/* A default never exceeds what the template allows. */
	ck_assert_str_eq(read_body("{\"templateID\":\"short\"}", true, &p, &err), "");
	ck_assert_uint_eq(p.p.timeout_s, 60);
	params_fini(&p);
}
END_TEST

START_TEST(internet_is_denied_in_both_ways)
{
	static const char *const bodies[] = { T ",\"allow_internet_access\":false}",
		T ",\"network\":{\"denyOut\":[\"0.0.0.0/0\"]}}" };
	for (size_t i = 0; i < 2; i++) {
		struct err err = ERR_INIT;
		struct params p;
		ck_assert_str_eq(read_body(bodies[i], true, &p, &err), "");
		ck_assert(!p.p.internet);
		params_fini(&p);
	}
}
END_TEST

START_TEST(mask_host_is_taken_over)
{
	struct err err = ERR_INIT;
	struct params p;
	ck_assert_str_eq(read_body(T ",\"network\":{\"maskRequestHost\":\"app.local:${PORT}\"}}",
			     true, &p, &err),
	    "");
	ck_assert_str_eq(p.p.mask_host, "app.local:${PORT}");
	params_fini(&p);
	ck_assert_str_eq(read_body(T "}", true, &p, &err), "");
	ck_assert_ptr_null(p.p.mask_host);
	params_fini(&p);
}
END_TEST

START_TEST(maps_are_taken_over)
{
	struct auth_team team = { .id = TEAM_A, .max_sandboxes = 7 };
	struct err err = ERR_INIT;
	struct params p;
	ck_assert_str_eq(
	    read_body(T ",\"timeout\":3600,\"metadata\":{\"k\":\"v\",\"ä\":\"\"},"
			"\"envVars\":{\"A\":\"b=c\"},\"network\":{\"allowPublicTraffic\":false}}",
		true, &p, &err),
	    "");
	const struct sandbox_params *sp = params_finish(&p, &team);
	ck_assert_uint_eq(sp->timeout_s, 3600);
	ck_assert_uint_eq(sp->team_limit, 7);
	ck_assert_str_eq(sp->team_id, TEAM_A);
	ck_assert_str_eq(sp->metadata[0], "k");
	ck_assert_str_eq(sp->metadata[1], "v");
	ck_assert_str_eq(sp->metadata[2], "ä");
	ck_assert_str_eq(sp->metadata[3], "");
	ck_assert_ptr_null(sp->metadata[4]);
	ck_assert_str_eq(sp->env[0], "A=b=c");
	ck_assert_ptr_null(sp->env[1]);
	ck_assert(!sp->allow_public_traffic);
	params_fini(&p);
}
END_TEST

void add_body_tests(Suite *s)
{
	TCase *tc = test_case(s, "create body", 10);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, refused_with_the_field, 0, sizeof(refused) / sizeof(refused[0]));
	tcase_add_test(tc, harmless_defaults_pass);
	tcase_add_test(tc, versions_differ);
	tcase_add_test(tc, internet_is_denied_in_both_ways);
	tcase_add_test(tc, mask_host_is_taken_over);
	tcase_add_test(tc, maps_are_taken_over);
}
