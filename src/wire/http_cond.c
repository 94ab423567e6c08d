/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/http_cond.h"

#include <string.h>

#include "base/str.h"
#include "wire/http.h"
#include "wire/http_date.h"

/* Does the list name the tag? weak: a weak tag counts as well. */
static bool list_names(const char *list, const char *etag, bool weak)
{
	size_t n = strlen(etag);
	const char *p = list + strspn(list, " \t,");
	if (p[0] == '*' && p[1 + strspn(p + 1, " \t")] == '\0')
		return true;
	while (*p) {
		bool is_weak = strncmp(p, "W/", 2) == 0;
		p += is_weak ? 2 : 0;
		if (*p != '"')
			return false; /* no list of tags */
		const char *end = strchr(p + 1, '"');
		if (!end)
			return false;
		size_t len = (size_t)(end - p) + 1;
		if ((weak || !is_weak) && len == n && memcmp(p, etag, n) == 0)
			return true;
		p = end + 1;
		p += strspn(p, " \t,");
	}
	return false;
}

/* A field that may come as several lines: true when any names the tag. */
static bool field_names(const struct http_fields *f, const char *name, const char *etag, bool weak)
{
	for (size_t i = 0; i < f->n; i++)
		if (str_eq(f->v[i].name, name) && list_names(f->v[i].value, etag, weak))
			return true;
	return false;
}

static bool get_date(const struct http_fields *f, const char *name, int64_t now, int64_t *ret)
{
	const char *v = http_fields_get(f, name);
	return v && http_date_parse(v, now, ret) == 0;
}

enum http_cond http_cond_check(
    const struct http_fields *f, const char *etag, int64_t mtime, int64_t now)
{
	int64_t date;
	if (http_fields_get(f, "if-match")) {
		if (!field_names(f, "if-match", etag, false))
			return HTTP_COND_FAILED;
	} else if (get_date(f, "if-unmodified-since", now, &date) && mtime > date) {
		return HTTP_COND_FAILED;
	}
	if (http_fields_get(f, "if-none-match"))
		return field_names(f, "if-none-match", etag, true) ? HTTP_COND_NOT_MODIFIED
								   : HTTP_COND_GO;
	if (get_date(f, "if-modified-since", now, &date) && mtime <= date)
		return HTTP_COND_NOT_MODIFIED;
	return HTTP_COND_GO;
}

bool http_cond_range_counts(
    const struct http_fields *f, const char *etag, int64_t mtime, int64_t now)
{
	const char *v = http_fields_get(f, "if-range");
	int64_t date;
	if (!v)
		return true;
	if (*v == '"' || strncmp(v, "W/", 2) == 0)
		return str_eq(v, etag);
	/* A date is a strong validator only when it is a minute old (RFC 9110 8.8.2.2). */
	return http_date_parse(v, now, &date) == 0 && date == mtime && now - mtime >= 60;
}
