/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The suites of tests/system, one a file. */
#include <check.h>

void add_lifecycle_tests(Suite *s);
void add_driver_tests(Suite *s);
void add_escape_tests(Suite *s);
void add_limit_tests(Suite *s);
void add_fault_tests(Suite *s);
void add_network_tests(Suite *s);
void add_recovery_tests(Suite *s);
void add_image_tests(Suite *s);
void add_firecracker_tests(Suite *s);
