/* SPDX-License-Identifier: Apache-2.0 */
#include "service/mask_host.h"

#include <string.h>

#include "base/buf.h"

int mask_host_expand(struct buf *dst, const char *mask, unsigned port)
{
	static const char variable[] = "${PORT}";
	for (const char *p; (p = strstr(mask, variable)); mask = p + strlen(variable)) {
		int r = buf_append(dst, mask, (size_t)(p - mask));
		if (r == 0)
			r = buf_printf(dst, "%u", port);
		if (r < 0)
			return r;
	}
	return buf_append_str(dst, mask);
}
