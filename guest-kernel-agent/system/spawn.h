/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Start a program as a user of the sandbox, in a session of its own, with no descriptors but the
 * three that are named and no signal blocked or ignored. The process dies with the agent.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct user;

#define SPAWN_EXIT_NOT_FOUND 127
#define SPAWN_EXIT_NOT_EXECUTABLE 126

struct spawn {
	const char *const *argv; /* argv[0] is looked for in the PATH of envp, as the user */
	const char *const *envp; /* "K=V" */
	const char *cwd;
	const struct user *user;
	int input;	     /* becomes descriptor 0; -1 = /dev/null */
	int output, error;   /* become 1 and 2. All are borrowed */
	bool terminal;	     /* input is a terminal: it becomes the controlling one */
	const char *oom_adj; /* for /proc/self/oom_score_adj */
	uint64_t mark;	     /* 0 = none; see tree.h */
	int status;	     /* -1, or where failures before the program are told */
};

/* What is written to spawn.status, at most once; the end of the file follows when the program runs
 * or the child is gone. */
enum spawn_stage { SPAWN_SETUP = 1, SPAWN_USER, SPAWN_CWD };
struct spawn_failure {
	int stage, error;
};

/* 0, or -errno with reterr set. The caller reaps through the pidfd. A program that cannot be run is
 * named on error, and the child exits with 127 or 126; so do failures before it when there is no
 * status. */
int spawn_process(const struct spawn *s, pid_t *ret_pid, int *ret_pidfd, struct err *reterr);
/* Is there such a program, as far as the agent can see? 0, -ENOENT or -ENAMETOOLONG. */
int spawn_check_program(const struct spawn *s, struct err *reterr);
/* Send a signal to the group that a spawned process leads, also when the leader itself is gone. */
void spawn_signal_group(pid_t pid, int pidfd, int signo);
