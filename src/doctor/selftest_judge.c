/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"
#include "doctor/selftest.h"

const char *selftest_same(const struct selftest_bytes *a, const struct selftest_bytes *b)
{
	if (str_eq(a->os, b->os))
		return "getrandom()";
	if (str_eq(a->python, b->python))
		return "Python's random";
	return str_eq(a->token, b->token) ? "access tokens" : NULL;
}

int64_t selftest_clock_off_ms(int64_t before_ns, int64_t said_ns, int64_t after_ns)
{
	int64_t off = said_ns < before_ns  ? said_ns - before_ns
		      : said_ns > after_ns ? said_ns - after_ns
					   : 0;
	return off / 1000000;
}

bool selftest_clock_ok(int64_t off_ms)
{
	return off_ms <= SELFTEST_CLOCK_MS && off_ms >= -SELFTEST_CLOCK_MS;
}
