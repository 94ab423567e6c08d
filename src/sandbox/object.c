/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/object.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest/guest.h"
#include "image/template.h"
#include "store/store.h"
#include "vmm/vmm.h"

/* An agent that dies this soon after a kill for memory died of it. */
#define OOM_RECENT_MS 2000

/* ---- life ---- */

static void on_retry(struct loop_timer *t, void *arg)
{
	sandbox_destroy(arg);
}

struct sandbox *sandbox_new(struct sandboxes *s, const char *id, const struct template *t)
{
	struct sandbox *sb = mem_zalloc(sizeof(*sb));
	if (!sb)
		return NULL;
	(void)str_copy(sb->id, sizeof(sb->id), id);
	if (map_add(s->by_id, sb->id, sb) < 0)
		return mem_free(sb);
	sb->reg = s;
	sb->loop = s->conf.loop;
	sb->refs = 1;
	sb->tmpl = t;
	sb->pool = pool_find(s, t);
	sb->age = sb->pool->age;
	sb->state = SANDBOX_CREATING;
	sb->internet = t->internet;
	link_init(&sb->in_pool);
	link_init(&sb->in_team);
	link_init(&sb->killers);
	link_init(&sb->pausers);
	link_init(&sb->resumers);
	link_init(&sb->in_events);
	loop_timer_init(&sb->retry, s->conf.loop, on_retry, sb);
	s->count[SANDBOX_CREATING]++;
	sandbox_sizes_complete(&sb->sizes, t);
	s->promised += sb->sizes.memory_bytes;
	return sb;
}

/* ---- sizes ---- */

void sandbox_sizes_complete(struct sandbox_sizes *s, const struct template *t)
{
	if (!s->cpu_milli)
		s->cpu_milli = t->cpu_milli;
	if (!s->memory_bytes)
		s->memory_bytes = t->memory_bytes;
	if (!s->disk_bytes)
		s->disk_bytes = t->disk_bytes;
}

bool sandbox_sizes_equal(const struct sandbox_sizes *a, const struct sandbox_sizes *b)
{
	return a->cpu_milli == b->cpu_milli && a->memory_bytes == b->memory_bytes &&
	       a->disk_bytes == b->disk_bytes;
}

struct vmm_sizes sandbox_vmm_sizes(const struct sandbox_sizes *s)
{
	return (struct vmm_sizes){ s->memory_bytes, s->disk_bytes, s->cpu_milli };
}

/* While it takes the machine's room. */
void sandbox_set_sizes(struct sandbox *sb, const struct sandbox_sizes *to)
{
	sb->reg->promised += to->memory_bytes - sb->sizes.memory_bytes;
	sb->sizes = *to;
}

/* ---- references ---- */

struct sandbox *sandbox_ref(struct sandbox *sb)
{
	sb->refs++;
	return sb;
}

struct sandbox *sandbox_unref(struct sandbox *sb)
{
	if (!sb || --sb->refs > 0)
		return NULL;
	assert(sb->job == JOB_NONE && !sb->create && !sb->guest);
	assert(!link_is_linked(&sb->in_pool) && !link_is_linked(&sb->in_team));
	assert(list_is_empty(&sb->killers) && list_is_empty(&sb->pausers) &&
	       list_is_empty(&sb->resumers));
	loop_timer_fini(&sb->retry);
	(void)identity_unref(sb->who);
	return mem_free(sb);
}

/* ---- jobs ---- */

void sandbox_job_start(struct sandbox *sb, enum sandbox_job job, const struct op_table *table,
    void (*done)(struct op *op))
{
	assert(sb->job == JOB_NONE);
	sb->job = job;
	sb->reg->n_jobs++;
	op_init(&sb->op, sb->reg->conf.loop, table, sandbox_ref(sb), done);
	op_start(&sb->op);
}

struct err sandbox_job_end(struct sandbox *sb)
{
	struct err err = sb->op.err;
	op_fini(&sb->op);
	sb->job = JOB_NONE;
	sb->vmm_slot = sb->row_slot = 0;
	sb->reg->n_jobs--;
	sandboxes_pump(sb->reg);
	return err;
}

struct sandbox *sandbox_of_op(const struct op *op)
{
	return op->owner;
}

static int result_of(struct op *op, const struct err *err)
{
	return err->code ? op_fail(op, err->code, "%s", err_text(err)) : 0;
}

/* ---- driver calls ---- */

void sandbox_vmm_begin(struct sandbox *sb)
{
	assert(!sb->vmm_pending);
	sb->vmm_pending = true;
	sb->vmm_slot = op_slot(&sb->op);
	(void)sandbox_ref(sb);
}

/* On the way to the end it only matters that the answer came. */
void sandbox_vmm_answer(struct sandbox *sb, const struct err *err)
{
	uint32_t slot = sb->vmm_slot;
	sb->vmm_pending = false;
	sb->vmm_slot = 0;
	if (slot)
		op_wake(&sb->op, slot, sb->state == SANDBOX_STOPPING ? 0 : result_of(&sb->op, err));
	(void)sandbox_unref(sb);
}

void sandbox_vmm_forget(struct op *op)
{
	sandbox_of_op(op)->vmm_slot = 0;
}

void sandbox_fill_spec(const struct sandbox *sb, struct vmm_spec *spec)
{
	const struct template *t = sb->tmpl;
	*spec = (struct vmm_spec){
		.tmpl = t,
		.memory_bytes = sb->sizes.memory_bytes,
		.disk_bytes = sb->sizes.disk_bytes,
		.cpu_milli = sb->sizes.cpu_milli,
		.max_pids = t->max_pids,
		.internet = sb->internet,
	};
	(void)str_copy(spec->id, sizeof(spec->id), sb->id);
}

/* ---- the agent ---- */

static struct guest_channel channel_of(struct vmm_channel c)
{
	static const enum guest_channel_kind kinds[] = {
		[VMM_CHANNEL_UNIX] = GUEST_CHANNEL_UNIX,
		[VMM_CHANNEL_SERIAL] = GUEST_CHANNEL_SERIAL,
		[VMM_CHANNEL_VSOCK] = GUEST_CHANNEL_VSOCK,
	};
	return (struct guest_channel){ kinds[c.kind], c.path, c.port };
}

int sandbox_open_guest(struct sandbox *sb)
{
	const struct vmm_driver *d = sb->reg->conf.driver;
	const struct guest_channel control = channel_of(d->control(sb->inst));
	const struct guest_channel data = channel_of(d->data(sb->inst));
	sb->guest = guest_new(sb->reg->conf.loop, &control, &data);
	return sb->guest ? 0 : -ENOMEM;
}

void sandbox_guest_answer(const struct err *err, void *arg)
{
	struct sandbox *sb = arg;
	op_wake(&sb->op, op_slot(&sb->op), result_of(&sb->op, err));
}

void sandbox_guest_drop(struct op *op)
{
	struct sandbox *sb = sandbox_of_op(op);
	sb->guest = guest_free(sb->guest);
}

/* ---- its row ---- */

static void on_row(int err, void *arg)
{
	struct sandbox *sb = arg;
	uint32_t slot = sb->row_slot;
	bool last = ++sb->rows_done == sb->rows_sent;
	if (slot && last) {
		sb->row_slot = 0;
		op_wake(&sb->op, slot, err);
	}
	(void)sandbox_unref(sb);
}

static int row_sent(struct sandbox *sb, int r, uint32_t slot)
{
	if (r < 0)
		return r;
	sb->rows_sent++;
	sb->row_slot = slot;
	(void)sandbox_ref(sb);
	return 0;
}

int sandbox_write_row_as(struct sandbox *sb, enum sandbox_row as, uint32_t slot)
{
	struct store_sandbox row = {
		.template_name = (char *)sb->tmpl->name,
		.access_token = sb->who->access_token,
		.traffic_token = sb->who->traffic_token,
		.mask_host = sb->who->mask_host,
		.metadata_json = sb->who->metadata_json,
		.env_json = sb->who->env_json,
		.internet = sb->internet,
		.auto_pause = sb->who->auto_pause,
		.cpu_milli = sb->sizes.cpu_milli,
		.memory_bytes = sb->sizes.memory_bytes,
		.disk_bytes = sb->sizes.disk_bytes,
		.state = as,
		.started_ns = sb->started_ns,
		.end_at_ns = sb->end_at_ns,
	};
	(void)str_copy(row.id, sizeof(row.id), sb->id);
	(void)str_copy(row.team_id, sizeof(row.team_id), sb->who->team->id);
	int r = row_sent(sb, store_put_sandbox(sb->reg->conf.store, &row, on_row, sb), slot);
	sb->has_row |= r == 0;
	return r;
}

int sandbox_write_row(struct sandbox *sb, uint32_t slot)
{
	enum sandbox_row as = sb->state == SANDBOX_STOPPING ? SANDBOX_ROW_STOPPING
			      : sb->state == SANDBOX_PAUSED ? SANDBOX_ROW_PAUSED
							    : SANDBOX_ROW_RUNNING;
	return sandbox_write_row_as(sb, as, slot);
}

int sandbox_delete_row(struct sandbox *sb, uint32_t slot)
{
	return row_sent(sb, store_del_sandbox(sb->reg->conf.store, sb->id, on_row, sb), slot);
}

void sandbox_row_forget(struct op *op)
{
	sandbox_of_op(op)->row_slot = 0;
}

/* ---- what the driver tells ---- */

static void on_exited(struct sandbox *sb, int64_t status)
{
	bool recent = sb->oom_seen && clock_mono_ms() - sb->oom_ms <= OOM_RECENT_MS;
	bool machine = sb->reg->conf.driver->caps & VMM_CAP_OWN_KERNEL;
	const char *what = machine ? "virtual machine" : "agent";
	bool killed = status < 0 || (WIFSIGNALED((int)status) && WTERMSIG((int)status) == SIGKILL);
	if (recent && (killed || machine)) /* the driver read why a machine gave up */
		sandbox_end(sb, SANDBOX_END_OUT_OF_MEMORY, "the sandbox ran out of memory");
	else if (status >= 0 && WIFSIGNALED((int)status))
		sandbox_end(sb, SANDBOX_END_CRASHED, "the sandbox's %s was killed by signal %d",
		    what, WTERMSIG((int)status));
	else if (status >= 0)
		sandbox_end(sb, SANDBOX_END_CRASHED, "the sandbox's %s exited with status %d", what,
		    WEXITSTATUS((int)status));
	else
		sandbox_end(sb, SANDBOX_END_CRASHED, "the sandbox's %s ended", what);
}

static void on_limit_hit(
    struct sandbox *sb, enum sandbox_event_kind kind, const char *word, uint64_t count)
{
	if (sb->state != SANDBOX_RUNNING)
		return;
	if (sb->guest)
		guest_notice(sb->guest, word, (int64_t)count);
	events_publish(sb, kind);
}

/* Of a virtual machine, whose agent knows the reason. */
static void on_guest_limits(const struct guest_limits *now, void *arg)
{
	struct sandbox *sb = arg;
	bool oom = now->oom_kills > sb->oom_kills, pids = now->pids_refused > sb->pids_refused;
	bool news = sb->limits_known;
	sb->limits_known = true;
	sb->oom_kills = now->oom_kills;
	sb->pids_refused = now->pids_refused;
	if (oom && news)
		events_publish(sb, SANDBOX_EVENT_OOM);
	if (pids && news)
		events_publish(sb, SANDBOX_EVENT_PIDS_LIMIT);
}

void sandbox_watch_limits(struct sandbox *sb)
{
	static const struct guest_limits unknown = { INT64_MAX, INT64_MAX }; /* told at once */
	const struct guest_limits known = { sb->oom_kills, sb->pids_refused };
	sb->limits_known |= sb->create != NULL;
	if (sb->reg->conf.driver->caps & VMM_CAP_OWN_KERNEL)
		guest_watch_limits(
		    sb->guest, sb->limits_known ? &known : &unknown, on_guest_limits, sb);
}

void sandbox_unwatch_limits(struct sandbox *sb)
{
	if (sb->guest)
		guest_unwatch_limits(sb->guest);
}

void sandbox_on_vmm_event(struct vmm_inst *inst, enum vmm_end kind, int64_t value, void *arg)
{
	struct sandbox *sb = arg;
	switch (kind) {
	case VMM_END_KILLED:
		break; /* our own doing */
	case VMM_END_EXITED:
		on_exited(sb, value);
		break;
	case VMM_EVENT_OOM:
		sb->oom_kills = (uint64_t)value;
		sb->oom_seen = true;
		sb->oom_ms = clock_mono_ms();
		on_limit_hit(sb, SANDBOX_EVENT_OOM, "oom", sb->oom_kills);
		break;
	case VMM_EVENT_PIDS:
		sb->pids_refused = (uint64_t)value;
		on_limit_hit(sb, SANDBOX_EVENT_PIDS_LIMIT, "pids", sb->pids_refused);
		break;
	}
}

/* ---- what callers see ---- */

void sandbox_view(const struct sandbox *sb, struct sandbox_view *ret)
{
	static const struct identity nobody = { 0 };
	const struct identity *who = sb->who ? sb->who : &nobody;
	*ret = (struct sandbox_view){
		.id = sb->id,
		.tmpl = sb->tmpl,
		.team_id = who->team ? who->team->id : "",
		.access_token = who->access_token,
		.traffic_token = who->traffic_token,
		.mask_host = who->mask_host,
		.state = sb->state,
		.end = sb->end,
		.end_detail = sb->end_detail,
		.isolation = sb->reg ? sb->reg->conf.driver->isolation(sb->reg->conf.vmm) : "",
		.started_ns = sb->started_ns,
		.end_at_ns = sb->end_at_ns,
		.cpu_milli = sb->sizes.cpu_milli,
		.memory_bytes = sb->sizes.memory_bytes,
		.disk_bytes = sb->sizes.disk_bytes,
		.internet = sb->internet,
		.auto_pause = who->auto_pause,
		.metadata = (const char *const *)who->metadata,
		.env = (const char *const *)who->env,
		.oom_kills = sb->oom_kills,
		.pids_refused = sb->pids_refused,
	};
}

struct guest *sandbox_guest(const struct sandbox *sb)
{
	return sb->state == SANDBOX_RUNNING ? sb->guest : NULL;
}
