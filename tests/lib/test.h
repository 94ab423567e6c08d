/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Glue around Check: one program a folder, one suite function a program. */
#include <stdlib.h>

#include <check.h>

/* Arguments: none. CK_FORK=no for a debugger. The last line tells the totals, also to the test
 * harness. */
#define TEST_MAIN(suite_fn)                                   \
	int main(void)                                        \
	{                                                     \
		SRunner *runner = srunner_create(suite_fn()); \
		srunner_run_all(runner, CK_NORMAL);           \
		int failed = srunner_ntests_failed(runner);   \
		srunner_free(runner);                         \
		return failed ? EXIT_FAILURE : EXIT_SUCCESS;  \
	}

/* A case with its own limit in seconds. */
static inline TCase *test_case(Suite *s, const char *name, double limit_s)
{
	TCase *tc = tcase_create(name);
	tcase_set_timeout(tc, limit_s);
	suite_add_tcase(s, tc);
	return tc;
}
