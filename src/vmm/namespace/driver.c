/* SPDX-License-Identifier: Apache-2.0 */
/* The namespace driver: every call is one request to the launcher (launcher.h says what happens to
 * requests when that is restarted). */
#include <errno.h>
#include <stdio.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "image/template.h"
#include "vmm/events.h"
#include "vmm/namespace/namespace.h"

#define DESTROY_AGAIN_MS 500

void namespace_fail_later(struct vmm *v, struct vmm_answer to, int code, const char *what)
{
	vmm_fail_later(&v->late, to, code, what);
}

/* ---- open, close, prepare ---- */

static int namespace_open(struct loop *l, struct launcher *la, struct vmm **ret, struct err *reterr)
{
	struct vmm *v = mem_zalloc(sizeof(*v));
	if (!v)
		return err_set(reterr, -ENOMEM, "out of memory");
	v->refs = 1;
	v->loop = l;
	v->launcher = la;
	vmm_late_init(&v->late, l);
	*ret = v;
	return 0;
}

struct vmm *namespace_ref(struct vmm *v)
{
	v->refs++;
	return v;
}

void namespace_unref(struct vmm *v)
{
	if (--v->refs > 0)
		return;
	vmm_late_fini(&v->late);
	(void)mem_free(v);
}

static struct vmm *namespace_close(struct vmm *v)
{
	if (v)
		namespace_unref(v);
	return NULL;
}

/* How the launcher knows what the template's base is: the host, or the image built of it. */
static void base_name(const struct template *t, char dst[PROTO_BASE_MAX + 1])
{
	const char *base = template_base(t, true);
	if (str_eq(base, "host"))
		(void)str_copy(dst, PROTO_BASE_MAX + 1, base);
	else
		(void)path_printf(dst, PROTO_BASE_MAX + 1, PROTO_BASE_TEMPLATE "%s", t->name);
}

static void namespace_prepare(struct vmm *v, const struct template *t, vmm_done_fn *done, void *arg)
{
	char base[PROTO_BASE_MAX + 1];
	base_name(t, base);
	vmm_ask_prepare(&v->late, v->launcher, base, done, arg);
}

/* ---- instances ---- */

static void on_watch(struct launcher_watch *w, const struct proto_event *e)
{
	struct vmm_inst *inst = container_of(w, struct vmm_inst, watch);
	if (!inst->live)
		return;
	if (e->event == PROTO_EXITED)
		log_warn("%s: its agent ended (wait status %lld)%s%s", w->id, (long long)e->value,
		    e->text[0] ? ": " : "", e->text);
	vmm_tell_owner(
	    &(struct vmm_listener){ inst, inst->on_event, inst->event_arg, false }, e, "");
}

static struct vmm_inst *inst_free(struct vmm_inst *inst)
{
	launcher_watch_remove(inst->vmm->launcher, &inst->watch);
	loop_timer_fini(&inst->retry);
	return mem_free(inst);
}

static struct vmm_inst *inst_new(struct vmm *v, const struct vmm_spec *spec, vmm_event_fn *on_event,
    void *event_arg, struct vmm_answer answer)
{
	struct vmm_inst *inst = mem_zalloc(sizeof(*inst));
	if (!inst)
		return NULL;
	inst->vmm = v;
	inst->on_event = on_event;
	inst->event_arg = event_arg;
	inst->answer = answer;
	inst->watch.cb = on_watch;
	(void)str_copy(inst->watch.id, sizeof(inst->watch.id), spec->id);
	if (launcher_watch_add(v->launcher, &inst->watch) < 0)
		return mem_free(inst);
	return inst;
}

static void on_made(const struct err *err, const struct proto_reply *reply, void *arg)
{
	struct vmm_inst *inst = arg;
	struct vmm_answer to = inst->answer;
	if (err->code) {
		(void)inst_free(inst);
		vmm_tell(&to, err);
		return;
	}
	(void)path_join(
	    inst->control, sizeof(inst->control), reply->box.socket_dir, "control.sock");
	(void)path_join(inst->data, sizeof(inst->data), reply->box.socket_dir, "data.sock");
	inst->live = true;
	to.inst(err, inst, to.arg);
}

static void namespace_create(struct vmm *v, const struct vmm_spec *spec, vmm_event_fn *on_event,
    void *event_arg, vmm_inst_done_fn *done, void *arg)
{
	const struct vmm_answer to = { .inst = done, .arg = arg };
	struct vmm_inst *inst = inst_new(v, spec, on_event, event_arg, to);
	struct proto_create c = { .memory_bytes = spec->memory_bytes,
		.disk_bytes = spec->disk_bytes,
		.cpu_milli = spec->cpu_milli,
		.max_pids = spec->max_pids,
		.internet = spec->internet };
	(void)str_copy(c.id, sizeof(c.id), spec->id);
	base_name(spec->tmpl, c.base);
	if (!inst) {
		namespace_fail_later(v, to, -ENOMEM, "create sandbox");
	} else if (launcher_create(v->launcher, &c, on_made, inst) < 0) {
		(void)inst_free(inst);
		namespace_fail_later(v, to, -ENOMEM, "create sandbox");
	}
}

static void namespace_adopt(struct vmm *v, const struct vmm_spec *spec, vmm_event_fn *on_event,
    void *event_arg, vmm_inst_done_fn *done, void *arg)
{
	const struct vmm_answer to = { .inst = done, .arg = arg };
	struct vmm_inst *inst = inst_new(v, spec, on_event, event_arg, to);
	if (!inst) {
		namespace_fail_later(v, to, -ENOMEM, "adopt sandbox");
	} else if (launcher_adopt(v->launcher, inst->watch.id, on_made, inst) < 0) {
		(void)inst_free(inst);
		namespace_fail_later(v, to, -ENOMEM, "adopt sandbox");
	}
}

/* ---- destroy ---- */

static void try_destroy(struct vmm_inst *inst);

static void on_destroyed(const struct err *err, const struct proto_reply *reply, void *arg)
{
	struct vmm_inst *inst = arg;
	if (err->code) {
		log_warn("%s: cannot destroy it yet: %s", inst->watch.id, err_text(err));
		loop_timer_set(&inst->retry, DESTROY_AGAIN_MS);
		return;
	}
	struct vmm_answer to = inst->answer;
	(void)inst_free(inst);
	vmm_tell(&to, err);
}

static void try_destroy(struct vmm_inst *inst)
{
	if (launcher_destroy(inst->vmm->launcher, inst->watch.id, on_destroyed, inst) < 0)
		loop_timer_set(&inst->retry, DESTROY_AGAIN_MS);
}

static void on_retry(struct loop_timer *t, void *arg)
{
	try_destroy(arg);
}

static void namespace_destroy(struct vmm_inst *inst, vmm_done_fn *done, void *arg)
{
	inst->live = false; /* no more events */
	inst->answer = (struct vmm_answer){ .plain = done, .arg = arg };
	loop_timer_init(&inst->retry, inst->vmm->loop, on_retry, inst);
	try_destroy(inst);
}

/* ---- the rest ---- */

static void namespace_sweep(struct vmm *v, bool (*keep)(const char *id, void *arg), void *keep_arg,
    vmm_sweep_done_fn *done, void *arg)
{
	vmm_ask_sweep(&v->late, v->launcher, keep, keep_arg, done, arg);
}

/* A disk is formatted once, and memory that is in use is not taken away. */
static bool namespace_can_resize(const struct vmm_sizes *has, const struct vmm_sizes *to)
{
	return has->disk_bytes == to->disk_bytes && has->memory_bytes <= to->memory_bytes;
}

static void namespace_resize(
    struct vmm_inst *inst, const struct vmm_sizes *to, vmm_done_fn *done, void *arg)
{
	struct vmm *v = inst->vmm;
	vmm_ask_resize(&v->late, v->launcher, inst->watch.id,
	    &(struct proto_sizes){ .memory_bytes = to->memory_bytes, .cpu_milli = to->cpu_milli },
	    done, arg);
}

static void namespace_set_internet(struct vmm_inst *inst, bool on, vmm_done_fn *done, void *arg)
{
	struct vmm *v = inst->vmm;
	vmm_ask_internet(&v->late, v->launcher, inst->watch.id, on, done, arg);
}

static void namespace_usage(struct vmm_inst *inst, vmm_usage_done_fn *done, void *arg)
{
	struct vmm *v = inst->vmm;
	vmm_ask_usage(&v->late, v->launcher, inst->watch.id, done, arg);
}

static const char *namespace_isolation(const struct vmm *v)
{
	return "namespace";
}

static struct vmm_channel namespace_control(const struct vmm_inst *inst)
{
	return (struct vmm_channel){ VMM_CHANNEL_UNIX, inst->control, 0 };
}

static struct vmm_channel namespace_data(const struct vmm_inst *inst)
{
	return (struct vmm_channel){ VMM_CHANNEL_UNIX, inst->data, 0 };
}

const struct vmm_driver vmm_namespace_driver = {
	.name = "namespace",
	.best_isolation = "namespace",
	.caps = VMM_CAP_HOST_BASE,
	.isolation = namespace_isolation,
	.open = namespace_open,
	.close = namespace_close,
	.probe = namespace_probe,
	.prepare = namespace_prepare,
	.create = namespace_create,
	.adopt = namespace_adopt,
	.sweep = namespace_sweep,
	.destroy = namespace_destroy,
	.set_internet = namespace_set_internet,
	.can_resize = namespace_can_resize,
	.resize = namespace_resize,
	.usage = namespace_usage,
	.control = namespace_control,
	.data = namespace_data,
};
