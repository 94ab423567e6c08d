/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pause, resume, other sizes, snapshots.
 *
 * A pause over the API freezes Firecracker's own loop; it was entered even when the request was
 * refused, so a failed pause is always followed by a resume, and when that fails, too, the process
 * is killed: its end is told as any other. Versions that lose vsock with a pause and a resume and
 * no snapshot in between are stopped by a signal instead. A snapshot is taken over the API, after
 * which resuming over the API is safe on every version.
 */
#include <errno.h>

#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "image/template.h"
#include "vmm/firecracker/body.h"
#include "vmm/firecracker/firecracker.h"

#define PAUSE_STEP_MS (FC_LIMIT_PAUSE_MS + 1000)
#define ASK_LIMIT_MS 10000
#define KEEP_LIMIT_MS 600000		/* a disk is copied */
#define CREATE_STEP_MS (61 * 60 * 1000) /* the call's own limit ends first */

static int call_state(struct op *op, const char *state)
{
	struct buf b = BUF_INIT;
	int r = fc_body_state(&b, state);
	return fc_step_call(op, "PATCH", "/vm", &b, r, FC_LIMIT_PAUSE_MS);
}

static void on_done(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	const struct err err = op->err;
	const struct vmm_answer to = inst->answer;
	fc_inst_end(inst);
	vmm_tell(&to, &err);
}

/* Does the operation end at once, for nothing is to be done? */
static void run(
    struct vmm_inst *inst, const struct op_table *t, vmm_done_fn *done, void *arg, const char *what)
{
	const struct vmm_answer to = { .plain = done, .arg = arg };
	int r = inst->destroying ? -ECANCELED : fc_inst_run(inst, t, to, on_done);
	if (r < 0)
		vmm_fail_later(&inst->vmm->late, to, r, what);
}

/* ---- pause ---- */

static bool pauses_by_signal(const struct vmm_inst *inst)
{
	return !(inst->vmm->caps & FC_CAP_BARE_PAUSE);
}

static int begin_pause(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	if (inst->paused)
		return OP_NEXT;
	return pauses_by_signal(inst) ? fc_step_do(op, PROTO_VM_STOP) : call_state(op, "Paused");
}

/* Its state is not known: it goes on, or it dies. */
static int undo_pause(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	if (inst->paused || inst->exited)
		return OP_NEXT;
	if (pauses_by_signal(inst))
		return fc_step_do(op, PROTO_VM_CONTINUE);
	if (fc_api_is_open(&inst->api))
		return call_state(op, "Resumed");
	log_error("%s: does not answer; killing it", inst->watch.id);
	return fc_step_do(op, PROTO_VM_KILL);
}

static int begin_note_pause(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	if (!inst->paused)
		inst->stopped = pauses_by_signal(inst);
	inst->paused = true;
	return OP_NEXT;
}

static const struct op_step pause_steps[] = {
	{ "pause", begin_pause, undo_pause, fc_step_cancel, PAUSE_STEP_MS },
	{ "note", begin_note_pause, NULL, NULL, 1 },
};
static const struct op_table pause_table = { "pause", pause_steps,
	sizeof(pause_steps) / sizeof(*pause_steps) };

void fc_pause(struct vmm_inst *inst, vmm_done_fn *done, void *arg)
{
	run(inst, &pause_table, done, arg, "pause sandbox");
}

/* ---- resume ---- */

static int begin_resume(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	if (!inst->paused)
		return OP_NEXT;
	return inst->stopped ? fc_step_do(op, PROTO_VM_CONTINUE) : call_state(op, "Resumed");
}

/* A machine that cannot be resumed is of no use. */
static int undo_resume(struct op *op)
{
	const struct vmm_inst *inst = op->owner;
	if (!inst->paused || inst->exited || fc_api_is_open(&inst->api))
		return OP_NEXT;
	log_error("%s: does not answer; killing it", inst->watch.id);
	return fc_step_do(op, PROTO_VM_KILL);
}

static int begin_note_resume(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	inst->paused = inst->stopped = inst->snapped = false;
	return OP_NEXT;
}

static const struct op_step resume_steps[] = {
	{ "resume", begin_resume, undo_resume, fc_step_cancel, PAUSE_STEP_MS },
	{ "note", begin_note_resume, NULL, NULL, 1 },
};
static const struct op_table resume_table = { "resume", resume_steps,
	sizeof(resume_steps) / sizeof(*resume_steps) };

void fc_resume(struct vmm_inst *inst, vmm_done_fn *done, void *arg)
{
	run(inst, &resume_table, done, arg, "resume sandbox");
}

/* ---- sizes ---- */

static int begin_sizes(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	struct fc_ask *ask = fc_ask_new(inst, NULL);
	if (!ask)
		return -ENOMEM;
	return fc_asked(
	    ask, launcher_resize(inst->vmm->launcher, inst->watch.id, &inst->to, fc_ask_done, ask));
}

/* The file is larger already; this tells the guest. */
static int begin_disk(struct op *op)
{
	const struct vmm_inst *inst = op->owner;
	struct buf b = BUF_INIT;
	if (!inst->to.disk_bytes)
		return OP_NEXT;
	int r = fc_body_drive_file(&b, FC_DISK, FC_DISK);
	return fc_step_call(op, "PATCH", "/drives/" FC_DISK, &b, r, FC_LIMIT_CONFIG_MS);
}

static const struct op_step resize_steps[] = {
	{ "sizes", begin_sizes, NULL, NULL, ASK_LIMIT_MS },
	{ "disk", begin_disk, NULL, fc_step_cancel, FC_LIMIT_CONFIG_MS + 1000 },
};
static const struct op_table resize_table = { "resize", resize_steps,
	sizeof(resize_steps) / sizeof(*resize_steps) };

void fc_resize(struct vmm_inst *inst, const struct vmm_sizes *to, vmm_done_fn *done, void *arg)
{
	uint64_t disk = fc_whole_units(to->disk_bytes);
	if (!inst->op_running) {
		inst->to = (struct proto_sizes){ .cpu_milli = to->cpu_milli };
		if (disk != fc_whole_units(inst->spec.disk_bytes))
			inst->to.disk_bytes = disk;
	}
	run(inst, &resize_table, done, arg, "change the sizes");
}

/* ---- snapshots ---- */

/* One that was stopped by a signal runs for the moment until Firecracker has paused it. */
static int begin_continue(struct op *op)
{
	const struct vmm_inst *inst = op->owner;
	return inst->stopped ? fc_step_do(op, PROTO_VM_CONTINUE) : OP_NEXT;
}

static int begin_freeze(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	if (inst->paused && !inst->stopped)
		return OP_NEXT;
	inst->stopped = false;
	return call_state(op, "Paused");
}

/* It stays paused, if it can still be resumed from that. */
static int undo_freeze(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	if (inst->exited ||
	    (fc_api_is_open(&inst->api) && (inst->snapped || !pauses_by_signal(inst))))
		return OP_NEXT;
	log_error("%s: cannot be resumed after this; killing it", inst->watch.id);
	return fc_step_do(op, PROTO_VM_KILL);
}

/* An empty directory for it, and room on the disk. */
static int begin_out(struct op *op)
{
	return fc_step_do(op, PROTO_VM_OUT);
}

/* What was written of it goes. */
static int undo_out(struct op *op)
{
	const struct vmm_inst *inst = op->owner;
	return inst->exited ? OP_NEXT : fc_step_do(op, PROTO_VM_DISCARD);
}

static int begin_create(struct op *op)
{
	const struct vmm_inst *inst = op->owner;
	struct buf b = BUF_INIT;
	int r = fc_body_create(&b, "out/state", "out/mem");
	return fc_step_call(
	    op, "PUT", "/snapshot/create", &b, r, fc_api_create_limit(inst->spec.memory_bytes));
}

static int begin_keep(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	inst->snapped = true;
	struct fc_ask *ask = fc_ask_new(inst, NULL);
	if (!ask)
		return -ENOMEM;
	return fc_asked(ask, launcher_vm_snapshot(inst->vmm->launcher, inst->watch.id,
				 inst->snapshot, fc_ask_done, ask));
}

static const struct op_step snapshot_steps[] = {
	{ "out", begin_out, undo_out, NULL, ASK_LIMIT_MS },
	{ "continue", begin_continue, NULL, NULL, ASK_LIMIT_MS },
	{ "freeze", begin_freeze, undo_freeze, fc_step_cancel, PAUSE_STEP_MS },
	{ "create", begin_create, NULL, fc_step_cancel, CREATE_STEP_MS },
	{ "keep", begin_keep, NULL, NULL, KEEP_LIMIT_MS },
};
static const struct op_table snapshot_table = { "snapshot", snapshot_steps,
	sizeof(snapshot_steps) / sizeof(*snapshot_steps) };

void fc_snapshot(struct vmm_inst *inst, const char *snapshot, vmm_done_fn *done, void *arg)
{
	const struct vmm_answer to = { .plain = done, .arg = arg };
	if (!inst->paused) {
		vmm_fail_later(
		    &inst->vmm->late, to, -EINVAL, "snapshot of a sandbox that is not paused");
		return;
	}
	(void)str_copy(inst->snapshot, sizeof(inst->snapshot), snapshot);
	run(inst, &snapshot_table, done, arg, "snapshot sandbox");
}

/* ---- the warm snapshot of a template ---- */

/* The process is killed by it, so that what is kept is what was written. */
static int begin_keep_warm(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	struct fc_ask *ask = fc_ask_new(inst, NULL);
	if (!ask)
		return -ENOMEM;
	inst->ending = true; /* its end is no news, and no failure */
	return fc_asked(
	    ask, launcher_vm_warm(inst->vmm->launcher, inst->watch.id, fc_ask_done, ask));
}

static int begin_note_warm(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	int r = map_add(inst->vmm->warm, inst->spec.tmpl->name, inst->vmm);
	return r == -EEXIST ? 0 : r;
}

static const struct op_step warm_steps[] = {
	{ "out", begin_out, undo_out, NULL, ASK_LIMIT_MS },
	{ "freeze", begin_freeze, NULL, fc_step_cancel, PAUSE_STEP_MS },
	{ "create", begin_create, NULL, fc_step_cancel, CREATE_STEP_MS },
	{ "keep", begin_keep_warm, NULL, NULL, KEEP_LIMIT_MS },
	{ "note", begin_note_warm, NULL, NULL, 1 },
};
static const struct op_table warm_table = { "warm", warm_steps,
	sizeof(warm_steps) / sizeof(*warm_steps) };

void fc_warm(struct vmm_inst *inst, vmm_done_fn *done, void *arg)
{
	run(inst, &warm_table, done, arg, "make a warm snapshot");
}
