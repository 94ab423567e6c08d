/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/problem_page.h"

#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "wire/http.h"

static bool contains(const char *text, const char *word)
{
	return text && strcasestr(text, word);
}

static bool is_browser(const char *agent)
{
	static const char *const words[] = { "mozilla", "chrome", "safari", "firefox", "edge",
		"opera", "msie" };
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (contains(agent, words[i]))
			return true;
	return false;
}

bool problem_wants_page(const struct http_head *request)
{
	static const char *const by_script[] = { "cors", "no-cors", "same-origin", "websocket" };
	const struct http_fields *f = &request->fields;
	const char *accept = http_fields_get(f, "accept"),
		   *mode = http_fields_get(f, "sec-fetch-mode");
	if (!is_browser(http_fields_get(f, "user-agent")))
		return false;
	if (str_eq(mode, "navigate"))
		return true;
	if (contains(accept, "application/json") && !contains(accept, "text/html"))
		return false;
	for (size_t i = 0; mode && i < sizeof(by_script) / sizeof(by_script[0]); i++)
		if (str_eq(mode, by_script[i]))
			return false;
	return http_fields_get(f, "x-requested-with") == NULL;
}

static int append_escaped(struct buf *b, const char *s)
{
	int r = 0;
	for (; r == 0 && *s; s++) {
		switch (*s) {
		case '<':
			r = buf_append_str(b, "&lt;");
			break;
		case '>':
			r = buf_append_str(b, "&gt;");
			break;
		case '&':
			r = buf_append_str(b, "&amp;");
			break;
		case '"':
			r = buf_append_str(b, "&quot;");
			break;
		default:
			r = buf_append_byte(b, (unsigned char)*s);
		}
	}
	return r;
}

int problem_page(struct buf *dst, int status, const char *text, const char *sandbox_id,
    unsigned port, const char *host)
{
	int r = buf_printf(dst,
	    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
	    "<title>%d %s</title><style>body{font:16px/1.5 sans-serif;margin:4em auto;"
	    "max-width:40em;padding:0 1em}code{background:#eee;padding:.1em .3em}</style></head>\n"
	    "<body><h1>",
	    status, http_status_text(status));
	if (r == 0)
		r = append_escaped(dst, text);
	if (r == 0)
		r = buf_append_str(dst, "</h1>\n<p>Sandbox <code>");
	if (r == 0)
		r = append_escaped(dst, sandbox_id);
	if (r == 0)
		r = buf_printf(dst, "</code>, port <code>%u</code>, host <code>", port);
	if (r == 0)
		r = append_escaped(dst, host);
	return r < 0 ? r : buf_append_str(dst, "</code>.</p></body></html>\n");
}
