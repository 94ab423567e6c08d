/* SPDX-License-Identifier: Apache-2.0 */
#include "service/reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/str.h"
#include "service/cors.h"
#include "wire/http.h"

static int copy_fields(struct http_fields *dst, const struct http_fields *src)
{
	int r = 0;
	for (size_t i = 0; src && r == 0 && i < src->n; i++)
		r = http_fields_add(dst, src->v[i].name, src->v[i].value);
	return r;
}

static int build_head(struct http_head *head, const struct http_head *request, int status,
    const struct http_fields *extra, const char *content_type, size_t n)
{
	head->status = status;
	int r = 0;
	if (content_type) {
		head->length = (int64_t)n;
		r = http_fields_add(&head->fields, "content-type", content_type);
	}
	if (r == 0)
		r = copy_fields(&head->fields, extra);
	return r == 0 ? cors_add(&head->fields, request) : r;
}

void reply_send(struct http_stream *st, int status, const struct http_fields *extra,
    const char *content_type, const void *p, size_t n)
{
	struct http_head head = HTTP_HEAD_INIT;
	const struct http_head *request = http_stream_peer_head(st);
	bool body = content_type && n && !str_eq(request->method, "HEAD");
	int r = build_head(&head, request, status, extra, content_type, n);
	if (r == 0)
		r = http_stream_respond(st, &head, !body);
	http_head_fini(&head);
	if (r == 0 && body)
		r = http_stream_write(st, p, n);
	if (r == 0 && body)
		r = http_stream_end(st, NULL);
	if (r < 0)
		http_stream_reset(st, HTTP_RESET_INTERNAL);
}

void reply_json_text(
    struct http_stream *st, int status, const struct http_fields *extra, const char *text, size_t n)
{
	reply_send(st, status, extra, "application/json; charset=utf-8", text, n);
}

void reply_json(
    struct http_stream *st, int status, const struct http_fields *extra, json_t *v_consume)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	CLEAN_JSON json_t *v = v_consume;
	if (!v || json_write(&b, v, false) < 0)
		http_stream_reset(st, HTTP_RESET_INTERNAL);
	else
		reply_json_text(st, status, extra, (char *)buf_data(&b), buf_len(&b));
}

/* Texts quote what peers sent, perhaps cut inside a character; JSON takes UTF-8 only. */
static void make_utf8(char *dst, size_t cap, const char *text)
{
	(void)str_copy(dst, cap, text);
	if (str_utf8_valid(dst, strlen(dst)))
		return;
	for (char *p = dst; *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
}

void reply_error_with(struct http_stream *st, int status, const struct http_fields *extra,
    const char *error_code, const char *text)
{
	char message[REPLY_TEXT_MAX];
	make_utf8(message, sizeof(message), text);
	json_t *v = json_pack(
	    "{s:i, s:s, s:s*}", "code", status, "message", message, "error_code", error_code);
	reply_json(st, status, extra, v);
}

void reply_error(struct http_stream *st, int status, const char *error_code, const char *fmt, ...)
{
	char text[REPLY_TEXT_MAX];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	reply_error_with(st, status, NULL, error_code, text);
}
