/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "lib/test.h"

void text_tests(Suite *s);
void json_tests(Suite *s);
void fd_tests(Suite *s);
