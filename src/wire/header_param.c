/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/header_param.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "wire/http_private.h"

#define BLANKS " \t"

bool header_value_is(const char *value, const char *wanted)
{
	size_t n = strcspn(value, ";");
	while (n > 0 && strchr(BLANKS, value[n - 1]))
		n--;
	return n == strlen(wanted) && strncasecmp(value, wanted, n) == 0;
}

/* *at stands behind the opening quote; leaves it behind the closing one. */
static int take_quoted(const char **at, struct buf *dst)
{
	const char *p = *at;
	int r = 0;
	for (; *p && *p != '"' && r == 0; p++) {
		if (*p == '\\' && (p[1] == '"' || p[1] == '\\'))
			p++;
		r = buf_append_byte(dst, (unsigned char)*p);
	}
	if (r == 0 && *p != '"')
		r = -EINVAL;
	*at = p + 1;
	return r;
}

static int take_value(const char **at, struct buf *dst)
{
	if (**at == '"') {
		(*at)++;
		return take_quoted(at, dst);
	}
	size_t n = strcspn(*at, "; \t\"");
	int r = n > 0 ? buf_append(dst, *at, n) : -EINVAL;
	*at += n;
	return r;
}

/* Next "; name=value"; 1 at the end of the list. */
static int next_param(const char **at, const char **ret_name, size_t *ret_len, struct buf *dst)
{
	const char *p = *at;
	p += strspn(p, BLANKS);
	if (!*p)
		return 1;
	if (*p++ != ';')
		return -EINVAL;
	p += strspn(p, BLANKS);
	if (!*p)
		return 1; /* a last semicolon */
	*ret_name = p;
	*ret_len = strcspn(p, "=; \t\"");
	p += *ret_len;
	if (*p++ != '=' || !http_is_token(*ret_name, *ret_len))
		return -EINVAL;
	buf_reset(dst);
	int r = take_value(&p, dst);
	*at = p;
	return r;
}

int header_param(const char *value, const char *name, char **ret)
{
	CLEAN_BUF struct buf text = BUF_INIT;
	CLEAN_FREE char *found = NULL;
	const char *at = value + strcspn(value, ";"), *param = NULL;
	size_t n = 0;
	for (int r; (r = next_param(&at, &param, &n, &text)) != 1;) {
		if (r < 0)
			return r;
		if (n != strlen(name) || strncasecmp(param, name, n) != 0)
			continue;
		if (found)
			return -EINVAL;
		found = buf_steal(&text, NULL);
		if (!found)
			return -ENOMEM;
	}
	if (found)
		*ret = TAKE(found);
	return 0;
}

/* UTF-8'language'percent-encoded */
static int decode_extended(const char *s, char **ret)
{
	CLEAN_BUF struct buf text = BUF_INIT;
	const char *language = strncasecmp(s, "utf-8'", 6) == 0 ? s + 6 : NULL;
	const char *encoded = language ? strchr(language, '\'') : NULL;
	if (!encoded)
		return -EINVAL;
	encoded++;
	int r = str_unpercent(&text, encoded, strlen(encoded), false);
	if (r < 0)
		return r;
	*ret = buf_steal(&text, NULL);
	return *ret ? 0 : -ENOMEM;
}

int header_param_utf8(const char *value, const char *name, char **ret)
{
	CLEAN_FREE char *extended_name = mem_printf("%s*", name);
	CLEAN_FREE char *extended = NULL, *plain = NULL;
	if (!extended_name)
		return -ENOMEM;
	int r = header_param(value, extended_name, &extended);
	if (r == 0)
		r = header_param(value, name, &plain);
	if (r == 0 && extended) {
		plain = mem_free(plain);
		r = decode_extended(extended, &plain);
	}
	if (r == 0 && plain && !str_utf8_valid(plain, strlen(plain)))
		r = -EINVAL;
	if (r == 0 && plain)
		*ret = TAKE(plain);
	return r;
}
