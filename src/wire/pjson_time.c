/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text forms of Timestamp and Duration. They cover the years 1 to 9999, more than nanoseconds in 64
 * bits can hold, hence arithmetic of its own on the proleptic Gregorian calendar.
 */
#include "wire/pjson_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TIMESTAMP_MIN (-62135596800) /* 0001-01-01T00:00:00Z */
#define TIMESTAMP_MAX 253402300799   /* 9999-12-31T23:59:59Z */
#define DURATION_MAX 315576000000    /* 10000 years */
#define NANOS_MAX 999999999

/* Days since 1970-01-01; years are counted from March, so that the leap day comes last. */
static int64_t days_from_date(int64_t y, unsigned m, unsigned d)
{
	y -= m <= 2;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	unsigned yoe = (unsigned)(y - era * 400);
	unsigned doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
	unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
	return era * 146097 + (int64_t)doe - 719468;
}

static void date_from_days(int64_t z, int *ret_y, unsigned *ret_m, unsigned *ret_d)
{
	z += 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	unsigned doe = (unsigned)(z - era * 146097);
	unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	unsigned mp = (5 * doy + 2) / 153;
	*ret_d = doy - (153 * mp + 2) / 5 + 1;
	*ret_m = mp < 10 ? mp + 3 : mp - 9;
	*ret_y = (int)((int64_t)yoe + era * 400 + (*ret_m <= 2));
}

/* ".123", ".123456", ".123456789" or nothing. */
static void format_fraction(uint32_t nanos, char dst[11])
{
	if (nanos == 0)
		dst[0] = '\0';
	else if (nanos % 1000000 == 0)
		(void)snprintf(dst, 11, ".%03" PRIu32, nanos / 1000000 % 1000);
	else if (nanos % 1000 == 0)
		(void)snprintf(dst, 11, ".%06" PRIu32, nanos / 1000 % 1000000);
	else
		(void)snprintf(dst, 11, ".%09" PRIu32, nanos % 1000000000);
}

int pjson_format_timestamp(int64_t seconds, int32_t nanos, char dst[PJSON_TIME_MAX])
{
	char fraction[11];
	int year;
	unsigned month, day;
	if (seconds < TIMESTAMP_MIN || seconds > TIMESTAMP_MAX || nanos < 0 || nanos > NANOS_MAX)
		return -EINVAL;
	int64_t days = seconds / 86400, rest = seconds % 86400;
	if (rest < 0) {
		rest += 86400;
		days--;
	}
	date_from_days(days, &year, &month, &day);
	format_fraction((uint32_t)nanos, fraction);
	(void)snprintf(dst, PJSON_TIME_MAX, "%04d-%02u-%02uT%02d:%02d:%02d%sZ", year, month, day,
	    (int)(rest / 3600), (int)(rest / 60 % 60), (int)(rest % 60), fraction);
	return 0;
}

/* Exactly n digits. */
static int get_digits(const char **s, unsigned n, unsigned *ret)
{
	unsigned v = 0;
	for (; n > 0; n--, (*s)++) {
		if (**s < '0' || **s > '9')
			return -EINVAL;
		v = v * 10 + (unsigned)(**s - '0');
	}
	*ret = v;
	return 0;
}

static int get_char(const char **s, char c)
{
	if (**s != c)
		return -EINVAL;
	(*s)++;
	return 0;
}

/* Optional fraction of 1 to 9 digits. */
static int get_fraction(const char **s, int32_t *ret_nanos)
{
	int32_t v = 0;
	unsigned n = 0;
	*ret_nanos = 0;
	if (**s != '.')
		return 0;
	for ((*s)++; **s >= '0' && **s <= '9'; (*s)++) {
		if (++n > 9)
			return -EINVAL;
		v = v * 10 + (**s - '0');
	}
	if (n == 0)
		return -EINVAL;
	for (; n < 9; n++)
		v *= 10;
	*ret_nanos = v;
	return 0;
}

/* "Z" or "+hh:mm"; seconds east of UTC. */
static int get_offset(const char **s, int64_t *ret)
{
	unsigned h, m;
	char sign = **s;
	*ret = 0;
	if (sign == 'Z')
		return get_char(s, 'Z');
	if (sign != '+' && sign != '-')
		return -EINVAL;
	(*s)++;
	if (get_digits(s, 2, &h) < 0 || get_char(s, ':') < 0 || get_digits(s, 2, &m) < 0 ||
	    h > 23 || m > 59)
		return -EINVAL;
	*ret = (int64_t)(h * 3600 + m * 60) * (sign == '-' ? -1 : 1);
	return 0;
}

static unsigned days_in_month(unsigned y, unsigned m)
{
	static const unsigned char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
	return m == 2 && leap ? 29 : days[m - 1];
}

/* "2026-01-31" as days since 1970. */
static int get_date(const char **s, int64_t *ret_days)
{
	unsigned y, m, d;
	if (get_digits(s, 4, &y) < 0 || get_char(s, '-') < 0 || get_digits(s, 2, &m) < 0 ||
	    get_char(s, '-') < 0 || get_digits(s, 2, &d) < 0)
		return -EINVAL;
	if (m < 1 || m > 12 || d < 1 || d > days_in_month(y, m))
		return -EINVAL;
	*ret_days = days_from_date(y, m, d);
	return 0;
}

/* "23:59:59" as seconds since midnight. */
static int get_clock(const char **s, int64_t *ret_seconds)
{
	unsigned h, m, sec;
	if (get_digits(s, 2, &h) < 0 || get_char(s, ':') < 0 || get_digits(s, 2, &m) < 0 ||
	    get_char(s, ':') < 0 || get_digits(s, 2, &sec) < 0)
		return -EINVAL;
	if (h > 23 || m > 59 || sec > 59)
		return -EINVAL;
	*ret_seconds = h * 3600 + m * 60 + sec;
	return 0;
}

int pjson_parse_timestamp(const char *s, int64_t *ret_seconds, int32_t *ret_nanos)
{
	int32_t nanos;
	int64_t days, seconds, offset;
	if (get_date(&s, &days) < 0 || get_char(&s, 'T') < 0 || get_clock(&s, &seconds) < 0 ||
	    get_fraction(&s, &nanos) < 0 || get_offset(&s, &offset) < 0 || *s)
		return -EINVAL;
	int64_t t = days * 86400 + seconds - offset;
	if (t < TIMESTAMP_MIN || t > TIMESTAMP_MAX)
		return -EINVAL;
	*ret_seconds = t;
	*ret_nanos = nanos;
	return 0;
}

int pjson_format_duration(int64_t seconds, int32_t nanos, char dst[PJSON_TIME_MAX])
{
	char fraction[11];
	if (seconds < -DURATION_MAX || seconds > DURATION_MAX || nanos < -NANOS_MAX ||
	    nanos > NANOS_MAX || (seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0))
		return -EINVAL;
	bool minus = seconds < 0 || nanos < 0;
	format_fraction((uint32_t)(nanos < 0 ? -nanos : nanos), fraction);
	(void)snprintf(dst, PJSON_TIME_MAX, "%s%" PRId64 "%ss", minus ? "-" : "",
	    seconds < 0 ? -seconds : seconds, fraction);
	return 0;
}

int pjson_parse_duration(const char *s, int64_t *ret_seconds, int32_t *ret_nanos)
{
	bool minus = *s == '-';
	int64_t v = 0;
	int32_t nanos;
	s += minus;
	if (*s < '0' || *s > '9')
		return -EINVAL;
	for (; *s >= '0' && *s <= '9'; s++) {
		v = v * 10 + (*s - '0');
		if (v > DURATION_MAX)
			return -EINVAL;
	}
	if (get_fraction(&s, &nanos) < 0 || strcmp(s, "s") != 0)
		return -EINVAL;
	*ret_seconds = minus ? -v : v;
	*ret_nanos = minus ? -nanos : nanos;
	return 0;
}
