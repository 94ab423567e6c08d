/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making, adopting and ending.
 *
 *   step     cold              clone                snapshot
 *   launch   the launcher starts the VMM, which ...
 *            boots             waits                waits
 *   connect  control socket: greeting, version
 *   memory                                          the launcher fills in what differs
 *   state                      device state is loaded
 *   run                        the guest goes on
 *
 * What a create that failed has left is destroyed before its answer is told.
 */
#include <errno.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "image/template.h"
#include "vmm/machine.h"
#include "vmm/qemu/qemu.h"

#define DESTROY_AGAIN_MS 500
#define LOOK_AGAIN_MS 2	    /* loading takes a few */
#define STATE_IN_FD "fd:10" /* VM_FD_STATE_IN of the launcher */
#define UNIT PROTO_VM_UNIT

/* ---- what is asked for ---- */

uint64_t qemu_whole_units(uint64_t bytes)
{
	return (bytes + UNIT - 1) / UNIT * UNIT;
}

static unsigned vcpus_of(unsigned cpu_milli)
{
	unsigned n = vmm_vcpus(cpu_milli);
	return n > PROTO_VCPUS_MAX ? PROTO_VCPUS_MAX : n;
}

void qemu_describe(const struct vmm *v, const struct template *t, struct proto_create *ret)
{
	*ret = (struct proto_create){ .id = "i",
		.kind = PROTO_BOX_QEMU,
		.vm = { .kvm = v->kvm, .vcpus = vcpus_of(t->cpu_milli) },
		.memory_bytes = qemu_whole_units(t->memory_bytes),
		.disk_bytes = qemu_whole_units(t->disk_bytes),
		.cpu_milli = t->cpu_milli,
		.max_pids = t->max_pids,
		.internet = t->internet };
	(void)str_copy(ret->vm.tmpl, sizeof(ret->vm.tmpl), t->name);
	(void)str_copy(ret->vm.tmpl_hash, sizeof(ret->vm.tmpl_hash), t->hash);
}

/* A clone, if the warm snapshot has these sizes; it cannot change them. */
static enum proto_start choose_start(
    struct vmm *v, const struct vmm_spec *spec, const struct proto_create *of_template)
{
	if (spec->start == VMM_START_SNAPSHOT)
		return PROTO_START_SNAPSHOT;
	bool same = qemu_whole_units(spec->memory_bytes) == of_template->memory_bytes &&
		    qemu_whole_units(spec->disk_bytes) == of_template->disk_bytes &&
		    vcpus_of(spec->cpu_milli) == of_template->vm.vcpus;
	return spec->start == VMM_START_BEST && same && qemu_has_warm(v, spec->tmpl)
		   ? PROTO_START_CLONE
		   : PROTO_START_COLD;
}

static void set_want(struct vmm_inst *inst, const struct vmm_spec *spec)
{
	struct proto_create *c = &inst->want;
	qemu_describe(inst->vmm, spec->tmpl, c);
	c->start = inst->start = choose_start(inst->vmm, spec, c);
	c->memory_bytes = qemu_whole_units(spec->memory_bytes);
	c->disk_bytes = qemu_whole_units(spec->disk_bytes);
	c->cpu_milli = spec->cpu_milli;
	c->vm.vcpus = vcpus_of(spec->cpu_milli);
	c->max_pids = spec->max_pids;
	c->internet = spec->internet;
	(void)str_copy(c->id, sizeof(c->id), spec->id);
	if (c->start == PROTO_START_SNAPSHOT)
		(void)str_copy(c->snapshot, sizeof(c->snapshot), spec->snapshot);
}

/* ---- steps ---- */

static void take_box(struct vmm_inst *inst, const struct proto_reply *reply)
{
	const char *dir = reply->box.socket_dir;
	(void)path_join(inst->control, sizeof(inst->control), dir, "control.sock");
	(void)path_join(inst->data, sizeof(inst->data), dir, "data.sock");
	(void)path_join(inst->monitor, sizeof(inst->monitor), dir, "monitor.sock");
	inst->kvm = reply->box.kvm;
	inst->warm = reply->box.warm;
}

static int send_create(struct vmm_inst *inst, launcher_done_fn *done, void *arg)
{
	return launcher_create(inst->vmm->launcher, &inst->want, done, arg);
}

static int begin_launch(struct op *op)
{
	return qemu_ask(op->owner, send_create, take_box);
}

static int send_adopt(struct vmm_inst *inst, launcher_done_fn *done, void *arg)
{
	return launcher_adopt(inst->vmm->launcher, inst->watch.id, done, arg);
}

static int begin_adopt(struct op *op)
{
	return qemu_ask(op->owner, send_adopt, take_box);
}

static int send_load(struct vmm_inst *inst, launcher_done_fn *done, void *arg)
{
	return launcher_vm_load(inst->vmm->launcher, inst->watch.id, done, arg);
}

static int begin_memory(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	return inst->start == PROTO_START_SNAPSHOT ? qemu_ask(inst, send_load, NULL) : OP_NEXT;
}

static void look(struct vmm_inst *inst);

static void on_look(struct loop_timer *t, void *arg)
{
	look(arg);
}

static void on_migration(const struct err *err, const json_t *ret, void *arg)
{
	struct vmm_inst *inst = arg;
	const char *status = "", *why = "";
	if (err->code && !qmp_is_ready(inst->qmp))
		return; /* on_closed() follows */
	if (err->code) {
		qemu_wake(inst, op_fail(&inst->op, err->code, "%s", err_text(err)));
		return;
	}
	(void)json_get_str(ret, "status", 64, &status, NULL);
	if (str_eq(status, "completed")) {
		qemu_wake(inst, 0);
	} else if (str_eq(status, "failed") || str_eq(status, "cancelled")) {
		(void)json_get_str(ret, "error-desc", QMP_LINE_MAX, &why, NULL);
		qemu_wake(
		    inst, op_fail(&inst->op, -EIO, "QEMU cannot load the device state%s%.200s",
			      why[0] ? ": " : "", why));
	} else {
		loop_timer_fini(&inst->again);
		loop_timer_init(&inst->again, inst->vmm->loop, on_look, inst);
		loop_timer_set(&inst->again, LOOK_AGAIN_MS);
	}
}

static void look(struct vmm_inst *inst)
{
	int r = inst->qmp ? qmp_command(inst->qmp, "query-migrate", NULL, on_migration, inst)
			  : -ENOTCONN;
	if (r < 0 && r != -ENOTCONN) /* without a connection on_closed() was told */
		qemu_wake(inst, r);
}

static void on_incoming(const struct err *err, const json_t *ret, void *arg)
{
	struct vmm_inst *inst = arg;
	if (err->code)
		on_migration(err, NULL, inst);
	else
		look(inst);
}

static int begin_state(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	if (inst->start == PROTO_START_COLD)
		return OP_NEXT;
	inst->wait = op_slot(op);
	if (!inst->qmp)
		return -ENOTCONN;
	int r = qmp_command(inst->qmp, "migrate-incoming", json_pack("{s:s}", "uri", STATE_IN_FD),
	    on_incoming, inst);
	return r < 0 ? r : OP_WAIT;
}

static int begin_run(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	return inst->start == PROTO_START_COLD ? OP_NEXT : qemu_do(inst, "cont", NULL);
}

static const struct op_step create_steps[] = {
	{ "launch", begin_launch, NULL, qemu_cancel, 90000 },
	{ "connect", qemu_begin_connect, NULL, qemu_cancel, 30000 },
	{ "memory", begin_memory, NULL, qemu_cancel, 120000 },
	{ "state", begin_state, NULL, qemu_cancel, 30000 },
	{ "run", begin_run, NULL, qemu_cancel, 30000 },
};
static const struct op_table create_table = { "create-vm", create_steps,
	sizeof(create_steps) / sizeof(create_steps[0]) };

static const struct op_step adopt_steps[] = {
	{ "adopt", begin_adopt, NULL, qemu_cancel, 90000 },
	{ "connect", qemu_begin_connect, NULL, qemu_cancel, 30000 },
};
static const struct op_table adopt_table = { "adopt-vm", adopt_steps,
	sizeof(adopt_steps) / sizeof(adopt_steps[0]) };

/* ---- destroy ---- */

static void try_destroy(struct vmm_inst *inst);

static void on_retry(struct loop_timer *t, void *arg)
{
	try_destroy(arg);
}

static void destroy_later(struct vmm_inst *inst)
{
	loop_timer_fini(&inst->again);
	loop_timer_init(&inst->again, inst->vmm->loop, on_retry, inst);
	loop_timer_set(&inst->again, DESTROY_AGAIN_MS);
}

static void on_destroyed(const struct err *err, const struct proto_reply *reply, void *arg)
{
	struct vmm_inst *inst = arg;
	struct vmm_answer to = inst->destroy_answer;
	struct err told = inst->op.err; /* of the create that failed */
	if (err->code) {
		log_warn("%s: cannot destroy it yet: %s", inst->watch.id, err_text(err));
		destroy_later(inst);
		return;
	}
	launcher_watch_remove(inst->vmm->launcher, &inst->watch);
	qemu_inst_unref(inst);
	vmm_tell(&to, to.inst ? &told : err);
}

static void try_destroy(struct vmm_inst *inst)
{
	if (launcher_destroy(inst->vmm->launcher, inst->watch.id, on_destroyed, inst) < 0)
		destroy_later(inst);
}

/* Its control socket goes first: a VMM that dies is no news any more. */
static void begin_destroy(struct vmm_inst *inst)
{
	inst->live = false;
	inst->qmp = qmp_free(inst->qmp);
	loop_timer_cancel(&inst->again);
	loop_timer_cancel(&inst->grace);
	inst->ask_serial++;
	try_destroy(inst);
}

void qemu_destroy(struct vmm_inst *inst, vmm_done_fn *done, void *arg)
{
	inst->live = false;
	inst->destroying = true;
	inst->destroy_answer = (struct vmm_answer){ .plain = done, .arg = arg };
	if (inst->op_runs)
		op_cancel(&inst->op); /* its end comes to qemu_op_ended() */
	else
		begin_destroy(inst);
}

void qemu_op_ended(struct vmm_inst *inst)
{
	inst->op_runs = false;
	op_fini(&inst->op);
	if (inst->destroying)
		begin_destroy(inst);
}

/* ---- create, adopt ---- */

static void on_created(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	struct vmm_answer to = inst->answer;
	const struct err none = ERR_INIT;
	inst->op_runs = false;
	op_fini(op);
	if (op->err.code == 0) {
		inst->live = true;
		to.inst(&none, inst, to.arg);
		return;
	}
	if (inst->start == PROTO_START_CLONE && vmm_warm_is_lost(op->err.code))
		qemu_set_warm(inst->vmm, inst->tmpl, false);
	inst->destroying = true;
	inst->destroy_answer = to;
	begin_destroy(inst);
}

void qemu_create(struct vmm *v, const struct vmm_spec *spec, vmm_event_fn *on_event,
    void *event_arg, vmm_inst_done_fn *done, void *arg)
{
	const struct vmm_answer to = { .inst = done, .arg = arg };
	struct vmm_inst *inst = qemu_inst_new(v, spec, on_event, event_arg);
	if (!inst) {
		vmm_fail_later(&v->late, to, -ENOMEM, "create VM");
		return;
	}
	set_want(inst, spec);
	qemu_start_op(inst, &create_table, to, on_created);
}

/* One that cannot be reached is left as it is; who asked decides. */
static void on_adopted(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	struct vmm_answer to = inst->answer;
	struct err err = op->err;
	inst->op_runs = false;
	op_fini(op);
	if (err.code == 0) {
		inst->live = true;
		to.inst(&err, inst, to.arg);
		return;
	}
	qemu_inst_unref(inst);
	vmm_tell(&to, &err);
}

void qemu_adopt(struct vmm *v, const struct vmm_spec *spec, vmm_event_fn *on_event, void *event_arg,
    vmm_inst_done_fn *done, void *arg)
{
	const struct vmm_answer to = { .inst = done, .arg = arg };
	struct vmm_inst *inst = qemu_inst_new(v, spec, on_event, event_arg);
	if (inst)
		qemu_start_op(inst, &adopt_table, to, on_adopted);
	else
		vmm_fail_later(&v->late, to, -ENOMEM, "adopt VM");
}
