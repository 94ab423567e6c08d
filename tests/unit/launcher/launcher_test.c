/* SPDX-License-Identifier: Apache-2.0 */
#include "launcher_tests.h"
#include "lib/test.h"

static Suite *launcher_suite(void)
{
	Suite *s = suite_create("launcher");
	add_proto_tests(s);
	add_record_tests(s);
	add_client_tests(s);
	return s;
}

TEST_MAIN(launcher_suite)
