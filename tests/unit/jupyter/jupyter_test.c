/* SPDX-License-Identifier: Apache-2.0 */
/* The parts below a kernel: protocol, messages, text, kernelspecs, users. No process is started. */
#include "jupyter_tests.h"

static Suite *jupyter_suite(void)
{
	Suite *s = suite_create("jupyter");

	add_zmtp_tests(s);
	add_channel_tests(s);
	add_message_tests(s);
	add_text_tests(s);
	add_spec_tests(s);
	add_users_tests(s);
	return s;
}

TEST_MAIN(jupyter_suite)
