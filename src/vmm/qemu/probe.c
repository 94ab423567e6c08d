/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does QEMU run guests here? A guest that only says so and resets is started, with KVM first: a
 * /dev/kvm that is there may still run none. Its last words are the proof. Everything has a limit,
 * and everything is taken away again.
 */
#include <errno.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "vmm/qemu/qemu.h"

#define PROBE_MEMORY (192ull << 20)
#define PROBE_DISK PROTO_DISK_MIN
#define PROBE_PIDS 64
#define LAUNCH_LIMIT_MS 90000
#define KVM_LIMIT_MS 10000
#define EMULATED_LIMIT_MS 60000

struct probe {
	struct vmm *vmm;
	struct op op;
	struct launcher_watch watch;
	bool kvm;
	bool watched, over; /* its end was told; by a guest that ran */
	struct err why;	    /* it did not */
	struct err kvm_why;
	uint32_t wait;
	uint64_t serial;
	unsigned open; /* requests to the launcher */
	bool finished;
	struct vmm_answer to;
};

static void begin(struct probe *p);

static void probe_free(struct probe *p)
{
	if (p->open > 0)
		return; /* the last answer comes back here */
	if (p->watched)
		launcher_watch_remove(p->vmm->launcher, &p->watch);
	qemu_unref(p->vmm);
	(void)mem_free(p);
}

struct probe_ask {
	struct probe *probe;
	uint64_t serial;
};

static void on_answer(const struct err *err, const struct proto_reply *reply, void *arg)
{
	struct probe_ask *a = arg;
	struct probe *p = a->probe;
	bool current = a->serial == p->serial;
	(void)mem_free(a);
	p->open--;
	if (p->finished) {
		probe_free(p);
		return;
	}
	if (current)
		op_wake(&p->op, p->wait,
		    err->code ? op_fail(&p->op, err->code, "%s", err_text(err)) : 0);
}

static struct probe_ask *ask(struct probe *p)
{
	struct probe_ask *a = mem_zalloc(sizeof(*a));
	if (a)
		*a = (struct probe_ask){ p, ++p->serial };
	p->wait = op_slot(&p->op);
	return a;
}

static int asked(struct probe *p, struct probe_ask *a, int r)
{
	if (r < 0) {
		(void)mem_free(a);
		return r;
	}
	p->open++;
	return OP_WAIT;
}

static void on_watch(struct launcher_watch *w, const struct proto_event *e)
{
	struct probe *p = container_of(w, struct probe, watch);
	if (e->event != PROTO_EXITED || p->over)
		return;
	p->over = true;
	if (!proto_probe_ran(e))
		(void)err_set(&p->why, -ENOTSUP, "its guest did not run (wait status %lld)%s%s",
		    (long long)e->value, e->text[0] ? ": " : "", e->text);
	if (str_eq(op_step_name(&p->op), "guest"))
		op_wake(&p->op, p->wait, 0);
}

static int begin_launch(struct op *op)
{
	struct probe *p = op->owner;
	struct proto_create c = { .kind = PROTO_BOX_QEMU,
		.start = PROTO_START_PROBE,
		.vm = { .kvm = p->kvm, .vcpus = 1, .tmpl = "probe" },
		.memory_bytes = PROBE_MEMORY,
		.disk_bytes = PROBE_DISK,
		.cpu_milli = 1000,
		.max_pids = PROBE_PIDS };
	for (size_t i = 0; i < PROTO_HASH_LEN; i++)
		c.vm.tmpl_hash[i] = '0';
	id_sandbox(c.id);
	p->watch = (struct launcher_watch){ .cb = on_watch };
	(void)str_copy(p->watch.id, sizeof(p->watch.id), c.id);
	int r = launcher_watch_add(p->vmm->launcher, &p->watch);
	if (r < 0)
		return r;
	p->watched = true;
	struct probe_ask *a = ask(p);
	return a ? asked(p, a, launcher_create(p->vmm->launcher, &c, on_answer, a)) : -ENOMEM;
}

static int begin_guest(struct op *op)
{
	struct probe *p = op->owner;
	p->wait = op_slot(op);
	return p->over ? OP_NEXT : OP_WAIT;
}

static int take_away(struct op *op)
{
	struct probe *p = op->owner;
	struct probe_ask *a = ask(p);
	if (!a)
		return -ENOMEM;
	return asked(p, a, launcher_destroy(p->vmm->launcher, p->watch.id, on_answer, a));
}

static void forget(struct op *op)
{
	struct probe *p = op->owner;
	p->serial++;
}

static const struct op_step kvm_steps[] = {
	{ "launch", begin_launch, take_away, forget, LAUNCH_LIMIT_MS },
	{ "guest", begin_guest, NULL, NULL, KVM_LIMIT_MS },
	{ "take-away", take_away, NULL, forget, LAUNCH_LIMIT_MS },
};
static const struct op_step emulated_steps[] = {
	{ "launch", begin_launch, take_away, forget, LAUNCH_LIMIT_MS },
	{ "guest", begin_guest, NULL, NULL, EMULATED_LIMIT_MS },
	{ "take-away", take_away, NULL, forget, LAUNCH_LIMIT_MS },
};
static const struct op_table kvm_table = { "probe-kvm", kvm_steps,
	sizeof(kvm_steps) / sizeof(kvm_steps[0]) };
static const struct op_table emulated_table = { "probe-emulated", emulated_steps,
	sizeof(emulated_steps) / sizeof(emulated_steps[0]) };

static void finish(struct probe *p, const struct err *err)
{
	struct vmm_answer to = p->to;
	struct err told = *err;
	p->finished = true;
	probe_free(p);
	vmm_tell(&to, &told);
}

static void on_done(struct op *op)
{
	struct probe *p = op->owner;
	struct err err = op->err.code ? op->err : p->why;
	op_fini(op);
	if (p->watched)
		launcher_watch_remove(p->vmm->launcher, &p->watch);
	p->watched = false;
	if (err.code == 0) {
		p->vmm->kvm = p->kvm;
		finish(p, &err);
	} else if (p->kvm) {
		log_info("QEMU with KVM: %s; trying without", err_text(&err));
		p->kvm = false;
		begin(p);
	} else {
		finish(p, &err);
	}
}

static void begin(struct probe *p)
{
	p->over = false;
	err_reset(&p->why);
	op_init(&p->op, p->vmm->loop, p->kvm ? &kvm_table : &emulated_table, p, on_done);
	op_start(&p->op);
}

void qemu_probe(struct vmm *v, vmm_done_fn *done, void *arg)
{
	const struct vmm_answer to = { .plain = done, .arg = arg };
	struct probe *p = mem_zalloc(sizeof(*p));
	if (!p) {
		vmm_fail_later(&v->late, to, -ENOMEM, "test the driver");
		return;
	}
	p->vmm = qemu_ref(v);
	p->to = to;
	p->kvm = true;
	begin(p);
}
