/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Did the kernel of the system kill somebody because memory ran out? Its counter is read from the
 * memory cgroup (v2 memory.events, v1 memory.oom_control); without one, as in a virtual machine,
 * from /proc/vmstat.
 *
 * The kernel counts before it sends the SIGKILL (__oom_kill_process), so whoever died of one while
 * the counter has not grown since its start was killed by somebody else: no time has to pass for
 * that to be known. Whom a growing counter is about is not to be had in a sandbox: the victim's
 * name is in the machine's log only, its status says SIGKILL as for any other, and a cgroup for
 * each process would have to be the sandbox's own to make. Two that die of SIGKILL within
 * OOM_RECENT_MS, one of them for memory, are therefore both taken for its victims.
 */
#include <stdbool.h>
#include <stdint.h>

#define OOM_RECENT_MS 1000

struct oom_watch {
	int fd; /* of the file with the counter, -1 = there is none */
	uint64_t seen, seen_ms;
};

/* file: with the counter; NULL = where this system has it */
void oom_watch_init(struct oom_watch *w, const char *file);
void oom_watch_fini(struct oom_watch *w);
bool oom_watch_has_counter(const struct oom_watch *w);
/* Kills so far; for the start of whoever may become a victim. */
uint64_t oom_watch_count(struct oom_watch *w);
/* Whether somebody was killed after that count, the last one seen to be only now. */
bool oom_watch_grew(struct oom_watch *w, uint64_t since);
