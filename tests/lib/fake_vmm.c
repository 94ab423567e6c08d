/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/fake_vmm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "base/list.h"
#include "loop/loop.h"

#define WARM_MAX 8

struct vmm_inst {
	struct vmm *vmm;
	const struct template *tmpl;
	struct vmm_sizes sizes;
	struct link link;
	char id[ID_SANDBOX_LEN + 1];
	bool internet, dying, paused, warm;
	vmm_event_fn *on_event;
	void *event_arg;
};

/* One call between its begin and its answer. */
struct pending {
	struct vmm *vmm;
	struct link link;
	enum fake_call call;
	enum fake_mode mode;
	struct loop_defer defer;
	struct vmm_spec spec;
	vmm_event_fn *on_event;
	void *event_arg;
	struct vmm_inst *inst;
	char snapshot[ID_SANDBOX_LEN + 1];
	struct vmm_sizes sizes;
	bool on;
	bool (*keep)(const char *id, void *arg);
	void *keep_arg;
	void (*done)(const struct err *err, void *arg);
	void (*done_inst)(const struct err *err, struct vmm_inst *inst, void *arg);
	void (*done_count)(const struct err *err, unsigned n, void *arg);
	void (*done_usage)(const struct err *err, const struct vmm_usage *u, void *arg);
	void *arg;
};

struct snapshot {
	struct link link;
	char id[ID_SANDBOX_LEN + 1];
};

struct vmm {
	struct loop *loop;
	struct link snapshots;
	const struct template *warm[WARM_MAX]; /* templates that have a warm snapshot */
	struct link live, pending;
	enum fake_mode script[FAKE_CALLS_];
	unsigned calls[FAKE_CALLS_], creating, peak;
};

static unsigned count(const struct link *list)
{
	unsigned n = 0;
	LIST_EACH(l, list)
	n++;
	return n;
}

static struct vmm_inst *find(const struct vmm *v, const char *id)
{
	LIST_EACH(l, &v->live)
	{
		struct vmm_inst *i = container_of(l, struct vmm_inst, link);
		if (strcmp(i->id, id) == 0)
			return i;
	}
	return NULL;
}

static struct vmm_inst *add_inst(struct vmm *v, const char *id)
{
	struct vmm_inst *i = calloc(1, sizeof(*i));
	i->vmm = v;
	memcpy(i->id, id, strlen(id) + 1);
	list_push_back(&v->live, &i->link);
	return i;
}

static void remove_inst(struct vmm_inst *i)
{
	link_remove(&i->link);
	free(i);
}

static bool fake_has_warm(struct vmm *v, const struct template *t)
{
	for (size_t i = 0; i < WARM_MAX; i++) {
		if (v->warm[i] == t)
			return true;
	}
	return false;
}

static void add_warm(struct vmm *v, const struct template *t)
{
	size_t i = 0;
	while (i < WARM_MAX && v->warm[i] && v->warm[i] != t)
		i++;
	ck_assert_uint_lt(i, WARM_MAX);
	v->warm[i] = t;
}

static struct snapshot *find_snapshot(const struct vmm *v, const char *id)
{
	LIST_EACH(l, &v->snapshots)
	{
		struct snapshot *s = container_of(l, struct snapshot, link);
		if (strcmp(s->id, id) == 0)
			return s;
	}
	return NULL;
}

static void add_snapshot(struct vmm *v, const char *id)
{
	struct snapshot *s = calloc(1, sizeof(*s));
	ck_assert_ptr_null(find_snapshot(v, id));
	memcpy(s->id, id, strlen(id) + 1);
	list_push_back(&v->snapshots, &s->link);
}

static void remove_snapshot(struct snapshot *s)
{
	if (!s)
		return;
	link_remove(&s->link);
	free(s);
}

/* ---- answers ---- */

/* What a call does to the machine when it succeeds. */
static void take_effect(struct pending *p)
{
	switch (p->call) {
	case FAKE_SET_INTERNET:
		p->inst->internet = p->on;
		break;
	case FAKE_RESIZE:
		ck_assert_uint_ge(p->sizes.disk_bytes, p->inst->sizes.disk_bytes);
		p->inst->sizes = p->sizes;
		break;
	case FAKE_PAUSE:
	case FAKE_RESUME:
		p->inst->paused = p->call == FAKE_PAUSE;
		break;
	case FAKE_WARM:
		add_warm(p->vmm, p->inst->tmpl);
		break;
	case FAKE_SNAPSHOT:
		ck_assert(p->inst->paused);
		add_snapshot(p->vmm, p->snapshot);
		break;
	case FAKE_SNAPSHOT_REMOVE:
		remove_snapshot(find_snapshot(p->vmm, p->snapshot));
		break;
	default:
		break;
	}
}

static void answer_inst(struct pending *p, struct err *err)
{
	struct vmm_inst *i = NULL;
	if (err->code == 0 && p->call == FAKE_ADOPT) {
		i = find(p->vmm, p->spec.id);
		if (!i)
			(void)err_set(err, -ENOENT, "no such instance");
	} else if (err->code == 0) {
		ck_assert_ptr_null(find(p->vmm, p->spec.id));
		i = add_inst(p->vmm, p->spec.id);
		i->internet = p->spec.internet;
		i->tmpl = p->spec.tmpl;
		i->sizes = (struct vmm_sizes){ p->spec.memory_bytes, p->spec.disk_bytes,
			p->spec.cpu_milli };
		i->warm = p->spec.start == VMM_START_SNAPSHOT ||
			  (p->spec.start == VMM_START_BEST && fake_has_warm(p->vmm, p->spec.tmpl));
		ck_assert(
		    p->spec.start != VMM_START_SNAPSHOT || find_snapshot(p->vmm, p->spec.snapshot));
	}
	if (i) {
		i->on_event = p->on_event;
		i->event_arg = p->event_arg;
	}
	p->done_inst(err, i, p->arg);
}

static void answer_sweep(struct pending *p, const struct err *err)
{
	unsigned n = 0;
	LIST_EACH_SAFE(l, &p->vmm->live)
	{
		struct vmm_inst *i = container_of(l, struct vmm_inst, link);
		if (err->code == 0 && !i->dying && !p->keep(i->id, p->keep_arg)) {
			remove_inst(i);
			n++;
		}
	}
	p->done_count(err, n, p->arg);
}

static void answer_sweep_snapshots(struct pending *p, const struct err *err)
{
	unsigned n = 0;
	LIST_EACH_SAFE(l, &p->vmm->snapshots)
	{
		struct snapshot *s = container_of(l, struct snapshot, link);
		if (err->code == 0 && !p->keep(s->id, p->keep_arg)) {
			remove_snapshot(s);
			n++;
		}
	}
	p->done_count(err, n, p->arg);
}

static void answer_usage(struct pending *p, const struct err *err)
{
	const struct vmm_usage u = { .memory_bytes = 77, .pids = 3 };
	p->done_usage(err, err->code ? NULL : &u, p->arg);
}

static void answer(struct pending *p)
{
	struct err err = ERR_INIT;
	if (p->mode == FAKE_FAIL)
		(void)err_set(&err, -EIO, "fake failure");
	link_remove(&p->link);
	loop_defer_fini(&p->defer);
	if (p->call == FAKE_CREATE)
		p->vmm->creating--;
	if (p->call == FAKE_CREATE || p->call == FAKE_ADOPT) {
		answer_inst(p, &err);
	} else if (p->call == FAKE_SWEEP) {
		answer_sweep(p, &err);
	} else if (p->call == FAKE_SWEEP_SNAPSHOTS) {
		answer_sweep_snapshots(p, &err);
	} else if (p->call == FAKE_USAGE) {
		answer_usage(p, &err);
	} else {
		if (p->call == FAKE_DESTROY)
			remove_inst(
			    p->inst); /* invalid after done, also when that tells a failure */
		if (err.code == 0)
			take_effect(p);
		p->done(&err, p->arg);
	}
	free(p);
}

static void on_defer(struct loop_defer *d, void *arg)
{
	answer(arg);
}

static struct pending *begin(struct vmm *v, enum fake_call call, void *arg)
{
	struct pending *p = calloc(1, sizeof(*p));
	p->vmm = v;
	p->call = call;
	p->mode = v->script[call];
	if (p->mode == FAKE_FAIL_ONCE) {
		p->mode = FAKE_FAIL;
		v->script[call] = FAKE_OK;
	}
	p->arg = arg;
	list_push_back(&v->pending, &p->link);
	loop_defer_init(&p->defer, v->loop, on_defer, p);
	if (p->mode != FAKE_HOLD)
		loop_defer_set(&p->defer);
	v->calls[call]++;
	if (call == FAKE_CREATE && ++v->creating > v->peak)
		v->peak = v->creating;
	return p;
}

/* ---- the table ---- */

static struct pending *begin_plain(struct vmm *v, enum fake_call call, struct vmm_inst *inst,
    void (*done)(const struct err *err, void *arg), void *arg)
{
	struct pending *p = begin(v, call, arg);
	p->inst = inst;
	p->done = done;
	return p;
}

static void fake_prepare(struct vmm *v, const struct template *t,
    void (*done)(const struct err *err, void *arg), void *arg)
{
	(void)begin_plain(v, FAKE_PREPARE, NULL, done, arg);
}

static void begin_inst(struct vmm *v, enum fake_call call, const struct vmm_spec *spec,
    vmm_event_fn *on_event, void *event_arg,
    void (*done)(const struct err *err, struct vmm_inst *inst, void *arg), void *arg)
{
	struct pending *p = begin(v, call, arg);
	p->spec = *spec;
	p->on_event = on_event;
	p->event_arg = event_arg;
	p->done_inst = done;
}

static void fake_create(struct vmm *v, const struct vmm_spec *spec, vmm_event_fn *on_event,
    void *event_arg, void (*done)(const struct err *err, struct vmm_inst *inst, void *arg),
    void *arg)
{
	begin_inst(v, FAKE_CREATE, spec, on_event, event_arg, done, arg);
}

static void fake_adopt(struct vmm *v, const struct vmm_spec *spec, vmm_event_fn *on_event,
    void *event_arg, void (*done)(const struct err *err, struct vmm_inst *inst, void *arg),
    void *arg)
{
	begin_inst(v, FAKE_ADOPT, spec, on_event, event_arg, done, arg);
}

static void fake_sweep(struct vmm *v, bool (*keep)(const char *id, void *arg), void *keep_arg,
    void (*done)(const struct err *err, unsigned removed, void *arg), void *arg)
{
	struct pending *p = begin(v, FAKE_SWEEP, arg);
	p->keep = keep;
	p->keep_arg = keep_arg;
	p->done_count = done;
}

static void fake_destroy(
    struct vmm_inst *inst, void (*done)(const struct err *err, void *arg), void *arg)
{
	ck_assert(!inst->dying); /* twice would be a use after free */
	inst->dying = true;
	(void)begin_plain(inst->vmm, FAKE_DESTROY, inst, done, arg);
}

static void fake_set_internet(
    struct vmm_inst *inst, bool on, void (*done)(const struct err *err, void *arg), void *arg)
{
	struct pending *p = begin_plain(inst->vmm, FAKE_SET_INTERNET, inst, done, arg);
	p->on = on;
}

static bool fake_can_resize(const struct vmm_sizes *has, const struct vmm_sizes *to)
{
	return has->disk_bytes == to->disk_bytes;
}

/* As machines do. */
static bool fake_clone_can_resize(const struct vmm_sizes *has, const struct vmm_sizes *to)
{
	return has->memory_bytes == to->memory_bytes && has->disk_bytes <= to->disk_bytes;
}

static void fake_resize(struct vmm_inst *inst, const struct vmm_sizes *to,
    void (*done)(const struct err *err, void *arg), void *arg)
{
	struct pending *p = begin_plain(inst->vmm, FAKE_RESIZE, inst, done, arg);
	p->sizes = *to;
}

static void fake_pause(
    struct vmm_inst *inst, void (*done)(const struct err *err, void *arg), void *arg)
{
	(void)begin_plain(inst->vmm, FAKE_PAUSE, inst, done, arg);
}

static void fake_resume(
    struct vmm_inst *inst, void (*done)(const struct err *err, void *arg), void *arg)
{
	(void)begin_plain(inst->vmm, FAKE_RESUME, inst, done, arg);
}

static void fake_warm(
    struct vmm_inst *inst, void (*done)(const struct err *err, void *arg), void *arg)
{
	(void)begin_plain(inst->vmm, FAKE_WARM, inst, done, arg);
}

static bool fake_is_warm(const struct vmm_inst *inst)
{
	return inst->warm;
}

static void fake_snapshot(struct vmm_inst *inst, const char *snapshot,
    void (*done)(const struct err *err, void *arg), void *arg)
{
	struct pending *p = begin_plain(inst->vmm, FAKE_SNAPSHOT, inst, done, arg);
	memcpy(p->snapshot, snapshot, strlen(snapshot) + 1);
}

static void fake_sweep_snapshots(struct vmm *v, bool (*keep)(const char *id, void *arg),
    void *keep_arg, void (*done)(const struct err *err, unsigned removed, void *arg), void *arg)
{
	struct pending *p = begin(v, FAKE_SWEEP_SNAPSHOTS, arg);
	p->keep = keep;
	p->keep_arg = keep_arg;
	p->done_count = done;
}

static void fake_snapshot_remove(
    struct vmm *v, const char *snapshot, void (*done)(const struct err *err, void *arg), void *arg)
{
	struct pending *p = begin_plain(v, FAKE_SNAPSHOT_REMOVE, NULL, done, arg);
	memcpy(p->snapshot, snapshot, strlen(snapshot) + 1);
}

static void fake_usage(struct vmm_inst *inst,
    void (*done)(const struct err *err, const struct vmm_usage *u, void *arg), void *arg)
{
	begin(inst->vmm, FAKE_USAGE, arg)->done_usage = done;
}

static struct vmm_channel fake_channel(const struct vmm_inst *inst)
{
	return (struct vmm_channel){ VMM_CHANNEL_UNIX, inst->id, 0 };
}

static const char *fake_isolation(const struct vmm *v)
{
	return "none";
}

const struct vmm_driver fake_vmm_driver = {
	.name = "fake",
	.best_isolation = "none",
	.can_resize = fake_can_resize,
	.resize = fake_resize,
	.isolation = fake_isolation,
	.prepare = fake_prepare,
	.create = fake_create,
	.adopt = fake_adopt,
	.sweep = fake_sweep,
	.destroy = fake_destroy,
	.set_internet = fake_set_internet,
	.usage = fake_usage,
	.control = fake_channel,
	.data = fake_channel,
};

const struct vmm_driver fake_vmm_driver_fixed_net = {
	.name = "fake",
	.best_isolation = "none",
	.isolation = fake_isolation,
	.prepare = fake_prepare,
	.create = fake_create,
	.adopt = fake_adopt,
	.sweep = fake_sweep,
	.destroy = fake_destroy,
	.usage = fake_usage,
	.control = fake_channel,
	.data = fake_channel,
};

const struct vmm_driver fake_vmm_driver_clones = {
	.name = "fake",
	.best_isolation = "none",
	.caps = VMM_CAP_PAUSE | VMM_CAP_WARM | VMM_CAP_SNAPSHOT | VMM_CAP_OWN_KERNEL,
	.can_resize = fake_clone_can_resize,
	.resize = fake_resize,
	.isolation = fake_isolation,
	.prepare = fake_prepare,
	.create = fake_create,
	.adopt = fake_adopt,
	.sweep = fake_sweep,
	.destroy = fake_destroy,
	.set_internet = fake_set_internet,
	.usage = fake_usage,
	.control = fake_channel,
	.data = fake_channel,
	.pause = fake_pause,
	.resume = fake_resume,
	.has_warm = fake_has_warm,
	.warm = fake_warm,
	.is_warm = fake_is_warm,
	.snapshot = fake_snapshot,
	.snapshot_remove = fake_snapshot_remove,
	.sweep_snapshots = fake_sweep_snapshots,
};

/* ---- for tests ---- */

struct vmm *fake_vmm_new(struct loop *l)
{
	struct vmm *v = calloc(1, sizeof(*v));
	v->loop = l;
	link_init(&v->live);
	link_init(&v->pending);
	link_init(&v->snapshots);
	return v;
}

void fake_vmm_free(struct vmm *v)
{
	for (struct link *l; (l = list_first(&v->live));)
		remove_inst(container_of(l, struct vmm_inst, link));
	for (struct link *l; (l = list_first(&v->snapshots));)
		remove_snapshot(container_of(l, struct snapshot, link));
	for (struct link *l; (l = list_pop_front(&v->pending));) {
		struct pending *p = container_of(l, struct pending, link);
		loop_defer_fini(&p->defer);
		free(p);
	}
	free(v);
}

void fake_vmm_script(struct vmm *v, enum fake_call call, enum fake_mode mode)
{
	v->script[call] = mode;
}

void fake_vmm_release(struct vmm *v, enum fake_call call, bool good)
{
	LIST_EACH(l, &v->pending)
	{
		struct pending *p = container_of(l, struct pending, link);
		if (p->call != call || p->mode != FAKE_HOLD)
			continue;
		p->mode = good ? FAKE_OK : FAKE_FAIL;
		loop_defer_set(&p->defer);
	}
}

unsigned fake_vmm_calls(const struct vmm *v, enum fake_call call)
{
	return v->calls[call];
}

unsigned fake_vmm_pending(const struct vmm *v)
{
	return count(&v->pending);
}

unsigned fake_vmm_live(const struct vmm *v)
{
	return count(&v->live);
}

unsigned fake_vmm_peak(const struct vmm *v)
{
	return v->peak;
}

unsigned fake_vmm_running(const struct vmm *v)
{
	unsigned n = 0;
	LIST_EACH(l, &v->live)
	n += !container_of(l, struct vmm_inst, link)->paused;
	return n;
}

unsigned fake_vmm_clones(const struct vmm *v)
{
	unsigned n = 0;
	LIST_EACH(l, &v->live)
	n += container_of(l, struct vmm_inst, link)->warm;
	return n;
}

unsigned fake_vmm_snapshots(const struct vmm *v)
{
	return count(&v->snapshots);
}

void fake_vmm_plant_snapshot(struct vmm *v, const char *id)
{
	add_snapshot(v, id);
}

void fake_vmm_forget_warm(struct vmm *v)
{
	memset(v->warm, 0, sizeof(v->warm));
}

struct vmm_sizes fake_vmm_sizes(const struct vmm *v, const char *id)
{
	const struct vmm_inst *i = find(v, id);
	ck_assert_ptr_nonnull(i);
	return i->sizes;
}

bool fake_vmm_has(const struct vmm *v, const char *id)
{
	return find(v, id) != NULL;
}

void fake_vmm_plant(struct vmm *v, const char *id)
{
	(void)add_inst(v, id);
}

void fake_vmm_event(struct vmm *v, const char *id, enum vmm_end kind, int64_t value)
{
	struct vmm_inst *i = find(v, id);
	ck_assert_ptr_nonnull(i);
	i->on_event(i, kind, value, i->event_arg);
}
