/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/code/contexts_rpc.h"

#include <errno.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/code/cell.h"
#include "guest-kernel-agent/code/execution.h"
#include "guest-kernel-agent/code/interpreter.h"
#include "guest-kernel-agent/jupyter/context.h"
#include "guest-kernel-agent/system/reply.h"
#include "rpc/call.h"
#include "sandglass/v1/code_interpreter.pb-c.h"

/* A call that waits for a context; the client may leave before its callback comes. */
struct pending {
	struct call *call; /* NULL once it is done */
	bool waiting;
	void (*answer)(struct call *call, struct context *c);
};

void contexts_rpc_on_done(struct call *call, int err)
{
	struct pending *p = call_user(call);
	if (!p)
		return;
	p->call = NULL;
	if (!p->waiting)
		mem_free(p);
}

static void on_context(const struct err *err, struct context *c, void *arg)
{
	struct pending *p = arg;
	p->waiting = false;
	if (!p->call)
		mem_free(p);
	else if (err && err->code)
		call_finish(p->call, err->code == -EINVAL ? RPC_INVALID_ARGUMENT : RPC_UNAVAILABLE,
		    "%s", err_text(err));
	else
		p->answer(p->call, c);
}

/* What was to be waited for could not even be begun. */
static void check_begun(struct pending *p, int r)
{
	if (r == 0)
		return;
	p->waiting = false;
	reply_no_memory(p->call);
}

static struct pending *pending_new(
    struct call *call, void (*answer)(struct call *call, struct context *c))
{
	struct pending *p = mem_zalloc(sizeof(*p));
	if (!p) {
		reply_no_memory(call);
		return NULL;
	}
	p->call = call;
	p->answer = answer;
	p->waiting = true;
	call_set_user(call, p);
	return p;
}

static struct interpreter *interpreter_of(const struct call *call)
{
	return call_service_arg(call);
}

/* The context that a request names, or NULL after the call was finished. */
static struct context *find(struct call *call, const char *id)
{
	struct context *c = context_find(interpreter_of(call)->contexts, id);
	if (!c)
		call_finish(call, RPC_NOT_FOUND, "Context %s not found", id);
	return c;
}

/* ---- Interrupt ---- */

static void answer_interrupt(struct call *call, struct execution *x)
{
	Sandglass__V1__InterruptResponse m = SANDGLASS__V1__INTERRUPT_RESPONSE__INIT;
	m.was_busy = x && execution_interrupt(x, EXEC_INTERRUPTED);
	reply_message(call, &m.base);
}

static void interrupt_context(struct call *call, struct context *c)
{
	answer_interrupt(call, executions_running_in(interpreter_of(call)->executions, c));
}

void contexts_rpc_on_interrupt(struct call *call, const ProtobufCMessage *m)
{
	const Sandglass__V1__InterruptRequest *q = (const Sandglass__V1__InterruptRequest *)m;
	struct interpreter *ip = interpreter_of(call);
	if (*q->execution_id) {
		struct execution *x = executions_find(ip->executions, q->execution_id);
		if (x)
			answer_interrupt(call, x);
		else
			call_finish(call, RPC_NOT_FOUND, "no execution '%s'", q->execution_id);
		return;
	}
	if (*q->context_id) {
		struct context *c = find(call, q->context_id);
		if (c)
			interrupt_context(call, c);
		return;
	}
	const char *language = contexts_language(ip->contexts, CELL_DEFAULT_LANGUAGE, NULL);
	struct pending *p = language ? pending_new(call, interrupt_context) : NULL;
	if (!language)
		call_finish(call, RPC_FAILED_PRECONDITION, "no python kernel in this sandbox");
	else if (p)
		check_begun(p, context_default(ip->contexts, language, on_context, p));
}

/* ---- contexts ---- */

static void describe(Sandglass__V1__Context *m, const struct context *c)
{
	sandglass__v1__context__init(m);
	m->context_id = (char *)context_id(c);
	m->language = (char *)context_language(c);
	m->cwd = (char *)context_cwd(c);
	m->busy = context_is_busy(c);
}

static void answer_created(struct call *call, struct context *c)
{
	Sandglass__V1__CreateContextResponse m = SANDGLASS__V1__CREATE_CONTEXT_RESPONSE__INIT;
	Sandglass__V1__Context one;
	describe(&one, c);
	m.context = &one;
	reply_message(call, &m.base);
}

void contexts_rpc_on_create(struct call *call, const ProtobufCMessage *m)
{
	const Sandglass__V1__CreateContextRequest *q =
	    (const Sandglass__V1__CreateContextRequest *)m;
	struct interpreter *ip = interpreter_of(call);
	struct err why = ERR_INIT;
	const char *name = *q->language ? q->language : CELL_DEFAULT_LANGUAGE;
	const char *language = contexts_language(ip->contexts, name, &why);
	if (!language) {
		call_finish(call, RPC_FAILED_PRECONDITION, "%s", err_text(&why));
		return;
	}
	struct pending *p = pending_new(call, answer_created);
	if (p)
		check_begun(p,
		    context_create(ip->contexts, language, *q->cwd ? q->cwd : NULL, on_context, p));
}

void contexts_rpc_on_list(struct call *call, const ProtobufCMessage *m)
{
	struct interpreter *ip = interpreter_of(call);
	Sandglass__V1__ListContextsResponse all = SANDGLASS__V1__LIST_CONTEXTS_RESPONSE__INIT;
	size_t n = 0;
	while (contexts_at(ip->contexts, n))
		n++;
	CLEAN_FREE Sandglass__V1__Context *each = mem_calloc(n, sizeof(*each));
	CLEAN_FREE Sandglass__V1__Context **list = mem_calloc(n, sizeof(*list));
	if (!each || !list) {
		reply_no_memory(call);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		describe(&each[i], contexts_at(ip->contexts, i));
		list[i] = &each[i];
	}
	all.n_contexts = n;
	all.contexts = list;
	reply_message(call, &all.base);
}

static void answer_restarted(struct call *call, struct context *c)
{
	Sandglass__V1__RestartContextResponse m = SANDGLASS__V1__RESTART_CONTEXT_RESPONSE__INIT;
	reply_message(call, &m.base);
}

void contexts_rpc_on_restart(struct call *call, const ProtobufCMessage *m)
{
	const Sandglass__V1__RestartContextRequest *q =
	    (const Sandglass__V1__RestartContextRequest *)m;
	struct context *c = find(call, q->context_id);
	struct pending *p = c ? pending_new(call, answer_restarted) : NULL;
	if (p)
		check_begun(p, context_restart(c, on_context, p));
}

static void answer_deleted(struct call *call, struct context *c)
{
	Sandglass__V1__DeleteContextResponse m = SANDGLASS__V1__DELETE_CONTEXT_RESPONSE__INIT;
	reply_message(call, &m.base);
}

void contexts_rpc_on_delete(struct call *call, const ProtobufCMessage *m)
{
	const Sandglass__V1__DeleteContextRequest *q =
	    (const Sandglass__V1__DeleteContextRequest *)m;
	struct context *c = find(call, q->context_id);
	struct pending *p = c ? pending_new(call, answer_deleted) : NULL;
	if (p)
		check_begun(p, context_delete(c, on_context, p));
}
