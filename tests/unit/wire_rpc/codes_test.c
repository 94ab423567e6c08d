/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "wire/rpcwire.h"
#include "wire_rpc_tests.h"

START_TEST(names_go_both_ways)
{
	for (int c = RPC_OK; c <= RPC_UNAUTHENTICATED; c++)
		ck_assert_int_eq((int)rpc_code_from_name(rpc_code_name((enum rpc_code)c)), c);
	ck_assert_str_eq(rpc_code_name(RPC_CANCELED), "canceled");
	ck_assert_str_eq(rpc_code_name(RPC_NOT_FOUND), "not_found");
	ck_assert_str_eq(rpc_code_name((enum rpc_code)99), "unknown");
	ck_assert_int_eq(rpc_code_from_name("NOT_FOUND"), RPC_UNKNOWN);
	ck_assert_int_eq(rpc_code_from_name(NULL), RPC_UNKNOWN);
}
END_TEST

START_TEST(http_statuses)
{
	ck_assert_int_eq(rpc_code_http(RPC_CANCELED), 499);
	ck_assert_int_eq(rpc_code_http(RPC_UNIMPLEMENTED), 501);
	ck_assert_int_eq(rpc_code_http(RPC_DEADLINE_EXCEEDED), 504);
	ck_assert_int_eq(rpc_code_http(RPC_FAILED_PRECONDITION), 400);
	ck_assert_int_eq(rpc_code_http((enum rpc_code)77), 500);
	ck_assert_int_eq(rpc_code_from_http(404), RPC_UNIMPLEMENTED);
	ck_assert_int_eq(rpc_code_from_http(400), RPC_INTERNAL);
	ck_assert_int_eq(rpc_code_from_http(502), RPC_UNAVAILABLE);
	ck_assert_int_eq(rpc_code_from_http(418), RPC_UNKNOWN);
}
END_TEST

static const struct {
	const char *value;
	int r;
	enum rpc_protocol protocol;
	enum rpc_codec codec;
} types[] = {
	{ "application/grpc", 0, RPC_GRPC, RPC_PROTO },
	{ "application/grpc+proto", 0, RPC_GRPC, RPC_PROTO },
	{ "application/grpc+json", 0, RPC_GRPC, RPC_JSON },
	{ "Application/GRPC; charset=utf-8", 0, RPC_GRPC, RPC_PROTO },
	{ "application/grpc-web", 0, RPC_GRPC_WEB, RPC_PROTO },
	{ "application/grpc-web+json", 0, RPC_GRPC_WEB, RPC_JSON },
	{ "application/grpc-web-text", 0, RPC_GRPC_WEB_TEXT, RPC_PROTO },
	{ "application/grpc-web-text+proto", 0, RPC_GRPC_WEB_TEXT, RPC_PROTO },
	{ "application/json", 0, RPC_CONNECT_UNARY, RPC_JSON },
	{ " application/json ;charset=\"UTF-8\" ; q=1", 0, RPC_CONNECT_UNARY, RPC_JSON },
	{ "application/proto", 0, RPC_CONNECT_UNARY, RPC_PROTO },
	{ "application/connect+json", 0, RPC_CONNECT_STREAM, RPC_JSON },
	{ "application/connect+proto", 0, RPC_CONNECT_STREAM, RPC_PROTO },
	{ "application/json; charset=latin1", -ENOTSUP, 0, 0 },
	{ "application/json; charset=utf-8x", -ENOTSUP, 0, 0 },
	{ "application/json; charset=\"utf-8", -ENOTSUP, 0, 0 },
	{ "application/json garbage", -ENOTSUP, 0, 0 },
	{ "application/jsonx", -ENOTSUP, 0, 0 },
	{ "application/grpc-web-text-more", -ENOTSUP, 0, 0 },
	{ "text/plain", -ENOTSUP, 0, 0 },
	{ "", -ENOTSUP, 0, 0 },
	{ NULL, -ENOTSUP, 0, 0 },
};

START_TEST(content_types)
{
	enum rpc_protocol protocol = RPC_GRPC;
	enum rpc_codec codec = RPC_PROTO;
	ck_assert_int_eq(rpc_parse_content_type(types[_i].value, &protocol, &codec), types[_i].r);
	if (types[_i].r == 0) {
		ck_assert_int_eq(protocol, types[_i].protocol);
		ck_assert_int_eq(codec, types[_i].codec);
		enum rpc_protocol again;
		ck_assert_int_eq(
		    rpc_parse_content_type(rpc_content_type(protocol, codec), &again, &codec), 0);
		ck_assert_int_eq(again, protocol);
	}
}
END_TEST

START_TEST(grpc_timeouts)
{
	static const struct {
		const char *s;
		int r;
		uint64_t ms;
	} t[] = {
		{ "1H", 0, 3600000 },
		{ "2M", 0, 120000 },
		{ "3S", 0, 3000 },
		{ "100m", 0, 100 },
		{ "1500u", 0, 2 },
		{ "1n", 0, 1 },
		{ "0n", 0, 0 },
		{ "99999999H", 0, 359999996400000 },
		{ "123456789m", -EINVAL, 0 },
		{ "m", -EINVAL, 0 },
		{ "5", -EINVAL, 0 },
		{ "5x", -EINVAL, 0 },
		{ "5mm", -EINVAL, 0 },
		{ "-5m", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
		{ NULL, -EINVAL, 0 },
	};
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		uint64_t ms = 77;
		ck_assert_int_eq(rpc_parse_grpc_timeout(t[i].s, &ms), t[i].r);
		ck_assert_uint_eq(ms, t[i].r ? 77 : t[i].ms);
	}
}
END_TEST

START_TEST(connect_timeouts)
{
	uint64_t ms = 0;
	ck_assert_int_eq(rpc_parse_connect_timeout("9999999999", &ms), 0);
	ck_assert_uint_eq(ms, 9999999999u);
	ck_assert_int_eq(rpc_parse_connect_timeout("0", &ms), 0);
	ck_assert_uint_eq(ms, 0);
	ck_assert_int_eq(rpc_parse_connect_timeout("10000000000", &ms), -EINVAL);
	ck_assert_int_eq(rpc_parse_connect_timeout("1s", &ms), -EINVAL);
	ck_assert_int_eq(rpc_parse_connect_timeout("", &ms), -EINVAL);
	ck_assert_int_eq(rpc_parse_connect_timeout(NULL, &ms), -EINVAL);
}
END_TEST

START_TEST(status_text_is_percent_encoded)
{
	struct buf b = BUF_INIT;
	ck_assert_int_eq(rpc_encode_message(&b, "50% of \"a b\"\n\xc3\xa9~\x7f"), 0);
	ck_assert_str_eq(buf_cstr(&b), "50%25 of \"a b\"%0A%C3%A9~%7F");
	buf_fini(&b);
}
END_TEST

void codes_tests(Suite *s)
{
	TCase *tc = test_case(s, "codes", 5);
	tcase_add_test(tc, names_go_both_ways);
	tcase_add_test(tc, http_statuses);
	tcase_add_loop_test(tc, content_types, 0, sizeof(types) / sizeof(types[0]));
	tcase_add_test(tc, grpc_timeouts);
	tcase_add_test(tc, connect_timeouts);
	tcase_add_test(tc, status_text_is_percent_encoded);
}
