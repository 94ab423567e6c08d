/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request is in one of two lists: waiting (no launcher, or not sent yet) or sent. When the
 * launcher is lost, sent ones go back to waiting, except creates: what a create left is destroyed
 * first, then it fails. Nothing is called back from inside a call: even a request that fails at
 * once ends from a deferred call.
 */
#include "launcher/launcher.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/fdutil.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "launcher/outbox.h"
#include "loop/loop.h"

struct call {
	struct link link;
	struct proto_request req;
	launcher_done_fn *done;
	void *arg;
	void (*item)(const char *id, void *arg);	       /* LIST */
	void (*log)(const struct proto_log *m, void *arg);     /* BUILD */
	void (*image)(const struct proto_image *m, void *arg); /* IMAGES */
	struct launcher *la;
	struct err fail; /* a create that was lost: told when its rest is removed */
};

struct launcher {
	struct loop *loop;
	struct outbox outbox;
	bool connected;
	uint64_t next_seq;
	struct link waiting, sent;
	struct map *watches;
	struct loop_defer flush;
	void (*lost)(void *arg);
	void *arg;
};

static struct call *call_free(struct call *c)
{
	link_remove(&c->link);
	return mem_free(c);
}

static void call_end(struct call *c, const struct err *err, const struct proto_reply *reply)
{
	launcher_done_fn *done = c->done;
	void *arg = c->arg;
	struct err e = c->fail.code ? c->fail : *err;
	(void)call_free(c);
	if (done)
		done(&e, e.code ? NULL : reply, arg);
}

static void call_move(struct call *c, struct link *list)
{
	link_remove(&c->link);
	list_push_back(list, &c->link);
}

/* ---- sending ---- */

static void send_waiting(struct launcher *la)
{
	while (la->connected && !list_is_empty(&la->waiting)) {
		struct call *c = container_of(list_first(&la->waiting), struct call, link);
		struct err err = ERR_INIT;
		int r = outbox_send(&la->outbox, &c->req);
		if (r == 0) {
			call_move(c, &la->sent);
		} else if (r == -ENOMEM || r == -ENOBUFS) {
			(void)err_set(&err, r, "too many requests to the launcher");
			call_end(c, &err, NULL);
		} else {
			return; /* its end is about to be noticed */
		}
	}
}

static void on_flush(struct loop_defer *d, void *arg)
{
	send_waiting(arg);
}

static struct call *call_new(
    struct launcher *la, enum proto_kind kind, launcher_done_fn *done, void *arg)
{
	struct call *c = mem_zalloc(sizeof(*c));
	if (!c)
		return NULL;
	c->la = la;
	c->done = done;
	c->arg = arg;
	c->req.head = (struct proto_header){ kind, PROTO_VERSION, la->next_seq++ };
	link_init(&c->link);
	list_push_back(&la->waiting, &c->link);
	loop_defer_set(&la->flush);
	return c;
}

static int call_box(struct launcher *la, enum proto_kind kind, const char *id, bool on,
    launcher_done_fn *done, void *arg)
{
	struct call *c = call_new(la, kind, done, arg);
	if (!c)
		return -ENOMEM;
	(void)str_copy(c->req.box.id, sizeof(c->req.box.id), id);
	c->req.box.on = on;
	return 0;
}

int launcher_prepare(struct launcher *la, const char *base, launcher_done_fn *done, void *arg)
{
	struct call *c = call_new(la, PROTO_PREPARE, done, arg);
	if (!c)
		return -ENOMEM;
	(void)str_copy(c->req.base, sizeof(c->req.base), base);
	return 0;
}

int launcher_create(
    struct launcher *la, const struct proto_create *create, launcher_done_fn *done, void *arg)
{
	struct call *c = call_new(la, PROTO_CREATE, done, arg);
	if (!c)
		return -ENOMEM;
	c->req.create = *create;
	return 0;
}

int launcher_destroy(struct launcher *la, const char *id, launcher_done_fn *done, void *arg)
{
	return call_box(la, PROTO_DESTROY, id, false, done, arg);
}

int launcher_adopt(struct launcher *la, const char *id, launcher_done_fn *done, void *arg)
{
	return call_box(la, PROTO_ADOPT, id, false, done, arg);
}

int launcher_usage(struct launcher *la, const char *id, launcher_done_fn *done, void *arg)
{
	return call_box(la, PROTO_USAGE, id, false, done, arg);
}

int launcher_set_internet(
    struct launcher *la, const char *id, bool on, launcher_done_fn *done, void *arg)
{
	return call_box(la, PROTO_INTERNET, id, on, done, arg);
}

int launcher_resize(struct launcher *la, const char *id, const struct proto_sizes *to,
    launcher_done_fn *done, void *arg)
{
	struct call *c = call_new(la, PROTO_RESIZE, done, arg);
	if (!c)
		return -ENOMEM;
	(void)str_copy(c->req.resize.id, sizeof(c->req.resize.id), id);
	c->req.resize.to = *to;
	return 0;
}

static int call_list(struct launcher *la, enum proto_kind kind,
    void (*item)(const char *id, void *arg), launcher_done_fn *done, void *arg)
{
	struct call *c = call_new(la, kind, done, arg);
	if (!c)
		return -ENOMEM;
	c->item = item;
	return 0;
}

int launcher_list(
    struct launcher *la, void (*item)(const char *id, void *arg), launcher_done_fn *done, void *arg)
{
	return call_list(la, PROTO_LIST, item, done, arg);
}

static struct call *call_name(
    struct launcher *la, enum proto_kind kind, const char *name, launcher_done_fn *done, void *arg)
{
	struct call *c = call_new(la, kind, done, arg);
	if (c)
		(void)str_copy(c->req.build.name, sizeof(c->req.build.name), name);
	return c;
}

int launcher_build(struct launcher *la, const char *name, bool force,
    void (*log)(const struct proto_log *m, void *arg), launcher_done_fn *done, void *arg)
{
	struct call *c = call_name(la, PROTO_BUILD, name, done, arg);
	if (!c)
		return -ENOMEM;
	c->req.build.force = force;
	c->log = log;
	return 0;
}

int launcher_build_cancel(struct launcher *la, const char *name, launcher_done_fn *done, void *arg)
{
	return call_name(la, PROTO_BUILD_CANCEL, name, done, arg) ? 0 : -ENOMEM;
}

int launcher_images(struct launcher *la, void (*image)(const struct proto_image *m, void *arg),
    launcher_done_fn *done, void *arg)
{
	struct call *c = call_new(la, PROTO_IMAGES, done, arg);
	if (!c)
		return -ENOMEM;
	c->image = image;
	return 0;
}

int launcher_image_remove(struct launcher *la, const char *name, launcher_done_fn *done, void *arg)
{
	return call_name(la, PROTO_IMAGE_REMOVE, name, done, arg) ? 0 : -ENOMEM;
}

/* ---- VMs ---- */

int launcher_vm_prepare(
    struct launcher *la, const struct proto_create *create, launcher_done_fn *done, void *arg)
{
	struct call *c = call_new(la, PROTO_VM_PREPARE, done, arg);
	if (!c)
		return -ENOMEM;
	c->req.create = *create;
	return 0;
}

int launcher_vm_load(struct launcher *la, const char *id, launcher_done_fn *done, void *arg)
{
	return call_box(la, PROTO_VM_LOAD, id, false, done, arg);
}

int launcher_vm_info(
    struct launcher *la, enum proto_box_kind kind, launcher_done_fn *done, void *arg)
{
	struct call *c = call_new(la, PROTO_VM_INFO, done, arg);
	if (!c)
		return -ENOMEM;
	c->req.box.on = kind;
	return 0;
}

int launcher_vm_do(
    struct launcher *la, const char *id, enum proto_vm_verb verb, launcher_done_fn *done, void *arg)
{
	struct call *c = call_new(la, PROTO_VM_DO, done, arg);
	if (!c)
		return -ENOMEM;
	(void)str_copy(c->req.box.id, sizeof(c->req.box.id), id);
	c->req.box.on = verb;
	return 0;
}

int launcher_vm_warm(struct launcher *la, const char *id, launcher_done_fn *done, void *arg)
{
	return call_box(la, PROTO_VM_WARM, id, false, done, arg);
}

int launcher_vm_snapshot(
    struct launcher *la, const char *id, const char *snapshot, launcher_done_fn *done, void *arg)
{
	struct call *c = call_new(la, PROTO_VM_SNAPSHOT, done, arg);
	if (!c)
		return -ENOMEM;
	(void)str_copy(c->req.box.id, sizeof(c->req.box.id), id);
	(void)str_copy(c->req.box.snapshot, sizeof(c->req.box.snapshot), snapshot);
	return 0;
}

int launcher_vm_snapshots(
    struct launcher *la, void (*item)(const char *id, void *arg), launcher_done_fn *done, void *arg)
{
	return call_list(la, PROTO_VM_SNAPSHOTS, item, done, arg);
}

int launcher_vm_forget(struct launcher *la, const char *snapshot, launcher_done_fn *done, void *arg)
{
	return call_box(la, PROTO_VM_FORGET, snapshot, false, done, arg);
}

/* ---- receiving ---- */

static struct call *find_sent(struct launcher *la, uint64_t seq)
{
	LIST_EACH(l, &la->sent)
	{
		struct call *c = container_of(l, struct call, link);
		if (c->req.head.seq == seq)
			return c;
	}
	return NULL;
}

static void on_reply(struct launcher *la, const struct proto_reply *m)
{
	struct call *c = find_sent(la, m->head.seq);
	struct err err = ERR_INIT;
	if (!c)
		return;
	if (m->code < 0)
		(void)err_set(&err, m->code, "%s", m->text);
	call_end(c, &err, m);
}

static void on_item(struct launcher *la, const struct proto_item *m)
{
	struct call *c = find_sent(la, m->head.seq);
	if (c && c->item)
		c->item(m->id, c->arg);
}

static void on_log(struct launcher *la, const struct proto_log *m)
{
	struct call *c = find_sent(la, m->head.seq);
	if (c && c->log)
		c->log(m, c->arg);
}

static void on_image(struct launcher *la, const struct proto_image *m)
{
	struct call *c = find_sent(la, m->head.seq);
	if (c && c->image)
		c->image(m, c->arg);
}

static void on_event(struct launcher *la, const struct proto_event *m)
{
	struct launcher_watch *w = map_get(la->watches, m->id);
	if (w)
		w->cb(w, m);
}

static void on_packet(struct outbox *o, const union proto_any *m, size_t n, void *arg)
{
	struct launcher *la = arg;
	if (proto_check_answer(m, n) < 0) {
		log_error("the launcher sent what is no answer");
		return;
	}
	switch (m->head.kind) {
	case PROTO_REPLY:
		on_reply(la, &m->reply);
		break;
	case PROTO_ITEM:
		on_item(la, &m->item);
		break;
	case PROTO_LOG:
		on_log(la, &m->log);
		break;
	case PROTO_IMAGE:
		on_image(la, &m->image);
		break;
	default:
		on_event(la, &m->event);
		break;
	}
}

/* ---- a lost launcher ---- */

static void put_back(struct launcher *la, struct call *c)
{
	if (c->req.head.kind == PROTO_CREATE) {
		char id[ID_SANDBOX_LEN + 1];
		(void)str_copy(id, sizeof(id), c->req.create.id);
		c->req.head.kind = PROTO_DESTROY;
		(void)str_copy(c->req.box.id, sizeof(c->req.box.id), id);
		c->req.box.on = false;
		(void)err_set(&c->fail, -ECONNRESET, "the launcher was restarted");
	}
	call_move(c, &la->waiting);
}

static void on_lost(struct outbox *o, void *arg)
{
	struct launcher *la = arg;
	outbox_fini(&la->outbox);
	la->connected = false;
	LIST_EACH_SAFE(l, &la->sent)
	put_back(la, container_of(l, struct call, link));
	if (la->lost)
		la->lost(la->arg);
}

/* Did a watched sandbox survive? Only its death is news. */
struct survey {
	struct launcher *la;
	char id[ID_SANDBOX_LEN + 1];
};

static void on_surveyed(const struct err *err, const struct proto_reply *reply, void *arg)
{
	struct survey *sv = arg;
	struct proto_event m = { .event = PROTO_EXITED, .value = -1 };
	if (err->code == -ENOENT) {
		(void)str_copy(m.id, sizeof(m.id), sv->id);
		on_event(sv->la, &m);
	}
	(void)mem_free(sv);
}

static int survey(struct launcher *la)
{
	void *it = NULL;
	for (const struct launcher_watch *w; (w = map_next(la->watches, &it, NULL));) {
		struct survey *sv = mem_zalloc(sizeof(*sv));
		if (!sv)
			return -ENOMEM;
		sv->la = la;
		(void)str_copy(sv->id, sizeof(sv->id), w->id);
		int r = launcher_adopt(la, w->id, on_surveyed, sv);
		if (r < 0) {
			(void)mem_free(sv);
			return r;
		}
	}
	return 0;
}

int launcher_connect(struct launcher *la, int socket_consume)
{
	if (la->connected)
		on_lost(&la->outbox, la);
	int r = outbox_init(&la->outbox, la->loop, socket_consume, on_packet, on_lost, la);
	if (r < 0)
		return r;
	la->connected = true;
	r = survey(la);
	loop_defer_set(&la->flush);
	return r;
}

/* ---- life ---- */

struct launcher *launcher_new(
    struct loop *l, int socket_consume, void (*lost)(void *arg), void *arg)
{
	struct launcher *la = mem_zalloc(sizeof(*la));
	if (!la) {
		(void)fd_close(socket_consume);
		return NULL;
	}
	la->loop = l;
	la->next_seq = 1;
	la->lost = lost;
	la->arg = arg;
	link_init(&la->waiting);
	link_init(&la->sent);
	loop_defer_init(&la->flush, l, on_flush, la);
	la->watches = map_new();
	if (!la->watches) {
		(void)fd_close(socket_consume);
		return launcher_free(la);
	}
	return launcher_connect(la, socket_consume) < 0 ? launcher_free(la) : la;
}

static void drop_all(struct link *list)
{
	LIST_EACH_SAFE(l, list)
	{
		struct call *c = container_of(l, struct call, link);
		if (c->done == on_surveyed)
			(void)mem_free(c->arg);
		(void)call_free(c);
	}
}

struct launcher *launcher_free(struct launcher *la)
{
	if (!la)
		return NULL;
	drop_all(&la->waiting);
	drop_all(&la->sent);
	loop_defer_fini(&la->flush);
	if (la->connected)
		outbox_fini(&la->outbox);
	(void)map_free(la->watches);
	return mem_free(la);
}

int launcher_watch_add(struct launcher *la, struct launcher_watch *w)
{
	return map_add(la->watches, w->id, w);
}

void launcher_watch_remove(struct launcher *la, struct launcher_watch *w)
{
	if (map_get(la->watches, w->id) == w)
		(void)map_remove(la->watches, w->id);
}
