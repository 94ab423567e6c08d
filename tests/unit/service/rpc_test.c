/* SPDX-License-Identifier: Apache-2.0 */
/* Each method of SandboxService over gRPC, gRPC-Web and Connect, and what goes wrong. */
#include "service_tests.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/template.h"
#include "sandglass/v1/sandbox.pb-c.h"
#include "wire/pjson.h"
#include "wire/rpcwire.h"

#define SERVICE "/sandglass.v1.SandboxService/"

enum variant { GRPC, GRPC_JSON, WEB, WEB_TEXT, CONNECT_JSON, CONNECT_PROTO, N_VARIANTS };

static const char *const types[] = {
	[GRPC] = "application/grpc",
	[GRPC_JSON] = "application/grpc+json",
	[WEB] = "application/grpc-web+proto",
	[WEB_TEXT] = "application/grpc-web-text",
	[CONNECT_JSON] = "application/json",
	[CONNECT_PROTO] = "application/proto",
};

struct outcome {
	int code; /* enum rpc_code */
	char text[512];
	ProtobufCMessage *m; /* NULL unless there was one */
};

static const char *key; /* of the calls */

static const ProtobufCMethodDescriptor *method_of(const char *name)
{
	const ProtobufCMethodDescriptor *d = protobuf_c_service_descriptor_get_method_by_name(
	    &sandglass__v1__sandbox_service__descriptor, name);
	ck_assert_ptr_nonnull(d);
	return d;
}

static ProtobufCMessage *decode(
    const ProtobufCMessageDescriptor *d, bool json, const void *p, size_t n)
{
	struct err err = ERR_INIT;
	ProtobufCMessage *m =
	    json ? pjson_decode(d, p, n, &err) : protobuf_c_message_unpack(d, NULL, n, p);
	ck_assert_msg(m != NULL, "%s", err_text(&err));
	return m;
}

/* The request, given as JSON, in the variant's form. */
static void encode(struct buf *dst, enum variant v, const char *method, const char *request)
{
	CLEAN_BUF struct buf payload = BUF_INIT;
	if (v == CONNECT_JSON || v == GRPC_JSON) {
		ck_assert_int_eq(buf_append_str(&payload, request), 0);
	} else {
		void *space;
		ProtobufCMessage *m =
		    decode(method_of(method)->input, true, request, strlen(request));
		size_t n = protobuf_c_message_get_packed_size(m);
		ck_assert_int_eq(buf_reserve(&payload, n + 1, &space), 0);
		buf_commit(&payload, protobuf_c_message_pack(m, space));
		protobuf_c_message_free_unpacked(m, NULL);
	}
	int r = v == CONNECT_JSON || v == CONNECT_PROTO
		    ? buf_append(dst, buf_data(&payload), buf_len(&payload))
		    : rpc_frame(dst, 0, buf_data(&payload), buf_len(&payload), v == WEB_TEXT);
	ck_assert_int_eq(r, 0);
}

static void read_status(struct outcome *o, const char *code, const char *text)
{
	ck_assert_ptr_nonnull(code);
	o->code = atoi(code);
	(void)str_copy(o->text, sizeof(o->text), text ? text : "");
}

/* "name: value\r\n" lines of a gRPC-Web trailer. */
static void read_web_trailer(struct outcome *o, const char *p, size_t n)
{
	char lines[1024], *save = NULL, *code = NULL, *text = NULL;
	ck_assert_uint_lt(n, sizeof(lines));
	memcpy(lines, p, n);
	lines[n] = 0;
	for (char *s = strtok_r(lines, "\r\n", &save); s; s = strtok_r(NULL, "\r\n", &save)) {
		char *value = strchr(s, ':');
		ck_assert_ptr_nonnull(value);
		*value++ = 0;
		value += strspn(value, " ");
		if (str_eq(s, "grpc-status"))
			code = value;
		else if (str_eq(s, "grpc-message"))
			text = value;
	}
	read_status(o, code, text);
}

static void read_frames(struct outcome *o, struct reply *r, enum variant v, const char *method)
{
	struct rpc_deframer d;
	uint8_t flags;
	const void *p;
	size_t n;
	bool told = false;
	rpc_deframer_init(&d, 1 << 20, v == WEB_TEXT);
	ck_assert_int_eq(rpc_deframer_feed(&d, buf_data(&r->body), buf_len(&r->body)), 0);
	while (rpc_deframer_next(&d, &flags, &p, &n) == 1) {
		if (flags & RPC_FLAG_TRAILERS) {
			read_web_trailer(o, p, n);
			told = true;
		} else {
			ck_assert_ptr_null(o->m);
			o->m = decode(method_of(method)->output, v == GRPC_JSON, p, n);
		}
	}
	ck_assert(!rpc_deframer_partial(&d));
	rpc_deframer_fini(&d);
	const struct http_fields *f = r->trailers.n ? &r->trailers : &r->head;
	if (!told)
		read_status(
		    o, http_fields_get(f, "grpc-status"), http_fields_get(f, "grpc-message"));
}

static void read_connect(struct outcome *o, struct reply *r, enum variant v, const char *method)
{
	if (r->status == 200) {
		o->m = decode(method_of(method)->output, v == CONNECT_JSON, buf_data(&r->body),
		    buf_len(&r->body));
		return;
	}
	json_t *e = json_loads(reply_text(r), 0, NULL);
	ck_assert_ptr_nonnull(e);
	o->code = rpc_code_from_name(json_string_value(json_object_get(e, "code")));
	ck_assert_int_eq(rpc_code_http(o->code), r->status);
	(void)str_copy(o->text, sizeof(o->text), json_string_value(json_object_get(e, "message")));
	json_decref(e);
}

static struct outcome call_rpc(enum variant v, const char *method, const char *request)
{
	CLEAN_BUF struct buf body = BUF_INIT;
	struct outcome o = { 0 };
	struct reply r;
	char path[128];
	const char *const headers[] = { "content-type", types[v], "te", "trailers", "x-api-key",
		key ? key : w.key_a, NULL };
	(void)snprintf(path, sizeof(path), SERVICE "%s", method);
	encode(&body, v, method, request);
	reply_start(&r, w.h2, "POST", path, headers, body.mem ? buf_data(&body) : (void *)"",
	    buf_len(&body));
	RUN_UNTIL(r.closed);
	if (v == CONNECT_JSON || v == CONNECT_PROTO) {
		read_connect(&o, &r, v, method);
	} else {
		ck_assert_int_eq(r.status, 200);
		read_frames(&o, &r, v, method);
	}
	reply_fini(&r);
	return o;
}

static void outcome_fini(struct outcome *o)
{
	if (o->m)
		protobuf_c_message_free_unpacked(o->m, NULL);
	o->m = NULL;
}

static void expect_error(
    enum variant v, const char *method, const char *request, enum rpc_code code, const char *text)
{
	struct outcome o = call_rpc(v, method, request);
	ck_assert_str_eq(o.text, text);
	ck_assert_int_eq(o.code, code);
	ck_assert_ptr_null(o.m);
}

static struct outcome expect_ok(enum variant v, const char *method, const char *request)
{
	struct outcome o = call_rpc(v, method, request);
	ck_assert_msg(o.code == 0, "%s: %d %s", method, o.code, o.text);
	ck_assert_ptr_nonnull(o.m);
	return o;
}

static void setup(void)
{
	world_start();
	key = NULL;
}

/* ---- each method in each variant ---- */
START_TEST(create)
{
	struct outcome o = expect_ok(_i, "CreateSandbox",
	    "{\"timeoutSeconds\":100,\"metadata\":{\"k\":\"v\"},\"env\":{\"A\":\"b\"},"
	    "\"denyInternet\":true}");
	const Sandglass__V1__CreateSandboxResponse *m = (void *)o.m;
	ck_assert_str_eq(m->access_token, "accesstoken");
	ck_assert_str_eq(m->sandbox->template_name, "code-interpreter-v1");
	ck_assert_int_eq(m->sandbox->state, SANDGLASS__V1__SANDBOX_STATE__SANDBOX_STATE_RUNNING);
	ck_assert_str_eq(m->sandbox->isolation, "namespace");
	ck_assert_uint_eq(m->sandbox->cpu_milli, 1500);
	ck_assert_uint_eq(m->sandbox->memory_bytes, 256 << 20);
	ck_assert_uint_eq(m->sandbox->n_metadata, 1);
	ck_assert_str_eq(m->sandbox->metadata[0]->value, "v");
	ck_assert_int_eq(m->sandbox->end_at->seconds - m->sandbox->started_at->seconds, 100);
	ck_assert_ptr_nonnull(sandboxes_find(w.sandboxes, m->sandbox->sandbox_id));
	const struct fake_sandboxes_stats *st = fake_sandboxes_stats(w.sandboxes);
	ck_assert_str_eq(st->env, "A=b");
	ck_assert(!st->internet && st->secure && st->allow_public_traffic);
	outcome_fini(&o);
}
END_TEST

START_TEST(get)
{
	(void)fake_sandbox_add(w.sandboxes, TEAM_A, "iabc", 1700000000123000000, NULL);
	struct outcome o = expect_ok(_i, "GetSandbox", "{\"sandboxId\":\"iabc\"}");
	const Sandglass__V1__GetSandboxResponse *m = (void *)o.m;
	ck_assert_str_eq(m->sandbox->sandbox_id, "iabc");
	ck_assert_int_eq(m->sandbox->started_at->seconds, 1700000000);
	ck_assert_int_eq(m->sandbox->started_at->nanos, 123000000);
	ck_assert_str_eq(m->access_token, "accesstoken");
	outcome_fini(&o);
}
END_TEST

START_TEST(list_in_pages)
{
	static const char *const kv[] = { "k", "v", NULL };
	char id[16], request[300], token[200] = "";
	size_t seen = 0, pages = 0;
	for (int i = 0; i < 45; i++) {
		(void)snprintf(id, sizeof(id), "i%02d", i);
		(void)fake_sandbox_add(w.sandboxes, TEAM_A, id, 1000 + i / 3, i < 25 ? kv : NULL);
	}
	do {
		(void)snprintf(request, sizeof(request),
		    "{\"pageSize\":10,\"pageToken\":\"%s\",\"metadata\":{\"k\":\"v\"},"
		    "\"template\":\"code\"}",
		    token);
		struct outcome o = expect_ok(_i, "ListSandboxes", request);
		const Sandglass__V1__ListSandboxesResponse *m = (void *)o.m;
		seen += m->n_sandboxes;
		pages++;
		(void)str_copy(token, sizeof(token), m->next_page_token);
		outcome_fini(&o);
	} while (*token && pages < 10);
	ck_assert_uint_eq(seen, 25);
	ck_assert_uint_eq(pages, 3);
}
END_TEST

START_TEST(kill)
{
	(void)fake_sandbox_add(w.sandboxes, TEAM_A, "iabc", 1, NULL);
	struct outcome o = expect_ok(_i, "KillSandbox", "{\"sandboxId\":\"iabc\"}");
	outcome_fini(&o);
	expect_error(_i, "KillSandbox", "{\"sandboxId\":\"iabc\"}", RPC_NOT_FOUND,
	    "sandbox_id: no sandbox 'iabc'");
}
END_TEST

START_TEST(pause_and_resume)
{
	struct sandbox *sb = fake_sandbox_add(w.sandboxes, TEAM_A, "iabc", 1, NULL);
	struct sandbox_view v;
	expect_error(_i, "PauseSandbox", "{\"sandboxId\":\"iabc\"}", RPC_UNIMPLEMENTED,
	    "the driver 'fake' of this server cannot pause a sandbox");
	fake_sandboxes_let_pause(w.sandboxes);
	struct outcome o = expect_ok(_i, "PauseSandbox", "{\"sandboxId\":\"iabc\"}");
	outcome_fini(&o);
	expect_error(_i, "PauseSandbox", "{\"sandboxId\":\"iabc\"}", RPC_FAILED_PRECONDITION,
	    "sandbox iabc is paused");
	o = expect_ok(_i, "ListSandboxes", "{\"state\":\"SANDBOX_STATE_PAUSED\"}");
	const Sandglass__V1__ListSandboxesResponse *l = (void *)o.m;
	ck_assert_uint_eq(l->n_sandboxes, 1);
	ck_assert_int_eq(
	    l->sandboxes[0]->state, SANDGLASS__V1__SANDBOX_STATE__SANDBOX_STATE_PAUSED);
	outcome_fini(&o);
	o = expect_ok(_i, "ListSandboxes", "{\"state\":\"SANDBOX_STATE_RUNNING\"}");
	ck_assert_uint_eq(((Sandglass__V1__ListSandboxesResponse *)o.m)->n_sandboxes, 0);
	outcome_fini(&o);
	o = expect_ok(_i, "ResumeSandbox", "{\"sandboxId\":\"iabc\",\"timeoutSeconds\":50}");
	const Sandglass__V1__ResumeSandboxResponse *m = (void *)o.m;
	ck_assert_int_eq(m->sandbox->state, SANDGLASS__V1__SANDBOX_STATE__SANDBOX_STATE_RUNNING);
	ck_assert_str_eq(m->access_token, "accesstoken");
	outcome_fini(&o);
	sandbox_view(sb, &v);
	ck_assert_int_eq(v.state, SANDBOX_RUNNING);
	expect_error(_i, "ResumeSandbox", "{\"sandboxId\":\"iabc\"}", RPC_FAILED_PRECONDITION,
	    "sandbox iabc is running");
}
END_TEST

START_TEST(set_timeout)
{
	struct sandbox_view v;
	struct sandbox *sb = fake_sandbox_add(w.sandboxes, TEAM_A, "iabc", 1, NULL);
	struct outcome o =
	    expect_ok(_i, "SetTimeout", "{\"sandboxId\":\"iabc\",\"timeoutSeconds\":50}");
	const Sandglass__V1__SetTimeoutResponse *m = (void *)o.m;
	sandbox_view(sb, &v);
	ck_assert_int_eq(m->end_at->seconds, v.end_at_ns / 1000000000);
	outcome_fini(&o);
	expect_error(_i, "SetTimeout", "{\"sandboxId\":\"iabc\"}", RPC_INVALID_ARGUMENT,
	    "timeout_seconds: expected at least 1 second");
	expect_error(_i, "SetTimeout", "{\"sandboxId\":\"iabc\",\"timeoutSeconds\":9999}",
	    RPC_INVALID_ARGUMENT, "timeout_seconds: expected at most 3600 seconds");
}
END_TEST

START_TEST(list_templates)
{
	struct outcome o = expect_ok(_i, "ListTemplates", "{}");
	const Sandglass__V1__ListTemplatesResponse *m = (void *)o.m;
	ck_assert_uint_eq(m->n_templates, 2);
	ck_assert_str_eq(m->templates[0]->name, "code-interpreter-v1");
	ck_assert_uint_eq(m->templates[0]->n_aliases, 1);
	ck_assert_str_eq(m->templates[0]->aliases[0], "code");
	ck_assert_str_eq(m->templates[0]->description, "for tests");
	ck_assert_uint_eq(m->templates[0]->pool_ready, 3);
	outcome_fini(&o);
}
END_TEST

/* ---- refusals ---- */
START_TEST(fields_are_named)
{
	static const struct {
		const char *method, *request;
		enum rpc_code code;
		const char *text;
	} t[] = {
		{ "CreateSandbox", "{\"template\":\"none\"}", RPC_NOT_FOUND,
		    "template 'none' not found" },
		{ "CreateSandbox", "{\"timeoutSeconds\":3601}", RPC_INVALID_ARGUMENT,
		    "timeout_seconds: expected a number of seconds up to 3600, the maximum of "
		    "template 'code-interpreter-v1'" },
		{ "CreateSandbox", "{\"metadata\":{\"\":\"v\"}}", RPC_INVALID_ARGUMENT,
		    "metadata: expected keys that are not empty" },
		{ "CreateSandbox", "{\"env\":{\"a=b\":\"v\"}}", RPC_INVALID_ARGUMENT,
		    "env: expected names that are not empty and have no '='" },
		{ "GetSandbox", "{}", RPC_INVALID_ARGUMENT,
		    "sandbox_id: expected 1 to 21 characters of a-z and 0-9" },
		{ "GetSandbox", "{\"sandboxId\":\"A\"}", RPC_INVALID_ARGUMENT,
		    "sandbox_id: expected 1 to 21 characters of a-z and 0-9" },
		{ "GetSandbox", "{\"sandboxId\":\"iforeign\"}", RPC_NOT_FOUND,
		    "sandbox_id: no sandbox 'iforeign'" },
		{ "KillSandbox", "{\"sandboxId\":\"iforeign\"}", RPC_NOT_FOUND,
		    "sandbox_id: no sandbox 'iforeign'" },
		{ "SetTimeout", "{\"sandboxId\":\"iforeign\",\"timeoutSeconds\":1}", RPC_NOT_FOUND,
		    "sandbox_id: no sandbox 'iforeign'" },
		{ "ListSandboxes", "{\"pageSize\":101}", RPC_INVALID_ARGUMENT,
		    "page_size: expected a number from 1 to 100" },
		{ "ListSandboxes", "{\"pageToken\":\"x\"}", RPC_INVALID_ARGUMENT,
		    "page_token: expected the next_page_token of the page before" },
	};
	(void)fake_sandbox_add(w.sandboxes, TEAM_B, "iforeign", 1, NULL);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		expect_error(_i, t[i].method, t[i].request, t[i].code, t[i].text);
}
END_TEST

START_TEST(keys_are_needed)
{
	key = "";
	expect_error(_i, "ListTemplates", "{}", RPC_UNAUTHENTICATED,
	    "API key is missing, send it in the metadata x-api-key");
	key = "e2b_0000000000000000000000000000000000000000";
	expect_error(_i, "ListTemplates", "{}", RPC_UNAUTHENTICATED, "invalid API key");
	for (int i = 0; i < 18; i++)
		expect_error(_i, "ListTemplates", "{}", RPC_UNAUTHENTICATED, "invalid API key");
	struct outcome o = call_rpc(_i, "ListTemplates", "{}");
	ck_assert_int_eq(o.code, RPC_RESOURCE_EXHAUSTED);
	ck_assert_ptr_nonnull(str_after(o.text, "too many calls without a valid API key"));
}
END_TEST

START_TEST(failures_of_the_core_are_mapped)
{
	fake_sandboxes_fail(w.sandboxes, SANDBOX_E_CAPACITY, "this machine is full");
	expect_error(_i, "CreateSandbox", "{}", RPC_RESOURCE_EXHAUSTED, "this machine is full");
	fake_sandboxes_fail(w.sandboxes, -EIO, "broken");
	expect_error(_i, "CreateSandbox", "{}", RPC_INTERNAL, "broken");
	(void)fake_sandbox_add(w.sandboxes, TEAM_A, "iabc", 1, NULL);
	expect_error(_i, "KillSandbox", "{\"sandboxId\":\"iabc\"}", RPC_INTERNAL, "broken");
}
END_TEST

START_TEST(a_caller_that_leaves_gets_no_sandbox)
{
	const char *const headers[] = { "content-type", "application/json", "x-api-key", w.key_a,
		NULL };
	const struct fake_sandboxes_stats *st = fake_sandboxes_stats(w.sandboxes);
	struct reply r;
	fake_sandboxes_hold(w.sandboxes, true);
	reply_start(&r, w.h2, "POST", SERVICE "CreateSandbox", headers, "{}", 2);
	RUN_UNTIL(st->creating == 1);
	reply_fini(&r);
	RUN_UNTIL(st->cancelled == 1);
	reply_start(&r, w.h2, "POST", SERVICE "CreateSandbox", headers, "{}", 2);
	RUN_UNTIL(st->creating == 1); /* and the server stops */
	reply_fini(&r);
}
END_TEST

START_TEST(a_deadline_ends_a_create)
{
	const char *const headers[] = { "content-type", "application/json", "x-api-key", w.key_a,
		"connect-timeout-ms", "30", NULL };
	struct reply r;
	fake_sandboxes_hold(w.sandboxes, true);
	reply_start(&r, w.h2, "POST", SERVICE "CreateSandbox", headers, "{}", 2);
	RUN_UNTIL(r.closed);
	ck_assert_int_eq(r.status, 504);
	ck_assert_uint_eq(fake_sandboxes_stats(w.sandboxes)->cancelled, 1);
	reply_fini(&r);
}
END_TEST

/* ---- what needs no key ---- */
START_TEST(health_is_open)
{
	const char *const headers[] = { "content-type", "application/json", "origin",
		"https://a.test", NULL };
	struct reply *r = call_with("POST", "/grpc.health.v1.Health/Check", headers, "{}");
	expect_reply(r, 200, "{\"status\":\"SERVING\"}");
	ck_assert_str_eq(reply_header(r, "access-control-allow-origin"), "*");
	expect_reply(call_with("POST", "/grpc.health.v1.Health/Check", headers,
			 "{\"service\":\"sandglass.v1.SandboxService\"}"),
	    200, "{\"status\":\"SERVING\"}");
	service_drain(w.service);
	expect_reply(call_with("POST", "/grpc.health.v1.Health/Check", headers, "{}"), 200,
	    "{\"status\":\"NOT_SERVING\"}");
}
END_TEST

START_TEST(reflection_is_open)
{
	static const char request[] = "{\"listServices\":\"\"}";
	const char *const headers[] = { "content-type", "application/connect+json", NULL };
	CLEAN_BUF struct buf body = BUF_INIT;
	struct reply r;
	ck_assert_int_eq(rpc_frame(&body, 0, request, strlen(request), false), 0);
	reply_start(&r, w.h2, "POST", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
	    headers, buf_data(&body), buf_len(&body));
	RUN_UNTIL(r.closed);
	static const char name[] = "\"name\":\"sandglass.v1.SandboxService\"";
	ck_assert_ptr_nonnull(memmem(buf_data(&r.body), buf_len(&r.body), name, sizeof(name) - 1));
	reply_fini(&r);
}
END_TEST

void add_rpc_tests(Suite *s)
{
	TCase *tc = test_case(s, "rpc", 20);
	tcase_add_checked_fixture(tc, setup, world_stop);
	tcase_add_loop_test(tc, create, 0, N_VARIANTS);
	tcase_add_loop_test(tc, get, 0, N_VARIANTS);
	tcase_add_loop_test(tc, list_in_pages, 0, N_VARIANTS);
	tcase_add_loop_test(tc, kill, 0, N_VARIANTS);
	tcase_add_loop_test(tc, pause_and_resume, 0, N_VARIANTS);
	tcase_add_loop_test(tc, set_timeout, 0, N_VARIANTS);
	tcase_add_loop_test(tc, list_templates, 0, N_VARIANTS);
	tcase_add_loop_test(tc, fields_are_named, 0, N_VARIANTS);
	tcase_add_loop_test(tc, keys_are_needed, 0, N_VARIANTS);
	tcase_add_loop_test(tc, failures_of_the_core_are_mapped, 0, N_VARIANTS);
	tcase_add_test(tc, a_caller_that_leaves_gets_no_sandbox);
	tcase_add_test(tc, a_deadline_ends_a_create);
	tcase_add_test(tc, health_is_open);
	tcase_add_test(tc, reflection_is_open);
}
