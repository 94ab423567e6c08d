/* SPDX-License-Identifier: Apache-2.0 */
/* One machine: its memory, its operations' common steps, its end. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "vmm/events.h"
#include "vmm/firecracker/exit.h"
#include "vmm/firecracker/firecracker.h"

#define AGAIN_MS 500
#define SAID_MAX 140 /* of the console, in an error */

/* ---- events ---- */

void fc_inst_explain(struct vmm_inst *inst, char *dst, size_t cap)
{
	char how[128], said[SAID_MAX];
	const char *from = "console";
	fc_exit_describe(inst->exit_status, how, sizeof(how));
	tail_drain(&inst->console);
	tail_drain(&inst->log);
	/* What a kernel that gives up says first matters more than the registers that follow. */
	if (!tail_find(&inst->console, PROTO_PANIC_TEXT, said, sizeof(said)))
		tail_last(&inst->console, said, sizeof(said));
	if (!said[0]) {
		from = "log";
		tail_last(&inst->log, said, sizeof(said));
	}
	if (said[0])
		(void)snprintf(dst, cap, "%s; end of its %s: %s", how, from, said);
	else
		(void)str_copy(dst, cap, how);
}

/* A running operation waits for what will not come any more. */
static void fail_operation(struct vmm_inst *inst)
{
	char text[ERR_TEXT_MAX];
	if (!inst->op_running)
		return;
	if (fc_api_drain(&inst->api))
		return; /* its last words are about to be told */
	fc_inst_explain(inst, text, sizeof(text));
	loop_timer_cancel(&inst->timer);
	err_reset(&inst->lost);
	int r = op_fail(&inst->op, -ECHILD, "%s: %s", op_step_name(&inst->op), text);
	if (inst->op.undoing && inst->removing)
		return; /* that goes on until nothing is left */
	fc_api_cancel(&inst->api);
	op_wake(&inst->op, inst->slot, r);
}

static void tell(struct vmm_inst *inst, const struct proto_event *e, const char *last_words)
{
	vmm_tell_owner(
	    &(struct vmm_listener){ inst, inst->on_event, inst->event_arg, true }, e, last_words);
}

static void on_exited(struct vmm_inst *inst, const struct proto_event *e)
{
	char text[ERR_TEXT_MAX];
	inst->exited = true;
	inst->exit_status = e->value;
	if (inst->ending) {
		if (inst->op_running && str_eq(inst->at, "end"))
			op_wake(&inst->op, inst->slot, 0);
		return;
	}
	fc_inst_explain(inst, text, sizeof(text));
	if (fc_exit_is_suspicious(e->value))
		log_error("%s: security: %s", inst->watch.id, text);
	else if (!inst->destroying)
		log_warn("%s: %s%s%s", inst->watch.id, text, e->text[0] ? "; " : "", e->text);
	fail_operation(inst);
	if (inst->live && !inst->destroying)
		tell(inst, e, text);
}

static void on_watch(struct launcher_watch *w, const struct proto_event *e)
{
	struct vmm_inst *inst = container_of(w, struct vmm_inst, watch);
	if (e->event == PROTO_EXITED) {
		if (!inst->exited)
			on_exited(inst, e);
	} else if (inst->live && !inst->destroying) {
		tell(inst, e, "");
	}
}

/* ---- memory ---- */

static void on_timer(struct loop_timer *t, void *arg);

struct vmm_inst *fc_inst_new(struct vmm *v, const struct vmm_spec *spec, vmm_event_fn *on_event,
    void *event_arg, struct vmm_answer answer)
{
	struct vmm_inst *inst = mem_zalloc(sizeof(*inst));
	if (!inst)
		return NULL;
	inst->refs = 1;
	inst->spec = *spec;
	inst->on_event = on_event;
	inst->event_arg = event_arg;
	inst->answer = answer;
	inst->watch.cb = on_watch;
	inst->api.fd = inst->console.fd = inst->log.fd = inst->metrics.fd = -1;
	(void)str_copy(inst->watch.id, sizeof(inst->watch.id), spec->id);
	if (launcher_watch_add(v->launcher, &inst->watch) < 0)
		return mem_free(inst);
	inst->vmm = fc_ref(v);
	loop_timer_init(&inst->timer, v->loop, on_timer, inst);
	return inst;
}

void fc_inst_detach(struct vmm_inst *inst)
{
	fc_api_close(&inst->api);
	tail_close(&inst->console);
	tail_close(&inst->log);
	tail_close(&inst->metrics);
	inst->exited = inst->paused = inst->stopped = inst->snapped = inst->warm = false;
}

static void drop_ref(struct vmm_inst *inst)
{
	if (--inst->refs > 0)
		return;
	struct vmm *v = inst->vmm;
	(void)mem_free(inst);
	fc_unref(v);
}

void fc_inst_unref(struct vmm_inst *inst)
{
	launcher_watch_remove(inst->vmm->launcher, &inst->watch);
	loop_timer_fini(&inst->timer);
	loop_timer_fini(&inst->connect);
	fc_inst_detach(inst);
	drop_ref(inst);
}

/* ---- operations ---- */

int fc_inst_run(struct vmm_inst *inst, const struct op_table *table, struct vmm_answer answer,
    void (*done)(struct op *op))
{
	if (inst->op_running)
		return -EBUSY;
	inst->answer = answer;
	inst->op_running = true;
	inst->generation++;
	op_init(&inst->op, inst->vmm->loop, table, inst, done);
	op_start(&inst->op);
	return 0;
}

static void begin_destroy(struct vmm_inst *inst);

void fc_inst_end(struct vmm_inst *inst)
{
	op_fini(&inst->op);
	inst->op_running = false;
	if (inst->destroying)
		begin_destroy(inst);
}

void fc_step_waits(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	inst->slot = op_slot(op);
	if (!op->undoing)
		inst->at = op_step_name(op);
}

struct fc_ask *fc_ask_new(struct vmm_inst *inst, fc_take_fn *take)
{
	struct fc_ask *ask = mem_zalloc(sizeof(*ask));
	if (!ask)
		return NULL;
	fc_step_waits(&inst->op);
	*ask = (struct fc_ask){
		.inst = inst, .slot = inst->slot, .generation = inst->generation, .take = take
	};
	inst->refs++;
	return ask;
}

void fc_ask_done(const struct err *err, const struct proto_reply *reply, void *arg)
{
	struct fc_ask *ask = arg;
	struct vmm_inst *inst = ask->inst;
	struct err why = *err;
	bool current =
	    inst->op_running && ask->generation == inst->generation && ask->slot == inst->slot;
	if (current) {
		int r = why.code;
		if (r < 0 && inst->exited && !inst->op.undoing) {
			fail_operation(inst);
			r = inst->op.err.code;
		}
		if (r == 0 && ask->take)
			r = ask->take(inst, reply, &why);
		if (r < 0)
			(void)op_fail(&inst->op, r, "%s", why.code ? err_text(&why) : err_name(r));
		op_wake(&inst->op, ask->slot, r);
	}
	(void)mem_free(ask);
	drop_ref(inst);
}

int fc_asked(struct fc_ask *ask, int r)
{
	if (r >= 0)
		return OP_WAIT;
	struct vmm_inst *inst = ask->inst;
	(void)mem_free(ask);
	drop_ref(inst);
	return r;
}

static int take_versions(struct vmm_inst *inst, const struct proto_reply *reply, struct err *reterr)
{
	return fc_learn(inst->vmm, reply, reterr);
}

int fc_step_versions(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	struct vmm *v = inst->vmm;
	if (v->known)
		return OP_NEXT;
	struct fc_ask *ask = fc_ask_new(inst, take_versions);
	if (!ask)
		return -ENOMEM;
	return fc_asked(
	    ask, launcher_vm_info(v->launcher, PROTO_BOX_FIRECRACKER, fc_ask_done, ask));
}

int fc_step_check(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	char text[ERR_TEXT_MAX];
	if (!inst->exited)
		return OP_NEXT;
	fc_inst_explain(inst, text, sizeof(text));
	return op_fail(op, -ECHILD, "%s", text);
}

int fc_step_do(struct op *op, enum proto_vm_verb verb)
{
	struct vmm_inst *inst = op->owner;
	struct fc_ask *ask = fc_ask_new(inst, NULL);
	if (!ask)
		return -ENOMEM;
	return fc_asked(
	    ask, launcher_vm_do(inst->vmm->launcher, inst->watch.id, verb, fc_ask_done, ask));
}

/* ---- calls over the API ---- */

static void wake(struct vmm_inst *inst, const struct err *err)
{
	if (err->code)
		(void)op_fail(&inst->op, err->code, "%s", err_text(err));
	op_wake(&inst->op, inst->slot, err->code);
}

static void on_called(const struct err *err, struct buf *body, void *arg)
{
	struct vmm_inst *inst = arg;
	if (err->code == -ECONNRESET && inst->exited) {
		fail_operation(inst);
		return;
	}
	if (err->code == -ECONNRESET && !inst->op.undoing) {
		/* The process is about to be reported dead, with its exit code. */
		inst->lost = *err;
		loop_timer_set(&inst->timer, inst->vmm->reason_ms);
		return;
	}
	wake(inst, err);
}

int fc_step_call(
    struct op *op, const char *method, const char *path, struct buf *body, int r, unsigned limit_ms)
{
	struct vmm_inst *inst = op->owner;
	if (r < 0) {
		buf_fini(body);
		return op_fail(
		    op, r, "%s %s: cannot make the request: %s", method, path, err_name(r));
	}
	fc_step_waits(op);
	unsigned most = inst->vmm->limit_max_ms;
	fc_api_call(&inst->api, method, path, body, most && most < limit_ms ? most : limit_ms,
	    on_called, inst);
	return OP_WAIT;
}

void fc_step_cancel(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	loop_timer_cancel(&inst->timer);
	err_reset(&inst->lost);
	fc_api_cancel(&inst->api);
}

/* ---- taking it away ---- */

static void ask_to_destroy(struct vmm_inst *inst);

static void on_destroyed(const struct err *err, const struct proto_reply *reply, void *arg)
{
	struct vmm_inst *inst = arg;
	if (err->code) {
		log_warn("%s: cannot destroy it yet: %s", inst->watch.id, err_text(err));
		loop_timer_set(&inst->timer, AGAIN_MS);
		return;
	}
	if (inst->op_running) { /* the undo of a create */
		fc_inst_detach(inst);
		inst->removing = false;
		op_wake(&inst->op, inst->slot, 0);
		return;
	}
	struct vmm_answer to = inst->destroy;
	fc_inst_unref(inst);
	vmm_tell(&to, err);
}

static void ask_to_destroy(struct vmm_inst *inst)
{
	if (launcher_destroy(inst->vmm->launcher, inst->watch.id, on_destroyed, inst) < 0)
		loop_timer_set(&inst->timer, AGAIN_MS);
}

static void on_timer(struct loop_timer *t, void *arg)
{
	struct vmm_inst *inst = arg;
	if (inst->lost.code) {
		struct err err = inst->lost;
		err_reset(&inst->lost);
		wake(inst, &err);
	} else {
		ask_to_destroy(inst);
	}
}

int fc_step_destroy(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	fc_step_waits(op);
	err_reset(&inst->lost);
	fc_api_cancel(&inst->api);
	inst->removing = true;
	ask_to_destroy(inst);
	return OP_WAIT;
}

static void begin_destroy(struct vmm_inst *inst)
{
	fc_api_close(&inst->api);
	err_reset(&inst->lost);
	ask_to_destroy(inst);
}

void fc_inst_destroy(struct vmm_inst *inst, vmm_done_fn *done, void *arg)
{
	assert(!inst->destroying);
	inst->destroying = true;
	inst->destroy = (struct vmm_answer){ .plain = done, .arg = arg };
	if (inst->op_running)
		op_cancel(&inst->op); /* its end goes on here */
	else
		begin_destroy(inst);
}
