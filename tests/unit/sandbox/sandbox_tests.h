/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "lib/sandbox_world.h"

/* What a step of a job waits for, and the fake's call that it is (none of the store's). */
enum wait_kind { WAIT_VMM, WAIT_GUEST, WAIT_STORE };
/* Nothing of the kind is answered from here on, until the release, good or bad. */
void hold_step(struct world *w, enum wait_kind kind, int call);
void release_step(struct world *w, enum wait_kind kind, int call, bool good);

void lifecycle_tests(Suite *s);
void steps_tests(Suite *s);
void pool_tests(Suite *s);
void list_tests(Suite *s);
void recover_tests(Suite *s);
void clone_tests(Suite *s);
void pause_tests(Suite *s);
void memory_tests(Suite *s);
