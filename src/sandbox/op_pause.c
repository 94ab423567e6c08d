/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Put a running sandbox on the disk. State: pausing; leads to paused, or back to running.
 *
 *   freeze      nothing of it runs any more
 *   snapshot    the driver keeps its memory, devices and disk, or nothing
 *   row         from here on a restart finds it paused: there is no way back
 *   disconnect  its streams break
 *   destroy     the instance; what the driver cannot remove, the next start sweeps
 *
 * Before there is no way back every failure is undone, and the sandbox runs on.
 */
#include <errno.h>

#include "base/err.h"
#include "base/log.h"
#include "guest/guest.h"
#include "sandbox/object.h"

#define FREEZE_LIMIT_MS 45000
#define SNAPSHOT_LIMIT_MS 120000
#define ROW_LIMIT_MS 10000
#define DESTROY_LIMIT_MS 30000

static bool is_undone(const struct sandbox *sb)
{
	return !sb->committed && sb->state != SANDBOX_STOPPING;
}

static void on_frozen(const struct err *err, void *arg)
{
	struct sandbox *sb = arg;
	sb->paused |= err->code == 0;
	sandbox_vmm_answer(sb, err);
}

static int freeze(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	sandbox_vmm_begin(sb);
	sb->reg->conf.driver->pause(sb->inst, on_frozen, sb);
	return OP_WAIT;
}

static void on_thawed(const struct err *err, void *arg)
{
	struct sandbox *sb = arg;
	sb->paused &= err->code != 0;
	sandbox_vmm_answer(sb, err);
}

/* Also after a freeze that failed: some VMMs stand still then. A call that is still open may be
 * the freeze itself: on_done ends a sandbox that cannot be thawed. */
static int thaw(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	if (!is_undone(sb) || sb->vmm_pending)
		return OP_NEXT;
	sb->paused = true;
	sandbox_vmm_begin(sb);
	sb->reg->conf.driver->resume(sb->inst, on_thawed, sb);
	return OP_WAIT;
}

static void on_snapshot(const struct err *err, void *arg)
{
	sandbox_vmm_answer(arg, err);
}

static int snapshot(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	sb->has_snapshot = true;
	sandbox_vmm_begin(sb);
	sb->reg->conf.driver->snapshot(sb->inst, sb->id, on_snapshot, sb);
	return OP_WAIT;
}

static int drop_snapshot(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	return is_undone(sb) && !sb->vmm_pending ? sandbox_step_forget_snapshot(op) : OP_NEXT;
}

static int row(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	int r = sandbox_write_row_as(sb, SANDBOX_ROW_PAUSED, op_slot(op));
	return r < 0 ? r : OP_WAIT;
}

/* It may have been written for all we know. */
static int take_row_back(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	if (!is_undone(sb))
		return OP_NEXT;
	int r = sandbox_write_row_as(sb, SANDBOX_ROW_RUNNING, op_slot(op));
	return r < 0 ? r : OP_WAIT;
}

static int disconnect(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	sb->committed = true;
	guest_reset(sb->guest);
	sandbox_guest_drop(op);
	return OP_NEXT;
}

static const struct op_step steps[] = {
	{ "freeze", freeze, thaw, sandbox_vmm_forget, FREEZE_LIMIT_MS },
	{ "snapshot", snapshot, drop_snapshot, sandbox_vmm_forget, SNAPSHOT_LIMIT_MS },
	{ "row", row, take_row_back, sandbox_row_forget, ROW_LIMIT_MS },
	{ "disconnect", disconnect, NULL, NULL, 1000 },
	{ "destroy", sandbox_step_destroy, NULL, sandbox_vmm_forget, DESTROY_LIMIT_MS },
};
const struct op_table sandbox_pause_table = { "pause", steps, 5 };

/* Nothing came of it: does the sandbox go on? */
static void give_up(struct sandbox *sb, const struct err *err)
{
	if (sb->paused || sb->vmm_pending) {
		sandbox_end(sb, SANDBOX_END_CRASHED, "it could be neither paused nor let go on: %s",
		    err_text(err));
		return;
	}
	sandbox_set_state(sb, SANDBOX_RUNNING);
	sandbox_tell(&sb->pausers, err);
	sandbox_tell(&sb->resumers, err); /* it runs, but for how long is not said */
}

static void on_done(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	struct err err = sandbox_job_end(sb);
	static const struct err no_error = ERR_INIT;
	if (sb->state == SANDBOX_STOPPING) {
		sandbox_destroy(sb);
	} else if (sb->committed) {
		if (err.code)
			log_error("sandbox %s: while it was paused: %s", sb->id, err_text(&err));
		sandbox_set_state(sb, SANDBOX_PAUSED);
		sandbox_tell(&sb->pausers, &no_error);
		if (!list_is_empty(&sb->resumers) && sb->state == SANDBOX_PAUSED)
			sandbox_begin_resume(sb);
	} else {
		log_warn("sandbox %s: cannot be paused: %s", sb->id, err_text(&err));
		give_up(sb, &err);
	}
	(void)sandbox_unref(sb);
}

void sandbox_begin_pause(struct sandbox *sb)
{
	sb->committed = false;
	sandbox_set_state(sb, SANDBOX_PAUSING);
	sandbox_job_start(sb, JOB_PAUSE, &sandbox_pause_table, on_done);
}

void sandbox_pause(struct sandbox *sb, sandbox_fn *done, void *arg)
{
	struct err err = ERR_INIT;
	if (sb->reg && !(sb->reg->conf.driver->caps & VMM_CAP_SNAPSHOT))
		(void)err_set(&err, SANDBOX_E_DRIVER,
		    "the driver '%s' of this server cannot pause a sandbox",
		    sb->reg->conf.driver->name);
	else if (sb->state != SANDBOX_RUNNING && sb->state != SANDBOX_PAUSING)
		(void)err_set(&err, SANDBOX_E_STATE, "sandbox %s is %s", sb->id,
		    sandbox_state_name(sb->state));
	if (err.code) {
		sandbox_answer_later(sb, &err, done, arg);
		return;
	}
	if (sb->state == SANDBOX_RUNNING)
		sandbox_begin_pause(sb);
	sandbox_wait(sb, &sb->pausers, done, arg);
}
