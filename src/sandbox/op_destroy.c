/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Take away all that is left of a sandbox, whatever it got as far as. State: stopping; leads to
 * gone.
 *
 *   disconnect  its streams break, so that clients hear of the end at once
 *   settle      a driver call that another job left behind is waited for: it may still deliver an
 *               instance
 *   destroy     the instance
 *   snapshot    what the driver keeps of a paused one
 *   row         last: until then a restart finds the sandbox and destroys it
 *
 * A failure is tried again later, for ever: nothing else can end a sandbox. Who waits for a kill
 * hears of the first one.
 */
#include "base/err.h"
#include "base/log.h"
#include "guest/guest.h"
#include "sandbox/object.h"

#define SETTLE_LIMIT_MS 30000
#define DESTROY_LIMIT_MS 30000
#define ROW_LIMIT_MS 10000
#define RETRY_FIRST_MS 1000
#define RETRY_DOUBLINGS 6

static int disconnect(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	if (sb->guest)
		guest_reset(sb->guest);
	sb->guest = guest_free(sb->guest);
	return OP_NEXT;
}

int sandbox_step_settle(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	if (!sb->vmm_pending)
		return OP_NEXT;
	sb->vmm_slot = op_slot(op);
	return OP_WAIT;
}

/* The instance is invalid now, whatever the driver says. What it could not remove, the next start
 * sweeps. */
static void on_destroyed(const struct err *err, void *arg)
{
	struct sandbox *sb = arg;
	if (err->code)
		log_error("sandbox %s: %s", sb->id, err_text(err));
	sb->inst = NULL;
	sandbox_vmm_answer(sb, err);
}

int sandbox_step_destroy(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	if (!sb->inst)
		return OP_NEXT;
	sandbox_vmm_begin(sb);
	sb->reg->conf.driver->destroy(sb->inst, on_destroyed, sb);
	return OP_WAIT;
}

static void on_forgotten(const struct err *err, void *arg)
{
	struct sandbox *sb = arg;
	sb->has_snapshot &= err->code != 0;
	if (err->code)
		log_error("sandbox %s: its snapshot: %s", sb->id, err_text(err));
	sandbox_vmm_answer(sb, err);
}

int sandbox_step_forget_snapshot(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	const struct sandboxes_conf *c = &sb->reg->conf;
	if (!sb->has_snapshot)
		return OP_NEXT;
	sandbox_vmm_begin(sb);
	c->driver->snapshot_remove(c->vmm, sb->id, on_forgotten, sb);
	return OP_WAIT;
}

static int row(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	if (!sb->has_row)
		return OP_NEXT;
	int r = sandbox_delete_row(sb, op_slot(op));
	return r < 0 ? r : OP_WAIT;
}

static const struct op_step steps[] = {
	{ "disconnect", disconnect, NULL, NULL, 1000 },
	{ "settle", sandbox_step_settle, NULL, sandbox_vmm_forget, SETTLE_LIMIT_MS },
	{ "destroy", sandbox_step_destroy, NULL, sandbox_vmm_forget, DESTROY_LIMIT_MS },
	{ "snapshot", sandbox_step_forget_snapshot, NULL, sandbox_vmm_forget, DESTROY_LIMIT_MS },
	{ "row", row, NULL, sandbox_row_forget, ROW_LIMIT_MS },
};
const struct op_table sandbox_destroy_table = { "destroy", steps, 5 };

static void on_done(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	struct err err = sandbox_job_end(sb);
	if (err.code) {
		unsigned doublings = sb->retries < RETRY_DOUBLINGS ? sb->retries : RETRY_DOUBLINGS;
		log_error("sandbox %s: %s; trying again", sb->id, err_text(&err));
		sb->retries++;
		if (sb->reg->state == SANDBOXES_OPEN)
			loop_timer_set(&sb->retry, (uint64_t)RETRY_FIRST_MS << doublings);
		sandbox_tell(&sb->killers, &err);
	} else {
		sandbox_set_state(sb, SANDBOX_GONE);
	}
	(void)sandbox_unref(sb);
}

void sandbox_destroy(struct sandbox *sb)
{
	loop_timer_cancel(&sb->retry);
	sandbox_job_start(sb, JOB_DESTROY, &sandbox_destroy_table, on_done);
}
