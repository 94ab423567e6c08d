/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/test.h"
#include "vmm_tests.h"

static Suite *vmm_suite(void)
{
	Suite *s = suite_create("vmm");
	add_machine(s);
	add_fc_parts(s);
	add_fc_api(s);
	add_fc_fake(s);
	add_fc_create(s);
	add_fc_power(s);
	return s;
}

TEST_MAIN(vmm_suite)
