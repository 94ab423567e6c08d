/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "lib/test.h"

void op_tests(Suite *s);
void source_tests(Suite *s);
