/* SPDX-License-Identifier: Apache-2.0 */
/* What code in a context does, with the real Python kernel (Debian: python3-ipykernel) and no
 * sandbox. */
#include "kernels.h"

static Suite *context_suite(void)
{
	Suite *s = suite_create("context");

	add_basic_tests(s);
	add_display_tests(s);
	return s;
}

TEST_MAIN(context_suite)
