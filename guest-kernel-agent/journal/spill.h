/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Temporary file for extents that do not fit in memory. Opened at first use, never has a name. */
#include <stddef.h>
#include <stdint.h>

struct spill {
	int fd;		  /* -1 until first used */
	uint64_t end;	  /* where the next extent goes */
	uint64_t extents; /* live ones; at none the file is truncated and starts again */
};
#define SPILL_INIT       \
	{                \
		.fd = -1 \
	}

void spill_fini(struct spill *s);
/* 0 and the place, or -errno (nothing was stored). */
int spill_put(struct spill *s, const char *dir, const void *p, size_t n, uint64_t *ret_at);
/* 0, -EIO when the file is shorter than it must be, or -errno. */
int spill_get(const struct spill *s, uint64_t at, void *p, size_t n);
/* The extent is not needed any more: its blocks go back to the file system. */
void spill_drop(struct spill *s, uint64_t at, size_t n);
