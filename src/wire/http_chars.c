/* SPDX-License-Identifier: Apache-2.0 */
/* Which bytes may stand where in a head (RFC 9110 5.5 and 5.6.2, RFC 3986 3.2). */
#include <string.h>

#include "wire/http_private.h"

#define TOKEN 1 /* of a name or a method */
#define VALUE 2
#define AUTHORITY 4

static const unsigned char kinds[256] = {
	['\t'] = VALUE,
	[' '] = VALUE,
	['!'] = TOKEN | VALUE | AUTHORITY,
	['"'] = VALUE,
	['#'] = TOKEN | VALUE,
	['$' ... '\''] = TOKEN | VALUE | AUTHORITY,
	['(' ... ')'] = VALUE | AUTHORITY,
	['*' ... '+'] = TOKEN | VALUE | AUTHORITY,
	[','] = VALUE | AUTHORITY,
	['-' ... '.'] = TOKEN | VALUE | AUTHORITY,
	['/'] = VALUE,
	['0' ... '9'] = TOKEN | VALUE | AUTHORITY,
	[':' ... ';'] = VALUE | AUTHORITY,
	['<'] = VALUE,
	['='] = VALUE | AUTHORITY,
	['>' ... '@'] = VALUE,
	['A' ... 'Z'] = TOKEN | VALUE | AUTHORITY,
	['['] = VALUE | AUTHORITY,
	['\\'] = VALUE,
	[']'] = VALUE | AUTHORITY,
	['^'] = TOKEN | VALUE,
	['_'] = TOKEN | VALUE | AUTHORITY,
	['`'] = TOKEN | VALUE,
	['a' ... 'z'] = TOKEN | VALUE | AUTHORITY,
	['{'] = VALUE,
	['|'] = TOKEN | VALUE,
	['}'] = VALUE,
	['~'] = TOKEN | VALUE | AUTHORITY,
	[0x80 ... 0xff] = VALUE,
};

static bool are_all(const char *p, size_t n, unsigned char kind)
{
	unsigned char all = kind;
	for (size_t i = 0; i < n; i++)
		all &= kinds[(unsigned char)p[i]];
	return all == kind;
}

const char *http_digits(uint64_t v, char dst[HTTP_DIGITS])
{
	char *at = dst + HTTP_DIGITS - 1;
	*at = '\0';
	do
		*--at = (char)('0' + v % 10);
	while (v /= 10);
	return at;
}

bool http_is_token(const char *p, size_t n)
{
	return n > 0 && are_all(p, n, TOKEN);
}

bool http_is_field_value(const char *p, size_t n)
{
	return are_all(p, n, VALUE);
}

bool http_is_authority(const char *s)
{
	return are_all(s, strlen(s), AUTHORITY);
}
