/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/test.h"
#include "qemu_tests.h"

static Suite *qemu_suite(void)
{
	Suite *s = suite_create("qemu");
	add_args_tests(s);
	add_memory_tests(s);
	add_manifest_tests(s);
	add_qmp_tests(s);
	add_driver_tests(s);
	return s;
}

TEST_MAIN(qemu_suite)
