/* SPDX-License-Identifier: Apache-2.0 */
/* Heads and chunks on their way out. Heads were checked by http_head_is_sendable(). */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "wire/h1.h"
#include "wire/http_private.h"

#define CHUNK_OVERHEAD 24 /* digits of a size_t and two CRLF */

static int write_field(struct buf *dst, const char *name, const char *value)
{
	size_t name_len = strlen(name), value_len = strlen(value);
	void *space;
	int r = buf_reserve(dst, name_len + value_len + 4, &space);
	if (r < 0)
		return r;
	char *p = space;
	memcpy(p, name, name_len);
	memcpy(p + name_len, ": ", 2);
	memcpy(p + name_len + 2, value, value_len);
	memcpy(p + name_len + 2 + value_len, "\r\n", 2);
	buf_commit(dst, name_len + value_len + 4);
	return 0;
}

/* HTTP/2 may split a cookie over several fields; here it is one (RFC 9113 8.2.3). */
static int write_cookie(struct buf *dst, const struct http_fields *f, size_t first)
{
	int r = buf_append_str(dst, "cookie: ");
	for (size_t i = first; r == 0 && i < f->n; i++) {
		if (!str_eq(f->v[i].name, "cookie"))
			continue;
		r = i > first ? buf_append_str(dst, "; ") : 0;
		if (r == 0)
			r = buf_append_str(dst, f->v[i].value);
	}
	return r < 0 ? r : buf_append_str(dst, "\r\n");
}

static int write_fields(struct buf *dst, const struct http_fields *f, bool upgrade)
{
	bool cookie = false;
	int r = 0;
	for (size_t i = 0; r == 0 && i < f->n; i++) {
		const struct http_field *v = &f->v[i];
		bool upgrades = upgrade && str_eq(v->name, "upgrade");
		if (http_field_is_ours(v->name) && !upgrades)
			continue;
		if (!str_eq(v->name, "cookie"))
			r = write_field(dst, v->name, v->value);
		else if (!cookie)
			r = write_cookie(dst, f, i);
		cookie = cookie || str_eq(v->name, "cookie");
	}
	return r;
}

static int write_texts(struct buf *dst, const char *const *texts)
{
	int r = 0;
	for (; r == 0 && *texts; texts++)
		r = buf_append_str(dst, *texts);
	return r;
}

static int write_length(struct buf *dst, int64_t length)
{
	char digits[HTTP_DIGITS];
	const char *const line[] = { "content-length: ", http_digits((uint64_t)length, digits),
		"\r\n", NULL };
	return write_texts(dst, line);
}

static int write_rest(struct buf *dst, const struct http_fields *f, enum h1_framing framing,
    int64_t length, enum h1_connection connection)
{
	static const char *const connections[] = { [H1_CONNECTION_DEFAULT] = "",
		[H1_CONNECTION_CLOSE] = "connection: close\r\n",
		[H1_CONNECTION_KEEP] = "connection: keep-alive\r\n",
		[H1_CONNECTION_UPGRADE] = "connection: upgrade\r\n" };
	int r = write_fields(dst, f, connection == H1_CONNECTION_UPGRADE);
	if (r == 0 && framing == H1_FRAMING_CHUNKED)
		r = buf_append_str(dst, "transfer-encoding: chunked\r\n");
	else if (r == 0 && length >= 0)
		r = write_length(dst, length);
	if (r == 0)
		r = buf_append_str(dst, connections[connection]);
	return r < 0 ? r : buf_append_str(dst, "\r\n");
}

int h1_write_request(struct buf *dst, const struct http_head *head, enum h1_framing framing,
    int64_t length, enum h1_connection connection)
{
	const char *const line[] = { head->method, " ", head->path,
		" HTTP/1.1\r\nhost: ", head->authority, "\r\n", NULL };
	int r = write_texts(dst, line);
	return r < 0 ? r : write_rest(dst, &head->fields, framing, length, connection);
}

int h1_write_response(struct buf *dst, const struct http_head *head, enum h1_framing framing,
    int64_t length, enum h1_connection connection)
{
	char digits[HTTP_DIGITS];
	const char *const line[] = { "HTTP/1.1 ", http_digits((uint64_t)head->status, digits), " ",
		http_status_text(head->status), "\r\n", NULL };
	int r = write_texts(dst, line);
	return r < 0 ? r : write_rest(dst, &head->fields, framing, length, connection);
}

int h1_write_chunk(struct buf *dst, const void *p, size_t n)
{
	int r = buf_reserve(dst, n + CHUNK_OVERHEAD, NULL);
	if (r < 0)
		return r;
	(void)buf_printf(dst, "%zx\r\n", n);
	(void)buf_append(dst, p, n);
	return buf_append(dst, "\r\n", 2);
}

int h1_write_last_chunk(struct buf *dst, const struct http_fields *trailers)
{
	int r = buf_append_str(dst, "0\r\n");
	if (r == 0)
		r = write_fields(dst, trailers, false);
	return r < 0 ? r : buf_append_str(dst, "\r\n");
}
