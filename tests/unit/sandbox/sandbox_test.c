/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "sandbox_tests.h"

static Suite *sandbox_suite(void)
{
	Suite *s = suite_create("sandbox");
	log_open("sandbox_test", LOG_LEVEL_ERROR);
	lifecycle_tests(s);
	steps_tests(s);
	pool_tests(s);
	list_tests(s);
	recover_tests(s);
	clone_tests(s);
	pause_tests(s);
	memory_tests(s);
	return s;
}

TEST_MAIN(sandbox_suite)
