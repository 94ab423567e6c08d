/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The only place that reads the time. Tests install a virtual clock. */
#include <stdint.h>

uint64_t clock_mono_ms(void);
uint64_t clock_mono_us(void);
uint64_t clock_kernel_ns(void); /* CLOCK_MONOTONIC even under a virtual clock: for kernel timers */
int64_t clock_real_ns(void);	/* since 1970-01-01 UTC */
int64_t clock_real_ms(void);

/* RFC 3339 in UTC with millisecond (9 == 0) or nanosecond precision, e.g. 2026-11-21T04:57:00.123Z
 */
#define CLOCK_RFC3339_MAX 36
char *clock_rfc3339(int64_t real_ns, char dst[CLOCK_RFC3339_MAX]);
/* Parse RFC 3339: 0 or -EINVAL. */
int clock_parse_rfc3339(const char *s, int64_t *ret_ns);

/* Virtual time for tests: both clocks then stand still until clock_fake_advance(). */
void clock_fake_start(int64_t real_ns);
void clock_fake_advance(uint64_t ms);
void clock_fake_stop(void);
