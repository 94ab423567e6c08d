/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Processes that clients start in the sandbox: each runs as a user, in a session of its own, with
 * pipes or a terminal, and writes to a journal that any number of followers read. A process that
 * ended is kept, so that its output and outcome can be asked for later.
 *
 *   STARTING --program runs--> RUNNING --leader ended--> DRAINING --output read--> ENDED
 *      `--- user, directory ---> REFUSED, freed
 *
 * Output against a full journal: while somebody reads, the process waits in its write; when nobody
 * does, the oldest output goes.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "guest-kernel-agent/process/event.h"
#include "guest-kernel-agent/system/spawn.h"

struct err;
struct input_piece;
struct journal;
struct loop;
struct notices;
struct offsets;
struct process;
struct processes;
struct user;

#define PROCESSES_LIVE_MAX 4096
#define PROCESSES_KEPT 1024
#define PROCESSES_KEPT_MS (60 * 60 * 1000ull)
#define PROCESSES_KEPT_BYTES (512ull * 1024 * 1024)
#define PROCESSES_KEPT_MEMORY (16ull * 1024 * 1024) /* of their journals */

struct processes_conf {
	struct loop *loop;
	const struct notices *notices;
	const char *oom_file;  /* as oom_watch_init() takes it */
	uint64_t kept_ms;      /* 0 = PROCESSES_KEPT_MS; UINT64_MAX = as long as the sandbox */
	size_t kept;	       /* 0 = PROCESSES_KEPT */
	uint64_t kept_bytes;   /* 0 = PROCESSES_KEPT_BYTES */
	size_t journal_memory; /* 0 = JOURNAL_MEMORY */
	uint64_t journal_cap;  /* 0 = JOURNAL_CAP */
};
struct processes *processes_new(const struct processes_conf *c);
/* Kills those that run. Nobody follows any more. */
struct processes *processes_free(struct processes *ps);
/* How long those that ended are kept, and with how much output; their number stays bounded. */
void processes_set_retention(struct processes *ps, uint64_t ms, uint64_t bytes);

/* What the client asked for, for a listing. Everything is owned, texts are never NULL. */
struct process_command {
	char *cmd, *cwd, *tag;
	char *dir;   /* cwd resolved: where it starts */
	char **args; /* without cmd; NULL at the end */
	char **envs; /* "K=V" of the request; NULL at the end */
};
void process_command_fini(struct process_command *c);

struct process_terminal {
	uint16_t cols, rows;
};

struct process_start {
	struct process_command *command; /* taken over on success */
	const struct user *user;
	const char *const *envp;
	const struct process_terminal *terminal; /* NULL = pipes */
	bool stdin_open;			 /* with pipes; else /dev/null */
	uint64_t output_max;			 /* killed when it wrote more; 0 = no limit */
	uint64_t limit_ms; /* killed when it runs longer; UINT64_MAX = no limit */
	/* From the loop: the program runs (stage 0), or why it does not (stage, errno); in the
	 * latter case the process is gone. Does not come after process_forget_starter(). */
	void (*on_started)(struct process *p, int stage, int error, void *arg);
	void *arg;
};
/* 0 and a reference; -EBUSY (PROCESSES_LIVE_MAX) or another -errno with reterr set. */
int process_start(
    struct processes *ps, const struct process_start *s, struct process **ret, struct err *reterr);
void process_forget_starter(struct process *p);
struct process *process_ref(struct process *p);
struct process *process_unref(struct process *p);

/* Borrowed, or NULL: those that run first, then the newest that ended. */
struct process *processes_find_pid(const struct processes *ps, uint32_t pid);
struct process *processes_find_tag(const struct processes *ps, const char *tag);
struct process *processes_find_id(const struct processes *ps, const char *id);
/* Those that run, oldest first: p = NULL for the first; NULL behind the last. */
struct process *processes_next(const struct processes *ps, const struct process *p);

pid_t process_pid(const struct process *p);
const char *process_id(const struct process *p); /* a UUID, never given twice */
const struct process_command *process_command(const struct process *p);
struct journal *process_journal(const struct process *p);
bool process_is_ended(const struct process *p);
struct process_outcome {
	int64_t created_ns, ended_ns; /* ended_ns 0 = it runs */
	enum process_end how;
	int wait_status;
};
void process_outcome(const struct process *p, struct process_outcome *ret);
/* Of what it wrote to a stream: how much, and where that lies; 0 and NULL when it has no such
 * stream. */
uint64_t process_bytes(const struct process *p, enum process_event_type stream);
const struct offsets *process_offsets(const struct process *p, enum process_event_type stream);

/* Send a signal to the process alone: 0 or -ESRCH. After SIGTERM its end waits no more for output
 * that its descendants could still write. */
int process_signal(struct process *p, int signo);
/* Kill the process and everything that it started; its end says how. Nothing of it is left when the
 * end event comes. 0 or -ESRCH. */
int process_kill(struct process *p, enum process_end how);

/* Waits for the end of a kill. Embedded; zeroed memory is in no list. */
struct process_wait {
	struct link link;
	void (*done)(struct process_wait *w); /* from the loop */
};
/* True when done() will come; false when nothing of p is being killed. */
bool process_wait_killed(struct process *p, struct process_wait *w);
void process_wait_cancel(struct process_wait *w);

#define PROCESS_E_NO_INPUT 1 /* stdin not enabled or closed */
#define PROCESS_E_TERMINAL 2 /* it has a terminal, or none */
/* Write to standard input, or to the terminal: 0 (done() of the piece follows), PROCESS_E_x,
 * -ENOBUFS, -ENOMEM. */
int process_write(struct process *p, bool to_terminal, struct input_piece *piece);
void process_write_cancel(struct process *p, struct input_piece *piece);
/* 0, or PROCESS_E_TERMINAL: a terminal has no end of input of this kind. */
int process_close_stdin(struct process *p);
/* 0, PROCESS_E_TERMINAL or -errno. */
int process_resize(struct process *p, const struct process_terminal *t);
