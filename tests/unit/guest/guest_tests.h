/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Cases of this program. */
#include "lib/test.h"

void add_channel_tests(Suite *s);
