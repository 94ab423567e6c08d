/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Code contexts: one Jupyter kernel each, one execution at a time, further ones queue in order. A
 * context survives the death of its kernel: the running execution ends with the reason, the kernel
 * is started again under the same id, queued executions then run.
 *
 * Kernels are reached through struct kernel (kernel.h), so that another transport than ZMTP can be
 * added. Callbacks come from the loop, never from inside a call below.
 */
#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

struct context;
struct contexts;
struct err;
struct exec; /* one execution in a context */
struct loop;

enum exec_end { /* same meaning as sandglass.v1.EndStatus */
	EXEC_OK = 1,
	EXEC_ERROR,
	EXEC_INTERRUPTED,
	EXEC_KERNEL_DIED,
	EXEC_OUT_OF_MEMORY,
	EXEC_RESTARTED,
	EXEC_DEADLINE,
	EXEC_OUTPUT_LIMIT,
};

/* What an execution emits, in this order: busy?, (stream | result | error | stall)*, end. */
struct exec_sink {
	void (*on_busy)(void *arg, unsigned execution_count);
	/* text is valid UTF-8, not terminated */
	void (*on_stream)(void *arg, bool is_stderr, const char *text, size_t n);
	/* data: MIME bundle as the kernel sent it, borrowed */
	void (*on_result)(void *arg, bool main_result, const json_t *data, const json_t *metadata);
	/* lines of the traceback joined without separator */
	void (*on_error)(void *arg, const char *name, const char *value, const char *traceback);
	/* the kernel's process was stopped by a signal, or goes on (optional) */
	void (*on_stall)(void *arg, bool stalled);
	/* last call; detail is a sentence or "" */
	void (*on_end)(void *arg, enum exec_end how, const char *detail, unsigned execution_count);
	/* false: stop reading this kernel's output until context_resume_output() (journal is full)
	 */
	bool (*may_take)(void *arg);
};

/* Contexts of every language that a kernelspec was found for. Kernels are children of the calling
 * thread and watched by pidfd (loop_child): a reaper of orphans must leave them alone until the
 * loop has seen their end, or how they ended is lost. */
struct contexts *contexts_new(struct loop *l);
/* Kills every kernel; tells nobody: executions get no on_end. */
struct contexts *contexts_free(struct contexts *cs);
/* Where sockets of kernels and our Python files are, instead of below /run/sandglass; before any
 * context exists. 0 or -ENOMEM. */
/* False: whether a kernel was killed for memory has to be asked elsewhere; then all such ends are
 * EXEC_KERNEL_DIED. */
bool contexts_know_of_ooms(const struct contexts *cs);
int contexts_use_dirs(struct contexts *cs, const char *run_dir, const char *python_dir);
/* Settings of POST /boot and POST /init: NULL leaves one unchanged. user is who kernels run as
 * (before the first call: who runs the agent), workdir "" is that user's home, env is "K=V" and
 * NULL at the end. env is applied to kernels that are already running before their next execution.
 * 0, -ENOENT (no such user), -EINVAL (env is not UTF-8) or -ENOMEM; nothing is changed then. */
int contexts_configure(
    struct contexts *cs, const char *user, const char *workdir, const char *const *env);
/* "js" -> "javascript", lower-cased, trimmed; NULL with reterr set (-EINVAL, says what to install)
 * when no kernelspec of that language exists. */
const char *contexts_language(struct contexts *cs, const char *name, struct err *reterr);

/* The functions below that take a done call it exactly once, from a later turn; they return 0, or
 * -ENOMEM when nothing was begun and done will not be called. */
typedef void context_fn(const struct err *err, struct context *c, void *arg);
/* New context with a started, answering kernel. cwd NULL = workdir. -EINVAL: no such language or
 * directory. */
int context_create(
    struct contexts *cs, const char *language, const char *cwd, context_fn *done, void *arg);
/* The default context of a language, made at first use, in workdir. contexts_at() lists it, too. */
int context_default(struct contexts *cs, const char *language, context_fn *done, void *arg);
struct context *context_find(const struct contexts *cs, const char *id);
struct context *contexts_at(const struct contexts *cs, size_t i); /* NULL behind the last */
const char *context_id(const struct context *c);
const char *context_language(const struct context *c);
const char *context_cwd(const struct context *c);
bool context_is_busy(const struct context *c);
/* State is cleared, the id stays. Running and queued executions end with EXEC_RESTARTED. */
int context_restart(struct context *c, context_fn *done, void *arg);
int context_delete(struct context *c, context_fn *done, void *arg); /* c is NULL in done */

/* Run code for its side effects between executions (warm-up, new seeds): no execution count, no
 * history, output dropped. done hears -EIO when it raised, or why the kernel could not run it. */
int context_run_silent(struct context *c, const char *code, size_t n, context_fn *done, void *arg);
/* New seeds for its random numbers before its next code runs. False: this kernel needs code that
 * does it. */
bool context_reseed(struct context *c);

/* Queue an execution. env ("K", "V", ..., NULL; may be NULL) is set for this one only and restored
 * afterwards. The sink must stay valid until on_end. NULL on -ENOMEM, or when 1024 are waiting
 * already. */
struct exec *context_execute(struct context *c, const char *code, size_t n, const char *const *env,
    const struct exec_sink *sink, void *arg);
/* Queued: leaves the queue and ends as EXEC_INTERRUPTED. Running: SIGINT (or an interrupt_request,
 * as the kernelspec says); on_end follows when the kernel is idle, or the kernel is restarted after
 * a grace period and the end says so. how is what on_end will tell (EXEC_INTERRUPTED or
 * EXEC_DEADLINE). */
void exec_interrupt(struct exec *e, enum exec_end how);
void context_resume_output(struct context *c);
