/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Field lists. A list and its text live in blocks that are freed together; most heads fit in one,
 * which the allocator has at hand. What is removed from a list stays in its block. Every field of
 * every head passes http_fields_add_n(), so nothing that could end a line or a head is ever stored.
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

#define BLOCK 488 /* a usual head; with its own header not large to any allocator */

struct http_fields_mem {
	struct http_fields_mem *next;
	size_t used, size;
	_Alignas(8) unsigned char bytes[];
};

/* ---- memory ---- */

static void *take(struct http_fields *f, size_t n)
{
	struct http_fields_mem *m = f->mem;
	n = (n + 7) & ~(size_t)7;
	if (!m || m->size - m->used < n) {
		size_t size = n > BLOCK ? n : BLOCK;
		m = mem_alloc(sizeof(*m) + size);
		if (!m)
			return NULL;
		*m = (struct http_fields_mem){ .next = f->mem, .size = size };
		f->mem = m;
	}
	void *p = m->bytes + m->used;
	m->used += n;
	return p;
}

static int grow(struct http_fields *f)
{
	if (f->n < f->cap)
		return 0;
	size_t cap = f->cap ? 2 * f->cap : FIELDS_MIN;
	struct http_field *v = take(f, cap * sizeof(*v));
	if (!v)
		return -ENOMEM;
	if (f->n > 0)
		memcpy(v, f->v, f->n * sizeof(*v));
	f->v = v;
	f->cap = cap;
	return 0;
}

/* ---- lists ---- */

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
	char *s = take(f, name_len + value_len + 2);
	if (!s)
		return -ENOMEM;
	for (size_t i = 0; i < name_len; i++)
		s[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] | 0x20 : name[i]);
	s[name_len] = '\0';
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
	}
	f->n = kept;
}

void http_fields_fini(struct http_fields *f)
{
	for (struct http_fields_mem *m = f->mem, *next; m; m = next) {
		next = m->next;
		mem_free(m);
	}
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
