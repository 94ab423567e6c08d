/* SPDX-License-Identifier: Apache-2.0 */
#include "image_tests.h"

static Suite *image_suite(void)
{
	Suite *s = suite_create("image");
	yaml_tests(s);
	template_tests(s);
	kernel_tests(s);
	return s;
}

TEST_MAIN(image_suite)
