/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <check.h>

void add_economy_tests(Suite *s);
void add_journal_tests(Suite *s);
void add_ndjson_tests(Suite *s);
void add_identity_tests(Suite *s);
void add_execution_tests(Suite *s);
void add_reaper_tests(Suite *s);
void add_signature_tests(Suite *s);
void add_files_tests(Suite *s);
void add_watch_tests(Suite *s);
void add_process_tests(Suite *s);
void add_limits_tests(Suite *s);
void add_machine_tests(Suite *s);
