/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "lib/sandbox_world.h"

void lifecycle_tests(Suite *s);
void steps_tests(Suite *s);
void pool_tests(Suite *s);
void list_tests(Suite *s);
void recover_tests(Suite *s);
void clone_tests(Suite *s);
void pause_tests(Suite *s);
void memory_tests(Suite *s);
