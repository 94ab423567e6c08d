/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Code contexts: one Jupyter kernel each, one execution at a time, further ones queue in order. A context
 * survives the death of its kernel: the running execution ends with the reason, the kernel is started
 * again under the same id, queued executions then run.
 *
 * Kernels are reached through struct kernel (kernel.h), so that another transport than ZMTP can be added.
 * Callbacks come from the loop, never from inside a call below.
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

/* What an execution emits, in this order: busy?, (stream | result | error)*, end. */
struct exec_sink {
	void (*on_busy)(void *arg, unsigned execution_count);
	/* text is valid UTF-8, not terminated */
	void (*on_stream)(void *arg, bool is_stderr, const char *text, size_t n);
	/* data: MIME bundle as the kernel sent it, borrowed */
	void (*on_result)(void *arg, bool main_result, const json_t *data, const json_t *metadata);
	/* lines of the traceback joined without separator */
	void (*on_error)(void *arg, const char *name, const char *value, const char *traceback);
	/* last call; detail is a sentence or "" */
	void (*on_end)(void *arg, enum exec_end how, const char *detail, unsigned execution_count);
	/* false: stop reading this kernel's output until context_resume_output() (journal is full) */
	bool (*may_take)(void *arg);
};

/* Contexts of every language that a kernelspec was found for. */
struct contexts *contexts_new(struct loop *l);
struct contexts *contexts_free(struct contexts *cs);
/* Settings of POST /boot and POST /init: NULL leaves one unchanged. user is who kernels run as. env is
 * applied to kernels that are already running before their next execution. */
int contexts_configure(struct contexts *cs, const char *user, const char *workdir,
    const char *const *env);
/* "js" -> "javascript", lower-cased, trimmed; NULL when no kernelspec of that language exists. */
const char *contexts_language(const struct contexts *cs, const char *name);

typedef void context_fn(const struct err *err, struct context *c, void *arg);
/* New context with a started, answering kernel. cwd NULL = workdir. -EINVAL: no such language or directory. */
void context_create(struct contexts *cs, const char *language, const char *cwd, context_fn *done,
    void *arg);
/* The hidden default context of a language, made at first use. */
void context_default(struct contexts *cs, const char *language, context_fn *done, void *arg);
struct context *context_find(const struct contexts *cs, const char *id);
struct context *contexts_at(const struct contexts *cs, size_t i); /* NULL behind the last */
const char *context_id(const struct context *c);
const char *context_language(const struct context *c);
const char *context_cwd(const struct context *c);
bool context_is_busy(const struct context *c);
/* State is cleared, the id stays. Running and queued executions end with EXEC_RESTARTED. */
void context_restart(struct context *c, context_fn *done, void *arg);
void context_delete(struct context *c, context_fn *done, void *arg); /* c is NULL in done */

/* Queue an execution. env ("K", "V", ..., NULL; may be NULL) is set for this one only and restored
 * afterwards. The sink must stay valid until on_end. NULL on -ENOMEM. */
struct exec *context_execute(struct context *c, const char *code, size_t n, const char *const *env,
    const struct exec_sink *sink, void *arg);
/* Queued: leaves the queue and ends as EXEC_INTERRUPTED. Running: SIGINT (or an interrupt_request, as the
 * kernelspec says); on_end follows when the kernel is idle, or the kernel is restarted after a grace
 * period and the end says so. how is what on_end will tell (EXEC_INTERRUPTED or EXEC_DEADLINE). */
void exec_interrupt(struct exec *e, enum exec_end how);
void context_resume_output(struct context *c);
