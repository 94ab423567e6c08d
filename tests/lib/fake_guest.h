/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Stands in for libguest.a: agents that answer as the script says. One script a process, because
 * guests are made by what is under test.
 */
#include <stdbool.h>
#include <stdint.h>

struct loop;

enum fake_guest_call {
	FAKE_GUEST_BOOT,
	FAKE_GUEST_WAKE,
	FAKE_GUEST_QUIESCE,
	FAKE_GUEST_CLOSE,
	FAKE_GUEST_CHECK,
	FAKE_GUEST_INIT,
	FAKE_GUEST_CALLS_,
};
enum fake_guest_mode {
	FAKE_GUEST_OK,
	FAKE_GUEST_FAIL,
	FAKE_GUEST_FAIL_ONCE,
	FAKE_GUEST_HOLD,
};

struct fake_guests {
	enum fake_guest_mode script[FAKE_GUEST_CALLS_];
	bool refuse_new; /* guest_new() is out of memory */
	unsigned calls[FAKE_GUEST_CALLS_];
	unsigned live, resets, notices, watches;
	/* of the last init */
	char sandbox_id[32];
	bool secured;
	unsigned n_env;
	uint64_t disk_bytes;
};
extern struct fake_guests fake_guests;

void fake_guests_reset(void);
/* Every machine that is watched met its limits so often. */
void fake_guests_met_limits(uint64_t oom_kills, uint64_t pids_refused);
/* Answer held calls. */
void fake_guests_release(enum fake_guest_call call, bool good);
