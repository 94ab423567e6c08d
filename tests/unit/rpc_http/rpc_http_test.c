/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc_http_tests.h"

static Suite *rpc_http_suite(void)
{
	Suite *s = suite_create("rpc_http");
	add_server_tests(s);
	add_server_limit_tests(s);
	add_client_tests(s);
	add_fetch_tests(s);
	add_proxy_tests(s);
	add_proxy_reset_tests(s);
	add_sweep_tests(s);
	return s;
}

TEST_MAIN(rpc_http_suite)
