/* SPDX-License-Identifier: Apache-2.0 */
/* Signed URLs: what stock SDKs sign, and what is refused. */
#include <errno.h>

#include "base/json.h"
#include "base/mem.h"
#include "guest-kernel-agent/files/signature.h"
#include "guest-kernel-agent/system/identity.h"
#include "lib/test.h"
#include "unit/agent/agent_tests.h"
#include "wire/url.h"

#define NOW 1795226744

START_TEST(test_vectors)
{
	char s[SIGNATURE_MAX];
	ck_assert_int_eq(signature_make("hello.txt", "read", "user",
			     "0tQG31xiMp0IOQfaz9dcwi72L1CPo8e0", SIGNATURE_NEVER, s),
	    0);
	ck_assert_str_eq(s, "v1_gUtH/s9YCJWgCizjfUxuWfhFE4QSydOWEIIvfLwDr6E");
	ck_assert_int_eq(signature_make("a.txt", "read", "", "tok", 1795226744, s), 0);
	ck_assert_str_eq(s, "v1_cwQbH237aJaiT15PtU46rWbvdqS1bfv9ueBGJPUMUn0");
}
END_TEST

static struct identity *with_token(const char *token)
{
	struct identity *id = identity_new();
	CLEAN_JSON json_t *o = json_pack("{s:s, s:s?}", "sandboxId", "i1", "accessToken", token);
	ck_assert_int_eq(identity_init(id, o, NULL), 0);
	return id;
}

static const char *refusal(
    const struct identity *id, const char *header, const char *target, int64_t now)
{
	struct url u;
	const char *text = NULL;
	ck_assert_int_eq(url_parse(&u, target), 0);
	ck_assert_int_eq(signature_check(id, header, &u, "read", now, &text), 0);
	url_fini(&u);
	return text;
}

#define SIGNED                                                                 \
	"/files?path=a.txt&signature="                                         \
	"v1_cwQbH237aJaiT15PtU46rWbvdqS1bfv9ueBGJPUMUn0&signature_expiration=" \
	"1795226744"

START_TEST(test_check)
{
	struct identity *id = with_token("tok");
	ck_assert_ptr_null(refusal(id, NULL, SIGNED, NOW));
	ck_assert_str_eq(refusal(id, NULL, SIGNED, NOW + 1), "signature is already expired");
	ck_assert_str_eq(
	    refusal(id, NULL, "/files?path=a.txt", NOW), "missing signature query parameter");
	/* Where both are wrong, the signature is told: an expiry nobody signed means nothing. */
	ck_assert_str_eq(
	    refusal(id, NULL, "/files?path=a&signature=v1_x&signature_expiration=1", NOW),
	    "invalid signature");
	ck_assert_str_eq(
	    refusal(id, NULL, "/files?path=a&signature=v1_x&signature_expiration=-1", NOW),
	    "invalid signature");
	/* With a token in the header the signature counts no more. */
	ck_assert_ptr_null(refusal(id, "tok", "/files?signature=x", NOW));
	ck_assert_str_eq(
	    refusal(id, "tik", SIGNED, NOW), "access token present in header but does not match");
	identity_free(id);

	id = with_token(NULL);
	ck_assert_ptr_null(refusal(id, NULL, "/files?path=a&signature=x", NOW));
	identity_free(id);
}
END_TEST

START_TEST(test_memory)
{
	char s[SIGNATURE_MAX];
	int r = -ENOMEM;
	for (long n = 0; r < 0; n++) {
		ck_assert_int_lt(n, 20);
		mem_fail_after(n);
		r = signature_make("a.txt", "read", "", "tok", 1795226744, s);
		mem_fail_after(-1);
		ck_assert(r == 0 || r == -ENOMEM);
	}
	ck_assert_str_eq(s, "v1_cwQbH237aJaiT15PtU46rWbvdqS1bfv9ueBGJPUMUn0");
}
END_TEST

void add_signature_tests(Suite *s)
{
	TCase *tc = test_case(s, "signature", 10);
	tcase_add_test(tc, test_vectors);
	tcase_add_test(tc, test_check);
	tcase_add_test(tc, test_memory);
}
