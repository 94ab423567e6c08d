/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heads of HTTP/1.x. Request smuggling lives on two recipients reading one head differently, so a
 * head is accepted only when two readers agree on it: the strict one here (CRLF lines, no folding,
 * no space around names, one Host, one length, "chunked" alone) and the http_parser library, which
 * distributions build in its lenient mode. They must agree on method, target, version, length and
 * coding. Both see the head whole, after h1_scan() has found its end within the limits.
 */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include <http_parser.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "wire/h1.h"
#include "wire/http_private.h"

enum {
	STATUS_BAD = 400,
	STATUS_LONG_TARGET = 414,
	STATUS_LARGE_HEAD = 431,
	STATUS_NO_METHOD = 501,
	STATUS_VERSION = 505
};

ssize_t h1_scan(struct h1_scan *sc, const unsigned char *p, size_t n)
{
	for (size_t at = 0; at < n;) {
		const unsigned char *lf = memchr(p + at, '\n', n - at);
		size_t len = lf ? (size_t)(lf - (p + at)) + 1 : n - at;
		sc->line += len;
		sc->total += len;
		if (sc->lines == 0 && sc->line > LIMIT_H1_LINE)
			return -STATUS_LONG_TARGET;
		if (sc->total > LIMIT_HEAD_BYTES || sc->lines > LIMIT_HEAD_FIELDS + 1)
			return -STATUS_LARGE_HEAD;
		unsigned char before = len > 1 ? p[at + len - 2] : sc->last;
		at += len;
		sc->last = p[at - 1];
		if (!lf)
			break;
		if (before != '\r')
			return -STATUS_BAD;
		if (sc->line == 2)
			return (ssize_t)at;
		sc->lines++;
		sc->line = 0;
	}
	return 0;
}

/* ---- lines ---- */

struct text {
	const char *p;
	size_t n;
};

static bool text_is(struct text t, const char *s)
{
	return t.n == strlen(s) && memcmp(t.p, s, t.n) == 0;
}

/* The next line without its CRLF; the section is known to end in an empty one. */
static struct text next_line(struct text *rest)
{
	const char *lf = memchr(rest->p, '\n', rest->n);
	struct text line = { rest->p, (size_t)(lf - rest->p) - 1 };
	rest->n -= line.n + 2;
	rest->p = lf + 1;
	return line;
}

/* Up to the first space, which is skipped. */
static struct text next_word(struct text *rest)
{
	const char *space = memchr(rest->p, ' ', rest->n);
	struct text word = { rest->p, space ? (size_t)(space - rest->p) : rest->n };
	size_t skip = word.n + (space ? 1 : 0);
	rest->p += skip;
	rest->n -= skip;
	return word;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* 0, -ENOMEM, -E2BIG, -EINVAL. A folded line begins with a blank, which is no name. */
static int parse_field(struct http_fields *f, struct text line)
{
	const char *colon = memchr(line.p, ':', line.n);
	if (!colon)
		return -EINVAL;
	size_t name = (size_t)(colon - line.p);
	const char *v = colon + 1, *end = line.p + line.n;
	while (v < end && is_blank(*v))
		v++;
	while (end > v && is_blank(end[-1]))
		end--;
	return http_fields_add_n(f, line.p, name, v, (size_t)(end - v));
}

static int parse_fields(struct http_fields *f, struct text rest)
{
	for (;;) {
		struct text line = next_line(&rest);
		if (line.n == 0)
			return 0;
		int r = parse_field(f, line);
		if (r < 0)
			return r;
	}
}

int h1_parse_trailers(struct http_fields *f, const char *p, size_t n)
{
	int r = parse_fields(f, (struct text){ p, n });
	if (r == -ENOMEM)
		return r;
	for (size_t i = 0; r == 0 && i < f->n; i++)
		if (http_field_is_ours(f->v[i].name))
			r = -EPROTO;
	return r < 0 ? -EPROTO : 0;
}

/* ---- the second reader ---- */

struct second {
	size_t target;
	uint64_t length; /* UINT64_MAX when there is none */
	bool chunked;
};

static int on_target(http_parser *parser, const char *p, size_t n)
{
	struct second *s = parser->data;
	s->target += n;
	return 0;
}

static int on_head_end(http_parser *parser)
{
	struct second *s = parser->data;
	s->length = parser->flags & F_CONTENTLENGTH ? parser->content_length : UINT64_MAX;
	s->chunked = parser->flags & F_CHUNKED;
	return 1; /* no body follows in this buffer */
}

/* False when the library refuses the head or reads other framing than we do. */
static bool second_agrees(http_parser *parser, enum http_parser_type type, struct text head,
    const struct h1_message *m, size_t target, bool chunked)
{
	static const http_parser_settings settings = { .on_url = on_target,
		.on_headers_complete = on_head_end };
	struct second s = { .length = UINT64_MAX };
	http_parser_init(parser, type);
	parser->data = &s;
	size_t n = http_parser_execute(parser, &settings, head.p, head.n);
	return n == head.n && parser->http_errno == HPE_OK && parser->http_major == 1 &&
	       parser->http_minor == !m->old && s.target == target && s.chunked == chunked &&
	       s.length == (m->length < 0 ? UINT64_MAX : (uint64_t)m->length);
}

/* ---- common to both directions ---- */

static bool connection_has(const struct http_fields *f, const char *token)
{
	for (size_t i = 0; i < f->n; i++)
		if (str_eq(f->v[i].name, "connection") && http_list_has(f->v[i].value, token))
			return true;
	return false;
}

/* Length and coding: 0 or -EINVAL for every combination that recipients could read in two ways. */
static int parse_coding(const struct http_fields *f, struct h1_message *m, bool *ret_chunked)
{
	size_t n = http_fields_count(f, "transfer-encoding");
	if (http_parse_length(f, &m->length) < 0)
		return -EINVAL;
	if (n > 0 && (n > 1 || m->old || m->length >= 0 ||
			 !str_ieq(http_fields_get(f, "transfer-encoding"), "chunked")))
		return -EINVAL;
	*ret_chunked = n > 0;
	m->keep_alive = m->old ? connection_has(f, "keep-alive") : !connection_has(f, "close");
	return 0;
}

static bool is_nominable(const char *name)
{
	return !http_field_is_ours(name) && !str_eq(name, "close");
}

/* Fields that Connection names belong to this hop alone (RFC 9110 7.6.1). */
static int remove_nominated(struct http_fields *f)
{
	CLEAN_BUF struct buf list = BUF_INIT;
	for (size_t i = 0; i < f->n; i++) {
		if (!str_eq(f->v[i].name, "connection"))
			continue;
		if (buf_append_str(&list, f->v[i].value) < 0 || buf_append_byte(&list, ',') < 0)
			return -ENOMEM;
	}
	if (buf_len(&list) == 0)
		return 0;
	char *rest = buf_cstr(&list);
	if (!rest)
		return -ENOMEM;
	str_lower(rest);
	for (char *name; (name = strsep(&rest, ", \t"));)
		if (is_nominable(name))
			http_fields_remove(f, name);
	return 0;
}

static enum h1_framing framing_of(
    const struct h1_message *m, bool chunked, enum h1_framing otherwise)
{
	if (chunked)
		return H1_FRAMING_CHUNKED;
	if (m->length > 0)
		return H1_FRAMING_LENGTH;
	return m->length == 0 ? H1_FRAMING_NONE : otherwise;
}

/* ---- requests ---- */

/* Absolute form: the target's authority counts, not Host's (RFC 9112 3.2.2). */
static int parse_absolute(struct http_head *head, struct text target)
{
	size_t scheme = target.n > 7 && strncasecmp(target.p, "http://", 7) == 0    ? 7
			: target.n > 8 && strncasecmp(target.p, "https://", 8) == 0 ? 8
										    : 0;
	if (scheme == 0)
		return STATUS_BAD;
	const char *p = target.p + scheme;
	size_t n = target.n - scheme, authority = 0;
	while (authority < n && p[authority] != '/' && p[authority] != '?')
		authority++;
	if (authority == 0)
		return STATUS_BAD;
	head->authority = mem_strndup(p, authority);
	bool rootless = authority == n || p[authority] == '?';
	bool asterisk = authority == n && str_eq(head->method, "OPTIONS");
	head->path = asterisk ? mem_strdup("*")
			      : mem_printf("%s%.*s", rootless ? "/" : "", (int)(n - authority),
				    p + authority);
	return head->authority && head->path ? 0 : -ENOMEM;
}

static int parse_target(struct http_head *head, struct text target)
{
	bool asterisk = text_is(target, "*");
	if (target.n == 0 || (asterisk && !str_eq(head->method, "OPTIONS")))
		return STATUS_BAD;
	if (target.p[0] != '/' && !asterisk) {
		int r = parse_absolute(head, target);
		if (r != 0)
			return r;
	} else if (!(head->path = mem_strndup(target.p, target.n))) {
		return -ENOMEM;
	}
	return http_is_path(head->path) ? 0 : STATUS_BAD;
}

static int parse_host(struct http_head *head, bool old)
{
	size_t n = http_fields_count(&head->fields, "host");
	const char *host = http_fields_get(&head->fields, "host");
	if (n > 1 || (n == 0 && !old))
		return STATUS_BAD;
	if (host && !http_is_authority(host))
		return STATUS_BAD;
	if (!head->authority && !(head->authority = mem_strdup(host ? host : "")))
		return -ENOMEM;
	http_fields_remove(&head->fields, "host");
	return http_is_authority(head->authority) ? 0 : STATUS_BAD;
}

static int parse_version(struct text version, struct h1_message *m)
{
	m->old = text_is(version, "HTTP/1.0");
	if (m->old || text_is(version, "HTTP/1.1"))
		return 0;
	return version.n == 8 && memcmp(version.p, "HTTP/", 5) == 0 ? STATUS_VERSION : STATUS_BAD;
}

/* The request line: 0, a status, or -ENOMEM. */
static int parse_request_line(
    struct http_head *head, struct h1_message *m, struct text line, size_t *ret_target)
{
	struct text method = next_word(&line);
	struct text target = next_word(&line);
	if (!http_is_token(method.p, method.n))
		return STATUS_BAD;
	int r = parse_version(line, m);
	if (r != 0)
		return r;
	if (text_is(method, "CONNECT"))
		return STATUS_NO_METHOD;
	head->method = mem_strndup(method.p, method.n);
	if (!head->method)
		return -ENOMEM;
	*ret_target = target.n;
	return parse_target(head, target);
}

/* A request to switch protocols that a server may answer with 101. To h2c it may not: what follows
 * would pass every rule that looks at requests. What HTTP/2 could not pass on, another method or a
 * choice of protocols, is a plain request: the field is ignored (RFC 9110 7.8). */
static bool wants_upgrade(const struct http_head *head, const struct h1_message *m)
{
	const char *protocol = http_fields_get(&head->fields, "upgrade");
	return protocol && !m->old && m->framing == H1_FRAMING_NONE &&
	       str_eq(head->method, "GET") && http_is_token(protocol, strlen(protocol)) &&
	       http_fields_count(&head->fields, "upgrade") == 1 && !str_ieq(protocol, "h2c") &&
	       connection_has(&head->fields, "upgrade");
}

int h1_parse_request(
    struct http_head *head, struct h1_message *m, const char *p, size_t n, bool tls)
{
	struct text rest = { p, n };
	size_t target = 0;
	bool chunked = false;
	http_parser second;
	*m = (struct h1_message){ .length = -1 };
	int r = parse_request_line(head, m, next_line(&rest), &target);
	if (r == 0)
		r = parse_fields(&head->fields, rest);
	if (r == -EINVAL || r == -E2BIG)
		r = r == -E2BIG ? STATUS_LARGE_HEAD : STATUS_BAD;
	if (r == 0 && parse_coding(&head->fields, m, &chunked) < 0)
		r = STATUS_BAD;
	if (r == 0)
		r = parse_host(head, m->old);
	if (r == 0 &&
	    (!second_agrees(&second, HTTP_REQUEST, (struct text){ p, n }, m, target, chunked) ||
		!str_eq(http_method_str(second.method), head->method)))
		r = STATUS_BAD;
	if (r != 0)
		return r;
	m->framing = framing_of(m, chunked, H1_FRAMING_NONE);
	head->length = m->length;
	head->upgrade = wants_upgrade(head, m);
	head->scheme = mem_strdup(tls ? "https" : "http");
	return head->scheme ? remove_nominated(&head->fields) : -ENOMEM;
}

/* ---- responses ---- */

static int parse_status_line(struct http_head *head, struct h1_message *m, struct text line)
{
	struct text version = next_word(&line);
	struct text status = next_word(&line);
	if (parse_version(version, m) != 0 || status.n != 3 || !http_is_field_value(line.p, line.n))
		return -EPROTO;
	int v = 0;
	for (size_t i = 0; i < 3; i++) {
		if (status.p[i] < '0' || status.p[i] > '9')
			return -EPROTO;
		v = 10 * v + status.p[i] - '0';
	}
	head->status = v;
	return v >= 100 && v <= 599 ? 0 : -EPROTO;
}

int h1_parse_response(
    struct http_head *head, struct h1_message *m, const char *p, size_t n, bool bare)
{
	struct text rest = { p, n };
	bool chunked = false;
	http_parser second;
	*m = (struct h1_message){ .length = -1 };
	int r = parse_status_line(head, m, next_line(&rest));
	if (r == 0)
		r = parse_fields(&head->fields, rest);
	if (r == 0)
		r = parse_coding(&head->fields, m, &chunked);
	if (r == 0 &&
	    (!second_agrees(&second, HTTP_RESPONSE, (struct text){ p, n }, m, 0, chunked) ||
		second.status_code != (unsigned)head->status))
		r = -EPROTO;
	if (r < 0)
		return r == -ENOMEM ? r : -EPROTO;
	bare = bare || http_status_is_bare(head->status);
	m->framing = bare ? H1_FRAMING_NONE : framing_of(m, chunked, H1_FRAMING_UNTIL_CLOSE);
	m->keep_alive = m->keep_alive && m->framing != H1_FRAMING_UNTIL_CLOSE;
	head->length = m->length;
	return head->status == 101 ? 0 : remove_nominated(&head->fields);
}
