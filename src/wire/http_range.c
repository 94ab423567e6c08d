/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/http_range.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* Digits at *at; false when there are none. Numbers that do not fit are as large as can be. */
static bool take_number(const char **at, uint64_t *ret)
{
	const char *p = *at;
	uint64_t v = 0;
	for (; *p >= '0' && *p <= '9'; p++) {
		uint64_t digit = (uint64_t)(*p - '0');
		v = v > (UINT64_MAX - digit) / 10 ? UINT64_MAX : v * 10 + digit;
	}
	bool some = p != *at;
	*at = p;
	*ret = v;
	return some;
}

static enum http_range suffix(uint64_t n, uint64_t size, uint64_t *ret_first, uint64_t *ret_length)
{
	if (n == 0 || size == 0)
		return HTTP_RANGE_UNSATISFIABLE;
	*ret_length = n < size ? n : size;
	*ret_first = size - *ret_length;
	return HTTP_RANGE_PART;
}

enum http_range http_range_parse(
    const char *value, uint64_t size, uint64_t *ret_first, uint64_t *ret_length)
{
	uint64_t first, last = UINT64_MAX;
	if (!value || strncasecmp(value, "bytes=", 6) != 0)
		return HTTP_RANGE_WHOLE;
	const char *p = value + 6 + strspn(value + 6, " \t");
	bool has_first = take_number(&p, &first);
	if (*p != '-')
		return HTTP_RANGE_WHOLE;
	p++;
	bool has_last = take_number(&p, &last);
	if (!has_last)
		last = UINT64_MAX;
	p += strspn(p, " \t");
	if (*p || (!has_first && !has_last) || (has_first && last < first))
		return HTTP_RANGE_WHOLE;
	if (!has_first)
		return suffix(last, size, ret_first, ret_length);
	if (first >= size)
		return HTTP_RANGE_UNSATISFIABLE;
	*ret_first = first;
	*ret_length = (last < size ? last + 1 : size) - first;
	return HTTP_RANGE_PART;
}
