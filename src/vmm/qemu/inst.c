/* SPDX-License-Identifier: Apache-2.0 */
/* One VM: its requests, its control socket, and how the two wake the operation that waits. */
#include <errno.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "launcher/proto.h"
#include "vmm/events.h"
#include "vmm/qemu/qemu.h"

/* ---- life ---- */

static int fail_ended(struct vmm_inst *inst)
{
	return op_fail(&inst->op, -ECHILD, "the VM has ended%s%s", inst->last_words[0] ? ": " : "",
	    inst->last_words);
}

static void on_watch(struct launcher_watch *w, const struct proto_event *e)
{
	struct vmm_inst *inst = container_of(w, struct vmm_inst, watch);
	if (inst->destroying)
		return;
	if (e->event == PROTO_EXITED) {
		inst->ended = true;
		(void)str_copy(inst->last_words, sizeof(inst->last_words), e->text);
		if (inst->op_runs) { /* the first cause of whatever fails now */
			qemu_wake(inst, fail_ended(inst));
		}
	}
	if (!inst->live)
		return;
	if (e->event == PROTO_EXITED)
		log_warn("%s: its VM ended (wait status %lld)%s%s", w->id, (long long)e->value,
		    e->text[0] ? ": " : "", e->text);
	vmm_tell_owner(
	    &(struct vmm_listener){ inst, inst->on_event, inst->event_arg, true }, e, e->text);
}

struct vmm_inst *qemu_inst_new(
    struct vmm *v, const struct vmm_spec *spec, vmm_event_fn *on_event, void *event_arg)
{
	struct vmm_inst *inst = mem_zalloc(sizeof(*inst));
	if (!inst)
		return NULL;
	inst->vmm = v;
	inst->refs = 1;
	inst->on_event = on_event;
	inst->event_arg = event_arg;
	inst->tmpl = spec->tmpl;
	inst->watch.cb = on_watch;
	(void)str_copy(inst->watch.id, sizeof(inst->watch.id), spec->id);
	if (launcher_watch_add(v->launcher, &inst->watch) < 0)
		return mem_free(inst);
	(void)qemu_ref(v);
	return inst;
}

void qemu_inst_unref(struct vmm_inst *inst)
{
	struct vmm *v = inst->vmm;
	if (--inst->refs > 0)
		return;
	launcher_watch_remove(v->launcher, &inst->watch);
	inst->qmp = qmp_free(inst->qmp);
	loop_timer_fini(&inst->again);
	loop_timer_fini(&inst->grace);
	(void)mem_free(inst);
	qemu_unref(v);
}

/* ---- waking ---- */

/* A process that ends takes its socket along. The launcher tells the reason of that a moment later,
 * which is the better first cause. */
static void on_grace(struct loop_timer *t, void *arg)
{
	struct vmm_inst *inst = arg;
	qemu_wake(inst, op_fail(&inst->op, inst->lost.code, "%s", err_text(&inst->lost)));
}

void qemu_lost(struct vmm_inst *inst, const struct err *err)
{
	inst->lost = *err;
	loop_timer_fini(&inst->grace);
	loop_timer_init(&inst->grace, inst->vmm->loop, on_grace, inst);
	loop_timer_set(&inst->grace, QEMU_GRACE_MS);
}

void qemu_wake(struct vmm_inst *inst, int r)
{
	inst->ask_serial++;
	loop_timer_cancel(&inst->grace);
	op_wake(&inst->op, inst->wait, r);
}

void qemu_cancel(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	inst->ask_serial++;
	loop_timer_cancel(&inst->again);
	loop_timer_cancel(&inst->grace);
	/* An answer that is late must not be taken for the next one's. */
	inst->qmp = qmp_free(inst->qmp);
}

struct ask {
	struct vmm_inst *inst;
	uint64_t serial;
	qemu_take_fn *take;
};

static void on_reply(const struct err *err, const struct proto_reply *reply, void *arg)
{
	struct ask *a = arg;
	struct vmm_inst *inst = a->inst;
	if (a->serial == inst->ask_serial) {
		int r = err->code ? op_fail(&inst->op, err->code, "%s", err_text(err)) : 0;
		if (r == 0 && a->take)
			a->take(inst, reply);
		qemu_wake(inst, r);
	}
	(void)mem_free(a);
	qemu_inst_unref(inst);
}

int qemu_ask(struct vmm_inst *inst, qemu_send_fn *send, qemu_take_fn *take)
{
	struct ask *a = mem_zalloc(sizeof(*a));
	if (!a)
		return -ENOMEM;
	*a = (struct ask){ inst, ++inst->ask_serial, take };
	inst->wait = op_slot(&inst->op);
	int r = send(inst, on_reply, a);
	if (r < 0) {
		(void)mem_free(a);
		return r;
	}
	inst->refs++;
	return OP_WAIT;
}

static void on_done(const struct err *err, const json_t *ret, void *arg)
{
	struct vmm_inst *inst = arg;
	if (err->code && !qmp_is_ready(inst->qmp))
		return; /* on_closed() follows */
	qemu_wake(inst, err->code ? op_fail(&inst->op, err->code, "%s", err_text(err)) : 0);
}

int qemu_do(struct vmm_inst *inst, const char *command, json_t *args_consume)
{
	inst->wait = op_slot(&inst->op);
	if (!inst->qmp) {
		json_decref(args_consume);
		return -ENOTCONN;
	}
	int r = qmp_command(inst->qmp, command, args_consume, on_done, inst);
	return r < 0 ? r : OP_WAIT;
}

/* ---- the control socket ---- */

static void on_ready(struct qmp *q, void *arg)
{
	struct vmm_inst *inst = arg;
	unsigned version = qmp_version(q);
	if (version >= QEMU_VERSION_MIN)
		qemu_wake(inst, 0);
	else
		qemu_wake(inst,
		    op_fail(&inst->op, -ENOTSUP, "QEMU %u.%u is too old: at least 7.2 is needed",
			version / 1000000, version / 1000 % 1000));
}

static void on_event(struct qmp *q, const char *name, const json_t *data, void *arg)
{
	const struct vmm_inst *inst = arg;
	log_debug("%s: %s", inst->watch.id, name);
}

static void on_closed(struct qmp *q, const struct err *err, void *arg)
{
	struct vmm_inst *inst = arg;
	inst->qmp = qmp_free(q);
	if (inst->op_runs)
		qemu_lost(inst, err);
	else
		log_debug("%s: %s", inst->watch.id, err_text(err));
}

static const struct qmp_ops ops = {
	.on_ready = on_ready,
	.on_event = on_event,
	.on_closed = on_closed,
};

int qemu_begin_connect(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	if (inst->ended)
		return fail_ended(inst);
	if (qmp_is_ready(inst->qmp))
		return OP_NEXT;
	inst->wait = op_slot(op);
	inst->qmp = qmp_free(inst->qmp);
	inst->qmp = qmp_connect(inst->vmm->loop, inst->monitor, &ops, inst, &op->err);
	return inst->qmp ? OP_WAIT : op->err.code;
}

/* ---- operations ---- */

void qemu_start_op(struct vmm_inst *inst, const struct op_table *table, struct vmm_answer answer,
    void (*done)(struct op *op))
{
	if (inst->op_runs || inst->destroying) {
		vmm_fail_later(&inst->vmm->late, answer, -EBUSY, "VM");
		return;
	}
	inst->answer = answer;
	inst->op_runs = true;
	op_init(&inst->op, inst->vmm->loop, table, inst, done);
	op_start(&inst->op);
}
