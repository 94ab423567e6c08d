/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Start a program as a user of the sandbox, in a session of its own, and end everything in that
 * session's first process group. The process dies with the agent.
 */
#include <stddef.h>
#include <sys/types.h>

struct err;
struct user;

struct spawn {
	const char *const *argv;
	const char *const *envp; /* "K=V"; PATH in it finds argv[0] */
	const char *cwd;
	const struct user *user;
	int output; /* becomes descriptors 1 and 2; borrowed */
};

/* 0, or -errno with reterr set. The caller reaps through the pidfd. What fails in the child
 * (directory, program) is written to output, and the child exits with status 127. */
int spawn_process(const struct spawn *s, pid_t *ret_pid, int *ret_pidfd, struct err *reterr);
/* Send a signal to the group that a spawned process leads, also when the leader itself is gone. */
void spawn_signal_group(pid_t pid, int pidfd, int signo);
