/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Scalars with a unit and their way back to text, for yaml_read.c. No file knows of them. */
#include <stddef.h>
#include <stdint.h>

struct yaml_unit {
	const char *name; /* NULL at the end; smallest first */
	uint64_t factor;
};

extern const struct yaml_unit yaml_size_units[];
extern const struct yaml_unit yaml_duration_units[];

/* "512MiB": digits and a unit, nothing between; "0" needs no unit. 0, -EINVAL, or -ERANGE when it
 * does not fit 64 bits. */
int yaml_value_parse_unit(const char *s, const struct yaml_unit *units, uint64_t *ret);
/* The shortest exact form: the largest unit that divides v. */
char *yaml_value_format_unit(uint64_t v, const struct yaml_unit *units, char *dst, size_t cap);
/* "1.5" -> 1500; at most three decimals. 0 or -EINVAL. */
int yaml_value_parse_milli(const char *s, uint64_t *ret);
char *yaml_value_format_milli(uint64_t v, char *dst, size_t cap);
/* Edits that turn a into b; larger than limit as soon as that is certain. */
unsigned yaml_value_distance(const char *a, const char *b, unsigned limit);
