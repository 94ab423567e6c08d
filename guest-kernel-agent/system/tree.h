/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Everything that a process started, however far its descendants went: they all inherit a mark,
 * which survives fork, exec, setsid and the death of parents. The mark is the limit RLIMIT_LOCKS,
 * which the kernel inherits and shows but has not enforced since Linux 2.4.25. A process can only
 * lower it, and only on purpose.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Marks are above this, out of the way of real limits. */
#define TREE_MARK_MIN (1ull << 40)

/* For the child between fork and exec: makes one system call. */
bool tree_mark_self(uint64_t mark);
/* Kill every process with the mark and wait for their ends, until none is left. Blocks for as long
 * as they take to die, at most TREE_KILL_MS: for a thread. 0, -ETIMEDOUT, or what kept us from
 * looking. */
#define TREE_KILL_MS 10000
int tree_kill(uint64_t mark);
/* The mark that /proc/PID/limits shows in its text; 0 = none. */
uint64_t tree_parse_mark(const char *limits);
