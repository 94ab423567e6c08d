/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"

static Suite *wire_http_suite(void)
{
	Suite *s = suite_create("wire_http");
	pair_tests(s);
	return s;
}

TEST_MAIN(wire_http_suite)
