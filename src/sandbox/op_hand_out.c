/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Give a booted sandbox to the create that it has. State: creating or pooled; leads to running.
 *
 *   resume    it may have stood still in the pool
 *   sizes     processors, memory and disk that the create asks for
 *   internet  the create's network policy, before anything of its owner is inside
 *   init      the agent gets identity, environment, clock and entropy; a disk that has grown
 *   row       from here on it survives our restart
 *
 * Nothing is undone: one that has heard a secret is never used again, it is destroyed.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/err.h"
#include "guest/guest.h"
#include "image/template.h"
#include "sandbox/object.h"

#define MIB (1ull << 20) /* what disks of machines are multiples of */
#define RESUME_LIMIT_MS 45000
#define SIZES_LIMIT_MS 10000
#define INTERNET_LIMIT_MS 10000
#define INIT_LIMIT_MS 10000
#define ROW_LIMIT_MS 10000

static void on_resumed(const struct err *err, void *arg)
{
	struct sandbox *sb = arg;
	sb->paused &= err->code != 0;
	sandbox_vmm_answer(sb, err);
}

static int resume(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	if (!sb->paused)
		return OP_NEXT;
	sandbox_vmm_begin(sb);
	sb->reg->conf.driver->resume(sb->inst, on_resumed, sb);
	return OP_WAIT;
}

static void on_resized(const struct err *err, void *arg)
{
	sandbox_vmm_answer(arg, err);
}

/* Promised before it is given: others may have grown since this one was claimed. */
static int sizes(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	const struct sandbox_sizes *want = &sb->who->sizes;
	const struct vmm_sizes to = sandbox_vmm_sizes(want);
	if (sandbox_sizes_equal(&sb->sizes, want))
		return OP_NEXT;
	if (!room_to_grow(sb, want->memory_bytes))
		return room_refuse(sb->reg, want->memory_bytes, ROOM_PROMISED, &op->err);
	sandbox_set_sizes(sb, want);
	sandbox_vmm_begin(sb);
	sb->reg->conf.driver->resize(sb->inst, &to, on_resized, sb);
	return OP_WAIT;
}

static void on_internet(const struct err *err, void *arg)
{
	struct sandbox *sb = arg;
	if (err->code == 0)
		sb->internet = sb->who->internet;
	sandbox_vmm_answer(sb, err);
}

static int internet(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	if (sb->internet == sb->who->internet)
		return OP_NEXT;
	sandbox_vmm_begin(sb);
	sb->reg->conf.driver->set_internet(sb->inst, sb->who->internet, on_internet, sb);
	return OP_WAIT;
}

/* In a machine it is the agent that makes the file system as large as a disk that has grown. */
static uint64_t guest_disk(const struct sandbox *sb)
{
	bool is_other = sb->sizes.disk_bytes != sb->tmpl->disk_bytes;
	bool is_its_own = sb->reg->conf.driver->caps & VMM_CAP_OWN_KERNEL;
	return is_other && is_its_own ? sb->sizes.disk_bytes / MIB * MIB : 0;
}

static int init(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	const struct guest_identity id = {
		.sandbox_id = sb->id,
		.template_id = sb->tmpl->id,
		.access_token = sb->who->access_token,
		.env = (const char *const *)sb->who->env,
		.default_user = sb->tmpl->user,
		.default_workdir = sb->tmpl->workdir,
		.disk_bytes = guest_disk(sb),
	};
	guest_init(sb->guest, &id, sandbox_guest_answer, sb);
	return OP_WAIT;
}

static int row(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	sb->started_ns = clock_real_ns();
	sb->end_at_ns = sb->started_ns + (int64_t)sb->who->timeout_s * 1000000000;
	sb->end_mono_ms = clock_mono_ms() + (uint64_t)sb->who->timeout_s * 1000;
	int r = sandbox_write_row(sb, op_slot(op));
	return r < 0 ? r : OP_WAIT;
}

static const struct op_step steps[] = {
	{ "resume", resume, NULL, sandbox_vmm_forget, RESUME_LIMIT_MS },
	{ "sizes", sizes, NULL, sandbox_vmm_forget, SIZES_LIMIT_MS },
	{ "internet", internet, NULL, sandbox_vmm_forget, INTERNET_LIMIT_MS },
	{ "init", init, NULL, sandbox_guest_drop, INIT_LIMIT_MS },
	{ "row", row, NULL, sandbox_row_forget, ROW_LIMIT_MS },
};
const struct op_table sandbox_hand_out_table = { "hand-out", steps, 5 };

static void on_done(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	struct err err = sandbox_job_end(sb);
	if (sb->state == SANDBOX_STOPPING || err.code) {
		sandbox_job_failed(sb, SANDBOX_END_FAILED, &err);
	} else {
		sandbox_set_state(sb, SANDBOX_RUNNING);
		create_succeeded(sb->create);
	}
	(void)sandbox_unref(sb);
}

void sandbox_hand_out(struct sandbox *sb)
{
	sb->who = identity_ref(sb->create->who);
	sandbox_job_start(sb, JOB_HAND_OUT, &sandbox_hand_out_table, on_done);
}
