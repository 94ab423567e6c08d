/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/code/execution.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/id.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/code/outcome.h"
#include "guest-kernel-agent/journal/journal.h"
#include "guest-kernel-agent/journal/offsets.h"
#include "guest-kernel-agent/system/notices.h"
#include "loop/loop.h"

/* A kernel's death may be noticed before the host told that memory was the reason. */
#define OOM_NOTICE_WAIT_MS 150
#define SWEEP_MS (60 * 1000)
#define DETAIL_MAX 512
#define DEADLINE_MAX_MS (30 * 24 * 3600 * 1000ull) /* no sandbox lives longer */

enum state {
	STATE_RUNNING,	  /* queued or in the kernel; output goes to the journal */
	STATE_DISCARDING, /* interrupted; output is dropped */
	STATE_DYING,	  /* the kernel died; waiting for the host to say why */
	STATE_ENDED,
};

struct executions {
	struct executions_conf conf;
	struct retention retention;
	struct link live; /* in the order of their start */
	struct link kept; /* ended, oldest first */
	size_t n_live, n_kept;
	struct map *by_id; /* those with keep */
	struct loop_timer sweep;
};

struct execution {
	struct executions *owner;
	struct link link; /* in live or kept; in neither when only followers hold it */
	unsigned refs;	  /* followers, the running cell, the kept list */
	enum state state;
	bool keep, limited;
	char id[EXECUTION_ID_MAX];
	bool chosen; /* the id, by the caller */
	unsigned char digest[HASH_SHA256_LEN];
	char *context_id;
	struct exec *exec; /* NULL once it ended */
	struct journal *journal;
	struct loop_defer limit;
	struct offsets offsets[OUTPUTS];
	struct outcome outcome;
	struct loop_timer oom_wait, deadline;
	char *detail; /* what the kernel's death was told with, while DYING */
	uint64_t ended_ms;
};

static void on_sweep(struct loop_timer *t, void *arg);

struct executions *executions_new(const struct executions_conf *c)
{
	struct executions *xs = mem_zalloc(sizeof(*xs));
	if (!xs)
		return NULL;
	xs->conf = *c;
	xs->retention = (struct retention)RETENTION_DEFAULT;
	link_init(&xs->live);
	link_init(&xs->kept);
	loop_timer_init(&xs->sweep, c->loop, on_sweep, xs);
	xs->by_id = map_new();
	return xs->by_id ? xs : executions_free(xs);
}

static void execution_free(struct execution *x)
{
	loop_defer_fini(&x->limit);
	loop_timer_fini(&x->oom_wait);
	loop_timer_fini(&x->deadline);
	journal_free(x->journal);
	mem_free(x->context_id);
	mem_free(x->detail);
	for (int i = 0; i < OUTPUTS; i++)
		offsets_fini(&x->offsets[i]);
	outcome_fini(&x->outcome);
	mem_free(x);
}

struct execution *execution_ref(struct execution *x)
{
	x->refs++;
	return x;
}

struct execution *execution_unref(struct execution *x)
{
	if (x && --x->refs == 0)
		execution_free(x);
	return NULL;
}

/* ---- those that are kept ---- */

static void forget(struct executions *xs, struct execution *x)
{
	link_remove(&x->link);
	xs->n_kept--;
	(void)map_remove(xs->by_id, x->id);
	execution_unref(x);
}

static void forget_surplus(struct executions *xs)
{
	uint64_t bytes = 0, now = clock_mono_ms();
	LIST_EACH(k, &xs->kept)
	bytes += journal_bytes(container_of(k, struct execution, link)->journal);
	for (struct link *k; (k = list_first(&xs->kept));) {
		struct execution *x = container_of(k, struct execution, link);
		if (xs->n_kept <= xs->retention.count && bytes <= xs->retention.bytes &&
		    now - x->ended_ms < xs->retention.ms)
			break;
		bytes -= journal_bytes(x->journal);
		forget(xs, x);
	}
	if (xs->n_kept > 0)
		loop_timer_set(&xs->sweep, SWEEP_MS);
}

static void on_sweep(struct loop_timer *t, void *arg)
{
	forget_surplus(arg);
}

void executions_set_retention(struct executions *xs, const struct retention *r)
{
	xs->retention = *r;
	forget_surplus(xs);
}

/* ---- what the context tells ---- */

/* The end's detail, and that the journal could not go to disk. */
static const char *full_detail(const struct execution *x, const char *detail, char *dst, size_t cap)
{
	int e = journal_spill_error(x->journal);
	if (e == 0)
		return detail;
	(void)snprintf(dst, cap,
	    "%s%sthe journal could not be written to disk (%s): memory was its bound", detail,
	    *detail ? "; " : "", err_name(e));
	return dst;
}

static void set_ended(struct execution *x, enum exec_end how, const char *short_detail)
{
	char text[DETAIL_MAX];
	const char *detail = full_detail(x, short_detail, text, sizeof(text));
	struct executions *xs = x->owner;
	x->state = STATE_ENDED;
	x->ended_ms = clock_mono_ms();
	loop_timer_cancel(&x->deadline);
	outcome_set_end(&x->outcome, how, detail);
	(void)event_add_end(x->journal, how, detail, x->outcome.execution_count);
	journal_close(x->journal);
	link_remove(&x->link);
	xs->n_live--;
	if (x->keep) {
		list_push_back(&xs->kept, &x->link);
		xs->n_kept++;
		forget_surplus(xs); /* the running cell's reference is the list's now */
	} else {
		execution_unref(x);
	}
}

/* Something is missing in the journal: the cell ends, and readers see the journal's error. */
static void give_up(struct execution *x)
{
	if (x->state != STATE_RUNNING)
		return;
	x->state = STATE_DISCARDING;
	loop_defer_set(&x->limit);
}

static void on_busy(void *arg, unsigned execution_count)
{
	struct execution *x = arg;
	x->outcome.begun = true;
	x->outcome.execution_count = execution_count;
	if (x->state == STATE_RUNNING && event_add_busy(x->journal, execution_count) < 0)
		give_up(x);
}

static int add_output(struct execution *x, enum output o, const char *text, size_t n)
{
	uint64_t offset = x->outcome.bytes[o];
	if (x->keep)
		offsets_note(&x->offsets[o], offset, journal_last(x->journal) + 1,
		    journal_first(x->journal));
	x->outcome.bytes[o] += n;
	return event_add_output(x->journal, o, offset, text, n);
}

static void on_stream(void *arg, bool is_stderr, const char *text, size_t n)
{
	struct execution *x = arg;
	if (x->state == STATE_RUNNING &&
	    add_output(x, is_stderr ? OUTPUT_STDERR : OUTPUT_STDOUT, text, n) < 0)
		give_up(x);
}

static void on_result(void *arg, bool main_result, const json_t *data, const json_t *metadata)
{
	static const char too_large[] = "A result was left out because it is too large.\n";
	struct execution *x = arg;
	if (x->state != STATE_RUNNING)
		return;
	int r = event_add_result(x->journal, main_result, data);
	if (r == -EMSGSIZE)
		r = add_output(x, OUTPUT_STDERR, too_large, sizeof(too_large) - 1);
	x->outcome.results += r == 0;
	if (r < 0)
		give_up(x);
}

static void on_error(void *arg, const char *name, const char *value, const char *traceback)
{
	struct execution *x = arg;
	outcome_set_error(&x->outcome, name, value, traceback);
	/* Also while output is dropped: it is small, and says where the cell was. */
	if (event_add_error(x->journal, name, value, traceback) < 0)
		give_up(x);
}

static void on_stall(void *arg, bool stalled)
{
	struct execution *x = arg;
	x->outcome.stalls += stalled;
	if (x->state == STATE_RUNNING && event_add_stall(x->journal, stalled) < 0)
		give_up(x);
}

static void on_oom_wait(struct loop_timer *t, void *arg)
{
	struct execution *x = arg;
	bool oom = notices_oom_recent(x->owner->conf.notices);
	set_ended(x, oom ? EXEC_OUT_OF_MEMORY : EXEC_KERNEL_DIED, x->detail ? x->detail : "");
}

static void on_end(void *arg, enum exec_end how, const char *detail, unsigned execution_count)
{
	struct execution *x = arg;
	x->exec = NULL;
	loop_defer_cancel(&x->limit);
	if (execution_count)
		x->outcome.execution_count = execution_count;
	const struct notices *n = x->owner->conf.notices;
	if (how == EXEC_KERNEL_DIED && n && !notices_oom_recent(n)) {
		x->state = STATE_DYING;
		(void)mem_set_str(&x->detail, detail);
		loop_timer_set(&x->oom_wait, OOM_NOTICE_WAIT_MS);
		return;
	}
	if (how == EXEC_KERNEL_DIED && n)
		how = EXEC_OUT_OF_MEMORY;
	else if (x->limited && (how == EXEC_INTERRUPTED || how == EXEC_ERROR))
		how = EXEC_OUTPUT_LIMIT;
	set_ended(x, how, detail);
}

/* ---- room ---- */

static bool may_take(void *arg)
{
	struct execution *x = arg;
	if (x->state != STATE_RUNNING || journal_has_room(x->journal))
		return true;
	if (journal_has_readers(x->journal))
		return false;
	x->limited = true;
	give_up(x);
	return true;
}

static void on_limit(struct loop_defer *d, void *arg)
{
	struct execution *x = arg;
	if (x->exec)
		exec_interrupt(x->exec, EXEC_INTERRUPTED);
}

static void on_deadline(struct loop_timer *t, void *arg)
{
	(void)execution_interrupt(arg, EXEC_DEADLINE);
}

/* The context may be gone already while the end of its execution is still to be told. */
static void on_room(void *arg)
{
	struct execution *x = arg;
	struct context *c = x->exec ? context_find(x->owner->conf.contexts, x->context_id) : NULL;
	if (c)
		context_resume_output(c);
}

static const struct exec_sink sink = {
	.on_busy = on_busy,
	.on_stream = on_stream,
	.on_result = on_result,
	.on_error = on_error,
	.on_stall = on_stall,
	.on_end = on_end,
	.may_take = may_take,
};

/* ---- beginning ---- */

bool execution_id_ok(const char *id)
{
	return *id && strlen(id) < EXECUTION_ID_MAX &&
	       str_only(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.");
}

/* A chosen id stands for this code and no other. */
static int set_id(struct execution *x, const struct execution_ask *ask)
{
	x->chosen = !str_empty(ask->id);
	if (!x->chosen) {
		id_uuid(x->id);
		return 0;
	}
	(void)str_copy(x->id, sizeof(x->id), ask->id);
	return hash_sha256(ask->code, ask->n, x->digest);
}

static struct execution *execution_new(
    struct executions *xs, const struct context *c, const struct execution_ask *ask)
{
	struct execution *x = mem_zalloc(sizeof(*x));
	if (!x)
		return NULL;
	struct journal_conf jc = { .memory = xs->conf.journal_memory,
		.cap = xs->conf.journal_cap,
		.keep = ask->keep,
		.on_room = on_room,
		.arg = x };
	x->owner = xs;
	x->refs = 1;
	x->keep = ask->keep;
	x->outcome.created_ns = clock_real_ns();
	link_init(&x->link);
	loop_defer_init(&x->limit, xs->conf.loop, on_limit, x);
	loop_timer_init(&x->oom_wait, xs->conf.loop, on_oom_wait, x);
	loop_timer_init(&x->deadline, xs->conf.loop, on_deadline, x);
	x->journal = journal_new(&jc);
	x->context_id = mem_strdup(context_id(c));
	if (!x->journal || !x->context_id || set_id(x, ask) < 0) {
		execution_free(x);
		return NULL;
	}
	return x;
}

int execution_start(struct executions *xs, struct context *c, const struct execution_ask *ask,
    struct execution **ret)
{
	if (xs->n_live >= EXECUTIONS_LIVE_MAX)
		return -EBUSY;
	if (!str_empty(ask->id) && map_get(xs->by_id, ask->id))
		return -EEXIST;
	struct execution *x = execution_new(xs, c, ask);
	if (!x)
		return -ENOMEM;
	int r = event_add_started(x->journal, x->id, x->context_id);
	if (r == 0 && x->keep)
		r = map_add(xs->by_id, x->id, x);
	if (r == 0) {
		x->exec = context_execute(c, ask->code, ask->n, ask->env, &sink, x);
		r = x->exec ? 0 : -ENOMEM;
	}
	if (r < 0) {
		if (x->keep)
			(void)map_remove(xs->by_id, x->id);
		execution_unref(x);
		return r;
	}
	list_push_back(&xs->live, &x->link);
	xs->n_live++;
	*ret = execution_ref(x);
	return 0;
}

/* ---- the rest ---- */

struct executions *executions_free(struct executions *xs)
{
	if (!xs)
		return NULL;
	for (struct link *k; (k = list_first(&xs->live));) {
		struct execution *x = container_of(k, struct execution, link);
		x->exec = NULL;
		x->keep = false;
		(void)map_remove(xs->by_id, x->id);
		loop_timer_cancel(&x->oom_wait);
		loop_defer_cancel(&x->limit);
		set_ended(x, EXEC_RESTARTED, "the sandbox is going down");
	}
	for (struct link *k; (k = list_first(&xs->kept));)
		forget(xs, container_of(k, struct execution, link));
	loop_timer_fini(&xs->sweep);
	map_free(xs->by_id);
	return mem_free(xs);
}

struct execution *executions_find(const struct executions *xs, const char *id)
{
	return map_get(xs->by_id, id);
}

struct execution *executions_running_in(const struct executions *xs, const struct context *c)
{
	if (!context_is_busy(c))
		return NULL;
	LIST_EACH(k, &xs->live)
	{
		struct execution *x = container_of(k, struct execution, link);
		if (str_eq(x->context_id, context_id(c)))
			return x;
	}
	return NULL;
}

const char *execution_id(const struct execution *x)
{
	return x->id;
}

bool execution_has_code(const struct execution *x, const char *code, size_t n)
{
	unsigned char digest[HASH_SHA256_LEN];
	return x->chosen && hash_sha256(code, n, digest) == 0 &&
	       memcmp(digest, x->digest, sizeof(digest)) == 0;
}

struct journal *execution_journal(const struct execution *x)
{
	return x->journal;
}

const struct outcome *execution_outcome(const struct execution *x)
{
	return &x->outcome;
}

const char *execution_context_id(const struct execution *x)
{
	return x->context_id;
}

const struct offsets *execution_offsets(const struct execution *x, enum output o)
{
	return &x->offsets[o];
}

bool execution_interrupt(struct execution *x, enum exec_end how)
{
	if (!x->exec)
		return false;
	exec_interrupt(x->exec, how);
	return true;
}

void execution_set_deadline(struct execution *x, uint64_t ms)
{
	if (x->exec)
		loop_timer_set(&x->deadline, ms < DEADLINE_MAX_MS ? ms : DEADLINE_MAX_MS);
}

void execution_abandon(struct execution *x)
{
	if (!x->exec)
		return;
	x->state = STATE_DISCARDING;
	exec_interrupt(x->exec, EXEC_INTERRUPTED);
	on_room(x);
}
