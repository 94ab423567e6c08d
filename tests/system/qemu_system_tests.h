/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <check.h>

void add_qemu_end_tests(Suite *s);
