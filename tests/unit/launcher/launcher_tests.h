/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <check.h>

void add_proto_tests(Suite *s);
void add_record_tests(Suite *s);
void add_client_tests(Suite *s);
