/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"

static Suite *wire_http_suite(void)
{
	Suite *s = suite_create("wire_http");
	h1_input_tests(s);
	h1_session_tests(s);
	h2_session_tests(s);
	h2_flood_tests(s);
	pair_tests(s);
	reentry_tests(s);
	sweep_tests(s);
	multipart_tests(s);
	select_tests(s);
	tunnel_tests(s);
	return s;
}

TEST_MAIN(wire_http_suite)
