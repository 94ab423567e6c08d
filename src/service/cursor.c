/* SPDX-License-Identifier: Apache-2.0 */
#include "service/cursor.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "sandbox/sandbox.h"

#define TOKEN_MAX 256

char *cursor_encode(const struct sandbox_cursor *c, bool ascending)
{
	CLEAN_BUF struct buf token = BUF_INIT;
	CLEAN_FREE char *plain =
	    mem_printf("%" PRId64 "__%s%s", c->started_ns, c->id, ascending ? "__asc" : "");
	if (!plain || str_base64(&token, plain, strlen(plain), false) < 0)
		return NULL;
	char *text = buf_steal(&token, NULL);
	for (char *p = text; p && *p; p++)
		*p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
	return text;
}

int cursor_decode(const char *token, bool ascending, struct sandbox_cursor *ret)
{
	CLEAN_BUF struct buf plain = BUF_INIT;
	struct sandbox_cursor c;
	if (strlen(token) > TOKEN_MAX || str_unbase64(&plain, token, strlen(token)) < 0)
		return -EINVAL;
	char *text = buf_cstr(&plain);
	char *id = text ? strstr(text, "__") : NULL;
	if (!id || strlen(text) != buf_len(&plain))
		return -EINVAL;
	*id = 0;
	id += 2;
	char *direction = strstr(id, "__");
	if (direction)
		*direction = 0;
	if (ascending != (direction && str_eq(direction + 2, "asc")) || (direction && !ascending) ||
	    !id_sandbox_valid(id) || str_i64(text, INT64_MIN, INT64_MAX, &c.started_ns) < 0)
		return -EINVAL;
	(void)str_copy(c.id, sizeof(c.id), id);
	*ret = c;
	return 0;
}
