/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What happens in an execution, and its form in the journal. The form is private to this file;
 * every text in it is terminated, so that readers can point at it. Output knows its place in its
 * stream, so that what comes before it need not be there.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "guest-kernel-agent/jupyter/context.h"

struct journal;
struct journal_record;

enum event_type {
	EVENT_STARTED = 1,
	EVENT_BUSY,
	EVENT_STDOUT,
	EVENT_STDERR,
	EVENT_RESULT,
	EVENT_ERROR,
	EVENT_END,
	EVENT_STALL,
	EVENT_OMITTED, /* never in a journal: a viewer's, in place of output that it leaves out */
};

enum output { OUTPUT_STDOUT, OUTPUT_STDERR, OUTPUTS };

/* One representation of a result: text, or the text of a JSON value. */
struct event_form {
	const char *mime;
	const char *text;
	size_t n;
	bool is_json;
};

struct event {
	enum event_type type;
	uint64_t seq;
	int64_t time_ns;
	union {
		struct {
			const char *execution_id, *context_id;
		} started;
		unsigned execution_count; /* busy */
		bool stalled;		  /* stall: else the kernel goes on */
		struct {
			const char *text;
			size_t n;
			uint64_t offset; /* of its first byte in its stream */
		} output;
		struct {
			enum output output;
			uint64_t offset, bytes;
		} omitted;
		struct {
			bool main_result;
			const unsigned char *forms, *end; /* event_next_form() */
		} result;
		struct {
			const char *name, *value, *traceback;
		} error;
		struct {
			enum exec_end how;
			const char *detail;
			unsigned execution_count;
		} end;
	};
};

/* The record's bytes stay where they are. -EINVAL when it is none of ours. */
int event_decode(const struct journal_record *rec, struct event *ret);
static inline enum output event_output(const struct event *ev)
{
	return ev->type == EVENT_STDERR ? OUTPUT_STDERR : OUTPUT_STDOUT;
}
static inline enum event_type event_type_of(enum output o)
{
	return o == OUTPUT_STDERR ? EVENT_STDERR : EVENT_STDOUT;
}
/* The forms of a result one after the other: false behind the last. */
bool event_next_form(struct event *ev, struct event_form *ret);

/* Append: 0, or what journal_append() returns. */
int event_add_started(struct journal *j, const char *execution_id, const char *context_id);
int event_add_busy(struct journal *j, unsigned execution_count);
/* text is the stream's from offset on. Long text is split, between characters. */
int event_add_output(struct journal *j, enum output o, uint64_t offset, const char *text, size_t n);
int event_add_result(struct journal *j, bool main_result, const json_t *data);
int event_add_error(struct journal *j, const char *name, const char *value, const char *traceback);
int event_add_stall(struct journal *j, bool stalled);
int event_add_end(
    struct journal *j, enum exec_end how, const char *detail, unsigned execution_count);
