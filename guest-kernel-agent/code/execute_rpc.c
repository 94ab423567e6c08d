/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Execute begins an execution and follows it, Attach follows one. The execution belongs to neither:
 * when the call ends, however that is, it goes on, unless the client asked for an interrupt on
 * disconnect. The deadline of Execute is the cell's, too: a client that keeps one cancels its call
 * at that moment, often before we see that it has come. While a default context is being made, its
 * callback keeps the call's object alive after the call is done (call is NULL then).
 */
#include "guest-kernel-agent/code/execute_rpc.h"

#include <errno.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/code/cell.h"
#include "guest-kernel-agent/code/event.h"
#include "guest-kernel-agent/code/event_proto.h"
#include "guest-kernel-agent/code/execution.h"
#include "guest-kernel-agent/code/viewer.h"
#include "guest-kernel-agent/code/interpreter.h"
#include "rpc/call.h"
#include "sandglass/v1/code_interpreter.pb-c.h"

struct watch {
	struct interpreter *ip;
	struct call *call; /* NULL once it is done */
	struct cell cell;  /* Execute, until it begins */
	bool preparing;	   /* on_context() is to come */
	bool is_execute, interrupt_on_disconnect;
	char id[EXECUTION_ID_MAX]; /* chosen for Execute, or "" */
	struct viewer_wish wish;
	struct viewer viewer;
};

static void watch_free(struct watch *w)
{
	viewer_fini(&w->viewer);
	cell_fini(&w->cell);
	mem_free(w);
}

static struct watch *watch_new(struct call *c)
{
	struct watch *w = mem_zalloc(sizeof(*w));
	if (!w) {
		call_finish(c, RPC_RESOURCE_EXHAUSTED, "out of memory");
		return NULL;
	}
	w->ip = call_service_arg(c);
	w->call = c;
	call_set_user(c, w);
	return w;
}

/* ---- following ---- */

static bool is_ready(void *arg)
{
	const struct watch *w = arg;
	return call_is_ready(w->call);
}

static int on_event(struct event *ev, void *arg)
{
	struct watch *w = arg;
	return event_proto_send(w->call, ev);
}

static int on_silence(void *arg)
{
	struct watch *w = arg;
	return event_proto_send_heartbeat(w->call);
}

static void on_follow_end(int err, void *arg)
{
	struct watch *w = arg;
	if (err < 0)
		call_finish(
		    w->call, RPC_DATA_LOSS, "the journal cannot be read: %s", err_name(err));
	else
		call_finish(w->call, RPC_OK, NULL);
}

static const struct viewer_ops follow_ops = {
	.is_ready = is_ready,
	.on_event = on_event,
	.on_silence = on_silence,
	.on_end = on_follow_end,
};

static void follow(struct watch *w, struct execution *x)
{
	int r = call_send_head(w->call);
	if (r == 0)
		r = viewer_init(&w->viewer, w->ip->loop, x, &w->wish, &follow_ops, w);
	if (r == -ERANGE)
		call_finish(w->call, RPC_OUT_OF_RANGE,
		    "from_seq: this execution's journal holds %llu to %llu",
		    (unsigned long long)journal_first(execution_journal(x)),
		    (unsigned long long)journal_last(execution_journal(x)));
	else if (r < 0)
		call_finish(w->call, RPC_RESOURCE_EXHAUSTED, "out of memory");
}

void execute_rpc_on_ready(struct call *c)
{
	struct watch *w = call_user(c);
	if (w)
		viewer_resume(&w->viewer);
}

void execute_rpc_on_done(struct call *c, int err)
{
	struct watch *w = call_user(c);
	if (!w)
		return;
	struct execution *x = viewer_is_live(&w->viewer) ? w->viewer.execution : NULL;
	w->call = NULL;
	if (w->preparing)
		return; /* on_context() frees */
	if (x && w->is_execute && err == -ETIMEDOUT)
		(void)execution_interrupt(x, EXEC_DEADLINE); /* should its timer be later */
	else if (x && err < 0 && w->interrupt_on_disconnect)
		(void)execution_interrupt(x, EXEC_INTERRUPTED);
	watch_free(w);
}

/* ---- Execute ---- */

static void run_in(struct watch *w, struct context *c)
{
	struct execution *x;
	struct execution_ask ask = { .code = w->cell.code,
		.n = w->cell.n,
		.env = (const char *const *)w->cell.env,
		.keep = true,
		.id = w->id };
	int r = execution_start(w->ip->executions, c, &ask, &x);
	if (r == -EEXIST) {
		call_finish(w->call, RPC_ALREADY_EXISTS, "execution_id: '%s' is in use", w->id);
		return;
	}
	if (r < 0) {
		call_finish(w->call, RPC_RESOURCE_EXHAUSTED, "%s",
		    r == -EBUSY ? "too many executions are running" : "out of memory");
		return;
	}
	cell_fini(&w->cell);
	if (call_time_left(w->call) != UINT64_MAX)
		execution_set_deadline(x, call_time_left(w->call));
	follow(w, x);
	execution_unref(x);
}

static void on_context(const struct err *err, struct context *c, void *arg)
{
	struct watch *w = arg;
	w->preparing = false;
	if (!w->call)
		watch_free(w);
	else if (!c || (err && err->code))
		call_finish(w->call, RPC_UNAVAILABLE, "%s", err_text(err));
	else
		run_in(w, c);
}

static bool check_cap(struct call *c, uint64_t max_bytes)
{
	if (economy_is_cap(max_bytes))
		return true;
	call_finish(c, RPC_INVALID_ARGUMENT, "max_bytes: expected 0 or at least %u", ECONOMY_MIN);
	return false;
}

static bool check_request(struct call *c, const Sandglass__V1__ExecuteRequest *q)
{
	if (!*q->execution_id || execution_id_ok(q->execution_id))
		return check_cap(c, q->max_bytes);
	call_finish(c, RPC_INVALID_ARGUMENT,
	    "execution_id: expected letters, digits and \"-_.\", at most %d", EXECUTION_ID_MAX - 1);
	return false;
}

static int copy_request(struct watch *w, const Sandglass__V1__ExecuteRequest *q)
{
	int r = cell_set(&w->cell, q->code, q->context_id, q->language);
	for (size_t i = 0; i < q->n_env && r == 0; i++)
		r = cell_add_env(&w->cell, q->env[i]->key, q->env[i]->value);
	w->is_execute = true;
	w->interrupt_on_disconnect = q->interrupt_on_disconnect;
	w->wish.max_bytes = q->max_bytes;
	(void)str_copy(w->id, sizeof(w->id), q->execution_id);
	return r;
}

void execute_rpc_on_execute(struct call *c, const ProtobufCMessage *m)
{
	struct watch *w = watch_new(c);
	struct context *context = NULL;
	const char *language = NULL;
	struct err why = ERR_INIT;
	if (!w || !check_request(c, (const Sandglass__V1__ExecuteRequest *)m))
		return;
	if (copy_request(w, (const Sandglass__V1__ExecuteRequest *)m) < 0) {
		call_finish(c, RPC_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	switch (cell_target(&w->cell, w->ip->contexts, &context, &language, &why)) {
	case CELL_CONTEXT:
		run_in(w, context);
		return;
	case CELL_DEFAULT:
		w->preparing = context_default(w->ip->contexts, language, on_context, w) == 0;
		if (!w->preparing)
			call_finish(c, RPC_RESOURCE_EXHAUSTED, "out of memory");
		return;
	case CELL_E_BOTH:
		call_finish(c, RPC_INVALID_ARGUMENT, "%s", why.text);
		return;
	case CELL_E_NO_CONTEXT:
		call_finish(c, RPC_NOT_FOUND, "%s", why.text);
		return;
	case CELL_E_NO_LANGUAGE:
		call_finish(c, RPC_FAILED_PRECONDITION, "%s", why.text);
		return;
	}
}

/* ---- Attach ---- */

void execute_rpc_on_attach(struct call *c, const ProtobufCMessage *m)
{
	const Sandglass__V1__AttachRequest *q = (const Sandglass__V1__AttachRequest *)m;
	struct watch *w = watch_new(c);
	if (!w || !check_cap(c, q->max_bytes))
		return;
	w->wish = (struct viewer_wish){ .from = q->from_seq, .max_bytes = q->max_bytes };
	struct execution *x = executions_find(w->ip->executions, q->execution_id);
	if (x)
		follow(w, x);
	else
		call_finish(c, RPC_NOT_FOUND, "no execution '%s'", q->execution_id);
}
