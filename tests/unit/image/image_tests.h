/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "lib/test.h"

void yaml_tests(Suite *s);
void kernel_tests(Suite *s);
void template_tests(Suite *s);
