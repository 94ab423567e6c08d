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
#include "vmm/namespace/namespace.h"

#define DESTROY_AGAIN_MS 500

/* ---- answers ---- */

static void tell(const struct vmm_answer *to, const struct err *err)
{
	if (to->plain)
		to->plain(err, to->arg);
	else if (to->inst)
		to->inst(err, NULL, to->arg);
	else if (to->usage)
		to->usage(err, NULL, to->arg);
	else if (to->sweep)
		to->sweep(err, 0, to->arg);
}

static void on_tell_late(struct loop_defer *d, void *arg)
{
	struct vmm *v = arg;
	while (v->n_late > 0) {
		struct vmm_answer to = v->late[0].to;
		struct err err = v->late[0].err;
		v->n_late--;
		for (size_t i = 0; i < v->n_late; i++)
			v->late[i] = v->late[i + 1];
		tell(&to, &err);
	}
}

void namespace_fail_later(struct vmm *v, struct vmm_answer to, int code, const char *what)
{
	struct err err = ERR_INIT;
	(void)err_set(&err, code, "%s: %s", what, err_name(code));
	if (v->n_late == NAMESPACE_LATE_MAX) {
		log_error("too many failures at once: %s", err.text);
		tell(&to, &err);
		return;
	}
	v->late[v->n_late].to = to;
	v->late[v->n_late].err = err;
	v->n_late++;
	loop_defer_set(&v->tell_late);
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
	loop_defer_init(&v->tell_late, l, on_tell_late, v);
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
	loop_defer_fini(&v->tell_late);
	(void)mem_free(v);
}

static struct vmm *namespace_close(struct vmm *v)
{
	if (v)
		namespace_unref(v);
	return NULL;
}

/* A request whose caller wants to hear success or failure, nothing else. */
struct plain {
	struct vmm_answer to;
};

static void on_plain(const struct err *err, const struct proto_reply *reply, void *arg)
{
	struct plain *p = arg;
	struct vmm_answer to = p->to;
	(void)mem_free(p);
	tell(&to, err);
}

static struct plain *plain_new(struct vmm *v, struct vmm_answer to, const char *what)
{
	struct plain *p = mem_zalloc(sizeof(*p));
	if (p)
		p->to = to;
	else
		namespace_fail_later(v, to, -ENOMEM, what);
	return p;
}

static void plain_sent(struct vmm *v, struct plain *p, int r, const char *what)
{
	if (r == 0)
		return;
	namespace_fail_later(v, p->to, r, what);
	(void)mem_free(p);
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
	struct plain *p =
	    plain_new(v, (struct vmm_answer){ .plain = done, .arg = arg }, "prepare template");
	char base[PROTO_BASE_MAX + 1];
	base_name(t, base);
	if (p)
		plain_sent(
		    v, p, launcher_prepare(v->launcher, base, on_plain, p), "prepare template");
}

/* ---- instances ---- */

static void on_watch(struct launcher_watch *w, const struct proto_event *e)
{
	struct vmm_inst *inst = container_of(w, struct vmm_inst, watch);
	if (!inst->live)
		return;
	switch (e->event) {
	case PROTO_EXITED:
		log_warn("%s: its agent ended (wait status %lld)%s%s", w->id, (long long)e->value,
		    e->text[0] ? ": " : "", e->text);
		inst->on_event(inst, VMM_END_EXITED, e->value, inst->event_arg);
		break;
	case PROTO_OOM:
		inst->on_event(inst, VMM_EVENT_OOM, e->value, inst->event_arg);
		break;
	case PROTO_PIDS:
		inst->on_event(inst, VMM_EVENT_PIDS, e->value, inst->event_arg);
		break;
	default:
		break;
	}
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
		tell(&to, err);
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
	tell(&to, err);
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

/* ---- sweep ---- */

struct sweep {
	struct vmm *vmm;
	bool (*keep)(const char *id, void *arg);
	void *keep_arg;
	struct vmm_answer to;
	unsigned open, removed; /* requests that are not answered; sandboxes that were removed */
	struct err err;
};

static void sweep_settle(struct sweep *s)
{
	if (--s->open > 0)
		return;
	struct sweep copy = *s;
	(void)mem_free(s);
	copy.to.sweep(&copy.err, copy.removed, copy.to.arg);
}

static void on_swept(const struct err *err, const struct proto_reply *reply, void *arg)
{
	struct sweep *s = arg;
	if (err->code)
		(void)err_set(&s->err, err->code, "%s", err_text(err));
	else
		s->removed++;
	sweep_settle(s);
}

static void on_item(const char *id, void *arg)
{
	struct sweep *s = arg;
	if (s->keep(id, s->keep_arg))
		return;
	int r = launcher_destroy(s->vmm->launcher, id, on_swept, s);
	if (r < 0)
		(void)err_set(&s->err, r, "cannot remove %s: %s", id, err_name(r));
	else
		s->open++;
}

static void on_listed(const struct err *err, const struct proto_reply *reply, void *arg)
{
	struct sweep *s = arg;
	if (err->code)
		(void)err_set(&s->err, err->code, "%s", err_text(err));
	sweep_settle(s);
}

static void namespace_sweep(struct vmm *v, bool (*keep)(const char *id, void *arg), void *keep_arg,
    vmm_sweep_done_fn *done, void *arg)
{
	const struct vmm_answer to = { .sweep = done, .arg = arg };
	struct sweep *s = mem_zalloc(sizeof(*s));
	if (s) {
		*s = (struct sweep){
			.vmm = v, .keep = keep, .keep_arg = keep_arg, .to = to, .open = 1
		};
		if (launcher_list(v->launcher, on_item, on_listed, s) == 0)
			return;
	}
	(void)mem_free(s);
	namespace_fail_later(v, to, -ENOMEM, "sweep sandboxes");
}

/* ---- the rest ---- */

static void namespace_set_internet(struct vmm_inst *inst, bool on, vmm_done_fn *done, void *arg)
{
	static const char what[] = "change the network policy";
	struct vmm *v = inst->vmm;
	struct plain *p = plain_new(v, (struct vmm_answer){ .plain = done, .arg = arg }, what);
	if (p)
		plain_sent(v, p,
		    launcher_set_internet(v->launcher, inst->watch.id, on, on_plain, p), what);
}

static void on_usage(const struct err *err, const struct proto_reply *reply, void *arg)
{
	struct plain *p = arg;
	struct vmm_answer to = p->to;
	(void)mem_free(p);
	if (err->code) {
		tell(&to, err);
		return;
	}
	const struct vmm_usage u = { .memory_bytes = reply->usage.memory_bytes,
		.memory_limit = reply->usage.memory_limit,
		.cpu_usec = reply->usage.cpu_usec,
		.disk_bytes = reply->usage.disk_bytes,
		.disk_limit = reply->usage.disk_limit,
		.pids = reply->usage.pids };
	to.usage(err, &u, to.arg);
}

static void namespace_usage(struct vmm_inst *inst, vmm_usage_done_fn *done, void *arg)
{
	static const char what[] = "read usage";
	struct vmm *v = inst->vmm;
	struct plain *p = plain_new(v, (struct vmm_answer){ .usage = done, .arg = arg }, what);
	if (p)
		plain_sent(v, p, launcher_usage(v->launcher, inst->watch.id, on_usage, p), what);
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
	.usage = namespace_usage,
	.control = namespace_control,
	.data = namespace_data,
};
