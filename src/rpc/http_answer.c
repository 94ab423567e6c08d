/* SPDX-License-Identifier: Apache-2.0 */
/* Whole small answers and whole small request bodies. */
#include <errno.h>
#include <stdarg.h>

#include "base/buf.h"
#include "base/mem.h"
#include "rpc/http_server.h"

int http_answer(
    struct http_stream *st, int status, const char *content_type, const void *p, size_t n)
{
	/* Fields are copied by the session: no need to allocate one here. */
	struct http_field type = { (char *)"content-type", (char *)content_type };
	const struct http_head head = {
		.status = status,
		.length = (int64_t)n,
		.fields = { .v = &type, .n = content_type ? 1 : 0 },
	};
	int r = http_stream_respond(st, &head, n == 0);
	if (r == 0 && n > 0)
		r = http_stream_write(st, p, n);
	if (r == 0 && n > 0)
		r = http_stream_end(st, NULL);
	if (r == -ENOMEM)
		http_stream_reset(st, HTTP_RESET_INTERNAL); /* nobody will answer */
	return r;
}

int http_answer_text(struct http_stream *st, int status, const char *fmt, ...)
{
	CLEAN_BUF struct buf text = BUF_INIT;
	va_list ap;
	va_start(ap, fmt);
	int r = buf_vprintf(&text, fmt, ap);
	va_end(ap);
	if (r == 0)
		r = buf_append_byte(&text, '\n');
	if (r < 0) {
		http_stream_reset(st, HTTP_RESET_INTERNAL);
		return r;
	}
	return http_answer(
	    st, status, "text/plain; charset=utf-8", buf_data(&text), buf_len(&text));
}

/* ---- request bodies ---- */

struct collector {
	struct buf body;
	size_t max;
	void (*fn)(struct http_stream *st, int err, const void *p, size_t n, void *arg);
	void *arg;
};

static const struct http_handler no_handler;

/* fn may answer and install a handler of its own. */
static void collector_finish(struct http_stream *st, struct collector *c, int err)
{
	if (err == 0 || err == -EFBIG)
		http_stream_set_handler(st, &no_handler, NULL);
	c->fn(st, err, err ? NULL : buf_data(&c->body), err ? 0 : buf_len(&c->body), c->arg);
	buf_fini(&c->body);
	mem_free(c);
}

static void collector_data(struct http_stream *st, const void *p, size_t n, void *user)
{
	struct collector *c = user;
	int r = n > c->max - buf_len(&c->body) ? -EFBIG : buf_append(&c->body, p, n);
	http_stream_consume(st, n);
	if (r == -EFBIG)
		collector_finish(st, c, r);
	else if (r < 0)
		http_stream_reset(st, HTTP_RESET_INTERNAL); /* on_close tells */
}

static void collector_end(struct http_stream *st, const struct http_fields *trailers, void *user)
{
	collector_finish(st, user, 0);
}

static void collector_close(struct http_stream *st, int err, void *user)
{
	collector_finish(st, user, err ? err : -ECONNRESET);
}

static const struct http_handler collector_handler = {
	.on_data = collector_data,
	.on_end = collector_end,
	.on_close = collector_close,
};

int http_collect(struct http_stream *st, size_t max,
    void (*fn)(struct http_stream *st, int err, const void *p, size_t n, void *arg), void *arg)
{
	struct collector *c = mem_zalloc(sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->max = max;
	c->fn = fn;
	c->arg = arg;
	http_stream_set_handler(st, &collector_handler, c);
	return 0;
}
