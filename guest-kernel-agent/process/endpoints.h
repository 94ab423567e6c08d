/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The pipes or the terminal of a process that is about to start, both sides. */
#include <stdbool.h>

struct err;
struct process_terminal;
struct user;

struct endpoints {
	int in, out, err; /* ours, nonblocking; in and err may be -1; out is the terminal */
	int child[3];	  /* the process's 0, 1 and 2; equal for a terminal; child[0] may be -1 */
	int status, status_child;
};
#define ENDPOINTS_INIT                             \
	{                                          \
		-1, -1, -1, { -1, -1, -1 }, -1, -1 \
	}

/* 0 or -errno with reterr set; endpoints_close() in any case. The terminal belongs to the user. */
int endpoints_open(struct endpoints *e, const struct process_terminal *t, bool stdin_open,
    const struct user *user, struct err *reterr);
/* Closes what was not taken. */
void endpoints_close(struct endpoints *e);
