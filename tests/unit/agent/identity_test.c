/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/system/identity.h"
#include "lib/test.h"
#include "unit/agent/agent_tests.h"

#define INIT                                                                              \
	"{\"sandboxId\":\"iabc123\",\"accessToken\":\"secret\",\"envVars\":{\"A\":\"2\"," \
	"\"C\":\"3\"},\"user\":\"root\"}"

static int apply(int (*fn)(struct identity *id, const json_t *o, struct err *reterr),
    struct identity *id, const char *text, struct err *err)
{
	err_reset(err);
	CLEAN_JSON json_t *o = json_parse_object(text, strlen(text), 100000, false, err);
	ck_assert_ptr_nonnull(o);
	return fn(id, o, err);
}

static bool has_env(const struct identity *id, const char *pair)
{
	for (const char *const *p = identity_env(id); *p; p++)
		if (str_eq(*p, pair))
			return true;
	return false;
}

START_TEST(test_boot_and_init)
{
	struct identity *id = identity_new();
	struct err err = ERR_INIT;
	ck_assert(!identity_is_booted(id) && !identity_is_initialised(id));
	ck_assert_int_eq(
	    apply(identity_boot, id,
		"{\"templateId\":\"base\",\"user\":\"user\",\"workdir\":\"/home/user\","
		"\"env\":{\"A\":\"1\",\"B\":\"=x\"}}",
		&err),
	    0);
	ck_assert(identity_is_booted(id));
	ck_assert(has_env(id, "A=1") && has_env(id, "B==x"));
	ck_assert_int_eq(apply(identity_init, id, INIT, &err), 0);
	ck_assert(identity_is_initialised(id) && identity_is_secured(id));
	ck_assert_str_eq(identity_sandbox_id(id), "iabc123");
	ck_assert_str_eq(identity_template_id(id), "base");
	ck_assert_str_eq(identity_user(id), "root");
	ck_assert_str_eq(identity_workdir(id), "/home/user");
	ck_assert(has_env(id, "A=2") && has_env(id, "B==x") && has_env(id, "C=3"));
	ck_assert(has_env(id, "E2B_SANDBOX=true") && has_env(id, "E2B_SANDBOX_ID=iabc123") &&
		  has_env(id, "E2B_TEMPLATE_ID=base"));
	identity_free(id);
}
END_TEST

/* The same request again is fine, whatever its clock and entropy; another one is not. */
START_TEST(test_init_once)
{
	struct identity *id = identity_new();
	struct err err = ERR_INIT;
	const char *first =
	    "{\"sandboxId\":\"i1\",\"templateId\":\"t\",\"envVars\":{\"A\":\"2\"},"
	    "\"user\":\"u\",\"workdir\":\"/\",\"timestamp\":1,\"entropy\":\"AA==\"}";
	const char *again =
	    "{\"sandboxId\":\"i1\",\"templateId\":\"t\",\"envVars\":{\"A\":\"2\"},"
	    "\"user\":\"u\",\"workdir\":\"/\",\"timestamp\":2,\"entropy\":\"BB==\"}";
	const char *other = "{\"sandboxId\":\"i1\",\"templateId\":\"t\",\"envVars\":{\"A\":\"3\"},"
			    "\"user\":\"u\",\"workdir\":\"/\"}";
	ck_assert_int_eq(apply(identity_init, id, first, &err), 0);
	ck_assert_int_eq(apply(identity_init, id, again, &err), 1);
	ck_assert_int_eq(apply(identity_init, id, other, &err), -EBUSY);
	ck_assert_int_eq(apply(identity_boot, id, "{}", &err), -EBUSY);
	ck_assert(!identity_is_secured(id) && identity_token_ok(id, NULL));
	identity_free(id);
}
END_TEST

static const struct {
	const char *request, *text;
} refused[] = {
	{ "{}", "sandboxId" },
	{ "{\"sandboxId\":\"A-b\"}", "sandboxId" },
	{ "{\"sandboxId\":5}", "sandboxId" },
	{ "{\"sandboxId\":\"i1\",\"accessToken\":\"\"}", "accessToken" },
	{ "{\"sandboxId\":\"i1\",\"accessToken\":7}", "accessToken" },
	{ "{\"sandboxId\":\"i1\",\"envVars\":{\"A\":1}}", "envVars" },
	{ "{\"sandboxId\":\"i1\",\"envVars\":{\"A=\":\"1\"}}", "envVars" },
	{ "{\"sandboxId\":\"i1\",\"envVars\":{\"\":\"1\"}}", "envVars" },
	{ "{\"sandboxId\":\"i1\",\"envVars\":[]}", "envVars" },
	{ "{\"sandboxId\":\"i1\",\"user\":{}}", "user" },
};

START_TEST(test_refused)
{
	struct identity *id = identity_new();
	struct err err = ERR_INIT;
	ck_assert_int_eq(apply(identity_init, id, refused[_i].request, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, refused[_i].text));
	ck_assert(!identity_is_initialised(id));
	ck_assert_int_eq(apply(identity_init, id, INIT, &err), 0);
	identity_free(id);
}
END_TEST

START_TEST(test_token)
{
	struct identity *id = identity_new();
	struct err err = ERR_INIT;
	ck_assert(identity_token_ok(id, NULL)); /* nothing to protect yet */
	ck_assert_int_eq(apply(identity_init, id, INIT, &err), 0);
	ck_assert(identity_token_ok(id, "secret"));
	ck_assert(!identity_token_ok(id, NULL));
	ck_assert(!identity_token_ok(id, ""));
	ck_assert(!identity_token_ok(id, "secre"));
	ck_assert(!identity_token_ok(id, "secrets"));
	identity_free(id);
}
END_TEST

START_TEST(test_out_of_memory)
{
	for (long n = 0; n < 40; n++) {
		struct err err = ERR_INIT;
		mem_fail_after(n);
		struct identity *id = identity_new();
		mem_fail_after(-1);
		if (!id)
			continue;
		const char *text = INIT;
		CLEAN_JSON json_t *o = json_parse_object(text, strlen(text), 1000, false, &err);
		mem_fail_after(n);
		int r = identity_init(id, o, &err);
		mem_fail_after(-1);
		ck_assert(r == 0 || r == -ENOMEM);
		ck_assert_int_eq(identity_is_initialised(id), r == 0);
		if (r < 0)
			ck_assert_int_eq(apply(identity_init, id, INIT, &err), 0);
		identity_free(id);
	}
}
END_TEST

void add_identity_tests(Suite *s)
{
	TCase *tc = test_case(s, "identity", 10);
	tcase_add_test(tc, test_boot_and_init);
	tcase_add_test(tc, test_init_once);
	tcase_add_loop_test(tc, test_refused, 0, sizeof(refused) / sizeof(*refused));
	tcase_add_test(tc, test_token);
	tcase_add_test(tc, test_out_of_memory);
}
