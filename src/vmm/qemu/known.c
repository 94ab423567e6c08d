/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/template.h"
#include "vmm/qemu/qemu.h"

bool qemu_has_warm(struct vmm *v, const struct template *t)
{
	const struct qemu_known *k = map_get(v->known, t->name);
	return k && k->warm && str_eq(k->hash, t->hash);
}

static int set_known(struct vmm *v, const char *name, const char *hash, bool warm)
{
	struct qemu_known *k = map_get(v->known, name);
	if (!k) {
		k = mem_zalloc(sizeof(*k));
		int r = k ? map_add(v->known, name, k) : -ENOMEM;
		if (r < 0) {
			(void)mem_free(k);
			return r;
		}
	}
	(void)str_copy(k->hash, sizeof(k->hash), hash);
	k->warm = warm;
	return 0;
}

/* Without memory to remember it, the next one is a cold start again. */
void qemu_set_warm(struct vmm *v, const struct template *t, bool warm)
{
	(void)set_known(v, t->name, t->hash, warm);
}

void qemu_forget_known(struct vmm *v)
{
	void *it = NULL;
	for (struct qemu_known *k; (k = map_next(v->known, &it, NULL));)
		(void)mem_free(k);
	v->known = map_free(v->known);
}

struct prepare {
	struct vmm *vmm;
	char name[TEMPLATE_NAME_MAX + 1], hash[65];
	struct vmm_answer to;
};

static void on_prepared(const struct err *err, const struct proto_reply *reply, void *arg)
{
	struct prepare *p = arg;
	struct vmm_answer to = p->to;
	struct err told = *err;
	if (told.code == 0) {
		int r = set_known(p->vmm, p->name, p->hash, reply->vm.warm);
		if (r < 0)
			(void)err_set(&told, r, "out of memory");
	}
	qemu_unref(p->vmm);
	(void)mem_free(p);
	vmm_tell(&to, &told);
}

void qemu_prepare(struct vmm *v, const struct template *t, vmm_done_fn *done, void *arg)
{
	const struct vmm_answer to = { .plain = done, .arg = arg };
	struct proto_create c;
	struct prepare *p = mem_zalloc(sizeof(*p));
	qemu_describe(v, t, &c);
	if (!p || launcher_vm_prepare(v->launcher, &c, on_prepared, p) < 0) {
		(void)mem_free(p);
		vmm_fail_later(&v->late, to, -ENOMEM, "prepare template");
		return;
	}
	p->vmm = qemu_ref(v);
	p->to = to;
	(void)str_copy(p->name, sizeof(p->name), t->name);
	(void)str_copy(p->hash, sizeof(p->hash), t->hash);
}
