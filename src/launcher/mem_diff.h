/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The memory of a process that maps a sealed memory file privately: what it has written since, as a
 * file; and such a file put into a fresh process that maps the same base. A page that holds again
 * what the base holds is left out, one of zeros takes no room. Always against the base, never
 * against another difference.
 *
 * Bytes only; nothing of what the process holds is understood. Calls block for as long as copying
 * takes.
 */
#include <stdint.h>
#include <sys/types.h>

struct err;

struct mem_target {
	pid_t pid;
	uint64_t start;	  /* of the process, as in its record: another one is refused */
	const char *name; /* of the memory file, as memfd_create() was told */
	uint64_t size;
};

/* The process does not run meanwhile. base: the file, or -1 when it is not at hand. out is empty.
 * *ret_size: bytes written. 0 or -errno and reterr. */
int mem_diff_save(
    const struct mem_target *t, int base, int out, uint64_t *ret_size, struct err *reterr);
/* Everything about in is checked before the process is touched. 0 or -errno and reterr. */
int mem_diff_load(const struct mem_target *t, int in, struct err *reterr);
