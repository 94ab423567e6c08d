/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <stdio.h>
#include <string.h>

int err_set(struct err *err, int code, const char *fmt, ...)
{
	if (!err || err->code)
		return code;
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	err->code = code;
	return code;
}

void err_prefix(struct err *err, const char *fmt, ...)
{
	if (!err || !err->code)
		return;
	char old[ERR_TEXT_MAX];
	(void)snprintf(old, sizeof(old), "%s", err_text(err));
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	size_t used = n < 0 ? 0 : (size_t)n < sizeof(err->text) ? (size_t)n : sizeof(err->text) - 1;
	size_t room = sizeof(err->text) - used - 1;
	if (room > 2) {
		memcpy(err->text + used, ": ", 2);
		size_t m = strnlen(old, room - 2);
		memcpy(err->text + used + 2, old, m);
		err->text[used + 2 + m] = '\0';
	}
}

void err_reset(struct err *err)
{
	if (err) {
		err->code = 0;
		err->text[0] = '\0';
	}
}

const char *err_name(int code)
{
	const char *s = strerrordesc_np(code < 0 ? -code : code);
	return s ? s : "unknown error";
}

const char *err_text(const struct err *err)
{
	return err->text[0] ? err->text : err_name(err->code);
}
