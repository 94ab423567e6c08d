/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/code/ndjson.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "guest-kernel-agent/code/event.h"
#include "guest-kernel-agent/code/json_escape.h"

#define NS 1000000000

static const struct {
	const char *mime, *field;
} fields[] = {
	{ "text/plain", "text" },
	{ "text/html", "html" },
	{ "text/markdown", "markdown" },
	{ "image/svg+xml", "svg" },
	{ "image/png", "png" },
	{ "image/jpeg", "jpeg" },
	{ "application/pdf", "pdf" },
	{ "text/latex", "latex" },
	{ "application/json", "json" },
	{ "application/javascript", "javascript" },
	{ "e2b/data", "data" },
	{ "e2b/chart", "chart" },
};

static const char *field_of(const char *mime)
{
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		if (str_eq(fields[i].mime, mime))
			return fields[i].field;
	return NULL;
}

/* The start of an event's line, up to and with its type. */
static int begin_line(
    const struct ndjson *s, struct buf *dst, const struct event *ev, const char *type)
{
	int r = s->numbered && ev->seq
		    ? buf_printf(dst, "{\"seq\":%llu,\"type\":\"", (unsigned long long)ev->seq)
		    : buf_append_str(dst, "{\"type\":\"");
	if (r == 0)
		r = buf_append_str(dst, type);
	return r < 0 ? r : buf_append_byte(dst, '"');
}

/* ---- output ---- */

/* Lines come by the thousand within one second: only the fraction is formatted each time. */
static int add_stamp(struct ndjson *s, struct buf *dst, int64_t time_ns)
{
	int64_t second = time_ns / NS;
	unsigned micros = (unsigned)(time_ns % NS / 1000);
	if (!*s->stamp || second != s->second) {
		char text[CLOCK_RFC3339_MAX];
		clock_rfc3339(second * NS, text);
		(void)str_copy(s->stamp, sizeof("2026-11-21T04:57:00"), text);
		s->second = second;
	}
	char fraction[] = ".000000Z";
	for (char *p = fraction + 6; micros; micros /= 10)
		*p-- = (char)('0' + micros % 10);
	int r = buf_append_str(dst, s->stamp);
	return r < 0 ? r : buf_append(dst, fraction, sizeof(fraction) - 1);
}

static int add_text(struct ndjson *s, struct buf *dst, const struct event *ev, enum output o,
    const char *text, size_t n)
{
	int r = begin_line(s, dst, ev, o == OUTPUT_STDERR ? "stderr" : "stdout");
	if (r == 0)
		r = buf_append_str(dst, ",\"text\":");
	if (r == 0)
		r = json_escape_string(dst, text, n);
	if (r == 0)
		r = buf_append_str(dst, ",\"timestamp\":\"");
	if (r == 0)
		r = add_stamp(s, dst, ev->time_ns);
	return r < 0 ? r : buf_append_str(dst, "\"}\n");
}

/* There is no line type for it: it stands in the output, on a line of its own. */
static int add_omitted(struct ndjson *s, struct buf *dst, const struct event *ev)
{
	char text[80];
	int n = snprintf(text, sizeof(text), "\n[... %llu bytes left out ...]\n",
	    (unsigned long long)ev->omitted.bytes);
	return add_text(s, dst, ev, ev->omitted.output, text, (size_t)n);
}

/* ---- results ---- */

/* repr() of a string comes with quotes, which the SDKs do not expect. */
static void strip_quotes(struct event_form *f)
{
	if (f->n < 2 || f->text[0] != f->text[f->n - 1])
		return;
	if (f->text[0] == '\'' || f->text[0] == '"') {
		f->text++;
		f->n -= 2;
	}
}

static int add_form(struct buf *dst, const char *name, struct event_form *f)
{
	int r = json_escape_string(dst, name, strlen(name));
	if (r == 0)
		r = buf_append_byte(dst, ':');
	if (r < 0)
		return r;
	if (f->is_json)
		return buf_append(dst, f->text, f->n);
	if (str_eq(name, "text"))
		strip_quotes(f);
	return json_escape_string(dst, f->text, f->n);
}

static int add_result(const struct ndjson *s, struct buf *dst, struct event *ev)
{
	CLEAN_BUF struct buf extra = BUF_INIT;
	struct event_form f;
	int r = begin_line(s, dst, ev, "result");
	if (r == 0)
		r = buf_append_byte(dst, ',');
	while (r == 0 && event_next_form(ev, &f)) {
		const char *name = field_of(f.mime);
		if (f.is_json && f.n == 4 && memcmp(f.text, "null", 4) == 0)
			continue;
		if (!name && buf_len(&extra) > 0)
			r = buf_append_byte(&extra, ',');
		if (r == 0)
			r = add_form(name ? dst : &extra, name ? name : f.mime, &f);
		if (r == 0 && name)
			r = buf_append_byte(dst, ',');
	}
	if (r == 0)
		r = buf_append_str(dst, "\"extra\":{");
	if (r == 0)
		r = buf_append(dst, buf_data(&extra), buf_len(&extra));
	return r < 0
		   ? r
		   : buf_append_str(dst, ev->result.main_result ? "},\"is_main_result\":true}\n"
								: "},\"is_main_result\":false}\n");
}

/* ---- ends ---- */

static int add_error(const struct ndjson *s, struct buf *dst, const struct event *ev,
    const char *name, const char *value, const char *traceback)
{
	int r = begin_line(s, dst, ev, "error");
	if (r == 0)
		r = buf_append_str(dst, ",\"name\":");
	if (r == 0)
		r = json_escape_string(dst, name, strlen(name));
	if (r == 0)
		r = buf_append_str(dst, ",\"value\":");
	if (r == 0)
		r = json_escape_string(dst, value, strlen(value));
	if (r == 0)
		r = buf_append_str(dst, ",\"traceback\":");
	if (r == 0)
		r = json_escape_string(dst, traceback, strlen(traceback));
	return r < 0 ? r : buf_append_str(dst, "}\n");
}

static int add_end_line(const struct ndjson *s, struct buf *dst, const struct event *ev)
{
	int r = begin_line(s, dst, ev, "end_of_execution");
	return r < 0 ? r : buf_append_str(dst, "}\n");
}

/* The error line by which a stock client learns that its cell did not run to its end. */
struct ending {
	const char *name, *value;
	bool only_without_error; /* the kernel's own error says it already */
};

static struct ending ending_of(enum exec_end how)
{
	switch (how) {
	case EXEC_INTERRUPTED:
		return (struct ending){ "ExecutionAborted", "Execution was interrupted", true };
	case EXEC_DEADLINE:
		return (struct ending){ "ExecutionAborted", "Execution ran out of time", true };
	case EXEC_OUTPUT_LIMIT:
		return (struct ending){ "ExecutionAborted",
			"Execution wrote more than is kept while nobody reads", false };
	case EXEC_RESTARTED:
		return (struct ending){ "ContextRestarting", "Context was restarted", false };
	case EXEC_OUT_OF_MEMORY:
		return (struct ending){ "UnexpectedEndOfExecution",
			"The kernel was killed because the sandbox ran out of memory; "
			"its context was restarted",
			false };
	case EXEC_KERNEL_DIED:
		return (struct ending){ "UnexpectedEndOfExecution",
			"Connection to the execution was closed before the execution was finished",
			false };
	case EXEC_OK:
	case EXEC_ERROR:
		break;
	}
	return (struct ending){ 0 };
}

static int add_end(const struct ndjson *s, struct buf *dst, const struct event *ev)
{
	struct ending e = ending_of(ev->end.how);
	if (e.name && !(e.only_without_error && s->had_error)) {
		CLEAN_BUF struct buf value = BUF_INIT;
		int r = buf_append_str(&value, e.value);
		if (r == 0 && *ev->end.detail)
			r = buf_printf(&value, " (%s)", ev->end.detail);
		const char *text = r == 0 ? buf_cstr(&value) : NULL;
		r = text ? add_error(s, dst, ev, e.name, text, "") : -ENOMEM;
		if (r < 0)
			return r;
	}
	return add_end_line(s, dst, ev);
}

static int add_busy(const struct ndjson *s, struct buf *dst, const struct event *ev)
{
	int r = begin_line(s, dst, ev, "number_of_executions");
	return r < 0 ? r : buf_printf(dst, ",\"execution_count\":%u}\n", ev->execution_count);
}

int ndjson_add_event(struct ndjson *s, struct buf *dst, struct event *ev)
{
	switch (ev->type) {
	case EVENT_STARTED:
	case EVENT_STALL:
		return 0;
	case EVENT_BUSY:
		return add_busy(s, dst, ev);
	case EVENT_STDOUT:
	case EVENT_STDERR:
		return add_text(s, dst, ev, event_output(ev), ev->output.text, ev->output.n);
	case EVENT_RESULT:
		return add_result(s, dst, ev);
	case EVENT_ERROR:
		s->had_error = true;
		return add_error(s, dst, ev, ev->error.name, ev->error.value, ev->error.traceback);
	case EVENT_END:
		return add_end(s, dst, ev);
	case EVENT_OMITTED:
		return add_omitted(s, dst, ev);
	}
	return 0;
}

int ndjson_add_keepalive(struct buf *dst)
{
	return buf_append_str(dst, "{\"type\":\"keepalive\"}\n");
}

int ndjson_add_failure(struct buf *dst, const char *name, const char *value)
{
	static const struct ndjson plain;
	static const struct event none;
	int r = add_error(&plain, dst, &none, name, value, "");
	return r < 0 ? r : add_end_line(&plain, dst, &none);
}
