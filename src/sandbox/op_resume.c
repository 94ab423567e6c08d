/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Let a paused sandbox run again. State: resuming; leads to running, or back to paused.
 *
 *   settle  the destroy of its former instance may not have been answered yet
 *   create  an instance that goes on where the snapshot was taken
 *   wake    its agent is told the time and gets fresh randomness; its kernels answer
 *   row     from here on a restart finds it running: there is no way back
 *   forget  the snapshot; what the driver cannot remove now goes with the sandbox
 *
 * Before there is no way back every failure is undone, and the snapshot is what it was.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "guest/guest.h"
#include "image/template.h"
#include "sandbox/object.h"

#define WAKE_LIMIT_MS 60000
#define ROW_LIMIT_MS 10000
#define DESTROY_LIMIT_MS 30000

static int create(struct op *op)
{
	sandbox_create_instance(sandbox_of_op(op), VMM_START_SNAPSHOT);
	return OP_WAIT;
}

static int drop_instance(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	return sb->committed || sb->vmm_pending ? OP_NEXT : sandbox_step_destroy(op);
}

static int wake(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	int r = sandbox_open_guest(sb);
	if (r < 0)
		return r;
	guest_wake(sb->guest, false, WAKE_LIMIT_MS, sandbox_guest_answer, sb);
	return OP_WAIT;
}

static int close_guest(struct op *op)
{
	if (!sandbox_of_op(op)->committed)
		sandbox_guest_drop(op);
	return OP_NEXT;
}

static int row(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	sb->end_at_ns = clock_real_ns() + (int64_t)sb->who->timeout_s * 1000000000;
	sb->end_mono_ms = clock_mono_ms() + (uint64_t)sb->who->timeout_s * 1000;
	int r = sandbox_write_row_as(sb, SANDBOX_ROW_RUNNING, op_slot(op));
	return r < 0 ? r : OP_WAIT;
}

static int take_row_back(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	if (sb->committed || sb->state == SANDBOX_STOPPING)
		return OP_NEXT;
	int r = sandbox_write_row_as(sb, SANDBOX_ROW_PAUSED, op_slot(op));
	return r < 0 ? r : OP_WAIT;
}

static int forget(struct op *op)
{
	sandbox_of_op(op)->committed = true;
	return sandbox_step_forget_snapshot(op);
}

static const struct op_step steps[] = {
	{ "settle", sandbox_step_settle, NULL, sandbox_vmm_forget, DESTROY_LIMIT_MS },
	{ "create", create, drop_instance, sandbox_vmm_forget, SANDBOX_CREATE_LIMIT_MS },
	{ "wake", wake, close_guest, sandbox_guest_drop, WAKE_LIMIT_MS + 5000 },
	{ "row", row, take_row_back, sandbox_row_forget, ROW_LIMIT_MS },
	{ "forget", forget, NULL, sandbox_vmm_forget, DESTROY_LIMIT_MS },
};
const struct op_table sandbox_resume_table = { "resume", steps, 5 };

static void on_done(struct op *op)
{
	static const struct err no_error = ERR_INIT;
	struct sandbox *sb = sandbox_of_op(op);
	struct err err = sandbox_job_end(sb);
	if (sb->state == SANDBOX_STOPPING) {
		sandbox_destroy(sb);
	} else if (sb->committed) {
		if (err.code)
			log_warn("sandbox %s: %s", sb->id, err_text(&err));
		sandbox_set_state(sb, SANDBOX_RUNNING);
		sandbox_tell(&sb->resumers, &no_error);
	} else {
		log_warn("sandbox %s: cannot go on: %s", sb->id, err_text(&err));
		sandbox_set_state(sb, SANDBOX_PAUSED);
		sandbox_tell(&sb->resumers, &err);
	}
	(void)sandbox_unref(sb);
}

void sandbox_begin_resume(struct sandbox *sb)
{
	sb->committed = false;
	sb->paused = false;
	sandbox_set_state(sb, SANDBOX_RESUMING);
	sandbox_job_start(sb, JOB_RESUME, &sandbox_resume_table, on_done);
}

/* ---- requests ---- */

static int check(const struct sandbox *sb, unsigned seconds, unsigned team_limit, struct err *err)
{
	struct sandboxes *s = sb->reg;
	bool waits = sb->state == SANDBOX_PAUSED || sb->state == SANDBOX_PAUSING ||
		     sb->state == SANDBOX_RESUMING;
	if (!waits)
		return err_set(err, SANDBOX_E_STATE, "sandbox %s is %s", sb->id,
		    sandbox_state_name(sb->state));
	if (s->state != SANDBOXES_OPEN)
		return err_set(err, -ESHUTDOWN, "the server is stopping");
	if (seconds > sb->tmpl->timeout_max_s)
		return err_set(err, -ERANGE, "timeout: at most %u seconds are allowed",
		    sb->tmpl->timeout_max_s);
	if (sb->state != SANDBOX_PAUSED)
		return 0;
	unsigned running = team_running(sb->who->team) + sb->who->team->n_creating;
	if (team_limit && running >= team_limit)
		return err_set(err, SANDBOX_E_LIMIT, "the team has %u sandboxes, of at most %u",
		    running, team_limit);
	enum room room = room_for(s, sb->sizes.memory_bytes);
	if (room != ROOM_YES && !pools_evict(s)) /* an idle one gives way */
		return room_refuse(s, sb->sizes.memory_bytes, room, err);
	return 0;
}

void sandbox_resume(
    struct sandbox *sb, unsigned s, unsigned team_limit, sandbox_fn *done, void *arg)
{
	struct err err = ERR_INIT;
	if (check(sb, s, team_limit, &err) != 0) {
		sandbox_answer_later(sb, &err, done, arg);
		return;
	}
	sb->who->timeout_s = s ? s : sb->tmpl->timeout_default_s;
	if (sb->state == SANDBOX_PAUSED)
		sandbox_begin_resume(sb);
	sandbox_wait(sb, &sb->resumers, done, arg);
}
