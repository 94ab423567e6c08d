/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <unistd.h>

#include "lib/test.h"
#include "system_tests.h"

static Suite *system_suite(void)
{
	Suite *s = suite_create("system");
	add_lifecycle_tests(s);
	add_driver_tests(s);
	add_escape_tests(s);
	add_limit_tests(s);
	add_fault_tests(s);
	add_network_tests(s);
	add_recovery_tests(s);
	add_image_tests(s);
	add_firecracker_tests(s);
	return s;
}

TEST_MAIN(system_suite)
