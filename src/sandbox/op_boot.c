/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Make an instance whose agent answers. State: creating; leads to pooled, or on to a hand-out.
 *
 *   prepare  what the template needs on disk, once a template
 *   create   the driver makes the instance
 *   boot     the agent takes the template's settings and its first kernel answers
 *
 * Nothing is undone here: a failure leads to stopping, and the destroy job takes away whatever is
 * there, also what a driver call delivers late.
 */
#include <errno.h>

#include "base/err.h"
#include "guest/guest.h"
#include "image/template.h"
#include "sandbox/object.h"

#define PREPARE_LIMIT_MS 120000
#define CREATE_LIMIT_MS 30000
#define BOOT_LIMIT_MS 60000

static void on_prepared(const struct err *err, void *arg)
{
	struct sandbox *sb = arg;
	if (sb->reg && err->code == 0)
		sb->pool->prepared = true;
	sandbox_vmm_answer(sb, err);
}

static int prepare(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	const struct sandboxes_conf *c = &sb->reg->conf;
	if (sb->pool->prepared)
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

static int create(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	const struct sandboxes_conf *c = &sb->reg->conf;
	struct vmm_spec spec;
	sandbox_fill_spec(sb, &spec);
	sandbox_vmm_begin(sb);
	c->driver->create(c->vmm, &spec, sandbox_on_vmm_event, sb, on_created, sb);
	return OP_WAIT;
}

static int boot(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	const struct guest_boot b = {
		.template_id = sb->tmpl->id,
		.user = sb->tmpl->user,
		.workdir = sb->tmpl->workdir,
		.env = (const char *const *)sb->tmpl->env,
		.kernels = (const char *const *)sb->tmpl->kernels,
		.history_s = sb->tmpl->history_s,
		.history_count = sb->tmpl->history_count,
		.history_bytes = sb->tmpl->history_bytes,
	};
	int r = sandbox_open_guest(sb);
	if (r < 0)
		return r;
	guest_boot(sb->guest, &b, BOOT_LIMIT_MS, sandbox_guest_answer, sb);
	return OP_WAIT;
}

static const struct op_step steps[] = {
	{ "prepare", prepare, NULL, sandbox_vmm_forget, PREPARE_LIMIT_MS },
	{ "create", create, NULL, sandbox_vmm_forget, CREATE_LIMIT_MS },
	{ "boot", boot, NULL, sandbox_guest_drop, BOOT_LIMIT_MS + 5000 },
};
const struct op_table sandbox_boot_table = { "boot", steps, 3 };

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
