/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* HTTP dates (RFC 9110 5.6.7), in seconds since 1970-01-01 UTC. */
#include <stdint.h>

#define HTTP_DATE_MAX 32

/* "Sun, 06 Nov 1994 08:49:37 GMT"; years 1970 to 9999, others give the nearest. Returns dst. */
char *http_date(int64_t seconds, char dst[HTTP_DATE_MAX]);
/* That form and the two obsolete ones: 0 or -EINVAL. now tells the century of a year with two
 * digits. */
int http_date_parse(const char *s, int64_t now, int64_t *ret);
