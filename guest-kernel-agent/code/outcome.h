/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What is known of an execution beside its journal, for who asks later. */
#include <stdbool.h>
#include <stdint.h>

#include "guest-kernel-agent/code/event.h"

struct outcome {
	int64_t created_ns, ended_ns; /* since 1970; 0 = not yet */
	bool begun;		      /* it has, or had, the kernel */
	unsigned execution_count;
	uint64_t bytes[OUTPUTS]; /* written so far */
	unsigned results, stalls;
	char *name, *value, *traceback; /* of the last error, cut; NULL = none */
	enum exec_end how;		/* 0 until it ended */
	char *detail;
};

void outcome_fini(struct outcome *o); /* accepts zeroed memory */
/* Without memory the error is missing. */
void outcome_set_error(
    struct outcome *o, const char *name, const char *value, const char *traceback);
void outcome_set_end(struct outcome *o, enum exec_end how, const char *detail);
