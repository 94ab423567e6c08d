/* SPDX-License-Identifier: Apache-2.0 */
/* The Firecracker driver: what is one request to the launcher, and the table. */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/template.h"
#include "vmm/firecracker/firecracker.h"
#include "vmm/machine.h"

#define MIB (1ull << 20)

/* ---- open, close ---- */

struct vmm *fc_ref(struct vmm *v)
{
	v->refs++;
	return v;
}

void fc_unref(struct vmm *v)
{
	if (--v->refs > 0)
		return;
	vmm_late_fini(&v->late);
	(void)map_free(v->warm);
	(void)mem_free(v);
}

static int fc_open(struct loop *l, struct launcher *la, struct vmm **ret, struct err *reterr)
{
	struct vmm *v = mem_zalloc(sizeof(*v));
	struct map *warm = v ? map_new() : NULL;
	if (!warm) {
		(void)mem_free(v);
		return err_set(reterr, -ENOMEM, "out of memory");
	}
	v->refs = 1;
	v->reason_ms = FC_REASON_MS;
	v->loop = l;
	v->launcher = la;
	v->warm = warm;
	vmm_late_init(&v->late, l);
	*ret = v;
	return 0;
}

static struct vmm *fc_close(struct vmm *v)
{
	if (v)
		fc_unref(v);
	return NULL;
}

int fc_learn(struct vmm *v, const struct proto_reply *reply, struct err *reterr)
{
	struct fc_version vmm, jailer;
	if (!memchr(reply->info.vmm, '\0', sizeof(reply->info.vmm)) ||
	    !memchr(reply->info.jailer, '\0', sizeof(reply->info.jailer)))
		return err_set(reterr, -EPROTO, "the launcher sent texts without an end");
	if (!reply->info.vmm[0])
		return err_set(reterr, -ENOENT,
		    "firecracker is not installed (not in PATH, and no firecracker: binary: in the "
		    "configuration)");
	if (!reply->info.jailer[0])
		return err_set(reterr, -ENOENT,
		    "jailer is not installed (it comes with firecracker; not in PATH, and no "
		    "firecracker: jailer: in the configuration)");
	if (fc_version_parse("Firecracker", reply->info.vmm, &vmm) < 0)
		return err_set(reterr, -EBADMSG,
		    "firecracker --version says '%.40s', expected 'Firecracker v1.17.0'",
		    reply->info.vmm);
	if (fc_version_parse("Jailer", reply->info.jailer, &jailer) < 0)
		return err_set(reterr, -EBADMSG,
		    "jailer --version says '%.40s', expected 'Jailer v1.17.0'", reply->info.jailer);
	int r = fc_version_check(&vmm, reterr);
	if (r < 0)
		return r;
	if (jailer.major != vmm.major || jailer.minor != vmm.minor)
		return err_set(reterr, -ENOTSUP,
		    "jailer %u.%u.%u does not belong to Firecracker %u.%u.%u: expected the same "
		    "release",
		    jailer.major, jailer.minor, jailer.patch, vmm.major, vmm.minor, vmm.patch);
	v->version = vmm;
	v->caps = fc_version_caps(&vmm);
	v->known = true;
	return 0;
}

uint64_t fc_whole_units(uint64_t bytes)
{
	return bytes & ~(MIB - 1);
}

int fc_create_of(const struct vmm_spec *spec, enum proto_start start, struct proto_create *ret,
    struct err *reterr)
{
	const unsigned vcpus = vmm_vcpus(spec->cpu_milli);
	if (vcpus > FC_VCPUS_MAX)
		return err_set(
		    reterr, -EINVAL, "cpus: Firecracker has 1 to %u, got %u", FC_VCPUS_MAX, vcpus);
	*ret = (struct proto_create){ .kind = PROTO_BOX_FIRECRACKER,
		.start = start,
		.vm = { .kvm = 1, .vcpus = vcpus },
		.memory_bytes = fc_whole_units(spec->memory_bytes),
		.disk_bytes = fc_whole_units(spec->disk_bytes),
		.cpu_milli = spec->cpu_milli,
		.max_pids = spec->max_pids,
		.internet = spec->internet };
	(void)str_copy(ret->id, sizeof(ret->id), spec->id);
	if (spec->tmpl) {
		(void)str_copy(ret->vm.tmpl, sizeof(ret->vm.tmpl), spec->tmpl->name);
		(void)str_copy(ret->vm.tmpl_hash, sizeof(ret->vm.tmpl_hash), spec->tmpl->hash);
	} else { /* a test guest: of no template, but the launcher asks for names */
		(void)str_copy(ret->vm.tmpl, sizeof(ret->vm.tmpl), "probe");
		memset(ret->vm.tmpl_hash, '0', PROTO_HASH_LEN);
	}
	if (start == PROTO_START_SNAPSHOT)
		(void)str_copy(ret->snapshot, sizeof(ret->snapshot), spec->snapshot);
	return 0;
}

/* ---- requests without an instance ---- */

struct plain {
	struct vmm *vmm;
	struct vmm_answer to;
	const struct template *tmpl; /* prepare */
};

static struct plain *plain_new(struct vmm *v, struct vmm_answer to, const char *what)
{
	struct plain *p = mem_zalloc(sizeof(*p));
	if (p)
		*p = (struct plain){ .vmm = fc_ref(v), .to = to };
	else
		vmm_fail_later(&v->late, to, -ENOMEM, what);
	return p;
}

static struct vmm_answer plain_free(struct plain *p)
{
	struct vmm_answer to = p->to;
	fc_unref(p->vmm);
	(void)mem_free(p);
	return to;
}

static void plain_sent(struct plain *p, int r, const char *what)
{
	if (r == 0)
		return;
	struct vmm *v = p->vmm;
	vmm_fail_later(&v->late, p->to, r, what);
	(void)plain_free(p);
}

static void on_plain(const struct err *err, const struct proto_reply *reply, void *arg)
{
	struct vmm_answer to = plain_free(arg);
	vmm_tell(&to, err);
}

/* ---- prepare ---- */

static const char preparing[] = "prepare template";

static void on_prepared(const struct err *err, const struct proto_reply *reply, void *arg)
{
	struct plain *p = arg;
	if (err->code == 0) {
		(void)map_remove(p->vmm->warm, p->tmpl->name);
		if (reply->vm.warm)
			(void)map_add(p->vmm->warm, p->tmpl->name, p->vmm);
	}
	on_plain(err, reply, arg);
}

static void ask_for_image(struct plain *p)
{
	const struct template *t = p->tmpl;
	const struct vmm_spec spec = { .id = "prepare",
		.tmpl = t,
		.memory_bytes = t->memory_bytes,
		.disk_bytes = t->disk_bytes,
		.cpu_milli = t->cpu_milli,
		.max_pids = t->max_pids };
	struct err err = ERR_INIT;
	struct proto_create c;
	int r = fc_create_of(&spec, PROTO_START_COLD, &c, &err);
	if (r < 0)
		on_plain(&err, NULL, p);
	else
		plain_sent(p, launcher_vm_prepare(p->vmm->launcher, &c, on_prepared, p), preparing);
}

static void on_versions(const struct err *err, const struct proto_reply *reply, void *arg)
{
	struct plain *p = arg;
	struct err why = *err;
	if (why.code == 0)
		(void)fc_learn(p->vmm, reply, &why);
	if (why.code)
		on_plain(&why, NULL, p);
	else
		ask_for_image(p);
}

static void fc_prepare(struct vmm *v, const struct template *t, vmm_done_fn *done, void *arg)
{
	struct plain *p = plain_new(v, (struct vmm_answer){ .plain = done, .arg = arg }, preparing);
	if (!p)
		return;
	p->tmpl = t;
	/* Each time: the programs may have been replaced, and the launcher keeps what they said. */
	plain_sent(
	    p, launcher_vm_info(v->launcher, PROTO_BOX_FIRECRACKER, on_versions, p), preparing);
}

static bool fc_has_warm(struct vmm *v, const struct template *t)
{
	return map_get(v->warm, t->name) != NULL;
}

static bool fc_is_warm(const struct vmm_inst *inst)
{
	return inst->warm;
}

static void fc_sweep_snapshots(struct vmm *v, bool (*keep)(const char *id, void *arg),
    void *keep_arg, vmm_sweep_done_fn *done, void *arg)
{
	vmm_ask_sweep_snapshots(&v->late, v->launcher, keep, keep_arg, done, arg);
}

static void fc_snapshot_remove(struct vmm *v, const char *snapshot, vmm_done_fn *done, void *arg)
{
	vmm_ask_forget(&v->late, v->launcher, snapshot, done, arg);
}

static void fc_sweep(struct vmm *v, bool (*keep)(const char *id, void *arg), void *keep_arg,
    vmm_sweep_done_fn *done, void *arg)
{
	vmm_ask_sweep(&v->late, v->launcher, keep, keep_arg, done, arg);
}

/* ---- the rest ---- */

static void fc_set_internet(struct vmm_inst *inst, bool on, vmm_done_fn *done, void *arg)
{
	struct vmm *v = inst->vmm;
	vmm_ask_internet(&v->late, v->launcher, inst->watch.id, on, done, arg);
}

static void fc_usage(struct vmm_inst *inst, vmm_usage_done_fn *done, void *arg)
{
	struct vmm *v = inst->vmm;
	vmm_ask_usage(&v->late, v->launcher, inst->watch.id, done, arg);
}

static const char *fc_isolation(const struct vmm *v)
{
	return "microvm";
}

static struct vmm_channel fc_control(const struct vmm_inst *inst)
{
	return (struct vmm_channel){ VMM_CHANNEL_VSOCK, inst->sock, FC_CONTROL_PORT };
}

static struct vmm_channel fc_data(const struct vmm_inst *inst)
{
	return (struct vmm_channel){ VMM_CHANNEL_VSOCK, inst->sock, FC_DATA_PORT };
}

const struct vmm_driver vmm_firecracker_driver = {
	.name = "firecracker",
	.best_isolation = "microvm",
	.caps = VMM_CAP_PAUSE | VMM_CAP_SNAPSHOT | VMM_CAP_FORK | VMM_CAP_OWN_KERNEL | VMM_CAP_WARM,
	.isolation = fc_isolation,
	.open = fc_open,
	.close = fc_close,
	.probe = fc_probe,
	.prepare = fc_prepare,
	.create = fc_create,
	.adopt = fc_adopt,
	.sweep = fc_sweep,
	.destroy = fc_inst_destroy,
	.set_internet = fc_set_internet,
	.can_resize = vmm_machine_can_resize,
	.resize = fc_resize,
	.usage = fc_usage,
	.control = fc_control,
	.data = fc_data,
	.pause = fc_pause,
	.resume = fc_resume,
	.has_warm = fc_has_warm,
	.warm = fc_warm,
	.is_warm = fc_is_warm,
	.snapshot = fc_snapshot,
	.snapshot_remove = fc_snapshot_remove,
	.sweep_snapshots = fc_sweep_snapshots,
};
