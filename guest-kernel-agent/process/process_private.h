/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The process object, as its own files see it. */
#include <sys/types.h>

#include "base/list.h"
#include "guest-kernel-agent/journal/offsets.h"
#include "guest-kernel-agent/process/input.h"
#include "guest-kernel-agent/process/process.h"
#include "guest-kernel-agent/system/oom.h"
#include "loop/loop.h"
#include "loop/work.h"

struct processes {
	struct processes_conf conf;
	struct link live; /* STARTING to DRAINING, oldest first */
	struct link kept; /* ENDED, oldest first */
	size_t n_live, n_kept;
	uint64_t next_mark;
	struct oom_watch oom;
	struct loop_timer sweep;
	struct work *killers;
};

enum process_state {
	PROCESS_STATE_STARTING, /* the child prepares itself */
	PROCESS_STATE_REFUSED,	/* it could not; until it is collected */
	PROCESS_STATE_RUNNING,
	PROCESS_STATE_DRAINING,
	PROCESS_STATE_ENDED,
};

/* One stream that the process writes. */
struct output {
	struct process *process;
	enum process_event_type type;
	struct loop_io io;
	int fd;		  /* -1 = at its end */
	uint64_t bytes;	  /* read */
	uint64_t written; /* of them, to the journal */
	struct offsets offsets;
	uint64_t after_end; /* read since nothing more is waited for */
};

enum { OUTPUT_FIRST, OUTPUT_SECOND, OUTPUTS };

struct process {
	struct processes *owner;
	struct link link;
	unsigned refs; /* the table's, callers', a running kill */
	enum process_state state;
	char id[37];
	pid_t pid;
	uint64_t mark;
	struct process_command command;
	struct journal *journal;
	struct loop_child child;
	struct loop_io status_io;
	int status_fd;
	void (*on_started)(struct process *p, int stage, int error, void *arg);
	void *arg;
	bool has_terminal;
	struct input input;
	struct output outputs[OUTPUTS];
	uint64_t output_max;
	bool reaped;  /* the leader is collected */
	bool hurried; /* the end does not wait for the output of descendants */
	bool killing; /* in a thread */
	struct link kill_waits;
	enum process_end kill_reason; /* 0 = not killed by us */
	enum process_end how;	      /* once reaped */
	int wait_status;
	uint64_t ooms; /* there were when it began */
	struct loop_defer settle;
	struct loop_timer deadline;
	uint64_t ended_ms;
	int64_t created_ns, ended_ns;
};

/* process.c: nothing more than what is in its pipes is waited for. */
bool process_is_over(const struct process *p);
/* Something that the end waits for may have happened: looked at from the loop. */
void process_settle(struct process *p);
/* output.c */
void output_init(struct output *o, struct process *p, enum process_event_type type, int fd_consume);
void output_fini(struct output *o);
bool output_is_open(const struct output *o);
/* Read on, as far as the journal has room. */
void output_resume(struct output *o);
/* table.c: live ones become kept ones, or are freed. */
void processes_keep(struct processes *ps, struct process *p);
void process_free(struct process *p);
