/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/url.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

/*
 * Decoding never makes a text longer, so one block of the target's size (and a NUL for each part)
 * holds all decoded parts.
 */
struct decoder {
	char *at;
	struct buf scratch;
};

static int decode_part(struct decoder *d, const char *s, size_t n, bool form, char **ret)
{
	buf_reset(&d->scratch);
	int r = str_unpercent(&d->scratch, s, n, form);
	if (r < 0)
		return r;
	size_t len = buf_len(&d->scratch);
	if (!str_utf8_valid(buf_data(&d->scratch), len))
		return -EINVAL;
	if (len)
		memcpy(d->at, buf_data(&d->scratch), len);
	d->at[len] = 0;
	*ret = d->at;
	d->at += len + 1;
	return 0;
}

static int parse_segments(struct url *u, struct decoder *d, const char *s, size_t n)
{
	const char *end = s + n;
	while (s < end) {
		const char *start = s + 1; /* *s is '/' */
		const char *stop = memchr(start, '/', (size_t)(end - start));
		if (!stop)
			stop = end;
		if (u->n_segments == URL_MAX_SEGMENTS)
			return -E2BIG;
		int r = decode_part(
		    d, start, (size_t)(stop - start), false, &u->segments[u->n_segments]);
		if (r < 0)
			return r;
		u->n_segments++;
		s = stop;
	}
	return 0;
}

static int parse_param(struct url *u, struct decoder *d, const char *s, size_t n)
{
	struct url_param *p = &u->params[u->n_params];
	const char *eq = memchr(s, '=', n);
	size_t name = eq ? (size_t)(eq - s) : n;
	if (n == 0)
		return 0;
	if (u->n_params == URL_MAX_PARAMS)
		return -E2BIG;
	int r = decode_part(d, s, name, true, &p->name);
	if (r == 0)
		r = decode_part(d, eq ? eq + 1 : s, eq ? n - name - 1 : 0, true, &p->value);
	if (r == 0)
		u->n_params++;
	return r;
}

static int parse_query(struct url *u, struct decoder *d, const char *s)
{
	while (*s) {
		size_t n = strcspn(s, "&");
		int r = parse_param(u, d, s, n);
		if (r < 0)
			return r;
		s += n + (s[n] == '&');
	}
	return 0;
}

int url_parse(struct url *u, const char *target)
{
	size_t len = strlen(target), path = strcspn(target, "?");
	struct decoder d = { 0 };
	memset(u, 0, sizeof(*u));
	if (target[0] != '/')
		return -EINVAL;
	u->memory_ = mem_alloc(len + URL_MAX_SEGMENTS + 2 * URL_MAX_PARAMS + 2);
	if (!u->memory_)
		return -ENOMEM;
	d.at = u->memory_;
	int r = parse_segments(u, &d, target, path);
	if (r == 0 && target[path])
		r = parse_query(u, &d, target + path + 1);
	buf_fini(&d.scratch);
	if (r < 0)
		url_fini(u);
	return r;
}

void url_fini(struct url *u)
{
	u->memory_ = mem_free(u->memory_);
	u->n_segments = u->n_params = 0;
}

const char *url_param(const struct url *u, const char *name)
{
	for (size_t i = 0; i < u->n_params; i++)
		if (str_eq(u->params[i].name, name))
			return u->params[i].value;
	return NULL;
}

char *url_decode_form(const char *s, size_t n, int *ret_err)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	int r = str_unpercent(&b, s, n, true);
	if (r == 0 && !str_utf8_valid(buf_data(&b), buf_len(&b)))
		r = -EINVAL;
	char *text = r == 0 ? buf_steal(&b, NULL) : NULL;
	if (!text)
		*ret_err = r < 0 ? r : -ENOMEM;
	return text;
}
