/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/code/event.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "guest-kernel-agent/journal/journal.h"

#define OUTPUT_MAX (32 * 1024) /* text of one output event */

/* A form in the journal: this, the MIME type, the text; both terminated. */
struct form_head {
	uint32_t is_json, mime_n, n;
};

/* ---- writing ---- */

static struct iovec text_part(const char *s)
{
	return (struct iovec){ (void *)s, strlen(s) + 1 };
}

int event_add_started(struct journal *j, const char *execution_id, const char *context_id)
{
	struct iovec iov[] = { text_part(execution_id), text_part(context_id) };
	return journal_append(j, EVENT_STARTED, clock_real_ns(), iov, 2);
}

int event_add_busy(struct journal *j, unsigned execution_count)
{
	uint32_t count = execution_count;
	struct iovec iov = { &count, sizeof(count) };
	return journal_append(j, EVENT_BUSY, clock_real_ns(), &iov, 1);
}

int event_add_output(struct journal *j, enum output o, uint64_t offset, const char *text, size_t n)
{
	int64_t now = clock_real_ns();
	while (n > 0) {
		size_t part = n > OUTPUT_MAX ? str_utf8_whole(text, OUTPUT_MAX, NULL) : n;
		struct iovec iov[] = { { &offset, sizeof(offset) }, { (void *)text, part },
			{ (void *)"", 1 } };
		int r = journal_append(j, event_type_of(o), now, iov, 3);
		if (r < 0)
			return r;
		offset += part;
		text += part;
		n -= part;
	}
	return 0;
}

static bool is_json_type(const char *mime)
{
	return str_eq(mime, "application/json") || str_eq(mime, "e2b/data") ||
	       str_eq(mime, "e2b/chart") || str_ends(mime, "+json");
}

static int put_form(struct buf *b, const char *mime, const json_t *v)
{
	CLEAN_BUF struct buf json = BUF_INIT;
	struct form_head h = { .is_json = !json_is_string(v) || is_json_type(mime),
		.mime_n = (uint32_t)strlen(mime) };
	const void *text = json_string_value(v);
	size_t n = json_string_length(v);
	int r = 0;
	if (h.is_json) {
		r = json_write(&json, v, true);
		text = buf_data(&json);
		n = buf_len(&json);
	}
	if (r == 0 && n > JOURNAL_RECORD_MAX)
		return -EMSGSIZE;
	h.n = (uint32_t)n;
	if (r == 0)
		r = buf_append(b, &h, sizeof(h));
	if (r == 0)
		r = buf_append(b, mime, h.mime_n + 1);
	if (r == 0)
		r = buf_append(b, text, n);
	return r < 0 ? r : buf_append_byte(b, 0);
}

int event_add_result(struct journal *j, bool main_result, const json_t *data)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	uint32_t main_flag = main_result;
	const char *mime;
	json_t *v;
	int r = buf_append(&b, &main_flag, sizeof(main_flag));
	json_object_foreach((json_t *)data, mime, v)
	{
		if (r == 0)
			r = put_form(&b, mime, v);
	}
	if (r < 0)
		return r;
	struct iovec iov = { buf_data(&b), buf_len(&b) };
	return journal_append(j, EVENT_RESULT, clock_real_ns(), &iov, 1);
}

int event_add_error(struct journal *j, const char *name, const char *value, const char *traceback)
{
	struct iovec iov[] = { text_part(name), text_part(value), text_part(traceback) };
	return journal_append(j, EVENT_ERROR, clock_real_ns(), iov, 3);
}

int event_add_stall(struct journal *j, bool stalled)
{
	uint32_t flag = stalled;
	struct iovec iov = { &flag, sizeof(flag) };
	return journal_append(j, EVENT_STALL, clock_real_ns(), &iov, 1);
}

int event_add_end(
    struct journal *j, enum exec_end how, const char *detail, unsigned execution_count)
{
	uint32_t numbers[] = { how, execution_count };
	struct iovec iov[] = { { numbers, sizeof(numbers) }, text_part(detail) };
	return journal_append(j, EVENT_END, clock_real_ns(), iov, 2);
}

/* ---- reading ---- */

struct cursor {
	const unsigned char *p, *end;
};

static bool take(struct cursor *c, void *dst, size_t n)
{
	if ((size_t)(c->end - c->p) < n)
		return false;
	memcpy(dst, c->p, n);
	c->p += n;
	return true;
}

static bool take_text(struct cursor *c, const char **ret)
{
	const unsigned char *nul = memchr(c->p, 0, (size_t)(c->end - c->p));
	if (!nul)
		return false;
	*ret = (const char *)c->p;
	c->p = nul + 1;
	return true;
}

static bool decode_body(struct cursor *c, struct event *ev)
{
	uint32_t v[2] = { 0 };
	switch (ev->type) {
	case EVENT_STARTED:
		return take_text(c, &ev->started.execution_id) &&
		       take_text(c, &ev->started.context_id);
	case EVENT_BUSY:
		if (!take(c, v, sizeof(v[0])))
			return false;
		ev->execution_count = v[0];
		return true;
	case EVENT_STDOUT:
	case EVENT_STDERR:
		if (!take(c, &ev->output.offset, sizeof(ev->output.offset)))
			return false;
		ev->output.text = (const char *)c->p;
		ev->output.n = (size_t)(c->end - c->p) - 1;
		return c->end > c->p;
	case EVENT_RESULT:
		if (!take(c, v, sizeof(v[0])))
			return false;
		ev->result.main_result = v[0] != 0;
		ev->result.forms = c->p;
		ev->result.end = c->end;
		return true;
	case EVENT_ERROR:
		return take_text(c, &ev->error.name) && take_text(c, &ev->error.value) &&
		       take_text(c, &ev->error.traceback);
	case EVENT_END:
		if (!take(c, v, sizeof(v)))
			return false;
		ev->end.how = (enum exec_end)v[0];
		ev->end.execution_count = v[1];
		return take_text(c, &ev->end.detail);
	case EVENT_STALL:
		if (!take(c, v, sizeof(v[0])))
			return false;
		ev->stalled = v[0] != 0;
		return true;
	case EVENT_OMITTED:
		break;
	}
	return false;
}

int event_decode(const struct journal_record *rec, struct event *ret)
{
	struct cursor c = { rec->data, (const unsigned char *)rec->data + rec->n };
	struct event ev = {
		.type = (enum event_type)rec->type, .seq = rec->seq, .time_ns = rec->time_ns
	};
	if (!decode_body(&c, &ev))
		return -EINVAL;
	*ret = ev;
	return 0;
}

bool event_next_form(struct event *ev, struct event_form *ret)
{
	struct cursor c = { ev->result.forms, ev->result.end };
	struct form_head h;
	if (!take(&c, &h, sizeof(h)) ||
	    (size_t)(c.end - c.p) < (size_t)h.mime_n + 1 + (size_t)h.n + 1)
		return false;
	ret->mime = (const char *)c.p;
	ret->text = ret->mime + h.mime_n + 1;
	ret->n = h.n;
	ret->is_json = h.is_json != 0;
	ev->result.forms = c.p + h.mime_n + 1 + h.n + 1;
	return true;
}
