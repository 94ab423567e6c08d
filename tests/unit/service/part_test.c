/* SPDX-License-Identifier: Apache-2.0 */
/* The parts that need no server: status map, targets, cursors, bodies of keys and limits. */
#include "service_tests.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "service/cursor.h"
#include "service/params.h"
#include "service/status.h"
#include "wire/url.h"

START_TEST(status_of_each_outcome)
{
	static const struct {
		int code, http;
		enum rpc_code rpc;
	} rows[] = {
		{ SANDBOX_E_TEMPLATE, 404, RPC_NOT_FOUND },
		{ SANDBOX_E_LIMIT, 429, RPC_RESOURCE_EXHAUSTED },
		{ SANDBOX_E_CAPACITY, 503, RPC_RESOURCE_EXHAUSTED },
		{ SANDBOX_E_STATE, 409, RPC_FAILED_PRECONDITION },
		{ -EINVAL, 400, RPC_INVALID_ARGUMENT },
		{ -ERANGE, 400, RPC_INVALID_ARGUMENT },
		{ -ENOENT, 404, RPC_NOT_FOUND },
		{ -ETIMEDOUT, 504, RPC_DEADLINE_EXCEEDED },
		{ -ENOMEM, 503, RPC_RESOURCE_EXHAUSTED },
		{ -EIO, 500, RPC_INTERNAL },
		{ -EPROTO, 500, RPC_INTERNAL },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err err = { .code = rows[i].code };
		struct status s = status_from_err(&err);
		ck_assert_int_eq(s.http, rows[i].http);
		ck_assert_int_eq(s.rpc, rows[i].rpc);
	}
}
END_TEST

START_TEST(targets_are_taken_apart)
{
	struct url u;
	ck_assert_int_eq(url_parse(&u, "/a/b%2Fc/?x=1+2&y&z=%C3%A4&x=3&&"), 0);
	ck_assert_uint_eq(u.n_segments, 3);
	ck_assert_str_eq(u.segments[0], "a");
	ck_assert_str_eq(u.segments[1], "b/c");
	ck_assert_str_eq(u.segments[2], "");
	ck_assert_uint_eq(u.n_params, 4);
	ck_assert_str_eq(url_param(&u, "x"), "1 2");
	ck_assert_str_eq(url_param(&u, "y"), "");
	ck_assert_str_eq(url_param(&u, "z"), "ä");
	ck_assert_ptr_null(url_param(&u, "q"));
	url_fini(&u);
}
END_TEST

START_TEST(bad_targets_are_refused)
{
	char many[4 * URL_MAX_PARAMS + 8] = "/?", deep[2 * URL_MAX_SEGMENTS + 8] = "";
	struct url u;
	ck_assert_int_eq(url_parse(&u, "*"), -EINVAL);
	ck_assert_int_eq(url_parse(&u, "/%"), -EINVAL);
	ck_assert_int_eq(url_parse(&u, "/%0"), -EINVAL);
	ck_assert_int_eq(url_parse(&u, "/%00"), -EINVAL);
	ck_assert_int_eq(url_parse(&u, "/?a=%zz"), -EINVAL);
	ck_assert_int_eq(url_parse(&u, "/%ff"), -EINVAL);
	for (int i = 0; i <= URL_MAX_PARAMS; i++)
		strncat(many, "a=&", sizeof(many) - strlen(many) - 1);
	ck_assert_int_eq(url_parse(&u, many), -E2BIG);
	for (int i = 0; i <= URL_MAX_SEGMENTS; i++)
		strncat(deep, "/a", sizeof(deep) - strlen(deep) - 1);
	ck_assert_int_eq(url_parse(&u, deep), -E2BIG);
}
END_TEST

START_TEST(cursors_come_back)
{
	static const char *const bad[] = { "", "!", "MTIz", "YWJjX19pMQ", "MV9fSUQ",
		"MV9faTFfX2Rlc2M", "MTk5OTk5OTk5OTk5OTk5OTk5OTk5X19pMQ" };
	struct sandbox_cursor c = { .started_ns = 1700000000123456789, .id = "i0abc" }, back;
	for (int ascending = 0; ascending < 2; ascending++) {
		char *token = cursor_encode(&c, ascending);
		ck_assert_ptr_nonnull(token);
		ck_assert(strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
					"0123456789-_") == strlen(token));
		ck_assert_int_eq(cursor_decode(token, ascending, &back), 0);
		ck_assert_int_eq(back.started_ns, c.started_ns);
		ck_assert_str_eq(back.id, c.id);
		ck_assert_int_eq(cursor_decode(token, !ascending, &back), -EINVAL);
		mem_free(token);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_int_eq(cursor_decode(bad[i], false, &back), -EINVAL);
}
END_TEST

START_TEST(params_are_bounded)
{
	struct params p = { 0 };
	struct err err = ERR_INIT;
	char name[16], big[PARAMS_MAX_BYTES + 1];
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	ck_assert_int_eq(params_add_env(&p, "env", "A", big, &err), -EINVAL);
	ck_assert_str_eq(err.text, "env: expected at most 65536 bytes in all");
	err_reset(&err);
	ck_assert_int_eq(params_add_env(&p, "env", "A=B", "", &err), -EINVAL);
	err_reset(&err);
	ck_assert_int_eq(params_add_env(&p, "env", "", "", &err), -EINVAL);
	err_reset(&err);
	ck_assert_int_eq(params_add_metadata(&p, "metadata", "k", "\xff", &err), -EINVAL);
	ck_assert_str_eq(err.text, "metadata: expected UTF-8 text");
	err_reset(&err);
	params_fini(&p);
	for (int i = 0; i < PARAMS_MAX_ENTRIES; i++) {
		(void)snprintf(name, sizeof(name), "k%d", i);
		ck_assert_int_eq(params_add_metadata(&p, "metadata", name, "v", &err), 0);
		ck_assert_int_eq(params_add_env(&p, "env", name, "v", &err), 0);
	}
	ck_assert_int_eq(params_add_metadata(&p, "metadata", "more", "v", &err), -EINVAL);
	ck_assert_str_eq(err.text, "metadata: expected at most 256 entries");
	err_reset(&err);
	ck_assert_int_eq(params_add_env(&p, "env", "more", "v", &err), -EINVAL);
	params_fini(&p);
}
END_TEST

void add_part_tests(Suite *s)
{
	TCase *tc = test_case(s, "parts", 10);
	tcase_add_test(tc, status_of_each_outcome);
	tcase_add_test(tc, targets_are_taken_apart);
	tcase_add_test(tc, bad_targets_are_refused);
	tcase_add_test(tc, cursors_come_back);
	tcase_add_test(tc, params_are_bounded);
}
