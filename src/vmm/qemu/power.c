/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stopping, going on, other sizes, and being kept. Device state goes to a file that the VMM was
 * born with; the launcher takes it from there.
 */
#include <errno.h>

#include "base/str.h"
#include "vmm/qemu/qemu.h"

#define DISK "disk"		  /* as the launcher calls it */
#define STATE_FILE "/dev/fdset/9" /* VM_FD_STATE of the launcher */

static int begin_stop(struct op *op)
{
	return qemu_do(op->owner, "stop", NULL);
}

static int begin_cont(struct op *op)
{
	return qemu_do(op->owner, "cont", NULL);
}

/* Not "live": disks of a stopped VM would be given up. */
static int begin_save(struct op *op)
{
	return qemu_do(op->owner, "xen-save-devices-state",
	    json_pack("{s:s, s:b}", "filename", STATE_FILE, "live", 0));
}

static int send_warm(struct vmm_inst *inst, launcher_done_fn *done, void *arg)
{
	return launcher_vm_warm(inst->vmm->launcher, inst->watch.id, done, arg);
}

/* From here on the launcher ends it. */
static int begin_keep_warm(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	inst->qmp = qmp_free(inst->qmp);
	return qemu_ask(inst, send_warm, NULL);
}

static int send_snapshot(struct vmm_inst *inst, launcher_done_fn *done, void *arg)
{
	return launcher_vm_snapshot(inst->vmm->launcher, inst->watch.id, inst->snapshot, done, arg);
}

static int begin_keep(struct op *op)
{
	return qemu_ask(op->owner, send_snapshot, NULL);
}

static int send_resize(struct vmm_inst *inst, launcher_done_fn *done, void *arg)
{
	return launcher_resize(inst->vmm->launcher, inst->watch.id, &inst->to, done, arg);
}

static int begin_sizes(struct op *op)
{
	return qemu_ask(op->owner, send_resize, NULL);
}

/* The file is larger already; this tells the guest. */
static int begin_disk(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	if (!inst->to.disk_bytes)
		return OP_NEXT;
	return qemu_do(inst, "block_resize",
	    json_pack("{s:s, s:I}", "device", DISK, "size", (json_int_t)inst->to.disk_bytes));
}

#define CONNECT                                                         \
	{                                                               \
		"connect", qemu_begin_connect, NULL, qemu_cancel, 30000 \
	}

static const struct op_step pause_steps[] = {
	CONNECT,
	{ "stop", begin_stop, NULL, qemu_cancel, 30000 },
};
static const struct op_step resume_steps[] = {
	CONNECT,
	{ "cont", begin_cont, NULL, qemu_cancel, 30000 },
};
static const struct op_step resize_steps[] = {
	{ "sizes", begin_sizes, NULL, qemu_cancel, 30000 },
	CONNECT,
	{ "disk", begin_disk, NULL, qemu_cancel, 30000 },
};
static const struct op_step warm_steps[] = {
	CONNECT,
	{ "stop", begin_stop, NULL, qemu_cancel, 30000 },
	{ "save", begin_save, NULL, qemu_cancel, 30000 },
	{ "keep", begin_keep_warm, NULL, qemu_cancel, 180000 },
};
static const struct op_step snapshot_steps[] = {
	CONNECT,
	{ "save", begin_save, NULL, qemu_cancel, 30000 },
	{ "keep", begin_keep, NULL, qemu_cancel, 180000 },
};

#define TABLE(name)                                                              \
	static const struct op_table name##_table = { #name "-vm", name##_steps, \
		sizeof(name##_steps) / sizeof(name##_steps[0]) }
TABLE(pause);
TABLE(resume);
TABLE(resize);
TABLE(warm);
TABLE(snapshot);

static void on_done(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	struct vmm_answer to = inst->answer;
	struct err err = op->err;
	if (err.code == 0 && op->table == &warm_table)
		qemu_set_warm(inst->vmm, inst->tmpl, true);
	inst->refs++;
	qemu_op_ended(inst);
	vmm_tell(&to, &err);
	qemu_inst_unref(inst);
}

static void start(struct vmm_inst *inst, const struct op_table *table, vmm_done_fn *done, void *arg)
{
	qemu_start_op(inst, table, (struct vmm_answer){ .plain = done, .arg = arg }, on_done);
}

void qemu_pause(struct vmm_inst *inst, vmm_done_fn *done, void *arg)
{
	start(inst, &pause_table, done, arg);
}

void qemu_resume(struct vmm_inst *inst, vmm_done_fn *done, void *arg)
{
	start(inst, &resume_table, done, arg);
}

void qemu_resize(struct vmm_inst *inst, const struct vmm_sizes *to, vmm_done_fn *done, void *arg)
{
	uint64_t disk = qemu_whole_units(to->disk_bytes);
	if (!inst->op_runs) {
		inst->to = (struct proto_sizes){ .cpu_milli = to->cpu_milli };
		if (disk != inst->want.disk_bytes)
			inst->to.disk_bytes = disk;
	}
	start(inst, &resize_table, done, arg);
}

void qemu_warm(struct vmm_inst *inst, vmm_done_fn *done, void *arg)
{
	start(inst, &warm_table, done, arg);
}

void qemu_snapshot(struct vmm_inst *inst, const char *snapshot, vmm_done_fn *done, void *arg)
{
	if (inst->op_runs) {
		vmm_fail_later(&inst->vmm->late, (struct vmm_answer){ .plain = done, .arg = arg },
		    -EBUSY, "snapshot");
		return;
	}
	(void)str_copy(inst->snapshot, sizeof(inst->snapshot), snapshot);
	start(inst, &snapshot_table, done, arg);
}
