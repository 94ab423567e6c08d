/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Virtual time, for tests only; single-threaded by contract. */
static bool fake;
static int64_t fake_real_ns;
static uint64_t fake_mono_us;

static uint64_t read_us(clockid_t id)
{
	struct timespec ts;
	(void)clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

uint64_t clock_mono_us(void)
{
	return fake ? fake_mono_us : read_us(CLOCK_MONOTONIC);
}

uint64_t clock_kernel_ns(void)
{
	struct timespec ts;
	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t clock_mono_ms(void)
{
	return clock_mono_us() / 1000;
}

int64_t clock_real_ns(void)
{
	struct timespec ts;
	if (fake)
		return fake_real_ns;
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t clock_real_ms(void)
{
	return clock_real_ns() / 1000000;
}

char *clock_rfc3339(int64_t real_ns, char dst[CLOCK_RFC3339_MAX])
{
	int64_t ns = real_ns % 1000000000;
	time_t t = (time_t)(real_ns / 1000000000);
	struct tm tm;
	if (ns < 0) {
		ns += 1000000000;
		t--;
	}
	(void)gmtime_r(&t, &tm);
	size_t n = strftime(dst, CLOCK_RFC3339_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
	if (ns % 1000000 == 0)
		(void)snprintf(dst + n, CLOCK_RFC3339_MAX - n, ".%03dZ", (int)(ns / 1000000));
	else
		(void)snprintf(dst + n, CLOCK_RFC3339_MAX - n, ".%09dZ", (int)ns);
	return dst;
}

/* Optional ".digits" (up to nanoseconds, more are cut); *s moves behind it. */
static int parse_fraction(const char **s, int64_t *ret_ns)
{
	int64_t ns = 0, unit = 100000000;
	if (**s != '.') {
		*ret_ns = 0;
		return 0;
	}
	const char *p = *s + 1;
	for (; *p >= '0' && *p <= '9'; p++, unit /= 10)
		ns += (*p - '0') * unit;
	if (p == *s + 1)
		return -EINVAL;
	*s = p;
	*ret_ns = ns;
	return 0;
}

/* "Z" or "+hh:mm", the whole rest. */
static int parse_zone(const char *s, int *ret_seconds)
{
	int h, m, used = 0;
	if (strcmp(s, "Z") == 0 || strcmp(s, "z") == 0) {
		*ret_seconds = 0;
		return 0;
	}
	if ((*s != '+' && *s != '-') || sscanf(s + 1, "%2d:%2d%n", &h, &m, &used) != 2 ||
	    used != 5 || s[6] || h < 0 || h > 23 || m < 0 || m > 59)
		return -EINVAL;
	*ret_seconds = (h * 60 + m) * (*s == '-' ? -60 : 60);
	return 0;
}

/* "2026-11-21T04:57:00", exactly 19 bytes; the year is one whose nanoseconds fit 64 bits. */
static int parse_date_time(const char *s, struct tm *tm)
{
	int used = 0;
	char sep;
	if (sscanf(s, "%4d-%2d-%2d%c%2d:%2d:%2d%n", &tm->tm_year, &tm->tm_mon, &tm->tm_mday, &sep,
		&tm->tm_hour, &tm->tm_min, &tm->tm_sec, &used) != 7 ||
	    used != 19 || !strchr("Tt ", sep))
		return -EINVAL;
	if (tm->tm_year < 1700 || tm->tm_year > 2250 || tm->tm_mon < 1 || tm->tm_mon > 12 ||
	    tm->tm_mday < 1 || tm->tm_mday > 31)
		return -EINVAL;
	if (tm->tm_hour < 0 || tm->tm_hour > 23 || tm->tm_min < 0 || tm->tm_min > 59 ||
	    tm->tm_sec < 0 || tm->tm_sec > 60)
		return -EINVAL;
	tm->tm_year -= 1900;
	tm->tm_mon -= 1;
	return 0;
}

int clock_parse_rfc3339(const char *s, int64_t *ret_ns)
{
	struct tm tm = { 0 };
	int64_t ns;
	int zone;
	if (parse_date_time(s, &tm) < 0)
		return -EINVAL;
	s += 19;
	if (parse_fraction(&s, &ns) < 0 || parse_zone(s, &zone) < 0)
		return -EINVAL;
	*ret_ns = ((int64_t)timegm(&tm) - zone) * 1000000000 + ns;
	return 0;
}

void clock_fake_start(int64_t real_ns)
{
	fake = true;
	fake_real_ns = real_ns;
	fake_mono_us = 1000000;
}

void clock_fake_advance(uint64_t ms)
{
	fake_real_ns += (int64_t)ms * 1000000;
	fake_mono_us += ms * 1000;
}

void clock_fake_stop(void)
{
	fake = false;
}
