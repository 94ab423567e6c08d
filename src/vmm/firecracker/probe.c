/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does the driver work on this machine? The programs must be there in versions that work together,
 * and a guest must run: it has a kernel and nothing else, says so on its console, and resets. A
 * /dev/kvm that can be opened proves nothing: there are machines whose KVM runs no stock kernel.
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "vmm/firecracker/body.h"
#include "vmm/firecracker/firecracker.h"

#define PROBE_MEMORY (128ull << 20)
#define PROBE_DISK (16ull << 20)
#define PROBE_PIDS 64
#define ASK_LIMIT_MS 10000
#define LAUNCH_LIMIT_MS 60000
#define CONNECT_LIMIT_MS 5000
#define CALL_LIMIT_MS (FC_LIMIT_CONFIG_MS + 1000)
#define END_LIMIT_MS 20000 /* of a kernel that finds no root; a second of it is panic=1 */
#define DESTROY_LIMIT_MS 60000
#define CMDLINE "console=ttyS0 reboot=k panic=1 pci=off i8042.noaux i8042.nomux i8042.dumbkbd"

static int begin_boot(struct op *op)
{
	struct buf b = BUF_INIT;
	int r = fc_body_boot(&b, "kernel", NULL, CMDLINE);
	return fc_step_call(op, "PUT", "/boot-source", &b, r, FC_LIMIT_CONFIG_MS);
}

/* What is said last counts; a kernel says much before. */
static bool has_run(struct vmm_inst *inst)
{
	CLEAN_FREE char *said = mem_alloc(TAIL_BYTES + 1);
	if (!said)
		return false;
	tail_drain(&inst->console);
	tail_last(&inst->console, said, TAIL_BYTES + 1);
	return strstr(said, PROTO_PROBE_TEXT) || strstr(said, PROTO_PROBE_KERNEL);
}

/* It says something and resets; both must be. */
static int begin_end(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	inst->ending = true;
	fc_step_waits(op);
	return inst->exited ? OP_NEXT : OP_WAIT;
}

static int begin_judge(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	char text[ERR_TEXT_MAX];
	if (inst->exit_status == 0 && has_run(inst))
		return OP_NEXT;
	fc_inst_explain(inst, text, sizeof(text));
	return op_fail(
	    op, -EIO, "KVM runs no guest here: a test guest did not come to its end: %s", text);
}

static const struct op_step steps[] = {
	{ "versions", fc_step_versions, NULL, NULL, ASK_LIMIT_MS },
	{ "launch", fc_step_launch, fc_step_destroy, NULL, LAUNCH_LIMIT_MS },
	{ "connect", fc_step_connect, NULL, fc_step_cancel_connect, CONNECT_LIMIT_MS },
	{ "serial", fc_step_serial, NULL, fc_step_cancel, CALL_LIMIT_MS },
	{ "machine", fc_step_machine, NULL, fc_step_cancel, CALL_LIMIT_MS },
	{ "boot", begin_boot, NULL, fc_step_cancel, CALL_LIMIT_MS },
	{ "start", fc_step_start, NULL, fc_step_cancel, FC_LIMIT_START_MS + 1000 },
	{ "end", begin_end, NULL, NULL, END_LIMIT_MS },
	{ "judge", begin_judge, NULL, NULL, 1 },
	{ "destroy", fc_step_destroy, NULL, NULL, DESTROY_LIMIT_MS },
};
static const struct op_table table = { "probe", steps, sizeof(steps) / sizeof(*steps) };

static void on_event(struct vmm_inst *inst, enum vmm_end kind, int64_t value, void *arg)
{
}

static void on_done(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	const struct err err = op->err;
	const struct vmm_answer to = inst->answer;
	fc_inst_end(inst);
	fc_inst_unref(inst);
	vmm_tell(&to, &err);
}

void fc_probe(struct vmm *v, vmm_done_fn *done, void *arg)
{
	const struct vmm_answer to = { .plain = done, .arg = arg };
	struct vmm_spec spec = { .memory_bytes = PROBE_MEMORY,
		.disk_bytes = PROBE_DISK,
		.cpu_milli = 1000,
		.max_pids = PROBE_PIDS };
	id_sandbox(spec.id);
	v->known = false; /* asked anew */
	struct vmm_inst *inst = fc_inst_new(v, &spec, on_event, NULL, to);
	if (!inst) {
		vmm_fail_later(&v->late, to, -ENOMEM, "test the driver");
		return;
	}
	inst->start = PROTO_START_PROBE;
	(void)fc_inst_run(inst, &table, to, on_done);
}
