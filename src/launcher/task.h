/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Long work in a forked child: the launcher's loop goes on meanwhile. */
#include <stdbool.h>

#include "loop/loop.h"

struct task {
	struct loop_child child;
	void (*done)(struct task *t, int r, void *arg);
	void *arg;
	bool running;
};

/* Run fn(fn_arg) in a child without any of our descriptors but standard error; its result, 0 or
 * -errno, comes to done in a later turn (-EIO when the child was killed). 0 or -errno. */
int task_start(struct task *t, struct loop *l, int (*fn)(void *fn_arg), void *fn_arg,
    void (*done)(struct task *t, int r, void *arg), void *arg);
/* The same, in a child that keeps these descriptors. */
#define TASK_KEEP_MAX 4
int task_start_with(struct task *t, struct loop *l, const int *keep, unsigned n_keep,
    int (*fn)(void *fn_arg), void *fn_arg, void (*done)(struct task *t, int r, void *arg),
    void *arg);
/* It ends by that, and done is called. 0 or -errno. */
int task_signal(struct task *t, int signo);
/* End it: it is dead when this returns, done is not called. */
void task_kill(struct task *t);
/* Forget it: the child goes on alone, done is not called. */
void task_fini(struct task *t);
