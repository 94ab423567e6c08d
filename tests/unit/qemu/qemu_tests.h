/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The suites of tests/unit/qemu, one a file. */
#include <check.h>

void add_args_tests(Suite *s);
void add_driver_tests(Suite *s);
void add_memory_tests(Suite *s);
void add_manifest_tests(Suite *s);
void add_qmp_tests(Suite *s);
