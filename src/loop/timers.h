/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The timers of a loop in the order in which they end: a pairing heap whose links are inside the
 * timers, so nothing is ever allocated. Setting one is O(1), taking one out O(log n), amortized.
 *
 * A kernel timer (timerfd) follows the earliest end, lazily: it is set when an earlier end comes,
 * and not when the earliest goes. Then it fires once for nothing and is set anew. So timers that
 * move into the future with every packet cost no system call.
 */
#include <stdbool.h>
#include <stdint.h>

struct loop_timer;

struct timers {
	struct loop_timer *first;
	uint64_t kernel_ns; /* when the kernel's fires; 0 = it is not set */
	int fd;		    /* readable then */
};

int timers_init(struct timers *ts); /* 0 or -errno */
/* Timers that are still set are cancelled. fd is -1 when there is none to close. */
void timers_fini(struct timers *ts);
/* t is in no heap. */
void timers_add(struct timers *ts, struct loop_timer *t, uint64_t ms);
void timers_remove(struct timers *ts, struct loop_timer *t);
/* Call those that have ended; those that they set have their turn later. */
void timers_run(struct timers *ts);
