/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a sandbox.
 *
 *   step      takes                                    can fail for
 *   reserve   range of user ids                        none left
 *   files     directories, listening sockets           disk full
 *   master    (formatted disk of this size)            no mkfs.ext4
 *   cgroup    groups with limits, watches              kernel
 *   network   namespace with an address                addresses used up
 *   memory    (that of a warm snapshot, for a VM)      its file is damaged
 *   spawn     the child; waits until it is the agent   any step of child.c
 *   ready     (Firecracker: its API)                  jailer, Firecracker
 *   publish   record: ready
 *
 * No step has an undo: on failure the removal of box_remove.c runs, which copes with any part of
 * it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "base/log.h"
#include "base/path.h"
#include "base/str.h"
#include "hostnet/hostnet.h"
#include "launcher/box.h"
#include "launcher/disk.h"

#define BACKLOG 128

static int reserve_base(struct box *b, struct err *reterr)
{
	const char *base = bases_dir(b->srv, b->want.base);
	if (!base)
		return err_set(reterr, -ENOENT, "base %s is not prepared", b->want.base);
	(void)str_copy(b->rec.base, sizeof(b->rec.base), base);
	return 0;
}

static int begin_reserve(struct op *op)
{
	struct box *b = op->owner;
	struct server *s = b->srv;
	int r = box_fault(b, "reserve");
	b->rec.kind = b->want.kind;
	b->rec.disk_bytes = b->want.disk_bytes;
	if (r == 0)
		r = vm_is(b) ? vm_reserve(b, &op->err) : reserve_base(b, &op->err);
	if (r == 0)
		r = record_boot_id(b->rec.boot);
	if (r == 0)
		r = slots_take(&s->slots, &b->rec.slot);
	return r == -ENOSPC ? op_fail(op, r, "all %u ranges of user ids are in use", SLOTS_MAX) : r;
}

/* Only the daemon's user may connect; only root may change what is in the directory. */
static int listen_in(struct box *b, const char *name, int *ret_fd)
{
	const struct server_conf *c = b->srv->conf;
	char dir[128], path[160];
	int r = box_socket_dir(b, dir, sizeof(dir));
	if (r == 0)
		r = path_printf(path, sizeof(path), "%s/%s.sock", dir, name);
	if (r < 0)
		return r;
	*ret_fd = fd_listen_unix(path, 0600, BACKLOG);
	if (*ret_fd < 0)
		return *ret_fd;
	return lchown(path, c->owner_uid, c->owner_gid) < 0 ? -errno : 0;
}

static int begin_files(struct op *op)
{
	struct box *b = op->owner;
	char path[128];
	int r = box_fault(b, "files");
	if (r == 0)
		r = box_path(b, "", path, sizeof(path));
	if (r == 0 && mkdir(path, 0700) < 0)
		r = -errno;
	if (r == 0)
		r = box_socket_dir(b, path, sizeof(path));
	if (r == 0 && (mkdir(path, 0700) < 0 || chown(path, 0, b->srv->conf->owner_gid) < 0 ||
			  chmod(path, 0710) < 0))
		r = -errno;
	if (r < 0 || b->rec.kind == PROTO_BOX_FIRECRACKER)
		return r; /* it makes its sockets itself */
	if (r == 0)
		r = listen_in(b, "control", &b->control_fd);
	if (r == 0)
		r = listen_in(b, "data", &b->data_fd);
	return r < 0 || b->rec.kind != PROTO_BOX_QEMU ? r
						      : listen_in(b, "monitor", &b->vm.monitor_fd);
}

static int make_master(void *arg)
{
	return disk_master_make(*(const uint64_t *)arg);
}

static void on_master(struct task *t, int r, void *arg)
{
	struct box *b = arg;
	if (r == -ENOENT)
		r = op_fail(&b->op, r, "mkfs.ext4 (package e2fsprogs) is not installed");
	op_wake(&b->op, b->wait, r);
}

static int begin_master(struct op *op)
{
	struct box *b = op->owner;
	int r = box_fault(b, "master");
	bool needed = vm_is(b) || b->srv->can_loop;
	if (r < 0 || !needed || disk_master_exists(b->rec.disk_bytes))
		return r;
	b->wait = op_slot(op);
	r = task_start(&b->task, b->srv->loop, make_master, &b->rec.disk_bytes, on_master, b);
	return r < 0 ? r : OP_WAIT;
}

static void cancel_task(struct op *op)
{
	struct box *b = op->owner;
	task_fini(&b->task);
}

static int begin_cgroup(struct op *op)
{
	struct box *b = op->owner;
	struct cgroup_limits limits = { .memory_bytes = b->want.memory_bytes,
		.cpu_milli = b->want.cpu_milli,
		.max_pids = b->want.max_pids };
	int r = box_fault(b, "cgroup");
	if (vm_is(b))
		vm_limits(b, &limits.memory_bytes, &limits.max_pids);
	if (r == 0)
		r = cgroup_create(&b->srv->cgroups, b->rec.id, &limits, &op->err);
	return r < 0 ? r : box_watch_limits(b);
}

static int begin_network(struct op *op)
{
	struct box *b = op->owner;
	struct hostnet *net = b->srv->net;
	struct hostnet_slot slot;
	int r = box_fault(b, "net");
	if (r < 0 || !b->want.internet)
		return r; /* its child makes a namespace with loopback only */
	if (!net)
		return op_fail(op, -ENOTSUP, "this server has no network for sandboxes");
	r = hostnet_take(net, &slot, &op->err);
	if (r < 0)
		return r;
	b->rec.net_slot = (int)slot.index;
	b->netns_fd = slot.netns_fd;
	r = vm_is(b) ? vm_add_tap(b, &op->err) : 0;
	return r < 0 ? r : hostnet_set_internet(net, slot.index, true, &op->err);
}

static int (*const spawn[PROTO_BOX_KINDS])(struct box *b, struct err *reterr) = {
	[PROTO_BOX_NAMESPACE] = box_spawn,
	[PROTO_BOX_QEMU] = qemu_spawn,
	[PROTO_BOX_FIRECRACKER] = fc_spawn,
};

static int begin_spawn(struct op *op)
{
	struct box *b = op->owner;
	int r = box_fault(b, "spawn");
	b->wait = op_slot(op);
	if (r == 0)
		r = spawn[b->rec.kind](b, &op->err);
	return r < 0 ? r : OP_WAIT;
}

/* The jailer and what it starts have their own way of being ready. */
static int begin_ready(struct op *op)
{
	struct box *b = op->owner;
	int r = box_fault(b, "ready");
	return r < 0 || b->rec.kind != PROTO_BOX_FIRECRACKER ? r : fc_ready(b, &op->err);
}

static void cancel_ready(struct op *op)
{
	fc_forget_ready(op->owner);
}

static int begin_publish(struct op *op)
{
	struct box *b = op->owner;
	int r = box_fault(b, "publish");
	b->rec.ready = true;
	return r < 0 ? r : box_write_record(b);
}

static const struct op_step steps[] = {
	{ "reserve", begin_reserve, NULL, NULL, 1 },
	{ "files", begin_files, NULL, NULL, 1 },
	{ "master", begin_master, NULL, cancel_task, 60000 },
	{ "cgroup", begin_cgroup, NULL, NULL, 1 },
	{ "network", begin_network, NULL, NULL, 1 },
	{ "memory", vm_begin_memory, NULL, vm_cancel_memory, 60000 },
	{ "spawn", begin_spawn, NULL, NULL, 15000 },
	{ "ready", begin_ready, NULL, cancel_ready, 5000 },
	{ "publish", begin_publish, NULL, NULL, 1 },
};

static const struct op_table table = { "create", steps, sizeof(steps) / sizeof(steps[0]) };

static void on_done(struct op *op)
{
	struct box *b = op->owner;
	bool alive = b->child_running;
	if (op->err.code == 0 && !alive)
		(void)err_set(&op->err, -ECHILD, "it died at its start");
	if (op->err.code == 0) {
		op_fini(op);
		box_set_state(b, BOX_LIVE);
		b->create_pending = false;
		server_reply(b->srv, b->create_seq, NULL, b);
		return;
	}
	b->create_err = op->err;
	op_fini(op);
	box_set_state(b, BOX_DEAD);
	box_remove(b);
}

int box_create(struct server *s, uint64_t seq, const struct proto_create *c, struct err *reterr)
{
	if (!spawn[c->kind])
		return err_set(reterr, -ENOTSUP, "kind: this launcher cannot start it");
	struct box *b = box_new(s, c->id);
	if (!b)
		return err_set(reterr, -ENOMEM, "out of memory");
	b->want = *c;
	b->create_seq = seq;
	b->create_pending = true;
	op_init(&b->op, s->loop, &table, b, on_done);
	op_start(&b->op);
	return 0;
}
