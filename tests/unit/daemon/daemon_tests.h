/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <check.h>

void args_tests(Suite *s);
