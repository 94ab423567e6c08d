/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/ports/closed_page.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "guest-kernel-agent/system/identity.h"
#include "guest-kernel-agent/system/reply.h"
#include "guest-kernel-agent/system/request.h"
#include "wire/http.h"

static bool contains(const char *text, const char *part)
{
	return text && strcasestr(text, part);
}

static bool is_browser(const char *agent)
{
	static const char *const names[] = { "mozilla", "chrome", "safari", "firefox", "edge",
		"opera", "msie" };
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (contains(agent, names[i]))
			return true;
	return false;
}

/* A person looks at the answer, not a program that runs in a browser. */
static bool wants_page(const struct http_stream *st)
{
	static const char *const by_program[] = { "cors", "no-cors", "same-origin", "websocket" };
	const char *accept = request_header(st, "accept");
	const char *mode = request_header(st, "sec-fetch-mode");
	if (!is_browser(request_header(st, "user-agent")))
		return false;
	if (str_eq(mode, "navigate"))
		return true;
	for (size_t i = 0; i < sizeof(by_program) / sizeof(*by_program); i++)
		if (str_eq(mode, by_program[i]))
			return false;
	if (request_header(st, "x-requested-with"))
		return false;
	return !contains(accept, "application/json") || contains(accept, "text/html");
}

struct answer {
	int status;
	const char *message;
};

static struct answer answer_for(int err)
{
	switch (err) {
	case -EAGAIN:
		return (struct answer){ 429,
			"The sandbox has too many concurrent incoming connections" };
	case -ENOMEM:
		return (struct answer){ 503, "The sandbox is out of memory" };
	case -ECONNREFUSED:
	case -ETIMEDOUT:
		return (struct answer){ 502, "The sandbox is running but port is not open" };
	default:
		return (struct answer){ 502,
			"The program on this port closed the connection without an answer" };
	}
}

static int append_escaped(struct buf *b, const char *s)
{
	int r = 0;
	for (; *s && r == 0; s++) {
		if (*s == '<')
			r = buf_append_str(b, "&lt;");
		else if (*s == '&')
			r = buf_append_str(b, "&amp;");
		else
			r = buf_append_byte(b, (unsigned char)*s);
	}
	return r;
}

static void answer_page(
    struct http_stream *st, const struct identity *id, unsigned port, struct answer a)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	int r = buf_printf(&b,
	    "<!doctype html><meta charset=\"utf-8\"><title>%d</title>"
	    "<body style=\"font-family:sans-serif;margin:4em\"><h1>%s</h1>"
	    "<p>Sandbox <code>%s</code>, port <code>%u</code> on <code>",
	    a.status, a.message, identity_sandbox_id(id), port);
	if (r == 0)
		r = append_escaped(&b, http_stream_peer_head(st)->authority);
	if (r == 0)
		r = buf_append_str(&b, "</code></p>\n");
	if (r < 0)
		http_stream_reset(st, HTTP_RESET_INTERNAL);
	else
		(void)reply_bytes(
		    st, a.status, "text/html; charset=utf-8", buf_data(&b), buf_len(&b));
}

void closed_page_answer(struct http_stream *st, const struct identity *id, unsigned port, int err)
{
	struct answer a = answer_for(err);
	if (wants_page(st))
		answer_page(st, id, port, a);
	else
		(void)reply_json(st, a.status,
		    json_pack("{s:s, s:s, s:i, s:i}", "sandboxId", identity_sandbox_id(id),
			"message", a.message, "port", (int)port, "code", a.status));
}
