/* SPDX-License-Identifier: Apache-2.0 */
/* TemplateService over Connect, and what REST says about images. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "image/template.h"
#include "lib/fake_images.h"
#include "service_tests.h"
#include "wire/rpcwire.h"

#define SERVICE "/sandglass.v1.TemplateService/"

static const struct image_view ready = { IMAGE_READY, "0123456789abcdef0123456789abcdef", "erofs",
	"6.1.0-57-cloud-amd64", 5 << 20, 1700000000000000000, "" };

static const char *ask(const char *method, const char *request, int want_status)
{
	static struct reply r;
	const char *const headers[] = { "content-type", "application/json", "x-api-key", w.key_a,
		NULL };
	char path[128];
	reply_fini(&r);
	(void)snprintf(path, sizeof(path), SERVICE "%s", method);
	reply_start(&r, w.h2, "POST", path, headers, request, strlen(request));
	while (!r.closed)
		ck_assert_int_eq(loop_turn(w.loop, true), 0);
	ck_assert_msg(r.status == want_status, "%d: %s", r.status, buf_cstr(&r.body));
	return buf_cstr(&r.body);
}

#define HAS(text, part) ck_assert_msg(strstr(text, part), "%s lacks %s", text, part)

START_TEST(images_are_shown)
{
	const char *text = ask("GetTemplate", "{\"template\":\"code\"}", 200);
	HAS(text, "\"name\":\"code-interpreter-v1\"");
	HAS(text, "\"state\":\"IMAGE_STATE_ABSENT\"");
	HAS(text, "\"bases\":[\"host\"]");
	ck_assert_ptr_null(strstr(text, "needsImage"));
	fake_images_set(w.images, &ready);
	text = ask("ListTemplates", "{}", 200);
	HAS(text, "\"state\":\"IMAGE_STATE_READY\"");
	HAS(text, "\"hash\":\"0123456789abcdef0123456789abcdef\"");
	HAS(text, "\"kernel\":\"6.1.0-57-cloud-amd64\"");
	HAS(text, "\"bytes\":\"5242880\"");
	HAS(text, "\"createdAt\":\"2023-11-14T22:13:20Z\"");
	struct image_view failed = ready;
	failed.state = IMAGE_FAILED;
	failed.text = "step apt: no";
	fake_images_set(w.images, &failed);
	/* also when the launcher does not answer */
	fake_images_fail(w.images, -ECONNRESET, "gone");
	text = ask("GetTemplate", "{\"template\":\"code\"}", 200);
	HAS(text, "\"error\":\"step apt: no\"");
	text = ask("GetTemplate", "{\"template\":\"none\"}", 404);
	HAS(text, "template: no template 'none'");
}
END_TEST

START_TEST(images_are_removed)
{
	(void)ask("RemoveTemplate", "{\"template\":\"code\"}", 200);
	ck_assert_str_eq(fake_images_removed(w.images), "code-interpreter-v1 ");
	fake_images_fail(w.images, -EBUSY, "it is being built");
	const char *text = ask("RemoveTemplate", "{\"template\":\"code\"}", 400);
	HAS(text, "\"code\":\"failed_precondition\"");
	HAS(text, "it is being built");
	(void)ask("RemoveTemplate", "{\"template\":\"none\"}", 404);
}
END_TEST

/* ---- builds ---- */

struct stream {
	struct reply reply;
	struct rpc_deframer deframer;
	size_t fed;
	char text[65536]; /* of all messages */
};
static struct stream x;

static void begin(const char *key, const char *request)
{
	CLEAN_BUF struct buf body = BUF_INIT;
	const char *const headers[] = { "content-type", "application/connect+json", "x-api-key",
		key, NULL };
	memset(&x, 0, sizeof(x));
	rpc_deframer_init(&x.deframer, 1 << 20, false);
	ck_assert_int_eq(rpc_frame(&body, 0, request, strlen(request), false), 0);
	reply_start(&x.reply, w.h2, "POST", SERVICE "BuildTemplate", headers, buf_data(&body),
	    buf_len(&body));
}

static void until(const char *part)
{
	uint8_t flags;
	const void *p;
	for (size_t n, at = 0; !strstr(x.text, part);) {
		n = buf_len(&x.reply.body) - x.fed;
		if (n)
			ck_assert_int_eq(
			    rpc_deframer_feed(&x.deframer, buf_data(&x.reply.body) + x.fed, n), 0);
		x.fed += n;
		at = strlen(x.text);
		while (rpc_deframer_next(&x.deframer, &flags, &p, &n) == 1)
			at += (size_t)snprintf(
			    x.text + at, sizeof(x.text) - at, "%.*s\n", (int)n, (const char *)p);
		if (!strstr(x.text, part))
			ck_assert_int_eq(loop_turn(w.loop, true), 0);
	}
}

static void end(void)
{
	reply_fini(&x.reply);
	rpc_deframer_fini(&x.deframer);
}

START_TEST(a_build_is_followed)
{
	begin(w.key_a, "{\"template\":\"code\",\"force\":true}");
	until("\"heartbeat\":{}");
	ck_assert_str_eq(fake_images_build(w.images)->name, "code-interpreter-v1");
	ck_assert(fake_images_build(w.images)->force);
	fake_images_line(w.images, IMAGE_LINE_WARN, "apt", "one line", 1700000000000000000);
	until("\"text\":\"one line\"");
	HAS(x.text, "\"level\":\"LEVEL_WARN\"");
	HAS(x.text, "\"step\":\"apt\"");
	HAS(x.text, "\"time\":\"2023-11-14T22:13:20Z\"");
	fake_images_set(w.images, &ready);
	fake_images_end(w.images, 0, NULL);
	until("\"result\":");
	HAS(x.text, "\"hash\":\"0123456789abcdef0123456789abcdef\"");
	until("{}\n");
	end();
	ck_assert(!fake_images_build(w.images)->cancelled);
}
END_TEST

static const struct {
	int code;
	const char *name;
} ends[] = { { -EIO, "unknown" }, { -EBUSY, "failed_precondition" },
	{ -EINVAL, "failed_precondition" }, { -ENOENT, "failed_precondition" },
	{ -ENOSPC, "resource_exhausted" }, { -ETIMEDOUT, "deadline_exceeded" } };

START_TEST(a_failed_build_says_why)
{
	char want[64];
	begin(w.key_a, "{\"template\":\"code\"}");
	until("\"heartbeat\":{}");
	fake_images_end(w.images, ends[_i].code, "the reason");
	until("\"error\":");
	(void)snprintf(want, sizeof(want), "\"code\":\"%s\"", ends[_i].name);
	HAS(x.text, want);
	HAS(x.text, "the reason");
	end();
}
END_TEST

START_TEST(a_caller_that_leaves_cancels)
{
	begin(w.key_a, "{\"template\":\"code\"}");
	until("\"heartbeat\":{}");
	end();
	for (int i = 0; i < 100 && !fake_images_build(w.images)->cancelled; i++)
		ck_assert_int_eq(loop_turn(w.loop, true), 0);
	ck_assert(fake_images_build(w.images)->cancelled);
}
END_TEST

START_TEST(a_stopping_server_cancels)
{
	begin(w.key_a, "{\"template\":\"code\"}");
	until("\"heartbeat\":{}");
	service_drain(w.service);
	until("\"unavailable\"");
	ck_assert(fake_images_build(w.images)->cancelled);
	end();
	begin(w.key_a, "{\"template\":\"code\"}");
	until("\"unavailable\"");
	end();
}
END_TEST

START_TEST(builds_need_a_key_and_a_template)
{
	begin("e2b_0000000000000000000000000000000000000000", "{\"template\":\"code\"}");
	until("unauthenticated");
	end();
	begin(w.key_a, "{\"template\":\"none\"}");
	until("template: no template 'none'");
	end();
	ck_assert_str_eq(fake_images_build(w.images)->name, "");
}
END_TEST

/* ---- REST ---- */

static const char *status_of(const char *template_ref)
{
	char path[128];
	(void)snprintf(path, sizeof(path), "/templates/%s", template_ref);
	ck_assert_int_eq(call("GET", path, NULL)->status, 200);
	const json_t *builds = json_object_get(call_json(), "builds");
	ck_assert_uint_eq(json_array_size(builds), 1);
	return json_string_value(json_object_get(json_array_get(builds, 0), "status"));
}

START_TEST(rest_tells_the_build_s_status)
{
	static const struct {
		enum image_state state;
		const char *status;
	} states[] = { { IMAGE_ABSENT, "waiting" }, { IMAGE_READY, "ready" },
		{ IMAGE_OUTDATED, "waiting" }, { IMAGE_BUILDING, "building" },
		{ IMAGE_FAILED, "error" } };
	/* the driver shows the host: no image is needed */
	ck_assert_str_eq(status_of("code"), "ready");
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		struct image_view v = ready;
		v.state = states[i].state;
		fake_images_set(w.images, &v);
		ck_assert_str_eq(status_of("short"), states[i].status);
		ck_assert_int_eq(call("GET", "/templates", NULL)->status, 200);
		const json_t *t = json_array_get(call_json(), 1);
		ck_assert_str_eq(
		    json_string_value(json_object_get(t, "buildStatus")), states[i].status);
	}
	ck_assert_int_eq(call("GET", "/templates/none", NULL)->status, 404);
}
END_TEST

void add_template_tests(Suite *s)
{
	TCase *tc = test_case(s, "template", 20);
	tcase_add_checked_fixture(tc, world_start, world_stop);
	tcase_add_test(tc, images_are_shown);
	tcase_add_test(tc, images_are_removed);
	tcase_add_test(tc, a_build_is_followed);
	tcase_add_loop_test(tc, a_failed_build_says_why, 0, sizeof(ends) / sizeof(ends[0]));
	tcase_add_test(tc, a_caller_that_leaves_cancels);
	tcase_add_test(tc, a_stopping_server_cancels);
	tcase_add_test(tc, builds_need_a_key_and_a_template);
	tcase_add_test(tc, rest_tells_the_build_s_status);
}
