/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The machine's memory, from /proc/meminfo (proc(5)). */
#include <stdint.h>

struct meminfo {
	uint64_t total, available; /* bytes; available: without swapping, as the kernel estimates */
};
/* 0 or -errno; -EBADMSG when the file does not say it. */
int meminfo_read(struct meminfo *ret);
int meminfo_parse(const char *text, struct meminfo *ret);
