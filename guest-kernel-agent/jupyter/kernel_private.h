/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What kernel*.c share; nobody else includes this. */
#include <sys/types.h>

#include "base/err.h"
#include "base/path.h"
#include "guest-kernel-agent/jupyter/channel.h"
#include "guest-kernel-agent/jupyter/kernel.h"
#include "guest-kernel-agent/jupyter/message.h"
#include "guest-kernel-agent/jupyter/text.h"
#include "loop/loop.h"

#define KERNEL_DIAGNOSTICS_MAX 2048

enum kernel_state { KERNEL_STARTING, KERNEL_READY, KERNEL_STOPPING, KERNEL_GONE };

/* The execution that runs. */
struct kernel_run {
	char id[MESSAGE_ID_MAX];
	bool active, silent;
	bool reachable; /* an interrupt would find the code, not the kernel's own */
	bool interrupt; /* wanted, not yet sent */
	bool replied, idle, told_error, stalled;
	unsigned ticks;		    /* of the watchdog */
	unsigned nudge_ms;	    /* until the next, after an interrupt */
	char probe[MESSAGE_ID_MAX]; /* its request, "" = not sent */
	struct kernel_reply reply;
	json_t *error; /* content of a reply that tells one, until the run's end */
};

struct kernel {
	struct loop *loop;
	const struct kernel_ops *ops;
	void *arg;
	enum kernel_state state;
	struct err why; /* first reason for the end, if it was not the process' own */

	char dir[PATH_LEN_MAX]; /* connection file and sockets */
	struct session session;
	bool interrupt_by_message, traceback_lines;

	pid_t pid;
	struct loop_child child;
	bool ended; /* the process; what it sent may still be on its way */
	int wait_status;
	struct loop_timer limit; /* of what must not take forever; then the process is killed */
	const char *limit_why;

	int output; /* the process' own stdout and stderr */
	struct loop_io output_io;
	char diagnostics[KERNEL_DIAGNOSTICS_MAX]; /* the last of it */
	size_t n_diagnostics;

	struct channel shell, control, iopub;
	bool info_replied, iopub_live, takes_along;

	struct kernel_run run;
	struct loop_timer watch, nudge;
	struct loop_timer quiet; /* runs while the rest of something is awaited on iopub */
	struct message held;	 /* of iopub, not yet delivered as a whole */
	bool holding, streaming;
	bool blocked; /* by may_take */
	struct text_stream text;
	struct loop_defer deliver;
};

/* kernel_start.c */
int kernel_launch(struct kernel *k, const struct kernel_config *config, struct err *reterr);

/* kernel.c */
int kernel_watch(struct kernel *k, int pidfd_consume);
void kernel_fail(struct kernel *k, const struct err *why);
void kernel_limit(struct kernel *k, unsigned ms, const char *why);
int kernel_request(struct kernel *k, struct channel *c, const char *type, const json_t *content,
    char ret_id[MESSAGE_ID_MAX]);
void kernel_check_ready(struct kernel *k);
void kernel_check_gone(struct kernel *k);
void kernel_send_interrupt(struct kernel *k);

/* kernel_watch.c */
void kernel_watch_init(struct kernel *k);
void kernel_watch_fini(struct kernel *k);
void kernel_watch_end(struct kernel *k);
void kernel_watch_interrupt(struct kernel *k); /* SIGINT was sent */
void kernel_watch_run(struct kernel *k);       /* an execution begins */

/* kernel_output.c */
extern const struct channel_ops kernel_shell_ops, kernel_control_ops, kernel_iopub_ops;
void kernel_deliver(struct loop_defer *d, void *arg);
void kernel_check_done(struct kernel *k);
void kernel_end_wait(struct kernel *k);
