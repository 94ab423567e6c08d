/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/firecracker/http.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

void fc_http_reset(struct fc_http *h)
{
	buf_reset(&h->head);
	buf_reset(&h->body);
	h->in_body = h->complete = false;
	h->status = 0;
	h->need = 0;
}

void fc_http_fini(struct fc_http *h)
{
	buf_fini(&h->head);
	buf_fini(&h->body);
}

static int bad(struct err *reterr, const char *what)
{
	return err_set(reterr, -EBADMSG, "the API sent what is no answer: %s", what);
}

static int parse_status(struct fc_http *h, const char *line, struct err *reterr)
{
	const char *s = str_after(line, "HTTP/1.1 ");
	if (!s)
		s = str_after(line, "HTTP/1.0 ");
	if (!s || !isdigit((unsigned char)s[0]) || !isdigit((unsigned char)s[1]) ||
	    !isdigit((unsigned char)s[2]) || (s[3] != ' ' && s[3] != '\0'))
		return bad(reterr, "no status line");
	h->status = (s[0] - '0') * 100 + (s[1] - '0') * 10 + s[2] - '0';
	return 0;
}

static int parse_field(struct fc_http *h, char *line, bool *has_length, struct err *reterr)
{
	char *colon = strchr(line, ':');
	uint64_t n;
	if (!colon || colon == line)
		return bad(reterr, "a header without a name");
	*colon = '\0';
	char *value = colon + 1 + strspn(colon + 1, " \t");
	for (size_t i = strlen(value); i > 0 && strchr(" \t", value[i - 1]); i--)
		value[i - 1] = '\0';
	if (str_ieq(line, "transfer-encoding"))
		return bad(reterr, "a body with an encoding");
	if (!str_ieq(line, "content-length"))
		return 0;
	if (*has_length || str_u64(value, FC_HTTP_BODY_MAX, &n) < 0)
		return bad(reterr, "a body without a length, or a too large one");
	*has_length = true;
	h->need = (size_t)n;
	return 0;
}

static int parse_head(struct fc_http *h, struct err *reterr)
{
	char *text = buf_cstr(&h->head), *save = NULL;
	bool has_length = false;
	if (!text)
		return -ENOMEM;
	if (strlen(text) != buf_len(&h->head))
		return bad(reterr, "a head with a NUL");
	char *line = strtok_r(text, "\r\n", &save);
	int r = line ? parse_status(h, line, reterr) : bad(reterr, "no status line");
	while (r == 0 && (line = strtok_r(NULL, "\r\n", &save)))
		r = parse_field(h, line, &has_length, reterr);
	if (r == 0 && (h->status < 200 || h->status == 304))
		r = bad(reterr, "an unexpected status");
	if (r == 0 && h->status == 204 && h->need > 0)
		r = bad(reterr, "204 with a body");
	return r;
}

/* What is something else altogether is not waited for. */
static bool may_become_http(const struct fc_http *h)
{
	static const char start[] = "HTTP/1.";
	size_t n = buf_len(&h->head) < sizeof(start) - 1 ? buf_len(&h->head) : sizeof(start) - 1;
	return n == 0 || memcmp(buf_data(&h->head), start, n) == 0;
}

/* Bytes up to the empty line; 0 = it is not there yet. */
static size_t head_end(const struct fc_http *h)
{
	const char *p = memmem(buf_data(&h->head), buf_len(&h->head), "\r\n\r\n", 4);
	return p ? (size_t)(p + 4 - (const char *)buf_data(&h->head)) : 0;
}

static int feed_head(struct fc_http *h, const char *p, size_t n, size_t *used, struct err *reterr)
{
	size_t had = buf_len(&h->head), room = FC_HTTP_HEAD_MAX - had;
	size_t take = n < room ? n : room;
	if (buf_append(&h->head, p, take) < 0)
		return -ENOMEM;
	*used = take;
	if (!may_become_http(h))
		return bad(reterr, "no status line");
	size_t end = buf_len(&h->head) ? head_end(h) : 0;
	if (end == 0)
		return buf_len(&h->head) < FC_HTTP_HEAD_MAX ? 0 : bad(reterr, "an endless head");
	*used = end - had; /* the rest is body, or the next answer */
	h->head.end = h->head.start + end;
	int r = parse_head(h, reterr);
	h->in_body = r == 0;
	h->complete = r == 0 && h->need == 0;
	return r;
}

int fc_http_feed(struct fc_http *h, const void *p, size_t n, size_t *ret_used, struct err *reterr)
{
	size_t used = 0;
	*ret_used = 0;
	if (!h->in_body) {
		int r = feed_head(h, p, n, &used, reterr);
		if (r < 0)
			return r;
	}
	if (h->in_body && !h->complete) {
		size_t left = h->need - buf_len(&h->body);
		size_t take = n - used < left ? n - used : left;
		if (buf_append(&h->body, (const char *)p + used, take) < 0)
			return -ENOMEM;
		used += take;
		h->complete = take == left;
	}
	*ret_used = used;
	return 0;
}

void fc_http_fault(struct fc_http *h, char *dst, size_t cap)
{
	CLEAN_JSON json_t *o =
	    json_parse_object(buf_data(&h->body), buf_len(&h->body), FC_HTTP_BODY_MAX, true, NULL);
	const char *text = o ? json_string_value(json_object_get(o, "fault_message")) : NULL;
	if (str_empty(text))
		(void)snprintf(dst, cap, "status %d without a reason", h->status);
	else
		(void)str_copy(dst, cap, text);
}
