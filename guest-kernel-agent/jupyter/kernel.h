/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One kernel process and the conversation with it: started as a user of the sandbox, asked for its
 * kernel_info until it answers on both sockets, then one execution at a time until it is stopped or
 * dies.
 *
 *     STARTING --answers--> READY --kernel_stop()--> STOPPING --> GONE
 *         `------------------ process ends -------------------------^
 *
 * There is no heartbeat socket: a pidfd tells the end of the process at once, and kernel_watch.c
 * finds lost replies and stopped processes. Code that merely takes long is the business of whoever
 * set a deadline. There is no stdin socket: input() is not offered.
 *
 * Callbacks come from the loop only, never from inside a call below. kernel_free() must not be
 * called from a callback other than on_exit.
 */
#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

struct err;
struct kernel;
struct kernelspec;
struct loop;
struct user;

struct kernel_config {
	const struct kernelspec *spec;
	const struct user *user;
	const char *cwd;
	const json_t *env;   /* object of strings, on top of the user's basic environment */
	const char *run_dir; /* where connection files and sockets go */
};

struct kernel_reply {
	bool ok;
	bool exiting; /* the code asked the kernel to exit; it is about to die */
	unsigned execution_count;
	const char *lost; /* a sentence when the kernel's own word was missing, else NULL */
};

struct kernel_ops {
	void (*on_ready)(struct kernel *k, void *arg);
	/* The code is running: an interrupt can reach it from now on. */
	void (*on_busy)(struct kernel *k, unsigned execution_count, void *arg);
	/* Output of the running execution, as struct exec_sink (context.h) describes it. */
	void (*on_stream)(struct kernel *k, bool is_stderr, const char *text, size_t n, void *arg);
	void (*on_result)(struct kernel *k, bool main_result, const json_t *data,
	    const json_t *metadata, void *arg);
	void (*on_error)(struct kernel *k, const char *name, const char *value,
	    const char *traceback, void *arg);
	/* The process was stopped by a signal while it runs something, or goes on. */
	void (*on_stall)(struct kernel *k, bool stalled, void *arg);
	/* Asked before on_stream, on_result and on_error; false stops reading until
	 * kernel_resume_output(). */
	bool (*may_take)(struct kernel *k, void *arg);
	void (*on_done)(struct kernel *k, const struct kernel_reply *reply, void *arg);
	/* Last call: the process is gone. wait_status as in waitpid(2), -1 when unknown; why is a
	 * sentence. A running execution gets no on_done. */
	void (*on_exit)(struct kernel *k, int wait_status, const char *why, void *arg);
};

/* Starts the process. NULL with reterr set: what could not even be tried. */
struct kernel *kernel_new(struct loop *l, const struct kernel_config *config,
    const struct kernel_ops *ops, void *arg, struct err *reterr);
/* Kills what still runs, without on_exit. */
struct kernel *kernel_free(struct kernel *k);

/* Only when ready and nothing runs. silent: no history, no count, no output wanted. along (may be
 * NULL): what a kernel that kernel_takes_along() does around the code, see
 * python/sandglass_along.py. 0, or -ENOMEM: nothing was sent. */
int kernel_execute(struct kernel *k, const char *code, size_t n, bool silent, const json_t *along);
/* It said so when it was asked for kernel_info; others need code for it. */
bool kernel_takes_along(const struct kernel *k);
/* Interrupt what runs, once it can be reached. */
void kernel_interrupt(struct kernel *k);
void kernel_resume_output(struct kernel *k);
/* Ask the kernel to shut down and kill it after grace_ms; at once with 0. on_exit follows; output
 * of a running execution is not delivered any more. */
void kernel_stop(struct kernel *k, unsigned grace_ms);
