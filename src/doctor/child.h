/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Processes of doctor and the waits for them. Signals that end doctor are taken while it waits;
 * once one has come, every further wait returns at once. All of these processes are killed when the
 * one that started them ends.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include "base/err.h"

struct children {
	int signal_fd; /* -1 in a child: signals have their usual effects there */
	int signo;     /* the signal that came, 0 = none yet */
	uid_t uid;     /* whom children become */
	gid_t gid;
	const char *log_path; /* standard error of all of them */
};

/* Blocks the signals: 0 or -errno. */
int children_open(struct children *c);
void children_close(struct children *c);
/* Wait up to ms, or until a signal comes: 0, -EINTR, -ETIMEDOUT. */
int children_pause(struct children *c, uint64_t ms);

/* Run main, which never returns, in a child as root. fd becomes its descriptor 3 (-1 = none). Its
 * pid or -errno. */
typedef void children_main(void *arg);
pid_t children_start(struct children *c, children_main *main, void *arg, int fd);
/* Wait until it ended, at most ms: 0 and the wait status, -ETIMEDOUT, -EINTR. */
int children_wait(struct children *c, pid_t pid, uint64_t ms, int *ret_status);
/* SIGTERM, and SIGKILL when that does not help in ms or a signal comes: 0 when it ended with status
 * 0, else -ECHILD.
 */
int children_stop(struct children *c, pid_t pid, uint64_t ms);

/* Run fn in a child without rights; its answer comes back. confine: under the worker's system call
 * filter, too. 0, or -errno and reterr. */
typedef json_t *children_fn(void *arg);
int children_run(struct children *c, children_fn *fn, void *arg, bool confine, uint64_t ms,
    json_t **ret, struct err *reterr);
