/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon asks of Firecracker's boxes beside making and ending them. */
#include <errno.h>

#include "base/map.h"
#include "base/path.h"
#include "launcher/box.h"
#include "launcher/fc.h"

int fc_on_prepare(struct server *s, const struct proto_request *q, struct err *reterr)
{
	const struct proto_create *c = &q->create;
	struct vm_image image;
	struct fc_made made;
	int r = vm_image_find(c->vm.tmpl, s->agent_hash, &image, reterr);
	if (r == 0)
		r = fc_made_of(s, c, &image, &made, reterr);
	if (r == 0)
		server_reply_vm(
		    s, q->head.seq, fc_warm_exists(made.key, c->memory_bytes, c->disk_bytes));
	return r;
}

int fc_on_info(struct server *s, const struct proto_request *q, struct err *reterr)
{
	if (q->box.on != PROTO_BOX_FIRECRACKER)
		return err_set(reterr, -ENOTSUP, "kind: expected that of Firecracker");
	return fc_info(s, q->head.seq, reterr);
}

int fc_on_do(struct server *s, const struct proto_request *q, struct err *reterr)
{
	struct box *b = map_get(s->boxes, q->box.id);
	if (!b || b->state != BOX_LIVE || b->rec.kind != PROTO_BOX_FIRECRACKER)
		return err_set(
		    reterr, -ENOENT, "there is no live sandbox %s of Firecracker", q->box.id);
	int r = fc_do(b, q->box.on, reterr);
	if (r == 0)
		server_reply(s, q->head.seq, NULL, b);
	return r;
}

int fc_reserve(struct box *b, struct err *reterr)
{
	if (!fc_program(b->srv) || !fc_jailer(b->srv))
		return err_set(reterr, -ENOENT, "firecracker or its jailer is not installed");
	if (b->want.start == PROTO_START_PROBE)
		return path_printf(b->rec.base, sizeof(b->rec.base), "probe");
	int r = b->want.start == PROTO_START_SNAPSHOT
		    ? fc_store_image(b, &b->vm.image, reterr)
		    : vm_image_find(b->want.vm.tmpl, b->srv->agent_hash, &b->vm.image, reterr);
	if (r == 0)
		r = fc_made_of(b->srv, &b->want, &b->vm.image, &b->fc.made, reterr);
	return r < 0 ? r
		     : path_printf(b->rec.base, sizeof(b->rec.base), "image-%s", b->vm.image.hash);
}
