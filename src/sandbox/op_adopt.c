/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Take over a sandbox that ran before the daemon was restarted. State: creating; leads to running.
 *
 *   adopt  the driver finds the instance
 *   thaw   it may have been on its way to a pause (VMM_CAP_PAUSE)
 *   check  its agent answers and has its identity
 *
 * One that cannot be taken over is lost: the destroy job removes what is left, and its row.
 */
#include "base/clock.h"
#include "base/err.h"
#include "guest/guest.h"
#include "image/template.h"
#include "sandbox/object.h"

#define ADOPT_LIMIT_MS 30000
#define THAW_LIMIT_MS 45000
#define CHECK_LIMIT_MS 10000

static void on_adopted(const struct err *err, struct vmm_inst *inst, void *arg)
{
	struct sandbox *sb = arg;
	sb->inst = inst;
	sandbox_vmm_answer(sb, err);
}

static int adopt(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	const struct sandboxes_conf *c = &sb->reg->conf;
	struct vmm_spec spec;
	sandbox_fill_spec(sb, &spec);
	sandbox_vmm_begin(sb);
	c->driver->adopt(c->vmm, &spec, sandbox_on_vmm_event, sb, on_adopted, sb);
	return OP_WAIT;
}

static void on_thawed(const struct err *err, void *arg)
{
	sandbox_vmm_answer(arg, err);
}

static int thaw(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	const struct vmm_driver *d = sb->reg->conf.driver;
	if (!(d->caps & VMM_CAP_PAUSE))
		return OP_NEXT;
	sandbox_vmm_begin(sb);
	d->resume(sb->inst, on_thawed, sb);
	return OP_WAIT;
}

static int check(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	int r = sandbox_open_guest(sb);
	if (r < 0)
		return r;
	guest_check(sb->guest, CHECK_LIMIT_MS, sandbox_guest_answer, sb);
	return OP_WAIT;
}

static const struct op_step steps[] = {
	{ "adopt", adopt, NULL, sandbox_vmm_forget, ADOPT_LIMIT_MS },
	{ "thaw", thaw, NULL, sandbox_vmm_forget, THAW_LIMIT_MS },
	{ "check", check, NULL, sandbox_guest_drop, CHECK_LIMIT_MS + 5000 },
};
const struct op_table sandbox_adopt_table = { "adopt", steps, 3 };

static void on_done(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	struct err err = sandbox_job_end(sb);
	if (sb->state == SANDBOX_STOPPING || err.code)
		sandbox_job_failed(sb, SANDBOX_END_LOST, &err);
	else
		sandbox_set_state(sb, SANDBOX_RUNNING);
	recover_note_adopted(sb->reg);
	(void)sandbox_unref(sb);
}

void sandbox_adopt(struct sandbox *sb)
{
	sandbox_job_start(sb, JOB_ADOPT, &sandbox_adopt_table, on_done);
}
