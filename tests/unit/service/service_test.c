/* SPDX-License-Identifier: Apache-2.0 */
#include "service_tests.h"

static Suite *service_suite(void)
{
	Suite *s = suite_create("service");
	add_part_tests(s);
	add_auth_tests(s);
	add_route_tests(s);
	add_body_tests(s);
	add_rest_tests(s);
	add_list_tests(s);
	add_gateway_tests(s);
	add_rpc_tests(s);
	add_watch_tests(s);
	add_template_tests(s);
	add_web_tests(s);
	add_memory_tests(s);
	return s;
}

TEST_MAIN(service_suite)
