/* SPDX-License-Identifier: Apache-2.0 */
#include "launcher/server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "hostnet/hostnet.h"
#include "jail/landlock.h"
#include "launcher/box.h"
#include "launcher/disk.h"
#include "launcher/outbox.h"
#include "launcher/vm_save.h"

/* Without a configured network: one of 10.192/16 to 10.255/16, by the instance's tag, so that
 * servers on one machine seldom meet. */
#define CIDR_FIRST 192u
#define CIDR_COUNT 64u

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* Linux 6.3 */
#endif

/* ---- answers ---- */

static void send_packet(struct server *s, void *m)
{
	int r = outbox_send(s->outbox, m);
	if (r == -ENOBUFS || r == -ENOMEM) {
		log_error("the daemon does not read its answers; leaving");
		loop_stop(s->loop);
	}
}

static struct proto_reply make_reply(uint64_t seq, const struct err *err)
{
	struct proto_reply m = { .head = { PROTO_REPLY, PROTO_VERSION, seq } };
	if (err && err->code != 0) {
		m.code = err->code;
		(void)str_copy(m.text, sizeof(m.text), err_text(err));
	}
	return m;
}

static void describe_dir(const struct box *b, struct proto_reply *m)
{
	if (b->rec.kind != PROTO_BOX_FIRECRACKER) {
		(void)box_socket_dir(b, m->box.socket_dir, sizeof(m->box.socket_dir));
		return;
	}
	(void)fc_vm_dir(b, m->box.socket_dir, sizeof(m->box.socket_dir));
	(void)str_copy(m->box.cmdline, sizeof(m->box.cmdline), b->fc.cmdline);
	m->box.network = 1;
	m->box.stopped = fc_is_stopped(b);
}

void server_reply_info(
    struct server *s, uint64_t seq, const struct err *err, const struct fc_host *h)
{
	struct proto_reply m = make_reply(seq, err);
	if (m.code == 0) {
		(void)str_copy(m.info.vmm, sizeof(m.info.vmm), h->vmm);
		(void)str_copy(m.info.jailer, sizeof(m.info.jailer), h->jailer);
		(void)str_copy(m.info.format, sizeof(m.info.format), h->format);
	}
	send_packet(s, &m);
}

void server_reply(struct server *s, uint64_t seq, const struct err *err, const struct box *b)
{
	struct proto_reply m = make_reply(seq, err);
	if (b) {
		m.box.pid = b->rec.pid;
		m.box.uid_base = slots_base(&s->slots, b->rec.slot);
		describe_dir(b, &m);
		m.box.kvm = b->rec.kvm;
		m.box.warm = b->rec.warm[0] != '\0';
	}
	send_packet(s, &m);
}

void server_reply_vm(struct server *s, uint64_t seq, bool warm)
{
	struct proto_reply m = make_reply(seq, NULL);
	m.vm.warm = warm;
	send_packet(s, &m);
}

void server_event(struct server *s, const struct box *b, enum proto_event_kind kind, int64_t value)
{
	struct proto_event m = { .head = { PROTO_EVENT, PROTO_VERSION, 0 },
		.event = kind,
		.value = value,
		.oom = b->oom_told > 0 };
	(void)str_copy(m.id, sizeof(m.id), b->rec.id);
	if (kind == PROTO_EXITED)
		(void)str_copy(m.text, sizeof(m.text), b->log_tail);
	send_packet(s, &m);
}

/* ---- requests ---- */

static int on_create(struct server *s, const struct proto_request *q, struct err *reterr)
{
	if (map_get(s->boxes, q->create.id))
		return err_set(reterr, -EEXIST, "sandbox %s exists already", q->create.id);
	return box_create(s, q->head.seq, &q->create, reterr);
}

static int on_destroy(struct server *s, const struct proto_request *q, struct err *reterr)
{
	struct box *b = map_get(s->boxes, q->box.id);
	if (!b) {
		server_reply(s, q->head.seq, NULL, NULL);
		return 0;
	}
	struct box_waiter *w = mem_zalloc(sizeof(*w));
	if (!w)
		return err_set(reterr, -ENOMEM, "out of memory");
	w->seq = q->head.seq;
	link_init(&w->link);
	list_push_back(&b->waiters, &w->link);
	box_remove(b);
	return 0;
}

void server_item(struct server *s, uint64_t seq, const char *id)
{
	struct proto_item m = { .head = { PROTO_ITEM, PROTO_VERSION, seq } };
	(void)str_copy(m.id, sizeof(m.id), id);
	send_packet(s, &m);
}

static int on_list(struct server *s, const struct proto_request *q, struct err *reterr)
{
	void *it = NULL;
	for (const struct box *b; (b = map_next(s->boxes, &it, NULL));) {
		if (b->state != BOX_REMOVING)
			server_item(s, q->head.seq, b->rec.id);
	}
	server_reply(s, q->head.seq, NULL, NULL);
	return 0;
}

static struct box *find_live(struct server *s, const char *id, struct err *reterr)
{
	struct box *b = map_get(s->boxes, id);
	if (b && (b->state == BOX_LIVE || b->state == BOX_SAVING))
		return b;
	(void)err_set(reterr, -ENOENT, "there is no live sandbox %s", id);
	return NULL;
}

static int on_adopt(struct server *s, const struct proto_request *q, struct err *reterr)
{
	struct box *b = find_live(s, q->box.id, reterr);
	if (!b) {
		b = map_get(s->boxes, q->box.id);
		if (b && b->state == BOX_DEAD)
			box_remove(b);
		return -ENOENT;
	}
	if (vm_is(b) && b->state == BOX_LIVE)
		vm_rewind_state(b);
	server_reply(s, q->head.seq, NULL, b);
	return 0;
}

static int on_usage(struct server *s, const struct proto_request *q, struct err *reterr)
{
	const struct box *b = find_live(s, q->box.id, reterr);
	if (!b)
		return -ENOENT;
	struct proto_reply m = make_reply(q->head.seq, NULL);
	box_usage(b, &m.usage);
	send_packet(s, &m);
	return 0;
}

static int on_internet(struct server *s, const struct proto_request *q, struct err *reterr)
{
	const struct box *b = find_live(s, q->box.id, reterr);
	if (!b)
		return -ENOENT;
	if (b->rec.net_slot < 0 && q->box.on)
		return err_set(
		    reterr, -ENOTSUP, "sandbox %s was made without a network", q->box.id);
	if (b->rec.net_slot >= 0) {
		int r = hostnet_set_internet(s->net, (unsigned)b->rec.net_slot, q->box.on, reterr);
		if (r < 0)
			return r;
	}
	server_reply(s, q->head.seq, NULL, b);
	return 0;
}

static int on_resize(struct server *s, const struct proto_request *q, struct err *reterr)
{
	const struct proto_sizes *to = &q->resize.to;
	struct box *b = find_live(s, q->resize.id, reterr);
	if (!b)
		return -ENOENT;
	if (vm_is(b) && to->memory_bytes)
		return err_set(reterr, -ENOTSUP, "memory: that of a virtual machine is fixed");
	if (!vm_is(b) && to->disk_bytes)
		return err_set(reterr, -ENOTSUP, "disk: that of a namespace is fixed");
	int r = cgroup_resize(&s->cgroups, b->rec.id, to->memory_bytes, to->cpu_milli, reterr);
	if (r == 0 && to->memory_bytes)
		r = box_resize_files(b, to->memory_bytes, reterr);
	if (r == 0 && to->disk_bytes)
		r = vm_grow_disk(b, to->disk_bytes, reterr);
	if (r == 0)
		server_reply(s, q->head.seq, NULL, b);
	return r;
}

static int on_prepare(struct server *s, const struct proto_request *q, struct err *reterr)
{
	return bases_prepare(s, q->head.seq, q->base, reterr);
}

/* Each answers itself, now or later, unless it returns a failure. */
typedef int request_fn(struct server *s, const struct proto_request *q, struct err *reterr);

static request_fn *const requests[] = {
	[PROTO_PREPARE] = on_prepare,
	[PROTO_CREATE] = on_create,
	[PROTO_DESTROY] = on_destroy,
	[PROTO_LIST] = on_list,
	[PROTO_ADOPT] = on_adopt,
	[PROTO_USAGE] = on_usage,
	[PROTO_INTERNET] = on_internet,
	[PROTO_BUILD] = builds_on_build,
	[PROTO_BUILD_CANCEL] = builds_on_cancel,
	[PROTO_IMAGES] = images_on_list,
	[PROTO_IMAGE_REMOVE] = images_on_remove,
	[PROTO_VM_PREPARE] = vm_on_prepare,
	[PROTO_VM_LOAD] = vm_on_load,
	[PROTO_VM_WARM] = vm_on_warm,
	[PROTO_VM_SNAPSHOT] = vm_on_snapshot,
	[PROTO_VM_FORGET] = vm_on_forget,
	[PROTO_VM_SNAPSHOTS] = vm_on_snapshots,
	[PROTO_VM_INFO] = fc_on_info,
	[PROTO_RESIZE] = on_resize,
	[PROTO_VM_DO] = fc_on_do,
};

static void on_packet(struct outbox *o, const union proto_any *m, size_t n, void *arg)
{
	struct server *s = arg;
	struct err err = ERR_INIT;
	int r = proto_check_request(m, n, &err);
	if (r == -EPROTO) {
		log_error("the daemon sent what is no request; leaving");
		loop_stop(s->loop);
		return;
	}
	request_fn *fn =
	    m->head.kind < sizeof(requests) / sizeof(requests[0]) ? requests[m->head.kind] : NULL;
	if (r == 0)
		r = fn ? fn(s, &m->request, &err) : -EOPNOTSUPP;
	if (r < 0) {
		(void)err_set(&err, r, "%s", err_name(r));
		server_reply(s, m->head.seq, &err, NULL);
	}
}

static void on_closed(struct outbox *o, void *arg)
{
	struct server *s = arg;
	log_debug("the daemon is gone");
	loop_stop(s->loop);
}

/* ---- start ---- */

static int open_own_dir(const char *path, struct err *reterr)
{
	struct stat st;
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_set(reterr, -errno, "cannot make %s: %s", path, err_name(-errno));
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		(void)err_set(reterr, -errno, "cannot open %s: %s", path, err_name(-errno));
		(void)fd_close(fd);
		return reterr->code;
	}
	if (st.st_uid != 0 || (st.st_mode & 077) != 0) {
		(void)fd_close(fd);
		return err_set(reterr, -EPERM, "%s must belong to root with mode 0700", path);
	}
	return fd;
}

static int enter_state_dir(const struct server_conf *c, struct err *reterr)
{
	static const char *const dirs[] = { "bases", "masters", "boxes", "stage", "warm",
		"snapshots" };
	char path[PATH_LEN_MAX];
	int r = path_join(path, sizeof(path), c->state_dir, "launcher");
	if (r < 0)
		return err_set(reterr, r, "the state directory's name is too long");
	CLEAN_FD int fd = open_own_dir(path, reterr);
	if (fd < 0)
		return fd;
	if (fchdir(fd) < 0)
		return err_set(reterr, -errno, "cannot enter %s: %s", path, err_name(-errno));
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		if (mkdir(dirs[i], 0700) < 0 && errno != EEXIST)
			return err_set(reterr, -errno, "cannot make %s/%s: %s", path, dirs[i],
			    err_name(-errno));
	return 0;
}

static int make_agents_dir(struct server *s, struct err *reterr)
{
	int r =
	    path_printf(s->agents_dir, sizeof(s->agents_dir), "%s/agents", s->conf->runtime_dir);
	if (r < 0)
		return err_set(reterr, r, "runtime directory: expected at most %d characters",
		    SERVER_AGENTS_DIR_MAX - 8);
	r = path_mkdir_p(s->agents_dir, 0711);
	if (r == 0 && (chown(s->agents_dir, 0, 0) < 0 || chmod(s->agents_dir, 0711) < 0))
		r = -errno;
	return r < 0 ? err_set(reterr, r, "cannot make %s: %s", s->agents_dir, err_name(r)) : 0;
}

static int hash_agent(int mem, size_t n, char dst[PROTO_HASH_LEN + 1])
{
	void *p = mmap(NULL, n, PROT_READ, MAP_SHARED, mem, 0);
	if (p == MAP_FAILED)
		return -errno;
	int r = hash_sha256_hex(p, n, dst);
	(void)munmap(p, n);
	return r;
}

/* Sandboxes run a sealed copy: whatever they do to /proc/self/exe reaches nobody else, and an
 * upgrade of the file does not touch those that run. */
static int load_agent(struct server *s, struct err *reterr)
{
	const char *path = s->conf->agent;
	char self[64];
	struct stat st;
	CLEAN_FD int file = open(path, O_RDONLY | O_CLOEXEC);
	CLEAN_FD int mem =
	    memfd_create("sandglass-agent", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	if (mem < 0)
		mem = memfd_create("sandglass-agent", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (file < 0 || mem < 0 || fstat(file, &st) < 0 ||
	    sendfile(mem, file, NULL, (size_t)st.st_size) != st.st_size || fchmod(mem, 0555) < 0 ||
	    fcntl(mem, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return err_set(
		    reterr, -errno, "cannot load the agent %s: %s", path, err_name(-errno));
	int r = hash_agent(mem, (size_t)st.st_size, s->agent_hash);
	if (r < 0)
		return err_set(reterr, r, "cannot read the agent %s: %s", path, err_name(r));
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", mem);
	s->agent_fd = open(self, O_RDONLY | O_CLOEXEC); /* a writable one could not be executed */
	return s->agent_fd < 0 ? err_set(reterr, -errno, "cannot open the agent's copy") : 0;
}

static void on_net(struct loop_io *io, unsigned events, void *arg)
{
	struct server *s = arg;
	hostnet_dispatch(s->net);
}

static void choose_cidr(const char *instance, char dst[20])
{
	unsigned sum = 0;
	for (; *instance; instance++)
		sum = sum * 31 + (unsigned char)*instance;
	(void)snprintf(dst, 20, "10.%u.0.0/16", CIDR_FIRST + sum % CIDR_COUNT);
}

static int open_network(struct server *s, struct err *reterr)
{
	const struct server_conf *c = s->conf;
	char chosen[20];
	choose_cidr(c->instance, chosen);
	const struct hostnet_conf conf = { .instance = c->instance,
		.cidr = str_empty(c->cidr) ? chosen : c->cidr,
		.dns = c->dns,
		.ready = c->net_ready };
	struct err err = ERR_INIT;
	if (c->net_ready == 0)
		return 0;
	s->net = hostnet_open(&conf, &err);
	if (!s->net) {
		/* Sandboxes without internet still work; those with it are refused one by one. */
		log_warn("sandboxes have no network: %s", err_text(&err));
		return 0;
	}
	int r = loop_io_init(&s->net_io, s->loop, hostnet_fd(s->net), on_net, s);
	if (r == 0)
		r = loop_io_want(&s->net_io, LOOP_READ);
	return r < 0 ? err_set(reterr, r, "cannot watch the network helper: %s", err_name(r)) : 0;
}

static int open_inotify(struct server *s, struct err *reterr)
{
	s->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	int r = s->inotify_fd < 0 ? -errno : 0;
	if (r == 0)
		r = loop_io_init(&s->inotify_io, s->loop, s->inotify_fd, server_on_inotify, s);
	if (r == 0)
		r = loop_io_want(&s->inotify_io, LOOP_READ);
	return r < 0 ? err_set(reterr, r, "inotify: %s", err_name(r)) : 0;
}

static void list_masks(struct server *s)
{
	size_t n = 0;
	s->masks[n++] = s->conf->state_dir;
	s->masks[n++] = s->conf->runtime_dir;
	for (const char *const *m = s->conf->masks; m && *m && n < SERVER_MASKS_MAX; m++)
		s->masks[n++] = *m;
	s->masks[n] = NULL;
}

static int look_around(struct server *s, struct err *reterr)
{
	char parent[64];
	s->can_loop = disk_loop_works();
	if (!s->can_loop)
		log_warn("no loop devices: disks of sandboxes are in memory (tmpfs)");
	s->landlock = landlock_abi() >= 2;
	if (!s->landlock)
		log_warn("this kernel has no Landlock: one fence less around sandboxes");
	int r = path_printf(parent, sizeof(parent), "sandglass-%s", s->conf->instance);
	if (r < 0)
		return err_set(reterr, r, "instance: too long");
	r = cgroup_tree_open(&s->cgroups, NULL, parent, reterr);
	return r < 0 ? r : bases_find_current(s, reterr);
}

static int server_start(struct server *s, struct err *reterr)
{
	int r = enter_state_dir(s->conf, reterr);
	if (r == 0)
		r = make_agents_dir(s, reterr);
	if (r == 0)
		r = load_agent(s, reterr);
	if (r == 0)
		r = look_around(s, reterr);
	if (r == 0)
		r = seccomp_prog_build(SECCOMP_SANDBOX, &s->filter, reterr);
	if (r == 0)
		r = open_inotify(s, reterr);
	if (r == 0)
		r = open_network(s, reterr);
	if (r == 0)
		r = recover(s, reterr);
	if (r == 0)
		builds_recover(s);
	if (r == 0 && !s->cgroups.v2) {
		loop_timer_init(&s->poll, s->loop, server_on_poll, s);
		server_on_poll(&s->poll, s);
	}
	return r;
}

/* Nobody is left who needs it: a server that was stopped for good leaves the machine as it was. */
static void leave_no_trace(struct server *s)
{
	struct err err = ERR_INIT;
	if (s->net && hostnet_teardown(s->net, &err) < 0)
		log_warn("network: %s", err_text(&err));
	if (s->cgroups.parent_fd[CGROUP_MEMORY] >= 0 || s->cgroups.parent_fd[CGROUP_UNIFIED] >= 0)
		(void)cgroup_tree_remove(&s->cgroups);
}

static void server_stop(struct server *s)
{
	void *it = NULL;
	builds_fini(s);
	if (map_size(s->boxes) == 0)
		leave_no_trace(s);
	for (struct box *b; (b = map_next(s->boxes, &it, NULL)); it = NULL)
		box_abandon(b);
	(void)map_free(s->boxes);
	task_fini(&s->base_task);
	fc_host_fini(&s->fc);
	task_fini(&s->sweep_task);
	task_fini(&s->vm_sweep);
	warm_close_all(s);
	for (struct link *l; (l = list_pop_front(&s->base_waiters));)
		(void)mem_free(container_of(l, struct box_waiter, link));
	loop_timer_fini(&s->poll);
	loop_io_fini(&s->net_io);
	s->net = hostnet_close(s->net);
	loop_io_fini(&s->inotify_io);
	(void)fd_close(s->inotify_fd);
	(void)fd_close(s->agent_fd);
	cgroup_tree_close(&s->cgroups);
	seccomp_prog_fini(&s->filter);
	slots_fini(&s->slots);
	(void)loop_free(s->loop);
}

int server_run(const struct server_conf *c, int socket_consume, struct err *reterr)
{
	struct outbox outbox = { .fd = -1 };
	struct server s = { .conf = c, .outbox = &outbox, .agent_fd = -1, .inotify_fd = -1 };
	for (int i = 0; i < CGROUP_TREES; i++)
		s.cgroups.parent_fd[i] = -1;
	link_init(&s.base_waiters);
	link_init(&s.warms);
	slots_init(&s.slots, c->instance);
	list_masks(&s);
	vm_host_init(&s.vm_host, "tsc_khz");
	fc_host_init(&s.fc);
	s.loop = loop_new();
	s.boxes = map_new();
	int r = s.loop && s.boxes && builds_init(&s) == 0
		    ? 0
		    : err_set(reterr, -ENOMEM, "out of memory");
	if (r == 0) {
		r = outbox_init(&outbox, s.loop, socket_consume, on_packet, on_closed, &s);
		if (r < 0)
			(void)err_set(reterr, r, "socket: %s", err_name(r));
	}
	if (r == 0)
		r = server_start(&s, reterr);
	if (r == 0)
		r = loop_run(s.loop);
	outbox_fini(&outbox);
	server_stop(&s);
	return r;
}
