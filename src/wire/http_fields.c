/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Field lists. Name and value share one allocation. Every field of every head passes
 * http_fields_add_n(), so nothing that could end a line or a head is ever stored.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "wire/http_private.h"

#define FIELD_OVERHEAD 32 /* RFC 9113 10.5.1 */
#define FIELDS_MIN 8

static bool is_token_char(unsigned char c)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
		return true;
	return c && strchr("!#$%&'*+-.^_`|~", c);
}

bool http_is_token(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!is_token_char((unsigned char)p[i]))
			return false;
	return n > 0;
}

bool http_is_field_value(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];
		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static int grow(struct http_fields *f)
{
	if (f->n < f->cap)
		return 0;
	size_t cap = f->cap ? 2 * f->cap : FIELDS_MIN;
	struct http_field *v = mem_realloc(f->v, cap * sizeof(*v));
	if (!v)
		return -ENOMEM;
	f->v = v;
	f->cap = cap;
	return 0;
}

int http_fields_add_n(
    struct http_fields *f, const char *name, size_t name_len, const char *value, size_t value_len)
{
	if (!http_is_token(name, name_len) || !http_is_field_value(value, value_len))
		return -EINVAL;
	size_t bytes = name_len + value_len + FIELD_OVERHEAD;
	if (f->n >= LIMIT_HEAD_FIELDS || bytes > LIMIT_HEAD_BYTES ||
	    f->bytes + bytes > LIMIT_HEAD_BYTES)
		return -E2BIG;
	int r = grow(f);
	if (r < 0)
		return r;
	char *s = mem_alloc(name_len + value_len + 2);
	if (!s)
		return -ENOMEM;
	memcpy(s, name, name_len);
	s[name_len] = '\0';
	(void)str_lower(s);
	memcpy(s + name_len + 1, value, value_len);
	s[name_len + 1 + value_len] = '\0';
	f->v[f->n++] = (struct http_field){ .name = s, .value = s + name_len + 1 };
	f->bytes += bytes;
	return 0;
}

int http_fields_add(struct http_fields *f, const char *name, const char *value)
{
	return http_fields_add_n(f, name, strlen(name), value, strlen(value));
}

int http_fields_addf(struct http_fields *f, const char *name, const char *fmt, ...)
{
	CLEAN_BUF struct buf value = BUF_INIT;
	va_list ap;
	va_start(ap, fmt);
	int r = buf_vprintf(&value, fmt, ap);
	va_end(ap);
	if (r < 0)
		return r;
	return http_fields_add_n(
	    f, name, strlen(name), (const char *)buf_data(&value), buf_len(&value));
}

int http_fields_copy(struct http_fields *dst, const struct http_fields *src)
{
	struct http_fields copy = { 0 };
	for (size_t i = 0; i < src->n; i++) {
		int r = http_fields_add(&copy, src->v[i].name, src->v[i].value);
		if (r < 0) {
			http_fields_fini(&copy);
			return r;
		}
	}
	*dst = copy;
	return 0;
}

const char *http_fields_get(const struct http_fields *f, const char *name)
{
	for (size_t i = 0; i < f->n; i++)
		if (str_eq(f->v[i].name, name))
			return f->v[i].value;
	return NULL;
}

size_t http_fields_count(const struct http_fields *f, const char *name)
{
	size_t n = 0;
	for (size_t i = 0; i < f->n; i++)
		n += str_eq(f->v[i].name, name);
	return n;
}

void http_fields_remove(struct http_fields *f, const char *name)
{
	size_t kept = 0;
	for (size_t i = 0; i < f->n; i++) {
		if (!str_eq(f->v[i].name, name)) {
			f->v[kept++] = f->v[i];
			continue;
		}
		f->bytes -= strlen(f->v[i].name) + strlen(f->v[i].value) + FIELD_OVERHEAD;
		mem_free(f->v[i].name);
	}
	f->n = kept;
}

void http_fields_fini(struct http_fields *f)
{
	for (size_t i = 0; i < f->n; i++)
		mem_free(f->v[i].name);
	mem_free(f->v);
	*f = (struct http_fields){ 0 };
}

bool http_field_is_hop(const char *name)
{
	static const char *const names[] = { "connection", "keep-alive", "proxy-connection", "te",
		"transfer-encoding", "upgrade", "http2-settings" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (str_eq(name, names[i]))
			return true;
	return false;
}

bool http_field_is_ours(const char *name)
{
	return http_field_is_hop(name) || str_eq(name, "content-length") || str_eq(name, "host") ||
	       str_eq(name, "expect");
}

bool http_list_has(const char *list, const char *token)
{
	size_t n = strlen(token);
	while (list && *list) {
		list += strspn(list, " \t,");
		size_t len = strcspn(list, ",");
		size_t trimmed = len;
		while (trimmed > 0 && strchr(" \t", list[trimmed - 1]))
			trimmed--;
		if (trimmed == n && strncasecmp(list, token, n) == 0)
			return true;
		list += len;
	}
	return false;
}
