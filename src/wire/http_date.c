/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/http_date.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "base/str.h"

#define SECONDS_MAX INT64_C(253402300799) /* end of 9999 */
#define YEAR_SECONDS INT64_C(31556952)

static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep",
	"Oct", "Nov", "Dec" };

char *http_date(int64_t seconds, char dst[HTTP_DATE_MAX])
{
	struct tm t = { 0 };
	time_t at = seconds < 0 ? 0 : seconds > SECONDS_MAX ? SECONDS_MAX : seconds;
	(void)gmtime_r(&at, &t);
	(void)snprintf(dst, HTTP_DATE_MAX, "%s, %02u %s %04u %02u:%02u:%02u GMT", days[t.tm_wday],
	    (unsigned)t.tm_mday & 31, months[t.tm_mon], (unsigned)(t.tm_year + 1900) % 10000,
	    (unsigned)t.tm_hour & 31, (unsigned)t.tm_min & 63, (unsigned)t.tm_sec & 63);
	return dst;
}

static bool set_month(struct tm *t, const char *name)
{
	for (int i = 0; i < 12; i++)
		if (str_eq(months[i], name)) {
			t->tm_mon = i;
			return true;
		}
	return false;
}

/* *ret_short_year: tm_year is two digits. */
static bool scan(const char *s, struct tm *t, bool *ret_short_year)
{
	char month[4] = "";
	int end = -1;
	*ret_short_year = false;
	(void)sscanf(s, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT%n", &t->tm_mday, month,
	    &t->tm_year, &t->tm_hour, &t->tm_min, &t->tm_sec, &end);
	if (end < 0) {
		*ret_short_year = true;
		(void)sscanf(s, "%*9[A-Za-z], %2d-%3[A-Za-z]-%2d %2d:%2d:%2d GMT%n", &t->tm_mday,
		    month, &t->tm_year, &t->tm_hour, &t->tm_min, &t->tm_sec, &end);
	}
	if (end < 0) {
		*ret_short_year = false;
		(void)sscanf(s, "%*3[A-Za-z] %3[A-Za-z] %2d %2d:%2d:%2d %4d%n", month, &t->tm_mday,
		    &t->tm_hour, &t->tm_min, &t->tm_sec, &t->tm_year, &end);
	}
	return end >= 0 && s[end] == '\0' && set_month(t, month);
}

static bool in_range(const struct tm *t)
{
	return t->tm_mday >= 1 && t->tm_mday <= 31 && t->tm_hour >= 0 && t->tm_hour <= 23 &&
	       t->tm_min >= 0 && t->tm_min <= 59 && t->tm_sec >= 0 && t->tm_sec <= 60 &&
	       t->tm_year >= 0;
}

int http_date_parse(const char *s, int64_t now, int64_t *ret)
{
	struct tm t = { 0 };
	bool short_year;
	if (!scan(s, &t, &short_year) || !in_range(&t))
		return -EINVAL;
	if (short_year)
		t.tm_year += 1900;
	t.tm_year -= 1900;
	int64_t at = (int64_t)timegm(&t);
	/* Two digits more than 50 years ahead mean the last such year that has passed. */
	while (short_year && at + 50 * YEAR_SECONDS < now) {
		t.tm_year += 100;
		at = (int64_t)timegm(&t);
	}
	*ret = at;
	return 0;
}
