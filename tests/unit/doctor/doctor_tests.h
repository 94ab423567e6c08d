/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <check.h>

TCase *doctor_checks_case(Suite *s);
TCase *doctor_child_case(Suite *s);
TCase *doctor_report_case(Suite *s);
