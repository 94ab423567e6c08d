/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Make an instance whose agent answers. State: creating; leads to pooled, or on to a hand-out.
 *
 *   prepare  what the template needs on disk, once a template
 *   create   the driver makes the instance
 *   boot     the agent takes the template's settings and its first kernel answers; that of a clone
 *            has done so before and wakes up
 *   pause    it is to wait in a pool: it stands still (VMM_CAP_PAUSE)
 *
 * Nothing is undone here: a failure leads to stopping, and the destroy job takes away whatever is
 * there, also what a driver call delivers late.
 */
#include <errno.h>

#include "base/err.h"
#include "base/str.h"
#include "guest/guest.h"
#include "image/template.h"
#include "sandbox/object.h"

#define BOOT_LIMIT_MS 60000
#define PAUSE_LIMIT_MS 45000 /* Firecracker itself gives a processor 30 s */

static void on_prepared(const struct err *err, void *arg)
{
	struct sandbox *sb = arg;
	if (sb->reg && err->code == 0 && sb->job == JOB_BOOT && !pool_is_past(sb))
		sb->pool->stage = POOL_STAGE_READY;
	sandbox_vmm_answer(sb, err);
}

int sandbox_step_prepare(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	const struct sandboxes_conf *c = &sb->reg->conf;
	if (sb->pool->stage == POOL_STAGE_READY)
		return OP_NEXT;
	sandbox_vmm_begin(sb);
	c->driver->prepare(c->vmm, sb->tmpl, on_prepared, sb);
	return OP_WAIT;
}

static void on_created(const struct err *err, struct vmm_inst *inst, void *arg)
{
	struct sandbox *sb = arg;
	sb->inst = inst;
	sandbox_vmm_answer(sb, err);
}

void sandbox_create_instance(struct sandbox *sb, enum vmm_start start)
{
	const struct sandboxes_conf *c = &sb->reg->conf;
	struct vmm_spec spec;
	sandbox_fill_spec(sb, &spec);
	spec.start = start;
	(void)str_copy(spec.snapshot, sizeof(spec.snapshot), sb->id);
	sandbox_vmm_begin(sb);
	c->driver->create(c->vmm, &spec, sandbox_on_vmm_event, sb, on_created, sb);
}

static int create(struct op *op)
{
	sandbox_create_instance(sandbox_of_op(op), VMM_START_BEST);
	return OP_WAIT;
}

int sandbox_boot_agent(struct sandbox *sb, unsigned limit_ms)
{
	const struct guest_boot b = {
		.template_id = sb->tmpl->id,
		.user = sb->tmpl->user,
		.workdir = sb->tmpl->workdir,
		.env = (const char *const *)sb->tmpl->env,
		.kernels = (const char *const *)sb->tmpl->kernels,
		.history_s = sb->tmpl->history_s,
		.history_count = sb->tmpl->history_count,
		.history_bytes = sb->tmpl->history_bytes,
		.pids = sb->reg->conf.driver->caps & VMM_CAP_OWN_KERNEL ? sb->tmpl->max_pids : 0,
	};
	int r = sandbox_open_guest(sb);
	if (r == 0)
		guest_boot(sb->guest, &b, limit_ms, sandbox_guest_answer, sb);
	return r;
}

/* A clone of one whose agent has booted only wakes up: it is told the time, and gets randomness
 * that no other clone has. What somebody waits for runs no cells to warm up. */
static int boot(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	const struct vmm_driver *d = sb->reg->conf.driver;
	bool warm = (d->caps & VMM_CAP_WARM) && d->is_warm(sb->inst);
	int r = warm ? sandbox_open_guest(sb) : sandbox_boot_agent(sb, BOOT_LIMIT_MS);
	if (r < 0)
		return r;
	if (warm)
		guest_wake(sb->guest, !sb->create, BOOT_LIMIT_MS, sandbox_guest_answer, sb);
	return OP_WAIT;
}

static void on_paused(const struct err *err, void *arg)
{
	struct sandbox *sb = arg;
	sb->paused |= err->code == 0;
	sandbox_vmm_answer(sb, err);
}

/* One that is to wait in a pool costs no processor meanwhile. */
static int pause_idle(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	const struct vmm_driver *d = sb->reg->conf.driver;
	if (sb->create || !(d->caps & VMM_CAP_PAUSE))
		return OP_NEXT;
	sandbox_vmm_begin(sb);
	d->pause(sb->inst, on_paused, sb);
	return OP_WAIT;
}

static const struct op_step steps[] = {
	{ "prepare", sandbox_step_prepare, NULL, sandbox_vmm_forget, SANDBOX_PREPARE_LIMIT_MS },
	{ "create", create, NULL, sandbox_vmm_forget, SANDBOX_CREATE_LIMIT_MS },
	{ "boot", boot, NULL, sandbox_guest_drop, BOOT_LIMIT_MS + 5000 },
	{ "pause", pause_idle, NULL, sandbox_vmm_forget, PAUSE_LIMIT_MS },
};
const struct op_table sandbox_boot_table = { "boot", steps, 4 };

static void on_done(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	bool refill = link_is_linked(&sb->in_pool);
	struct err err = sandbox_job_end(sb);
	sb->reg->n_boots--;
	sb->pool->n_boots--;
	pool_note_boot(sb, refill, &err);
	if (sb->state == SANDBOX_STOPPING || err.code) {
		sandbox_job_failed(sb, SANDBOX_END_FAILED, &err);
	} else if (sb->create) {
		sandbox_hand_out(sb);
	} else if (pool_is_past(sb)) {
		sandbox_end(sb, SANDBOX_END_SHUTDOWN, POOL_PAST);
	} else {
		sandbox_set_state(sb, SANDBOX_POOLED);
	}
	(void)sandbox_unref(sb);
}

void sandbox_boot(struct sandbox *sb)
{
	sb->reg->n_boots++;
	sb->pool->n_boots++;
	sandbox_job_start(sb, JOB_BOOT, &sandbox_boot_table, on_done);
}
