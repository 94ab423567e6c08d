/* SPDX-License-Identifier: Apache-2.0 */
#include "base/id.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/str.h"

void id_random(void *dst, size_t n)
{
	unsigned char *p = dst;
	while (n > 0) {
		ssize_t r = getrandom(p, n, 0);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			abort(); /* no key, token or id may ever be predictable */
		p += r;
		n -= (size_t)r;
	}
}

void id_random_text(char *dst, size_t n)
{
	static const char set[36] = "abcdefghijklmnopqrstuvwxyz0123456789";
	size_t i = 0;
	while (i < n) {
		unsigned char b[64];
		id_random(b, sizeof(b));
		for (size_t k = 0; k < sizeof(b) && i < n; k++)
			if (b[k] < 252) /* 7 * 36: no character is more likely than another */
				dst[i++] = set[b[k] % 36];
	}
	dst[n] = '\0';
}

void id_uuid(char dst[37])
{
	unsigned char b[16];
	char hex[33];
	id_random(b, sizeof(b));
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	str_hex(b, sizeof(b), hex);
	static const int cuts[] = { 8, 4, 4, 4, 12 };
	const char *s = hex;
	for (size_t i = 0; i < 5; i++) {
		memcpy(dst, s, (size_t)cuts[i]);
		dst += cuts[i];
		s += cuts[i];
		*dst++ = i < 4 ? '-' : '\0';
	}
}

void id_sandbox(char dst[ID_SANDBOX_LEN + 1])
{
	dst[0] = 'i';
	id_random_text(dst + 1, ID_SANDBOX_LEN - 1);
}

bool id_sandbox_valid(const char *s)
{
	size_t n = strlen(s);
	return n >= 1 && n <= ID_SANDBOX_LEN && str_only(s, "abcdefghijklmnopqrstuvwxyz0123456789");
}
