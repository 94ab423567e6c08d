/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Numbers with a unit, as people write them in files and commands, and their way back to text. */
#include <stddef.h>
#include <stdint.h>

struct unit {
	const char *name; /* NULL at the end; smallest first */
	uint64_t factor;
};

extern const struct unit unit_sizes[];	   /* B KiB MiB GiB TiB */
extern const struct unit unit_durations[]; /* ms s m h d */
#define UNIT_SIZE_EXPECTED "size with a unit (B, KiB, MiB, GiB, TiB)"

/* "512MiB": digits and a unit, nothing between; "0" needs no unit. 0, -EINVAL, or -ERANGE when it
 * does not fit 64 bits. */
int unit_parse(const char *s, const struct unit *units, uint64_t *ret);
/* The shortest exact form: the largest unit that divides v. */
char *unit_format(uint64_t v, const struct unit *units, char *dst, size_t cap);
/* "1.5" -> 1500; at most three decimals. 0 or -EINVAL. */
int unit_parse_milli(const char *s, uint64_t *ret);
char *unit_format_milli(uint64_t v, char *dst, size_t cap);
