/* SPDX-License-Identifier: Apache-2.0 */
#include "image/yaml_typo.h"

#include <stddef.h>
#include <string.h>

#define DISTANCE_MAX_LEN 40

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;
	return m < c ? m : c;
}

/* Levenshtein's table, one row at a time. */
unsigned yaml_typo_distance(const char *a, const char *b, unsigned limit)
{
	unsigned row[DISTANCE_MAX_LEN + 1];
	size_t na = strlen(a), nb = strlen(b);
	if (na > DISTANCE_MAX_LEN || nb > DISTANCE_MAX_LEN)
		return limit + 1;
	for (size_t k = 0; k <= nb; k++)
		row[k] = (unsigned)k;
	for (size_t i = 1; i <= na; i++) {
		unsigned diagonal = row[0], least = (unsigned)i;
		row[0] = (unsigned)i;
		for (size_t k = 1; k <= nb; k++) {
			unsigned cost = diagonal + (a[i - 1] != b[k - 1]);
			diagonal = row[k];
			row[k] = min3(cost, row[k] + 1, row[k - 1] + 1);
			least = row[k] < least ? row[k] : least;
		}
		if (least > limit)
			return limit + 1;
	}
	return row[nb];
}
