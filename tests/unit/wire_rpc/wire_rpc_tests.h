/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "lib/test.h"

void codes_tests(Suite *s);
void frame_tests(Suite *s);
void pbwire_tests(Suite *s);
void pjson_tests(Suite *s);
void pjson_refuse_tests(Suite *s);
void pjson_time_tests(Suite *s);
