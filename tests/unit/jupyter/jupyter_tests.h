/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "lib/test.h"

void add_channel_tests(Suite *s);
void add_message_tests(Suite *s);
void add_spec_tests(Suite *s);
void add_text_tests(Suite *s);
void add_users_tests(Suite *s);
void add_zmtp_tests(Suite *s);
