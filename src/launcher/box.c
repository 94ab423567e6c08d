/* SPDX-License-Identifier: Apache-2.0 */
#include "launcher/box.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "launcher/child.h"

static const bool moves[BOX_STATES][BOX_STATES] = {
	[BOX_CREATING] = { [BOX_LIVE] = true, [BOX_DEAD] = true, [BOX_REMOVING] = true },
	[BOX_LIVE] = { [BOX_SAVING] = true, [BOX_DEAD] = true, [BOX_REMOVING] = true },
	[BOX_SAVING] = { [BOX_LIVE] = true, [BOX_DEAD] = true },
	[BOX_DEAD] = { [BOX_REMOVING] = true },
};

void box_set_state(struct box *b, enum box_state st)
{
	assert(moves[b->state][st]);
	b->state = st;
}

static void on_look(struct loop_timer *t, void *arg)
{
	box_look(arg);
}

struct box *box_new(struct server *s, const char *id)
{
	struct box *b = mem_zalloc(sizeof(*b));
	if (!b)
		return NULL;
	b->srv = s;
	b->rec.net_slot = -1;
	b->rec.slot = SLOTS_MAX;
	(void)str_copy(b->rec.id, sizeof(b->rec.id), id);
	b->oom_fd = b->pids_fd = b->wd_oom = b->wd_pids = b->disk_fd = b->netns_fd = -1;
	b->control_fd = b->data_fd = b->status_fd = b->log_fd = -1;
	vm_init(&b->vm);
	link_init(&b->waiters);
	loop_timer_init(&b->look, s->loop, on_look, b);
	if (map_add(s->boxes, id, b) < 0) {
		loop_timer_fini(&b->look);
		return mem_free(b);
	}
	return b;
}

struct box *box_free(struct box *b)
{
	if (!b)
		return NULL;
	(void)map_remove(b->srv->boxes, b->rec.id);
	box_unwatch_limits(b);
	box_close_status(b);
	box_unwatch_log(b);
	loop_child_fini(&b->child);
	loop_timer_fini(&b->look);
	loop_timer_fini(&b->again);
	task_fini(&b->task);
	const int fds[] = { b->disk_fd, b->netns_fd, b->control_fd, b->data_fd };
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		(void)fd_close(fds[i]);
	vm_fini(&b->vm);
	fc_forget_ready(b);
	task_fini(&b->fc.task);
	for (struct link *l; (l = list_pop_front(&b->waiters));)
		(void)mem_free(container_of(l, struct box_waiter, link));
	return mem_free(b);
}

void box_abandon(struct box *b)
{
	/* The process ends right after: an operation that is under way is left to the next start.
	 */
	loop_timer_fini(&b->op.limit);
	loop_defer_fini(&b->op.defer);
	(void)box_free(b);
}

int box_fault(const struct box *b, const char *step)
{
	const struct server_conf *c = b->srv->conf;
	return c->fault ? c->fault(step, c->fault_arg) : 0;
}

int box_path(const struct box *b, const char *file, char *dst, size_t cap)
{
	return path_printf(dst, cap, "boxes/%s%s%s", b->rec.id, file[0] ? "/" : "", file);
}

int box_write_record(const struct box *b)
{
	char path[64];
	int r = box_path(b, "record", path, sizeof(path));
	return r < 0 ? r : record_write(path, &b->rec);
}

int box_socket_dir(const struct box *b, char *dst, size_t cap)
{
	return path_printf(dst, cap, "%s/%s", b->srv->agents_dir, b->rec.id);
}

/* ---- end of process 1 ---- */

void box_tell_end(struct box *b, int status)
{
	box_look(b);
	box_drain_log(b);
	server_event(b->srv, b, PROTO_EXITED, status);
}

static void on_process_end(struct loop_child *c, int status, void *arg)
{
	struct box *b = arg;
	int r = 0;
	loop_child_fini(&b->child);
	b->child_running = false;
	switch (b->state) {
	case BOX_CREATING:
		/* Before it became the agent, or a moment after: either way there is no sandbox. */
		r = op_fail(&b->op, -ECHILD, "it died at its start (wait status %d)", status);
		op_wake(&b->op, b->wait, r);
		break;
	case BOX_LIVE:
		box_set_state(b, BOX_DEAD);
		box_tell_end(b, status);
		if (b->fc.saving)
			fc_on_process_end(b);
		break;
	case BOX_SAVING:
		b->end_status = status;
		if (!b->vm.save.ends_it)
			r = op_fail(&b->op, -ECHILD, "it ended while it was saved");
		op_wake(&b->op, b->wait, b->vm.save.ends_it ? 0 : r);
		break;
	case BOX_REMOVING:
		op_wake(&b->op, b->wait, 0);
		break;
	case BOX_DEAD:
	case BOX_STATES:
		break;
	}
}

int box_watch_process(struct box *b, int pidfd_consume)
{
	int r = loop_child_init(&b->child, b->srv->loop, pidfd_consume, on_process_end, b);
	b->child_running = r == 0;
	return r;
}

/* ---- sizes ---- */

bool box_has_ended(const struct box *b)
{
	struct pollfd p = { .fd = b->child.pidfd, .events = POLLIN };
	return poll(&p, 1, 0) != 0;
}

int box_resize_files(struct box *b, uint64_t memory_bytes, struct err *reterr)
{
	char path[64];
	(void)snprintf(path, sizeof(path), "/proc/%d/root", (int)b->rec.pid);
	CLEAN_FD int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	/* It was there when that was opened, so the number was still its own. */
	int r = root < 0 ? -errno : box_has_ended(b) ? -ESRCH : rootfs_resize(root, memory_bytes);
	return r < 0 ? err_set(reterr, r, "cannot change /dev/shm and /run: %s", err_name(r)) : 0;
}

/* ---- usage ---- */

static uint64_t disk_used(const struct box *b)
{
	struct statfs fs;
	struct stat st;
	char path[PATH_LEN_MAX];
	if (b->disk_fd >= 0 && fstatfs(b->disk_fd, &fs) == 0)
		return (uint64_t)(fs.f_blocks - fs.f_bfree) * (uint64_t)fs.f_bsize;
	/* After a restart only the image is at hand: what it ever held. */
	if (box_path(b, "disk", path, sizeof(path)) == 0 && lstat(path, &st) == 0)
		return (uint64_t)st.st_blocks * 512;
	return 0;
}

void box_usage(const struct box *b, struct proto_usage *ret)
{
	struct cgroup_usage u;
	cgroup_read(&b->srv->cgroups, b->rec.id, &u);
	*ret = (struct proto_usage){ .memory_bytes = u.memory_bytes,
		.memory_limit = vm_is(b) ? b->rec.memory_bytes : u.memory_limit,
		.cpu_usec = u.cpu_usec,
		.disk_bytes = disk_used(b),
		.disk_limit = b->rec.disk_bytes,
		.pids = u.pids };
}
