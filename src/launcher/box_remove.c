/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking a sandbox away, from every state and as often as anybody asks.
 *
 *   kill      process 1 dies, its pid namespace with it, and its mounts with the last process
 *   cgroup    empty groups; busy for a moment while the kernel cleans up
 *   network   slot back
 *   files     sockets, disk, record last: until then a restart finds it again
 *   release   user ids
 *
 * A removal that fails is tried again until it works; who asked is answered then.
 */
#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "hostnet/hostnet.h"
#include "launcher/box.h"
#include "launcher/disk.h"

#define BUSY_AGAIN_MS 3
#define FAILED_AGAIN_MS 500
#define INLINE_UNLINK_BYTES (8ull << 20) /* larger disks are unlinked by a task */

static void stop_watching(struct box *b)
{
	box_unwatch_limits(b);
	box_close_status(b);
	box_unwatch_log(b);
	vm_fini(&b->vm);
	fc_forget_ready(b);
	int *const fds[] = { &b->control_fd, &b->data_fd, &b->netns_fd };
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		*fds[i] = fd_close(*fds[i]);
}

static int begin_kill(struct op *op)
{
	struct box *b = op->owner;
	stop_watching(b);
	if (b->child_running)
		(void)syscall(SYS_pidfd_send_signal, b->child.pidfd, SIGKILL, NULL, 0);
	int r = cgroup_kill(&b->srv->cgroups, b->rec.id);
	disk_abandon(b->disk_fd);
	b->disk_fd = fd_close(b->disk_fd);
	b->wait = op_slot(op);
	if (b->child_running)
		return OP_WAIT; /* on_process_end() */
	return r;
}

static void try_cgroup(struct loop_timer *t, void *arg)
{
	struct box *b = arg;
	int r = cgroup_remove(&b->srv->cgroups, b->rec.id);
	if (r == -EBUSY)
		loop_timer_set(&b->again, BUSY_AGAIN_MS);
	else
		op_wake(&b->op, b->wait, r);
}

static int begin_cgroup(struct op *op)
{
	struct box *b = op->owner;
	int r = cgroup_remove(&b->srv->cgroups, b->rec.id);
	if (r != -EBUSY)
		return r;
	b->wait = op_slot(op);
	loop_timer_fini(&b->again);
	loop_timer_init(&b->again, b->srv->loop, try_cgroup, b);
	loop_timer_set(&b->again, BUSY_AGAIN_MS);
	return OP_WAIT;
}

static void cancel_cgroup(struct op *op)
{
	struct box *b = op->owner;
	loop_timer_cancel(&b->again);
}

static int begin_network(struct op *op)
{
	struct box *b = op->owner;
	if (b->rec.net_slot >= 0 && b->srv->net)
		hostnet_return(b->srv->net, (unsigned)b->rec.net_slot);
	b->rec.net_slot = -1;
	return OP_NEXT;
}

/* The record goes after the disk: path_remove_tree() alone would not promise that. */
static int remove_files(void *arg)
{
	const struct box *b = arg;
	char path[128];
	int r = box_path(b, "disk", path, sizeof(path));
	if (r == 0 && unlink(path) < 0 && errno != ENOENT)
		r = -errno;
	if (r == 0)
		r = box_path(b, "", path, sizeof(path));
	return r < 0 ? r : path_remove_tree(path);
}

static void on_files(struct task *t, int r, void *arg)
{
	struct box *b = arg;
	op_wake(&b->op, b->wait, r);
}

static int begin_files(struct op *op)
{
	struct box *b = op->owner;
	struct stat st;
	char path[128];
	int r = box_socket_dir(b, path, sizeof(path));
	if (r == 0)
		r = path_remove_tree(path);
	if (r == 0)
		r = box_path(b, "disk", path, sizeof(path));
	if (r < 0)
		return r;
	if (lstat(path, &st) < 0 || (uint64_t)st.st_blocks * 512 <= INLINE_UNLINK_BYTES)
		return remove_files(b);
	b->wait = op_slot(op);
	r = task_start(&b->task, b->srv->loop, remove_files, b, on_files, b);
	return r < 0 ? r : OP_WAIT;
}

static void cancel_files(struct op *op)
{
	struct box *b = op->owner;
	task_fini(&b->task);
}

static int begin_release(struct op *op)
{
	struct box *b = op->owner;
	if (b->rec.slot < SLOTS_MAX)
		slots_return(&b->srv->slots, b->rec.slot);
	b->rec.slot = SLOTS_MAX;
	return OP_NEXT;
}

static const struct op_step steps[] = {
	{ "kill", begin_kill, NULL, NULL, 10000 },
	{ "cgroup", begin_cgroup, NULL, cancel_cgroup, 10000 },
	{ "network", begin_network, NULL, NULL, 1 },
	{ "files", begin_files, NULL, cancel_files, 60000 },
	{ "release", begin_release, NULL, NULL, 1 },
};

static const struct op_table table = { "remove", steps, sizeof(steps) / sizeof(steps[0]) };

static void on_again(struct loop_timer *t, void *arg)
{
	struct box *b = arg;
	op_start(&b->op);
}

static void on_done(struct op *op)
{
	struct box *b = op->owner;
	struct server *s = b->srv;
	if (op->err.code != 0) {
		log_warn("%s: %s; trying again", b->rec.id, err_text(&op->err));
		loop_timer_fini(&b->again);
		loop_timer_init(&b->again, s->loop, on_again, b);
		loop_timer_set(&b->again, FAILED_AGAIN_MS);
		return;
	}
	op_fini(op);
	if (b->create_pending)
		server_reply(s, b->create_seq, &b->create_err, NULL);
	for (struct link *l; (l = list_pop_front(&b->waiters));) {
		struct box_waiter *w = container_of(l, struct box_waiter, link);
		server_reply(s, w->seq, NULL, NULL);
		(void)mem_free(w);
	}
	(void)box_free(b);
}

void box_remove(struct box *b)
{
	if (b->state == BOX_REMOVING)
		return;
	if (b->state == BOX_CREATING || b->state == BOX_SAVING) {
		op_cancel(&b->op); /* its end comes back here */
		return;
	}
	box_set_state(b, BOX_REMOVING);
	op_init(&b->op, b->srv->loop, &table, b, on_done);
	op_start(&b->op);
}
