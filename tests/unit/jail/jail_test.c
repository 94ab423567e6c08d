/* SPDX-License-Identifier: Apache-2.0 */
#include "jail_tests.h"
#include "lib/test.h"

static Suite *jail_suite(void)
{
	Suite *s = suite_create("jail");
	add_cgroup_tests(s);
	add_seccomp_tests(s);
	add_confine_tests(s);
	return s;
}

TEST_MAIN(jail_suite)
