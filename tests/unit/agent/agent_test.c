/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/agent/agent_tests.h"

#include "lib/test.h"

static Suite *agent_suite(void)
{
	Suite *s = suite_create("agent");
	add_economy_tests(s);
	add_journal_tests(s);
	add_ndjson_tests(s);
	add_identity_tests(s);
	add_execution_tests(s);
	add_reaper_tests(s);
	add_signature_tests(s);
	add_files_tests(s);
	add_watch_tests(s);
	add_process_tests(s);
	add_limits_tests(s);
	add_machine_tests(s);
	return s;
}

TEST_MAIN(agent_suite)
