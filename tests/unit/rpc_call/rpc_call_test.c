/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc_call_tests.h"

static Suite *rpc_call_suite(void)
{
	Suite *s = suite_create("rpc_call");
	call_tests(s);
	refuse_tests(s);
	flow_tests(s);
	storm_tests(s);
	health_tests(s);
	reflection_tests(s);
	client_call_tests(s);
	return s;
}

TEST_MAIN(rpc_call_suite)
