/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "base/path.h"
#include "base/str.h"
#include "hostnet/hostnet.h"
#include "launcher/box.h"
#include "launcher/child.h"
#include "launcher/disk.h"
#include "launcher/outbox.h"

#define NAMESPACES (CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS)
#define RESOLV_CONF_OFFLINE "# no network\n"

/* Paths that a plan points to. */
struct plan_store {
	struct child_plan plan;
	char base[128], master[64], disk[64], lowers[CHILD_LOWERS_MAX];
};

void box_close_status(struct box *b)
{
	loop_io_fini(&b->status_io);
	b->status_fd = fd_close(b->status_fd);
}

static void wake_create(struct box *b, int r)
{
	box_close_status(b);
	op_wake(&b->op, b->wait, r);
}

/* What an operator can do about it. */
static const char *hint(const struct child_report *rep)
{
	if (rep->code == -EINVAL && str_eq(rep->step, "layers"))
		return " (state_dir must be on a file system with id-mapped mounts, such as ext4, "
		       "xfs or btrfs; tmpfs knows them since Linux 6.3)";
	return "";
}

static void on_status(struct loop_io *io, unsigned events, void *arg)
{
	struct box *b = arg;
	struct child_report rep;
	int fd = -1;
	size_t nfds = 0;
	ssize_t n = fd_recv_msg(b->status_fd, &rep, sizeof(rep), &fd, 1, &nfds);
	if (n == -EAGAIN || n == -EINTR)
		return;
	if (n == sizeof(rep) && rep.kind == CHILD_DISK && nfds == 1 && b->disk_fd < 0) {
		b->disk_fd = fd;
		return;
	}
	(void)fd_close(nfds ? fd : -1);
	if (n == sizeof(rep) && rep.kind == CHILD_FAILED) {
		rep.step[sizeof(rep.step) - 1] = '\0';
		wake_create(b, op_fail(&b->op, rep.code < 0 ? rep.code : -EIO, "%s: %s%s", rep.step,
				   err_name(rep.code), hint(&rep)));
		return;
	}
	/* The end of the socket: an exec closed it, or the child died, which its pidfd tells. */
	box_close_status(b);
	if (n == 0 && record_process_has_execed(b->rec.pid))
		op_wake(&b->op, b->wait, 0);
}

/* Which cgroup directories the sandbox gets to see. */
static int show_cgroups(const struct box *b, struct child_plan *p)
{
	static const struct {
		unsigned tree;
		const char *name;
	} v1[CHILD_CGROUP_SHOWN] = { { CGROUP_MEMORY, "memory" }, { CGROUP_PIDS, "pids" },
		{ CGROUP_CPU, "cpu" }, { CGROUP_CPUACCT, "cpuacct" } };
	const struct cgroup_tree *t = &b->srv->cgroups;
	int n = 0;
	if (t->v2) {
		p->cgroup[0].name = "";
		return cgroup_path(
		    t, CGROUP_UNIFIED, b->rec.id, p->cgroup[0].from, sizeof(p->cgroup[0].from));
	}
	for (int i = 0; i < CHILD_CGROUP_SHOWN; i++) {
		int r = cgroup_path(
		    t, v1[i].tree, b->rec.id, p->cgroup[n].from, sizeof(p->cgroup[n].from));
		if (r == 0)
			p->cgroup[n++].name = v1[i].name;
		else if (r != -ENOENT)
			return r;
	}
	return 0;
}

static int make_plan(const struct box *b, const struct spawn *sp, struct plan_store *ps)
{
	const struct server *s = b->srv;
	ps->plan = (struct child_plan){ .base = ps->base,
		.master = s->can_loop ? ps->master : NULL,
		.disk = ps->disk,
		.resolv_conf =
		    s->net && b->want.internet ? hostnet_resolv_conf(s->net) : RESOLV_CONF_OFFLINE,
		.masks = s->masks,
		.disk_bytes = b->rec.disk_bytes,
		.memory_bytes = b->want.memory_bytes,
		.uid_base = slots_base(&s->slots, b->rec.slot),
		.conn_fd = s->outbox->fd,
		.status_fd = sp->status[1],
		.userns_fd = slots_userns(&s->slots, b->rec.slot),
		.agent_fd = s->agent_fd,
		.control_fd = b->control_fd,
		.data_fd = b->data_fd,
		.log_fd = sp->log[1],
		.netns_fd = b->netns_fd,
		.door = sp->door,
		.filter = &s->filter,
		.landlock = s->landlock,
		.fault = s->conf->fault,
		.fault_arg = s->conf->fault_arg };
	const char *image = images_hash(b->rec.base);
	int r = image ? build_image_lowers(image, ps->lowers, sizeof(ps->lowers))
		      : path_printf(ps->base, sizeof(ps->base), "bases/%s", b->rec.base);
	if (image)
		ps->plan.lowers = ps->lowers;
	if (r == 0)
		r = disk_master_path(b->rec.disk_bytes, ps->master, sizeof(ps->master));
	if (r == 0)
		r = box_path(b, "disk", ps->disk, sizeof(ps->disk));
	if (r == 0)
		r = show_cgroups(b, &ps->plan);
	return r;
}

/* ---- children of every kind ---- */

static int start_child(
    struct box *b, struct spawn *sp, void (*run)(const void *plan), const void *plan)
{
	int pidfd = -1, unified = sp->door.unified_fd;
	struct clone_args args = { .flags = NAMESPACES | CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
		.pidfd = (uintptr_t)&pidfd,
		.exit_signal = SIGCHLD };
	if (b->netns_fd < 0)
		args.flags |= CLONE_NEWNET;
	if (unified >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)unified;
	}
	long pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		run(plan);
	if (pid < 0)
		return -errno;
	b->rec.pid = (pid_t)pid;
	int r = box_watch_process(b, pidfd);
	return r < 0 ? r : record_process_start(b->rec.pid, &b->rec.start);
}

/* The child may go on once it can be found again. */
static int let_go(struct box *b)
{
	int r = box_write_record(b);
	if (r == 0 && send(b->status_fd, "", 1, MSG_NOSIGNAL) != 1)
		r = -errno;
	return r;
}

static int watch_child(struct box *b, struct spawn *sp)
{
	b->status_fd = TAKE_FD(sp->status[0]);
	int r = box_watch_log(b, TAKE_FD(sp->log[0]));
	if (r == 0)
		r = loop_io_init(&b->status_io, b->srv->loop, b->status_fd, on_status, b);
	return r < 0 ? r : loop_io_want(&b->status_io, LOOP_READ);
}

int spawn_open(struct box *b, struct spawn *sp)
{
	*sp = (struct spawn){ .status = { -1, -1 }, .log = { -1, -1 }, .door.unified_fd = -1 };
	for (int i = 0; i < CGROUP_CONTROLLERS; i++)
		sp->door.tasks_fd[i] = -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sp->status) < 0 ||
	    pipe2(sp->log, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	return cgroup_door_open(&b->srv->cgroups, b->rec.id, &sp->door);
}

int spawn_run(struct box *b, struct spawn *sp, void (*run)(const void *plan), const void *plan)
{
	int r = start_child(b, sp, run, plan);
	if (r == 0)
		r = fd_set_nonblock(sp->status[0]);
	if (r == 0)
		r = watch_child(b, sp);
	return r < 0 ? r : let_go(b);
}

void spawn_close(struct box *b, struct spawn *sp)
{
	cgroup_door_close(&sp->door);
	int *const fds[] = { &sp->status[0], &sp->status[1], &sp->log[0], &sp->log[1],
		&b->control_fd, &b->data_fd, &b->netns_fd };
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		*fds[i] = fd_close(*fds[i]);
}

/* ---- namespaces ---- */

static void run_child(const void *plan)
{
	child_run(plan);
}

int box_spawn(struct box *b, struct err *reterr)
{
	struct plan_store ps;
	struct spawn sp;
	int r = spawn_open(b, &sp);
	if (r == 0)
		r = make_plan(b, &sp, &ps);
	if (r == 0)
		r = spawn_run(b, &sp, run_child, &ps.plan);
	spawn_close(b, &sp);
	return r < 0 ? err_set(reterr, r, "cannot start its first process: %s", err_name(r)) : 0;
}
