/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/pjson_number.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"

/* 2^53: above it, neighbours share a representation. */
#define DOUBLE_EXACT_MAX 9007199254740992.0

struct pjson_range pjson_range(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		return (struct pjson_range){ 0, UINT32_MAX };
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		return (struct pjson_range){ INT64_MIN, INT64_MAX };
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return (struct pjson_range){ 0, UINT64_MAX };
	default:
		return (struct pjson_range){ INT32_MIN, INT32_MAX };
	}
}

char *pjson_range_text(struct pjson_range range, char dst[PJSON_RANGE_TEXT_MAX])
{
	(void)snprintf(dst, PJSON_RANGE_TEXT_MAX, "an integer from %" PRId64 " to %" PRIu64,
	    (int64_t)range.min, (uint64_t)range.max);
	return dst;
}

static const char *skip_digits(const char *s)
{
	while (*s >= '0' && *s <= '9')
		s++;
	return s;
}

/* JSON's own grammar; *ret_integer: neither fraction nor exponent. */
static bool is_number(const char *s, bool *ret_integer)
{
	s += *s == '-';
	if (*s < '0' || *s > '9' || (*s == '0' && s[1] >= '0' && s[1] <= '9'))
		return false;
	s = skip_digits(s);
	*ret_integer = *s == '\0';
	if (*s == '.') {
		if (skip_digits(s + 1) == s + 1)
			return false;
		s = skip_digits(s + 1);
	}
	if (*s == 'e' || *s == 'E') {
		s += s[1] == '+' || s[1] == '-' ? 2 : 1;
		if (skip_digits(s) == s)
			return false;
		s = skip_digits(s);
	}
	return *s == '\0';
}

static int integer_from_double(double d, __int128 *ret)
{
	if (!isfinite(d) || d != trunc(d) || fabs(d) > DOUBLE_EXACT_MAX)
		return -EINVAL;
	*ret = (__int128)d;
	return 0;
}

static int integer_from_text(const char *s, __int128 *ret)
{
	bool integer, minus = *s == '-';
	uint64_t v;
	if (!is_number(s, &integer))
		return -EINVAL;
	if (!integer)
		return integer_from_double(strtod(s, NULL), ret);
	if (str_u64(s + minus, UINT64_MAX, &v) < 0)
		return -EINVAL;
	*ret = minus ? -(__int128)v : (__int128)v;
	return 0;
}

int pjson_get_integer(const json_t *v, struct pjson_range range, __int128 *ret)
{
	__int128 n = 0;
	int r = -EINVAL;
	if (json_is_integer(v)) {
		n = json_integer_value(v);
		r = 0;
	} else if (json_is_real(v)) {
		r = integer_from_double(json_real_value(v), &n);
	} else if (json_is_string(v)) {
		r = integer_from_text(json_string_value(v), &n);
	}
	if (r < 0 || n < range.min || n > range.max)
		return -EINVAL;
	*ret = n;
	return 0;
}

static int double_from_text(const char *s, double *ret)
{
	bool integer;
	double d;
	if (str_eq(s, "NaN"))
		d = (double)NAN;
	else if (str_eq(s, "Infinity"))
		d = HUGE_VAL;
	else if (str_eq(s, "-Infinity"))
		d = -HUGE_VAL;
	else if (!is_number(s, &integer) || !isfinite(d = strtod(s, NULL)))
		return -EINVAL;
	*ret = d;
	return 0;
}

int pjson_get_double(const json_t *v, double *ret)
{
	if (json_is_number(v)) {
		*ret = json_number_value(v);
		return 0;
	}
	return json_is_string(v) ? double_from_text(json_string_value(v), ret) : -EINVAL;
}
