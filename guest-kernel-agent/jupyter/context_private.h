/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What context.c, contexts.c and exec.c share; nobody else includes this. */
#include "base/err.h"
#include "base/list.h"
#include "guest-kernel-agent/jupyter/context.h"
#include "guest-kernel-agent/system/oom.h"
#include "guest-kernel-agent/system/users.h"
#include "loop/loop.h"

#define CONTEXTS_MAX 256       /* kernels are expensive; this only stops a runaway client */
#define CONTEXT_QUEUE_MAX 1024 /* waiting executions a context */

struct kernel;
struct kernel_ops;
struct kernelspecs;
struct language;

struct contexts {
	struct loop *loop;
	struct link all; /* in the order of their creation */
	size_t n;
	char *run_dir;
	struct kernelspecs *specs;
	struct user user;
	char *workdir; /* NULL = the user's home */
	json_t *env;   /* object of strings */
	struct oom_watch oom;
	struct link ended; /* executions whose end is still to be told */
	struct loop_defer tell;
};

/* What a context does; context_moves in context.c tells what may follow what. */
enum context_state {
	CONTEXT_STARTING, /* kernel is on its way */
	CONTEXT_READY,	  /* kernel answers, nothing runs */
	CONTEXT_BUSY,	  /* an execution or its clean-up runs, see context_phase */
	CONTEXT_STOPPING, /* kernel ends because context_restart() or context_delete() said so */
	CONTEXT_DOWN,	  /* no kernel; the next execution starts one */
};

enum context_phase {
	PHASE_ENV,    /* silent code that sets variables */
	PHASE_CODE,   /* the user's */
	PHASE_LEAVE,  /* silent code that restores variables; the execution has ended already */
	PHASE_FORCED, /* the kernel is being killed, the execution ends with it */
};

struct waiter {
	struct link link;
	context_fn *done;
	void *arg;
};

struct context {
	struct link link; /* in contexts.all */
	struct contexts *cs;
	char id[37];
	const struct language *language;
	char *cwd;
	bool is_default;
	bool established; /* its kernel answered once: from then on a failure to start keeps it */
	bool deleting;
	bool used;   /* this kernel has run something */
	bool reseed; /* its next code gets new seeds along */
	enum context_state state;
	enum context_phase phase;
	struct err err; /* why it is DOWN */
	struct kernel *kernel;
	json_t *env_applied; /* what contexts.env was when the kernel got it */
	struct link queue;
	size_t n_queue;
	struct exec *running;
	uint64_t ooms;	     /* there were when it began */
	json_t *leave;	     /* variables to restore after the running execution */
	struct link waiters; /* for the kernel to be there, or to be gone */
	struct loop_timer grace;
	struct loop_defer turn;
};

struct exec {
	struct link link; /* in context.queue or contexts.ended */
	struct context *context;
	char *code;
	size_t n;
	json_t *env; /* of this execution, or NULL */
	const struct exec_sink *sink;
	void *arg;
	context_fn *silent_done; /* instead of a sink */
	bool interrupted, dropped;
	enum exec_end interrupted_how;
	enum exec_end how; /* 0 until it ended */
	unsigned count;
	char detail[ERR_TEXT_MAX];
};

/* contexts.c */
/* Tell the end from a fresh turn; the execution is gone then. */
void contexts_tell_end(struct contexts *cs, struct exec *e);
/* Ends that are still to be told do not name the context any more. */
void contexts_forget_context(struct contexts *cs, const struct context *c);

/* context.c */
struct context *context_new(struct contexts *cs, const struct language *lang, const char *cwd);
struct context *context_free(struct context *c); /* kills its kernel; tells nobody */
int context_add_waiter(struct context *c, context_fn *done, void *arg);
/* Start the kernel in the next turn; a failure is told to the waiters. */
void context_begin_start(struct context *c);
void context_set_busy(struct context *c, enum context_phase phase);
/* The next execution may begin. */
void context_set_idle(struct context *c);
/* Kill the kernel; the running execution ends with it. */
void context_force(struct context *c);
void context_on_ready(struct kernel *k, void *arg);
void context_on_exit(struct kernel *k, int wait_status, const char *why, void *arg);

/* exec.c */
extern const struct kernel_ops context_kernel_ops;
struct exec *exec_free(struct exec *e);
/* Take the next one off the queue, which is not empty, and run it. */
void exec_begin_next(struct context *c);
void exec_finish(struct exec *e, enum exec_end how, const char *detail);
/* All that are queued or running. */
void exec_finish_all(struct context *c, enum exec_end how, const char *detail);
/* The kernel ended under the running execution, if there is one. */
void exec_on_kernel_end(struct context *c, bool oom, const char *why);
