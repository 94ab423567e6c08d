/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Make the warm snapshot of a template, of which its sandboxes are cloned. State: creating; the
 * sandbox itself is never used, it leads to stopping whatever happens.
 *
 *   prepare  what the template needs on disk; there may be a snapshot already, then that is all
 *   create   an instance that starts from the image
 *   boot     its agent takes the template's settings and its first kernel answers
 *   quiesce  the agent finishes what it does, writes everything and lets go of its connections
 *   close    our ends of the channels, which would else be open in every clone
 *   warm     the driver keeps what the instance is now
 */
#include <errno.h>

#include "base/err.h"
#include "base/log.h"
#include "guest/guest.h"
#include "image/template.h"
#include "sandbox/object.h"

#define BOOT_LIMIT_MS 300000 /* emulated processors are slow */
#define QUIESCE_LIMIT_MS 30000
#define CLOSE_LIMIT_MS 10000
#define WARM_LIMIT_MS 120000

static bool has_warm(const struct sandbox *sb)
{
	const struct sandboxes_conf *c = &sb->reg->conf;
	return c->driver->has_warm(c->vmm, sb->tmpl);
}

static int create(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	if (has_warm(sb))
		return OP_NEXT;
	log_info("template %s: making its warm snapshot", sb->tmpl->name);
	sandbox_create_instance(sb, VMM_START_COLD);
	return OP_WAIT;
}

static int boot(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	if (!sb->inst)
		return OP_NEXT;
	int r = sandbox_boot_agent(sb, BOOT_LIMIT_MS);
	return r < 0 ? r : OP_WAIT;
}

static int quiesce(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	if (!sb->inst)
		return OP_NEXT;
	guest_quiesce(sb->guest, QUIESCE_LIMIT_MS, sandbox_guest_answer, sb);
	return OP_WAIT;
}

static int close_channels(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	if (!sb->inst)
		return OP_NEXT;
	guest_close_channels(sb->guest, sandbox_guest_answer, sb);
	return OP_WAIT;
}

static void on_warm(const struct err *err, void *arg)
{
	sandbox_vmm_answer(arg, err);
}

static int warm(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	if (!sb->inst)
		return OP_NEXT;
	sandbox_guest_drop(op);
	sandbox_vmm_begin(sb);
	sb->reg->conf.driver->warm(sb->inst, on_warm, sb);
	return OP_WAIT;
}

static const struct op_step steps[] = {
	{ "prepare", sandbox_step_prepare, NULL, sandbox_vmm_forget, SANDBOX_PREPARE_LIMIT_MS },
	{ "create", create, NULL, sandbox_vmm_forget, SANDBOX_CREATE_LIMIT_MS },
	{ "boot", boot, NULL, sandbox_guest_drop, BOOT_LIMIT_MS + 5000 },
	{ "quiesce", quiesce, NULL, sandbox_guest_drop, QUIESCE_LIMIT_MS + 5000 },
	{ "close", close_channels, NULL, sandbox_guest_drop, CLOSE_LIMIT_MS },
	{ "warm", warm, NULL, sandbox_vmm_forget, WARM_LIMIT_MS },
};
const struct op_table sandbox_warm_table = { "warm", steps, 6 };

static void on_done(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	struct pool *p = sb->pool;
	struct err err = sandbox_job_end(sb);
	sb->reg->n_boots--;
	p->n_boots--;
	if (sb->state == SANDBOX_STOPPING && err.code == 0)
		(void)err_set(&err, -ECANCELED, "%s", sb->end_detail);
	if (err.code == 0 && !has_warm(sb))
		(void)err_set(
		    &err, -EIO, "the warm snapshot of template %s got lost", sb->tmpl->name);
	pool_note_warm(sb, &err);
	if (sb->state == SANDBOX_STOPPING)
		sandbox_destroy(sb);
	else if (err.code)
		sandbox_end(sb, SANDBOX_END_FAILED, "%s", err_text(&err));
	else
		sandbox_end(sb, SANDBOX_END_SHUTDOWN, "its template's snapshot is made");
	(void)sandbox_unref(sb);
}

void sandbox_warm(struct sandbox *sb)
{
	sb->reg->n_boots++;
	sb->pool->n_boots++;
	sandbox_job_start(sb, JOB_WARM, &sandbox_warm_table, on_done);
}
