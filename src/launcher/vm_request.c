/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon asks about VMs beside making and ending them. */
#include <errno.h>

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/path.h"
#include "launcher/box.h"
#include "launcher/vm_save.h"
#include "launcher/warm.h"

/* A request that waits for the memory of a warm snapshot. */
struct prepare {
	struct warm_wait wait;
	struct server *srv;
	uint64_t seq;
	struct vm_manifest manifest;
};

/* One that cannot be loaded is as good as none. */
static void on_memory(struct warm_wait *w, int fd_or_code, void *arg)
{
	struct prepare *p = arg;
	if (fd_or_code < 0)
		(void)warm_set_aside(p->srv, p->manifest.key);
	server_reply_vm(p->srv, p->seq, fd_or_code >= 0);
	(void)mem_free(p);
}

int vm_on_prepare(struct server *s, const struct proto_request *q, struct err *reterr)
{
	const struct proto_create *c = &q->create;
	struct vm_image image;
	const char *dir = s->conf->templates_dir;
	/* Where there are templates, the image must be of what they say now. */
	int r = dir && path_exists(dir) ? images_prepare(s, c->vm.tmpl, reterr) : 0;
	if (r == 0 && c->kind == PROTO_BOX_FIRECRACKER)
		return fc_on_prepare(s, q, reterr);
	if (r == 0)
		r = vm_image_find(c->vm.tmpl, s->agent_hash, &image, reterr);
	if (r < 0)
		return r;
	CLEAN_FREE struct prepare *p = mem_zalloc(sizeof(*p));
	if (!p)
		return err_set(reterr, -ENOMEM, "out of memory");
	p->srv = s;
	p->seq = q->head.seq;
	p->wait = (struct warm_wait){ .done = on_memory, .arg = p };
	r = warm_key(s, c, &image, &p->manifest);
	if (r < 0)
		return err_set(reterr, r, "cannot tell what fits this machine: %s", err_name(r));
	warm_drop_stale(s, &p->manifest);
	if (!warm_exists(p->manifest.key)) {
		server_reply_vm(s, q->head.seq, false);
		return 0;
	}
	r = warm_want(s, p->manifest.key, c->memory_bytes, &p->wait);
	if (r < 0)
		return err_set(reterr, r, "cannot load the warm snapshot: %s", err_name(r));
	(void)TAKE(p);
	return 0;
}

static struct box *find_vm(struct server *s, const char *id, struct err *reterr)
{
	struct box *b = map_get(s->boxes, id);
	if (b && b->state == BOX_LIVE && vm_is(b))
		return b;
	(void)err_set(reterr, -ENOENT, "there is no live VM %s that is not being saved", id);
	return NULL;
}

int vm_on_load(struct server *s, const struct proto_request *q, struct err *reterr)
{
	struct box *b = find_vm(s, q->box.id, reterr);
	if (b && b->rec.kind != PROTO_BOX_QEMU)
		return err_set(
		    reterr, -ENOTSUP, "the VMM of %s loads its memory itself", q->box.id);
	return b ? vm_load_memory(b, q->head.seq, reterr) : -ENOENT;
}

int vm_on_warm(struct server *s, const struct proto_request *q, struct err *reterr)
{
	struct box *b = find_vm(s, q->box.id, reterr);
	if (b && b->rec.kind == PROTO_BOX_FIRECRACKER)
		return fc_save_warm(b, q->head.seq, reterr);
	return b ? vm_save_warm(b, q->head.seq, reterr) : -ENOENT;
}

int vm_on_snapshot(struct server *s, const struct proto_request *q, struct err *reterr)
{
	struct box *b = find_vm(s, q->box.id, reterr);
	if (b && b->rec.kind == PROTO_BOX_FIRECRACKER)
		return fc_save_snapshot(b, q->box.snapshot, q->head.seq, reterr);
	return b ? vm_save_snapshot(b, q->box.snapshot, q->head.seq, reterr) : -ENOENT;
}

int vm_on_forget(struct server *s, const struct proto_request *q, struct err *reterr)
{
	int r = vm_snapshot_remove(s, q->box.id);
	if (r == 0)
		r = fc_forget_snapshot(q->box.id);
	if (r < 0)
		return err_set(reterr, r, "cannot remove snapshot %s: %s", q->box.id, err_name(r));
	server_reply(s, q->head.seq, NULL, NULL);
	return 0;
}

static void tell_snapshot(const char *id, void *arg)
{
	const struct prepare *p = arg;
	server_item(p->srv, p->seq, id);
}

int vm_on_snapshots(struct server *s, const struct proto_request *q, struct err *reterr)
{
	struct prepare p = { .srv = s, .seq = q->head.seq };
	int r = vm_snapshots_each(tell_snapshot, &p);
	if (r == 0)
		r = fc_snapshots_each(tell_snapshot, &p);
	if (r < 0)
		return err_set(reterr, r, "cannot read the snapshots: %s", err_name(r));
	server_reply(s, q->head.seq, NULL, NULL);
	return 0;
}
