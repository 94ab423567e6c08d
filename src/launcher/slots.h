/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Ranges of user ids, one a live sandbox: slot n of an instance owns SLOTS_RANGE ids, mapped by a
 * user namespace that is made at first use and kept. Instances on one machine use regions of their
 * own, chosen by name.
 */
#include <stdbool.h>
#include <stdint.h>

#include "jail/userns.h"

#define SLOTS_MAX 2048u
#define SLOTS_FIRST_ID 0x100000u

struct slots {
	uint32_t first_id;
	int userns_fd[SLOTS_MAX]; /* -1 = not made yet */
	bool used[SLOTS_MAX];
	unsigned next; /* where the search begins; low ones are used again first */
};

void slots_init(struct slots *s, const char *instance);
void slots_fini(struct slots *s);
/* 0, -ENOSPC, -errno */
int slots_take(struct slots *s, unsigned *ret);
/* One that a surviving sandbox has: 0, -EINVAL, -EEXIST. */
int slots_adopt(struct slots *s, unsigned slot);
void slots_return(struct slots *s, unsigned slot);
uint32_t slots_base(const struct slots *s, unsigned slot);
int slots_userns(const struct slots *s, unsigned slot);
