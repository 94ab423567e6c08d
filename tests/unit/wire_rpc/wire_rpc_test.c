/* SPDX-License-Identifier: Apache-2.0 */
#include "wire_rpc_tests.h"

static Suite *wire_rpc_suite(void)
{
	Suite *s = suite_create("wire_rpc");
	codes_tests(s);
	frame_tests(s);
	pbwire_tests(s);
	pjson_tests(s);
	pjson_refuse_tests(s);
	pjson_time_tests(s);
	return s;
}

TEST_MAIN(wire_rpc_suite)
