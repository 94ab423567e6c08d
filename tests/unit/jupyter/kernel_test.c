/* SPDX-License-Identifier: Apache-2.0 */
/* How kernels end, and how much they can say: with the real Python kernel and no sandbox;
 * kernels of other languages. */
#include "kernels.h"

static Suite *kernel_suite(void)
{
	Suite *s = suite_create("kernel");

	add_end_tests(s);
	add_language_tests(s);
	add_volume_tests(s);
	return s;
}

TEST_MAIN(kernel_suite)
