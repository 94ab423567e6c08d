/* SPDX-License-Identifier: Apache-2.0 */
#include "base/unit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

const struct unit unit_sizes[] = {
	{ "B", 1 },
	{ "KiB", UINT64_C(1) << 10 },
	{ "MiB", UINT64_C(1) << 20 },
	{ "GiB", UINT64_C(1) << 30 },
	{ "TiB", UINT64_C(1) << 40 },
	{ NULL, 0 },
};

const struct unit unit_durations[] = {
	{ "ms", 1 },
	{ "s", 1000 },
	{ "m", 60 * 1000 },
	{ "h", 60 * 60 * 1000 },
	{ "d", 24 * 60 * 60 * 1000 },
	{ NULL, 0 },
};

/* Digits at *s, at least one; *s moves behind them. */
static int parse_digits(const char **s, uint64_t *ret)
{
	const char *p = *s;
	uint64_t v = 0;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(v, 10u, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return -ERANGE;
	}
	if (p == *s)
		return -EINVAL;
	*s = p;
	*ret = v;
	return 0;
}

int unit_parse(const char *s, const struct unit *units, uint64_t *ret)
{
	uint64_t v;
	int r = parse_digits(&s, &v);
	if (r < 0)
		return r;
	for (; units->name; units++) {
		if (str_eq(s, units->name))
			return __builtin_mul_overflow(v, units->factor, ret) ? -ERANGE : 0;
	}
	if (*s || v != 0)
		return -EINVAL;
	*ret = 0;
	return 0;
}

char *unit_format(uint64_t v, const struct unit *units, char *dst, size_t cap)
{
	const struct unit *best = units;
	for (const struct unit *u = units; u->name; u++) {
		if (v != 0 && v % u->factor == 0)
			best = u;
	}
	(void)snprintf(dst, cap, "%" PRIu64 "%s", v / best->factor, v ? best->name : "");
	return dst;
}

int unit_parse_milli(const char *s, uint64_t *ret)
{
	uint64_t whole, part = 0;
	int r = parse_digits(&s, &whole);
	if (r < 0 || whole > UINT32_MAX)
		return -EINVAL;
	if (*s == '.') {
		const char *digits = ++s;
		if (parse_digits(&s, &part) < 0 || s - digits > 3)
			return -EINVAL;
		for (long i = s - digits; i < 3; i++)
			part *= 10;
	}
	if (*s)
		return -EINVAL;
	*ret = whole * 1000 + part;
	return 0;
}

char *unit_format_milli(uint64_t v, char *dst, size_t cap)
{
	int n = snprintf(dst, cap, "%" PRIu64 ".%03u", v / 1000, (unsigned)(v % 1000));
	while (n > 0 && (size_t)n < cap && strchr("0.", dst[n - 1])) {
		bool point = dst[--n] == '.';
		dst[n] = '\0';
		if (point)
			break;
	}
	return dst;
}
