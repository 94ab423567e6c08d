/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What happens to a process, and its form in the journal, which is private to event.c. */
#include <stddef.h>
#include <stdint.h>

struct journal;
struct journal_record;

enum process_event_type {
	PROCESS_EVENT_STARTED = 1, /* always record 1 */
	PROCESS_EVENT_STDOUT,
	PROCESS_EVENT_STDERR,
	PROCESS_EVENT_PTY,
	PROCESS_EVENT_END, /* always the last record */
};

/* Why a process ended. */
enum process_end {
	PROCESS_END_EXITED = 1,
	PROCESS_END_SIGNALED,	   /* by itself or by somebody in the sandbox */
	PROCESS_END_KILLED,	   /* through the API */
	PROCESS_END_OUT_OF_MEMORY, /* by the system */
	PROCESS_END_DEADLINE,
	PROCESS_END_OUTPUT_LIMIT,
};

struct process_event {
	enum process_event_type type;
	uint64_t seq;
	int64_t time_ns;
	union {
		uint32_t pid; /* started */
		struct {
			uint64_t offset; /* in its stream */
			const void *p;
			size_t n;
		} output;
		struct {
			enum process_end how;
			int wait_status; /* as from waitpid(2); -1 = not known */
		} end;
	};
};

/* The record's bytes stay where they are. -EINVAL when it is none of ours. */
int process_event_decode(const struct journal_record *rec, struct process_event *ret);
/* Append: 0, or what journal_append() returns. */
int process_event_add_started(struct journal *j, uint32_t pid);
int process_event_add_output(
    struct journal *j, enum process_event_type type, uint64_t offset, const void *p, size_t n);
int process_event_add_end(struct journal *j, enum process_end how, int wait_status);

/* "exit status 1", "signal: killed": as Go writes it, which clients look for. Returns dst. */
#define PROCESS_STATUS_TEXT_MAX 64
char *process_status_text(int wait_status, char dst[PROCESS_STATUS_TEXT_MAX]);
/* The exit code; -1 when a signal ended it. */
int process_exit_code(int wait_status);
