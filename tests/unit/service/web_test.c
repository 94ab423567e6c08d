/* SPDX-License-Identifier: Apache-2.0 */
#include "service_tests.h"

#include <string.h>

#include "base/err.h"
#include "lib/tmpdir.h"
#include "service/web.h"

START_TEST(the_page_is_served)
{
	const char *const none[] = { NULL };
	struct reply *r = call_with("GET", "/?x=1", none, NULL);
	ck_assert_int_eq(r->status, 200);
	ck_assert_str_eq(reply_header(r, "content-type"), "text/html; charset=utf-8");
	ck_assert_ptr_nonnull(strstr(reply_text(r), "<!doctype html>"));
	const char *policy = reply_header(r, "content-security-policy");
	ck_assert_ptr_nonnull(strstr(policy, "default-src 'none'"));
	ck_assert_ptr_nonnull(strstr(policy, "script-src 'self'"));
	ck_assert_ptr_nonnull(strstr(policy, "frame-ancestors 'none'"));
	ck_assert_ptr_null(strstr(policy, "unsafe"));
	ck_assert_str_eq(reply_header(r, "x-content-type-options"), "nosniff");
	r = call_with("HEAD", "/", none, NULL);
	expect_reply(r, 200, "");
	expect_reply(call_with("PUT", "/", none, NULL), 405,
	    "{\"code\":405,\"message\":\"method not allowed\"}");
	ck_assert_int_eq(call_with("GET", "/favicon.ico", none, NULL)->status, 200);
	ck_assert_int_eq(call_with("GET", "/web/app.js", none, NULL)->status, 200);
}
END_TEST

START_TEST(unchanged_pages_are_304)
{
	const char *const none[] = { NULL };
	char etag[64];
	struct reply *r = call_with("GET", "/web/app.js", none, NULL);
	(void)snprintf(etag, sizeof(etag), "W/\"x\", %s", reply_header(r, "etag"));
	const char *const have[] = { "if-none-match", etag, NULL };
	const char *const old[] = { "if-none-match", "\"old\"", NULL };
	expect_reply(call_with("GET", "/web/app.js", have, NULL), 304, "");
	ck_assert_int_eq(call_with("GET", "/web/app.js", old, NULL)->status, 200);
}
END_TEST

START_TEST(no_other_file_is_reachable)
{
	static const char *const paths[] = { "/web/", "/web/../index.html",
		"/web/%2e%2e/Makefile.am", "/index.html", "/web/index.html/", "//",
		"/web/app.js/" };
	const char *const none[] = { NULL };
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		ck_assert_int_eq(call_with("GET", paths[i], none, NULL)->status, 404);
}
END_TEST

START_TEST(inline_blocks_are_allowed_by_hash)
{
	static const char html[] = "<!doctype html><style>a{}</style><script src=\"x\"></script>"
				   "<script type=\"module\">1</script>";
	struct tmpdir dir;
	struct err err = ERR_INIT;
	tmpdir_make(&dir);
	ck_assert_ptr_null(web_load(dir.path, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "index.html"));
	tmpdir_write(&dir, "index.html", html);
	err_reset(&err);
	struct web *web = web_load(dir.path, &err);
	ck_assert_msg(web != NULL, "%s", err.text);
	/* base64 of SHA-256 of "1" and of "a{}" */
	ck_assert_ptr_nonnull(strstr(web_policy(web),
	    "script-src 'self' 'sha256-a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s=';"));
	ck_assert_ptr_nonnull(strstr(web_policy(web), "style-src 'self' 'sha256-"));
	web_free(web);
	tmpdir_write(&dir, "index.html", "<script>never closed");
	ck_assert_ptr_null(web_load(dir.path, &err));
	tmpdir_remove(&dir);
}
END_TEST

void add_web_tests(Suite *s)
{
	TCase *tc = test_case(s, "web", 20), *load = test_case(s, "web files", 10);
	tcase_add_checked_fixture(tc, world_start, world_stop);
	tcase_add_test(tc, the_page_is_served);
	tcase_add_test(tc, unchanged_pages_are_304);
	tcase_add_test(tc, no_other_file_is_reachable);
	tcase_add_test(load, inline_blocks_are_allowed_by_hash);
}
