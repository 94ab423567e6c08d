/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor_tests.h"
#include "lib/test.h"

static Suite *doctor_suite(void)
{
	Suite *s = suite_create("doctor");
	(void)doctor_checks_case(s);
	(void)doctor_child_case(s);
	(void)doctor_report_case(s);
	return s;
}

TEST_MAIN(doctor_suite)
