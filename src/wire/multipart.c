/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A delimiter begins with CR and holds no other, so a broken match never hides the start of another
 * one: the matched bytes are data, and they are the first ones of the delimiter itself. Nothing has
 * to be kept back.
 *
 *   PREAMBLE -> TAIL -> HEAD -> BODY -> TAIL ... -> EPILOGUE
 */
#include "wire/multipart.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "wire/header_param.h"

#define TAIL_MAX 256 /* blanks behind a delimiter */

/* The first delimiter needs no line end before it, nor does that of an empty part. */
static void expect_delimiter(struct multipart *m)
{
	m->matched = 2;
	m->imagined = true;
}

int multipart_init(struct multipart *m, const char *content_type, struct err *reterr)
{
	CLEAN_FREE char *boundary = NULL;
	*m = (struct multipart){ 0 };
	if (!content_type || !header_value_is(content_type, "multipart/form-data"))
		return err_set(reterr, -EINVAL, "content-type: expected multipart/form-data");
	int r = header_param(content_type, "boundary", &boundary);
	if (r < 0)
		return err_set(reterr, r, "content-type: %s", err_name(r));
	size_t n = boundary ? strlen(boundary) : 0;
	if (n == 0 || n > MULTIPART_BOUNDARY_MAX || strpbrk(boundary, "\r\n"))
		return err_set(reterr, -EINVAL,
		    "content-type: expected a boundary of 1 to %d characters",
		    MULTIPART_BOUNDARY_MAX);
	memcpy(m->delimiter, "\r\n--", 4);
	memcpy(m->delimiter + 4, boundary, n);
	m->delimiter_len = 4 + n;
	expect_delimiter(m);
	return 0;
}

void multipart_fini(struct multipart *m)
{
	buf_fini(&m->head);
	m->name = mem_free(m->name);
	m->filename = mem_free(m->filename);
}

/* ---- headers of a part ---- */

/* One line without its end: 0, or -EINVAL and reterr. */
static int take_line(struct multipart *m, char *line, struct err *reterr)
{
	char *value = strchr(line, ':');
	if (!value || value == line)
		return err_set(reterr, -EINVAL, "multipart: a header line without a name");
	*value++ = '\0';
	value += strspn(value, " \t");
	if (strcasecmp(line, "content-transfer-encoding") == 0 && strcasecmp(value, "binary") &&
	    strcasecmp(value, "8bit") && strcasecmp(value, "7bit"))
		return err_set(reterr, -EINVAL,
		    "multipart: content-transfer-encoding '%s' is not supported", value);
	if (strcasecmp(line, "content-disposition") != 0)
		return 0;
	if (m->name || !header_value_is(value, "form-data"))
		return err_set(reterr, -EINVAL,
		    "multipart: expected one Content-Disposition: form-data in each part");
	int r = header_param(value, "name", &m->name);
	if (r == 0)
		r = header_param_utf8(value, "filename", &m->filename);
	if (r < 0)
		return err_set(reterr, r, "multipart: Content-Disposition: %s", err_name(r));
	return m->name ? 0
		       : err_set(reterr, -EINVAL, "multipart: Content-Disposition without a name");
}

/* The head stands in m->head, whole: every line ends in CR LF. */
static int take_head(struct multipart *m, struct err *reterr)
{
	char *at = buf_cstr(&m->head);
	if (!at)
		return err_set(reterr, -ENOMEM, "out of memory");
	char *end = at + buf_len(&m->head);
	m->name = mem_free(m->name);
	m->filename = mem_free(m->filename);
	if (memchr(at, '\0', buf_len(&m->head)))
		return err_set(reterr, -EINVAL, "multipart: NUL in a part's headers");
	while (at < end) {
		char *stop = strstr(at, "\r\n");
		if (!stop || stop == at)
			break;
		*stop = '\0';
		if (*at == ' ' || *at == '\t')
			return err_set(reterr, -EINVAL, "multipart: a folded header line");
		int r = take_line(m, at, reterr);
		if (r < 0)
			return r;
		at = stop + 2;
	}
	if (!m->name)
		return err_set(
		    reterr, -EINVAL, "multipart: a part without Content-Disposition: form-data");
	return 0;
}

static bool head_is_whole(const struct buf *b)
{
	const char *p = (const char *)buf_data(b);
	size_t n = buf_len(b);
	return (n == 2 && memcmp(p, "\r\n", 2) == 0) ||
	       (n >= 4 && memcmp(p + n - 4, "\r\n\r\n", 4) == 0);
}

/* Line by line, so that nothing behind the blank line is taken. */
static ssize_t step_head(struct multipart *m, const char *p, size_t n,
    enum multipart_event *ret_event, struct err *reterr)
{
	const char *lf = memchr(p, '\n', n);
	size_t take = lf ? (size_t)(lf - p) + 1 : n;
	if (take > MULTIPART_HEAD_MAX - buf_len(&m->head))
		return err_set(reterr, -EINVAL, "multipart: a part's headers exceed %d bytes",
		    MULTIPART_HEAD_MAX);
	if (buf_append(&m->head, p, take) < 0)
		return err_set(reterr, -ENOMEM, "out of memory");
	if (!lf || !head_is_whole(&m->head))
		return (ssize_t)take;
	int r = take_head(m, reterr);
	if (r < 0)
		return r;
	buf_reset(&m->head);
	m->state = MULTIPART_STATE_BODY;
	expect_delimiter(m);
	m->in_part = true;
	*ret_event = MULTIPART_PART;
	return (ssize_t)take;
}

/* ---- behind a delimiter ---- */

static ssize_t step_tail(struct multipart *m, char c, struct err *reterr)
{
	char last = m->tail_last;
	m->tail_last = c;
	if (++m->tail > TAIL_MAX)
		return err_set(reterr, -EINVAL, "multipart: a delimiter without a line end");
	if (m->tail == 2 && last == '-' && c == '-') {
		m->state = MULTIPART_STATE_EPILOGUE;
		return 1;
	}
	if (last == '\r' && c == '\n') {
		if (++m->parts > MULTIPART_PARTS_MAX)
			return err_set(
			    reterr, -EINVAL, "multipart: more than %d parts", MULTIPART_PARTS_MAX);
		m->state = MULTIPART_STATE_HEAD;
		return 1;
	}
	bool fits = last == '\r' || last == '-'
			? false
			: c == ' ' || c == '\t' || c == '\r' || (c == '-' && m->tail == 1);
	return fits ? 1 : err_set(reterr, -EINVAL, "multipart: text behind a delimiter");
}

/* ---- bytes of a part, and the preamble ---- */

/* How far p goes on with the delimiter. */
static size_t match(const struct multipart *m, const char *p, size_t n)
{
	size_t k = 0, left = m->delimiter_len - m->matched;
	while (k < n && k < left && p[k] == m->delimiter[m->matched + k])
		k++;
	return k;
}

/* The matched bytes are none: they are data, the first ones of the delimiter. */
static void break_match(struct multipart *m, const void **ret_data, size_t *ret_len)
{
	size_t absent = m->imagined ? 2 : 0;
	*ret_data = m->delimiter + absent;
	*ret_len = m->matched - absent;
	m->matched = 0;
	m->imagined = false;
}

static void begin_tail(struct multipart *m, enum multipart_event *ret_event)
{
	m->state = MULTIPART_STATE_TAIL;
	m->matched = m->tail = 0;
	m->tail_last = 0;
	m->imagined = false;
	if (m->in_part)
		*ret_event = MULTIPART_PART_END;
	m->in_part = false;
}

static size_t step_body(struct multipart *m, const char *p, size_t n,
    enum multipart_event *ret_event, const void **ret_data, size_t *ret_len)
{
	const char *cr = m->matched ? p : memchr(p, '\r', n);
	size_t taken = cr ? (size_t)(cr - p) : n;
	if (taken > 0) {
		*ret_data = p;
		*ret_len = taken;
	} else {
		taken = match(m, p, n);
		m->matched += taken;
		if (m->matched == m->delimiter_len)
			begin_tail(m, ret_event);
		else if (taken < n)
			break_match(m, ret_data, ret_len);
	}
	if (m->in_part && *ret_len > 0)
		*ret_event = MULTIPART_DATA;
	return taken;
}

ssize_t multipart_step(struct multipart *m, const void *p, size_t n,
    enum multipart_event *ret_event, const void **ret_data, size_t *ret_len, struct err *reterr)
{
	size_t done = 0;
	*ret_event = MULTIPART_MORE;
	*ret_data = NULL;
	*ret_len = 0;
	while (done < n && *ret_event == MULTIPART_MORE) {
		const char *at = (const char *)p + done;
		ssize_t r = (ssize_t)(n - done);
		switch (m->state) {
		case MULTIPART_STATE_PREAMBLE:
		case MULTIPART_STATE_BODY:
			r = (ssize_t)step_body(m, at, n - done, ret_event, ret_data, ret_len);
			break;
		case MULTIPART_STATE_TAIL:
			r = step_tail(m, *at, reterr);
			if (m->state == MULTIPART_STATE_EPILOGUE)
				*ret_event = MULTIPART_END;
			break;
		case MULTIPART_STATE_HEAD:
			r = step_head(m, at, n - done, ret_event, reterr);
			break;
		case MULTIPART_STATE_EPILOGUE:
			break;
		}
		if (r < 0)
			return r;
		done += (size_t)r;
	}
	return (ssize_t)done;
}

int multipart_finish(const struct multipart *m, struct err *reterr)
{
	if (m->state == MULTIPART_STATE_EPILOGUE)
		return 0;
	return err_set(reterr, -EINVAL, "multipart: the body ends before its closing delimiter");
}
