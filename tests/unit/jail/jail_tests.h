/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <check.h>

void add_cgroup_tests(Suite *s);
void add_seccomp_tests(Suite *s);
void add_confine_tests(Suite *s);
