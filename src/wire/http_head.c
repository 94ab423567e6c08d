/* SPDX-License-Identifier: Apache-2.0 */
/* Heads: what is in one, and what may be in one, the same for both versions of the protocol. */
#include <errno.h>
#include <string.h>

#include <http_parser.h>

#include "base/mem.h"
#include "base/str.h"
#include "wire/http_private.h"

void http_head_fini(struct http_head *h)
{
	mem_free(h->method);
	mem_free(h->scheme);
	mem_free(h->authority);
	mem_free(h->path);
	http_fields_fini(&h->fields);
	*h = (struct http_head)HTTP_HEAD_INIT;
}

int http_head_set_request(struct http_head *h, const char *method, const char *scheme,
    const char *authority, const char *path)
{
	int r = mem_set_str(&h->method, method);
	if (r == 0)
		r = mem_set_str(&h->scheme, scheme);
	if (r == 0)
		r = mem_set_str(&h->authority, authority);
	if (r == 0)
		r = mem_set_str(&h->path, path);
	return r;
}

bool http_is_path(const char *s)
{
	if (str_eq(s, "*"))
		return true;
	if (*s != '/')
		return false;
	for (; *s; s++)
		if (*s <= ' ' || *s > '~' || *s == '#')
			return false;
	return true;
}

int http_parse_length(const struct http_fields *f, int64_t *ret)
{
	size_t n = http_fields_count(f, "content-length");
	int64_t v = -1;
	if (n > 1 ||
	    (n == 1 && str_i64(http_fields_get(f, "content-length"), 0, INT64_MAX, &v) < 0))
		return -EINVAL;
	*ret = v;
	return 0;
}

bool http_status_is_bare(int status)
{
	return status < 200 || status == 204 || status == 304;
}

int64_t http_head_length(const struct http_head *head)
{
	bool undeclared = head->status && head->status != 304 && http_status_is_bare(head->status);
	return undeclared ? -1 : head->length;
}

bool http_head_is_sendable(const struct http_head *head, bool server)
{
	for (size_t i = 0; i < head->fields.n; i++) {
		const struct http_field *f = &head->fields.v[i];
		if (!http_is_token(f->name, strlen(f->name)) ||
		    !http_is_field_value(f->value, strlen(f->value)))
			return false;
	}
	if (server)
		return head->status >= 100 && head->status <= 599;
	return head->method && http_is_token(head->method, strlen(head->method)) &&
	       head->authority && http_is_authority(head->authority) && head->path &&
	       http_is_path(head->path);
}

bool http_head_take_expect(struct http_head *head)
{
	bool wanted = http_list_has(http_fields_get(&head->fields, "expect"), "100-continue");
	http_fields_remove(&head->fields, "expect");
	return wanted;
}

const char *http_status_text(int status)
{
	const char *s = http_status_str((enum http_status)status);
	return s[0] == '<' ? "Unknown" : s; /* the library says "<unknown>" */
}
