/* SPDX-License-Identifier: Apache-2.0 */
/* What is refused, with which status, and that the method hears of it once or not at all. */
#include <errno.h>
#include <string.h>

#include "base/limits.h"
#include "rpc_call_tests.h"

#define UNARY "/sandglass.test.Echo/Unary"
#define DOWNLOAD "/sandglass.test.Echo/Download"

/* ---- refused in HTTP ---- */

static const struct {
	int version;
	const char *method, *path, *content_type;
	int status;
	const char *header;
} plain[] = {
	{ 1, "GET", UNARY, "application/json", 405, "allow" },
	{ 2, "PUT", UNARY, "application/grpc", 405, "allow" },
	{ 1, "POST", UNARY, "text/plain", 415, "accept-post" },
	{ 1, "POST", UNARY, NULL, 415, "accept-post" },
	{ 1, "POST", UNARY, "application/connect+json", 415, "accept-post" },
	{ 1, "POST", DOWNLOAD, "application/json", 415, "accept-post" },
	{ 2, "POST", DOWNLOAD, "application/proto", 415, "accept-post" },
	{ 1, "POST", UNARY, "application/grpc", 505, NULL },
};

START_TEST(refused_in_http)
{
	const char *fields[] = { "content-type", plain[_i].content_type, NULL };
	struct world w;
	struct exchange x;
	world_init(&w, plain[_i].version);
	exchange_send(&w.lb, &x, plain[_i].method, plain[_i].path,
	    plain[_i].content_type ? fields : NULL, "{}", 2);
	world_settle(&w);
	ck_assert_int_eq(x.status, plain[_i].status);
	ck_assert(x.ended);
	if (plain[_i].header)
		ck_assert_ptr_nonnull(http_fields_get(&x.head, plain[_i].header));
	ck_assert_uint_eq(w.echo.dones + w.unhandled, 0);
	exchange_fini(&x);
	world_fini(&w);
}
END_TEST

START_TEST(other_paths_are_left_alone)
{
	static const char *const paths[] = { "/", "/sandboxes", "/sandglass.test.Echo",
		"/sandglass.test.Other/Unary", "/sandglass.test.Echo.Unary",
		"//sandglass.test.Echo/Unary" };
	const char *fields[] = { "content-type", "application/json", NULL };
	struct world w;
	world_init(&w, 2);
	for (unsigned i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct exchange x;
		exchange_send(&w.lb, &x, "POST", paths[i], fields, "{}", 2);
		world_settle(&w);
		ck_assert_uint_eq(w.unhandled, i + 1);
		exchange_fini(&x);
	}
	world_fini(&w);
}
END_TEST

/* ---- refused in the caller's protocol ---- */

START_TEST(unknown_method)
{
	const struct speech *sp = &speeches[_i];
	struct world w;
	struct exchange x;
	struct answer a;
	world_init(&w, sp->version);
	speech_call(&w, sp, "Nothing", "x", 0, 0, &x, &a);
	ck_assert_int_eq(a.code, RPC_UNIMPLEMENTED);
	ck_assert_ptr_nonnull(strstr(a.text, "/sandglass.test.Echo/Nothing"));
	ck_assert_uint_eq(w.echo.dones, 0);
	exchange_fini(&x);
	world_fini(&w);
}
END_TEST

START_TEST(gate_refuses)
{
	const struct speech *sp = &speeches[_i];
	struct world w;
	struct exchange x;
	struct answer a;
	world_init(&w, sp->version);
	w.echo.gate = RPC_UNAUTHENTICATED;
	speech_call(&w, sp, sp->streams ? "Download" : "Unary", "x", 0, 0, &x, &a);
	ck_assert_int_eq(a.code, RPC_UNAUTHENTICATED);
	ck_assert_str_eq(a.text, sp->streams ? "no entry to /sandglass.test.Echo/Download"
					     : "no entry to /sandglass.test.Echo/Unary");
	ck_assert_uint_eq(w.echo.dones + w.echo.messages, 0);
	exchange_fini(&x);
	world_fini(&w);
}
END_TEST

/* A call with one more header; the code that comes back. */
static enum rpc_code code_with_header(const struct speech *sp, const char *name, const char *value)
{
	const char *fields[] = { "content-type", sp->content_type, name, value, NULL };
	struct world w;
	struct exchange x;
	struct answer a;
	struct buf body = BUF_INIT;
	world_init(&w, sp->version);
	speech_add(sp, &body, "hello", 1, 0);
	exchange_send(&w.lb, &x, "POST", sp->streams ? DOWNLOAD : UNARY, fields, buf_data(&body),
	    buf_len(&body));
	world_settle(&w);
	speech_read(sp, &x, &a);
	ck_assert_uint_eq(w.echo.dones, a.code == RPC_OK);
	if (a.code == RPC_UNIMPLEMENTED) {
		const char *accepted = sp->protocol == RPC_CONNECT_UNARY ? "accept-encoding"
				       : sp->protocol == RPC_CONNECT_STREAM
					   ? "connect-accept-encoding"
					   : "grpc-accept-encoding";
		const char *told = http_fields_get(&x.head, accepted);
		ck_assert_ptr_nonnull(told);
		ck_assert_str_eq(told, "identity");
	}
	exchange_fini(&x);
	buf_fini(&body);
	world_fini(&w);
	return a.code;
}

START_TEST(headers)
{
	const struct speech *sp = &speeches[_i];
	bool connect = sp->protocol == RPC_CONNECT_UNARY || sp->protocol == RPC_CONNECT_STREAM;
	const char *encoding = sp->protocol == RPC_CONNECT_UNARY    ? "content-encoding"
			       : sp->protocol == RPC_CONNECT_STREAM ? "connect-content-encoding"
								    : "grpc-encoding";
	const char *timeout = connect ? "connect-timeout-ms" : "grpc-timeout";
	ck_assert_int_eq(code_with_header(sp, encoding, "gzip"), RPC_UNIMPLEMENTED);
	ck_assert_int_eq(code_with_header(sp, encoding, "identity"), RPC_OK);
	ck_assert_int_eq(code_with_header(sp, timeout, "soon"), RPC_INVALID_ARGUMENT);
	ck_assert_int_eq(code_with_header(sp, timeout, connect ? "60000" : "60S"), RPC_OK);
	ck_assert_int_eq(
	    code_with_header(sp, timeout, connect ? "9999999999" : "99999999H"), RPC_OK);
	if (connect) {
		ck_assert_int_eq(
		    code_with_header(sp, "connect-protocol-version", "2"), RPC_INVALID_ARGUMENT);
		ck_assert_int_eq(code_with_header(sp, "connect-protocol-version", "1"), RPC_OK);
	}
}
END_TEST

/* A call with these bytes as its body; the code that comes back, and what the method was told. */
static enum rpc_code code_with_body(
    const struct speech *sp, const char *path, const void *p, size_t n)
{
	const char *fields[] = { "content-type", sp->content_type, NULL };
	struct world w;
	struct exchange x;
	struct answer a;
	world_init(&w, sp->version);
	exchange_send(&w.lb, &x, "POST", path, fields, p, n);
	world_settle(&w);
	speech_read(sp, &x, &a);
	ck_assert_uint_eq(w.echo.dones, 1);
	ck_assert_int_eq(w.echo.last_err, a.code == RPC_OK ? 0 : -EBADMSG);
	exchange_fini(&x);
	world_fini(&w);
	return a.code;
}

static enum rpc_code code_with_envelope(
    const struct speech *sp, uint8_t flags, const char *p, size_t n)
{
	struct buf b = BUF_INIT;
	ck_assert_int_eq(rpc_frame(&b, flags, p, n, sp->protocol == RPC_GRPC_WEB_TEXT), 0);
	enum rpc_code code = code_with_body(sp, DOWNLOAD, buf_data(&b), buf_len(&b));
	buf_fini(&b);
	return code;
}

START_TEST(bad_envelopes)
{
	const struct speech *sp = &speeches[_i];
	bool json = sp->codec == RPC_JSON;
	if (!sp->streams)
		return;
	ck_assert_int_eq(code_with_envelope(sp, 0, "{}", json ? 2 : 0), RPC_OK);
	ck_assert_int_eq(code_with_envelope(sp, 0, "{\"repeat\":-1}", 13), RPC_INVALID_ARGUMENT);
	ck_assert_int_eq(
	    code_with_envelope(sp, RPC_FLAG_COMPRESSED, "{}", json ? 2 : 0), RPC_INTERNAL);
	ck_assert_int_eq(
	    code_with_envelope(sp, RPC_FLAG_END_STREAM, "{}", json ? 2 : 0), RPC_INTERNAL);
	ck_assert_int_eq(
	    code_with_envelope(sp, RPC_FLAG_TRAILERS, "{}", json ? 2 : 0), RPC_INTERNAL);
	ck_assert_int_eq(code_with_body(sp, DOWNLOAD, NULL, 0), RPC_UNIMPLEMENTED);
	struct buf b = BUF_INIT;
	speech_add(sp, &b, "a", 0, 0);
	speech_add(sp, &b, "b", 0, 0);
	ck_assert_int_eq(
	    code_with_body(sp, DOWNLOAD, buf_data(&b), buf_len(&b)), RPC_UNIMPLEMENTED);
	buf_fini(&b);
}
END_TEST

START_TEST(truncated_bodies)
{
	const struct speech *sp = &speeches[_i];
	enum rpc_code want =
	    sp->protocol == RPC_CONNECT_STREAM ? RPC_INVALID_ARGUMENT : RPC_INTERNAL;
	struct buf b = BUF_INIT;
	if (!sp->streams)
		return;
	speech_add(sp, &b, "hello", 0, 0);
	for (size_t n = 1; n < buf_len(&b); n++) {
		ck_assert_int_eq(code_with_body(sp, DOWNLOAD, buf_data(&b), n), want);
		ck_assert_int_eq(
		    code_with_body(sp, "/sandglass.test.Echo/Upload", buf_data(&b), n), want);
	}
	buf_fini(&b);
}
END_TEST

START_TEST(too_large)
{
	const struct speech *sp = &speeches[_i];
	if (sp->streams) {
		const char *head = "\0\x00\x40\x00\x01";
		struct buf b = BUF_INIT;
		if (sp->protocol == RPC_GRPC_WEB_TEXT)
			ck_assert_int_eq(buf_append_str(&b, "AABAAAE="), 0);
		else
			ck_assert_int_eq(buf_append(&b, head, 5), 0);
		ck_assert_int_eq(code_with_body(sp, DOWNLOAD, buf_data(&b), buf_len(&b)),
		    RPC_RESOURCE_EXHAUSTED);
		buf_fini(&b);
		return;
	}
	char *p = malloc(LIMIT_RPC_MESSAGE + 1);
	ck_assert_ptr_nonnull(p);
	memset(p, ' ', LIMIT_RPC_MESSAGE + 1);
	ck_assert_int_eq(
	    code_with_body(sp, UNARY, p, LIMIT_RPC_MESSAGE + 1), RPC_RESOURCE_EXHAUSTED);
	free(p);
}
END_TEST

START_TEST(bad_unary_bodies)
{
	const struct speech *sp = &speeches[_i];
	if (sp->protocol != RPC_CONNECT_UNARY)
		return;
	if (sp->codec == RPC_JSON) {
		ck_assert_int_eq(code_with_body(sp, UNARY, "", 0), RPC_INVALID_ARGUMENT);
		ck_assert_int_eq(code_with_body(sp, UNARY, "{", 1), RPC_INVALID_ARGUMENT);
		ck_assert_int_eq(code_with_body(sp, UNARY, "[]", 2), RPC_INVALID_ARGUMENT);
		ck_assert_int_eq(code_with_body(sp, UNARY, "{}", 2), RPC_OK);
	} else {
		ck_assert_int_eq(code_with_body(sp, UNARY, "\x0a", 1), RPC_INVALID_ARGUMENT);
		ck_assert_int_eq(
		    code_with_body(sp, UNARY, "\x0a\x01\xff", 3), RPC_INVALID_ARGUMENT);
		ck_assert_int_eq(code_with_body(sp, UNARY, "", 0), RPC_OK);
	}
}
END_TEST

START_TEST(error_names_the_field)
{
	const char *fields[] = { "content-type", "application/json", NULL };
	struct world w;
	struct exchange x;
	world_init(&w, 1);
	exchange_send(&w.lb, &x, "POST", UNARY, fields, "{\"repeat\":\"many\"}", 17);
	world_settle(&w);
	ck_assert_int_eq(x.status, 400);
	ck_assert_str_eq(buf_cstr(&x.body), "{\"code\":\"invalid_argument\",\"message\":\"request: "
					    "repeat: expected an integer from "
					    "0 to 4294967295\"}");
	exchange_fini(&x);
	world_fini(&w);
}
END_TEST

START_TEST(not_base64)
{
	const struct speech *sp = &speeches[4];
	ck_assert_int_eq(sp->protocol, RPC_GRPC_WEB_TEXT);
	ck_assert_int_eq(code_with_body(sp, DOWNLOAD, "AAAA!AAA", 8), RPC_INVALID_ARGUMENT);
}
END_TEST

/* ---- the table ---- */

START_TEST(incomplete_tables_are_refused)
{
	struct world w;
	struct rpc_method copy[8];
	struct rpc_service svc;
	world_init(&w, 2);
	svc = w.echo.service;
	ck_assert_int_eq(rpc_router_add(w.router, &svc), -EEXIST);
	ck_assert_int_eq(rpc_router_add_as(w.router, "alias.Echo", &svc), 0);
	svc.n_methods--;
	ck_assert_int_eq(rpc_router_add_as(w.router, "other.Echo", &svc), -EINVAL);
	memcpy(copy, w.echo.service.methods, w.echo.service.n_methods * sizeof(copy[0]));
	copy[0].name = "Unry";
	svc.methods = copy;
	svc.n_methods++;
	ck_assert_int_eq(rpc_router_add_as(w.router, "other.Echo", &svc), -EINVAL);
	world_fini(&w);
}
END_TEST

START_TEST(alias_serves)
{
	const char *fields[] = { "content-type", "application/json", NULL };
	struct world w;
	struct exchange x;
	world_init(&w, 1);
	ck_assert_int_eq(rpc_router_add_as(w.router, "alias.Echo", &w.echo.service), 0);
	exchange_send(&w.lb, &x, "POST", "/alias.Echo/Unary", fields, "{\"text\":\"a\"}", 12);
	world_settle(&w);
	ck_assert_str_eq(buf_cstr(&x.body), "{\"text\":\"a\"}");
	exchange_fini(&x);
	world_fini(&w);
}
END_TEST

void refuse_tests(Suite *s)
{
	TCase *tc = test_case(s, "refusals", 20);
	tcase_add_loop_test(tc, refused_in_http, 0, sizeof(plain) / sizeof(plain[0]));
	tcase_add_test(tc, other_paths_are_left_alone);
	tcase_add_loop_test(tc, unknown_method, 0, (int)n_speeches);
	tcase_add_loop_test(tc, gate_refuses, 0, (int)n_speeches);
	tcase_add_loop_test(tc, headers, 0, (int)n_speeches);
	tcase_add_loop_test(tc, bad_envelopes, 0, (int)n_speeches);
	tcase_add_loop_test(tc, truncated_bodies, 0, (int)n_speeches);
	tcase_add_loop_test(tc, too_large, 0, (int)n_speeches);
	tcase_add_loop_test(tc, bad_unary_bodies, 0, (int)n_speeches);
	tcase_add_test(tc, error_names_the_field);
	tcase_add_test(tc, not_base64);
	tcase_add_test(tc, incomplete_tables_are_refused);
	tcase_add_test(tc, alias_serves);
}
