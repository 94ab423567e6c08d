/* SPDX-License-Identifier: Apache-2.0 */
/* The driver's table, and the calls that are one request. */
#include <errno.h>

#include "base/map.h"
#include "base/mem.h"
#include "vmm/machine.h"
#include "vmm/qemu/qemu.h"

static int qemu_open(struct loop *l, struct launcher *la, struct vmm **ret, struct err *reterr)
{
	struct vmm *v = mem_zalloc(sizeof(*v));
	struct map *known = map_new();
	if (!v || !known) {
		(void)mem_free(v);
		(void)map_free(known);
		return err_set(reterr, -ENOMEM, "out of memory");
	}
	v->refs = 1;
	v->loop = l;
	v->launcher = la;
	v->known = known;
	vmm_late_init(&v->late, l);
	*ret = v;
	return 0;
}

struct vmm *qemu_ref(struct vmm *v)
{
	v->refs++;
	return v;
}

void qemu_unref(struct vmm *v)
{
	if (--v->refs > 0)
		return;
	vmm_late_fini(&v->late);
	qemu_forget_known(v);
	(void)mem_free(v);
}

static struct vmm *qemu_close(struct vmm *v)
{
	if (v)
		qemu_unref(v);
	return NULL;
}

static const char *qemu_isolation(const struct vmm *v)
{
	return v->kvm ? "microvm" : "microvm-emulated";
}

static void qemu_sweep(struct vmm *v, bool (*keep)(const char *id, void *arg), void *keep_arg,
    vmm_sweep_done_fn *done, void *arg)
{
	vmm_ask_sweep(&v->late, v->launcher, keep, keep_arg, done, arg);
}

static void qemu_sweep_snapshots(struct vmm *v, bool (*keep)(const char *id, void *arg),
    void *keep_arg, vmm_sweep_done_fn *done, void *arg)
{
	vmm_ask_sweep_snapshots(&v->late, v->launcher, keep, keep_arg, done, arg);
}

static void qemu_set_internet(struct vmm_inst *inst, bool on, vmm_done_fn *done, void *arg)
{
	struct vmm *v = inst->vmm;
	vmm_ask_internet(&v->late, v->launcher, inst->watch.id, on, done, arg);
}

static void qemu_usage(struct vmm_inst *inst, vmm_usage_done_fn *done, void *arg)
{
	struct vmm *v = inst->vmm;
	vmm_ask_usage(&v->late, v->launcher, inst->watch.id, done, arg);
}

static void qemu_snapshot_remove(struct vmm *v, const char *snapshot, vmm_done_fn *done, void *arg)
{
	vmm_ask_forget(&v->late, v->launcher, snapshot, done, arg);
}

static struct vmm_channel qemu_control(const struct vmm_inst *inst)
{
	return (struct vmm_channel){ VMM_CHANNEL_SERIAL, inst->control, 0 };
}

static struct vmm_channel qemu_data(const struct vmm_inst *inst)
{
	return (struct vmm_channel){ VMM_CHANNEL_SERIAL, inst->data, 0 };
}

static bool qemu_is_warm(const struct vmm_inst *inst)
{
	return inst->warm;
}

const struct vmm_driver vmm_qemu_driver = {
	.name = "qemu",
	.best_isolation = "microvm",
	.caps = VMM_CAP_PAUSE | VMM_CAP_SNAPSHOT | VMM_CAP_FORK | VMM_CAP_OWN_KERNEL | VMM_CAP_WARM,
	.isolation = qemu_isolation,
	.open = qemu_open,
	.close = qemu_close,
	.probe = qemu_probe,
	.prepare = qemu_prepare,
	.create = qemu_create,
	.adopt = qemu_adopt,
	.sweep = qemu_sweep,
	.destroy = qemu_destroy,
	.set_internet = qemu_set_internet,
	.can_resize = vmm_machine_can_resize,
	.resize = qemu_resize,
	.usage = qemu_usage,
	.control = qemu_control,
	.data = qemu_data,
	.pause = qemu_pause,
	.resume = qemu_resume,
	.has_warm = qemu_has_warm,
	.warm = qemu_warm,
	.is_warm = qemu_is_warm,
	.snapshot = qemu_snapshot,
	.snapshot_remove = qemu_snapshot_remove,
	.sweep_snapshots = qemu_sweep_snapshots,
};
