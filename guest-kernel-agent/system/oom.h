/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Did the kernel of the system kill somebody because memory ran out? Its counter is read from the
 * memory cgroup (v2 memory.events, v1 memory.oom_control); without one, as in a virtual machine,
 * from /proc/vmstat.
 */
#include <stdbool.h>
#include <stdint.h>

struct oom_watch {
	int fd; /* of the file with the counter, -1 = there is none */
	uint64_t seen;
};

void oom_watch_init(struct oom_watch *w);
void oom_watch_fini(struct oom_watch *w);
/* Forget what was counted so far. */
void oom_watch_mark(struct oom_watch *w);
/* True when the counter grew since the mark, which is moved. */
bool oom_watch_grew(struct oom_watch *w);
/* The counter in the text of such a file; 0 when it is not there. */
uint64_t oom_counter_parse(const char *text);
