/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/fake_launcher.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fdutil.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "fake_firecracker/fake.h"
#include "loop/loop.h"

#define SOCKET_WAIT_MS 3000
#define PROGRAM_MAX (64u << 20)
#define FILES_MAX (64u << 20)

struct box {
	struct launcher *la;
	char id[ID_SANDBOX_LEN + 1], tmpl[PROTO_BASE_MAX + 1], dir[96];
	pid_t pid;
	bool alive, stopped;
	struct loop_child child;
	struct link waiting; /* destroys that wait for the end: struct request */
};

struct request {
	struct link link;
	struct proto_request q;
	launcher_done_fn *done;
	void *arg;
	void (*item)(const char *id, void *arg);
};

struct failing {
	enum proto_kind kind;
	unsigned verb, count;
	int code;
};

struct launcher {
	struct loop *loop;
	char dir[64], jailer[64], vmm[64], initrd[160], newest[128];
	pid_t newest_pid;
	bool network;
	uid_t uid; /* that it says */
	struct map *boxes, *watches;
	struct link queue;
	struct loop_defer run;
	struct failing failing[4];
	uint64_t held;
	unsigned creates, verbs[PROTO_VM_VERBS];
};

/* ---- files ---- */

static void copy_file(const char *from, const char *to)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	ck_assert_msg(fd_read_file(AT_FDCWD, from, FILES_MAX, &b) == 0, "%s", from);
	ck_assert_int_eq(
	    fd_replace_file(AT_FDCWD, to, 0755, buf_len(&b) ? buf_data(&b) : NULL, buf_len(&b)), 0);
}

static void at(const struct box *b, const char *name, char dst[160])
{
	(void)snprintf(dst, 160, "%s/%s", b->dir, name);
}

void fake_launcher_kept(
    const struct launcher *la, const char *name, const char *file, char dst[160])
{
	(void)snprintf(dst, 160, "%s/kept-%s%s%s", la->dir, name, file[0] ? "/" : "", file);
}

void fake_launcher_script(struct launcher *la, const char *text)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	char path[160];
	const char *from = getenv("FAKE_FIRECRACKER");
	if (!from)
		from = "tests/lib/fake_firecracker/firecracker";
	ck_assert_msg(fd_read_file(AT_FDCWD, from, PROGRAM_MAX, &b) == 0, "%s", from);
	ck_assert_int_eq(buf_append_str(&b, FAKE_SCRIPT_MARK), 0);
	ck_assert_int_eq(buf_append_str(&b, text), 0);
	(void)snprintf(path, sizeof(path), "%s/firecracker", la->dir);
	ck_assert_int_eq(fd_replace_file(AT_FDCWD, path, 0755, buf_data(&b), buf_len(&b)), 0);
	const char *v = strstr(text, "version ");
	char version[24] = "1.17.0";
	if (v)
		(void)sscanf(v, "version %23s", version);
	(void)snprintf(la->vmm, sizeof(la->vmm), "Firecracker v%s", version);
	(void)snprintf(la->jailer, sizeof(la->jailer), "Jailer v%s", version);
}

/* ---- answers ---- */

static void answer(struct request *q, int code, const char *text, const struct proto_reply *r)
{
	struct err err = ERR_INIT;
	const struct proto_reply none = { 0 };
	launcher_done_fn *done = q->done;
	void *arg = q->arg;
	if (code < 0)
		(void)err_set(&err, code, "%s", text);
	link_remove(&q->link);
	(void)mem_free(q);
	done(&err, code < 0 ? NULL : r ? r : &none, arg);
}

static struct proto_reply describe(const struct box *b)
{
	struct proto_reply r = { .box.pid = b->pid,
		.box.uid_base = b->la->uid,
		.box.network = b->la->network,
		.box.stopped = b->stopped };
	(void)snprintf(r.box.socket_dir, sizeof(r.box.socket_dir), "%s/vm", b->dir);
	(void)str_copy(r.box.cmdline, sizeof(r.box.cmdline), "quiet reboot=k panic=1");
	return r;
}

static void on_end(struct loop_child *c, int status, void *arg)
{
	struct box *b = arg;
	struct launcher *la = b->la;
	loop_child_fini(&b->child);
	b->alive = false;
	if (!list_is_empty(&b->waiting)) {
		LIST_EACH_SAFE(l, &b->waiting)
		{
			struct request *q = container_of(l, struct request, link);
			link_remove(&q->link);
			list_push_front(&la->queue, &q->link);
			loop_defer_set(&la->run);
		}
		return;
	}
	struct launcher_watch *w = map_get(la->watches, b->id);
	struct proto_event e = { .event = PROTO_EXITED, .value = status };
	(void)str_copy(e.id, sizeof(e.id), b->id);
	if (w)
		w->cb(w, &e);
}

/* ---- requests ---- */

static void make_files(struct box *b, const struct proto_create *c)
{
	static const char *const pipes[] = { "vm/log", "vm/metrics", "vm/console" };
	static const char *const files[] = { "kernel", "rootfs", "disk", "initrd" };
	char path[160], from[160];
	at(b, "vm", path);
	ck_assert_int_eq(path_mkdir_p(path, 0755), 0);
	for (size_t i = 0; i < sizeof(pipes) / sizeof(*pipes); i++) {
		at(b, pipes[i], path);
		ck_assert_int_eq(mkfifo(path, 0600), 0);
	}
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		at(b, files[i], path);
		ck_assert_int_eq(fd_replace_file(AT_FDCWD, path, 0644, "file", 4), 0);
	}
	if (b->la->initrd[0]) {
		at(b, "initrd", path);
		copy_file(b->la->initrd, path);
	}
	if (c->start == PROTO_START_COLD || c->start == PROTO_START_PROBE)
		return;
	const char *name = c->start == PROTO_START_CLONE ? c->vm.tmpl : c->snapshot;
	at(b, "snap", path);
	ck_assert_int_eq(mkdir(path, 0755), 0);
	fake_launcher_kept(b->la, name, "state", from);
	at(b, "snap/state", path);
	ck_assert_int_eq(link(from, path), 0);
	fake_launcher_kept(b->la, name, "mem", from);
	at(b, "snap/mem", path);
	ck_assert_int_eq(link(from, path), 0);
}

static void spawn(struct box *b)
{
	char program[160];
	(void)snprintf(program, sizeof(program), "%s/firecracker", b->la->dir);
	b->pid = fork();
	ck_assert_int_ge(b->pid, 0);
	if (b->pid == 0) {
		if (chdir(b->dir) < 0 || !freopen("/dev/null", "w", stderr))
			_exit(125);
		(void)execl(
		    program, program, "--id", b->id, "--api-sock", "vm/api.sock", (char *)NULL);
		_exit(126);
	}
	int pidfd = (int)syscall(SYS_pidfd_open, b->pid, 0);
	ck_assert_int_ge(pidfd, 0);
	ck_assert_int_eq(loop_child_init(&b->child, b->la->loop, pidfd, on_end, b), 0);
	b->alive = true;
}

static void box_gone(struct box *b)
{
	(void)map_remove(b->la->boxes, b->id);
	ck_assert_int_eq(path_remove_tree(b->dir), 0);
	(void)mem_free(b);
}

static void do_create(struct launcher *la, struct request *q)
{
	const struct proto_create *c = &q->q.create;
	char path[160], text[128] = "";
	struct box *b = mem_zalloc(sizeof(*b));
	la->creates++;
	b->la = la;
	link_init(&b->waiting);
	(void)str_copy(b->id, sizeof(b->id), c->id);
	(void)str_copy(b->tmpl, sizeof(b->tmpl), c->vm.tmpl);
	(void)snprintf(b->dir, sizeof(b->dir), "%s/%s", la->dir, b->id);
	ck_assert_int_eq(map_add(la->boxes, b->id, b), 0);
	make_files(b, c);
	spawn(b);
	at(b, "vm/api.sock", path);
	for (int ms = 0; ms < SOCKET_WAIT_MS && !path_exists(path); ms++) {
		siginfo_t info = { 0 };
		(void)poll(NULL, 0, 1);
		if (waitid(P_PID, (id_t)b->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
		    info.si_pid == b->pid) {
			(void)snprintf(text, sizeof(text), "it died at its start (exit code %d)",
			    info.si_status);
			loop_child_fini(&b->child);
			(void)waitpid(b->pid, NULL, 0);
			box_gone(b);
			answer(q, -ECHILD, text, NULL);
			return;
		}
	}
	(void)str_copy(la->newest, sizeof(la->newest), b->dir);
	la->newest_pid = b->pid;
	struct proto_reply r = describe(b);
	answer(q, 0, NULL, &r);
}

static void do_destroy(struct launcher *la, struct request *q)
{
	struct box *b = map_get(la->boxes, q->q.box.id);
	if (b && b->alive) {
		(void)kill(b->pid, SIGKILL);
		list_push_back(&b->waiting, &q->link);
		return;
	}
	if (b)
		box_gone(b);
	answer(q, 0, NULL, NULL);
}

static void keep(struct launcher *la, struct box *b, const char *name)
{
	static const char *const files[] = { "state", "mem" };
	char from[160], to[160];
	fake_launcher_kept(la, name, "", to);
	ck_assert_int_eq(path_remove_tree(to), 0);
	ck_assert_int_eq(mkdir(to, 0755), 0);
	for (size_t i = 0; i < 2; i++) {
		(void)snprintf(from, sizeof(from), "%s/out/%s", b->dir, files[i]);
		fake_launcher_kept(la, name, files[i], to);
		ck_assert_int_eq(rename(from, to), 0);
	}
}

static void verb_out(struct box *b, bool make)
{
	char path[160];
	at(b, "out", path);
	ck_assert_int_eq(path_remove_tree(path), 0);
	if (make)
		ck_assert_int_eq(mkdir(path, 0755), 0);
}

static void do_verb(struct launcher *la, struct request *q, struct box *b)
{
	la->verbs[q->q.box.on]++;
	switch (q->q.box.on) {
	case PROTO_VM_OUT:
	case PROTO_VM_DISCARD:
		verb_out(b, q->q.box.on == PROTO_VM_OUT);
		break;
	case PROTO_VM_STOP:
	case PROTO_VM_CONTINUE:
		b->stopped = q->q.box.on == PROTO_VM_STOP;
		(void)kill(b->pid, b->stopped ? SIGSTOP : SIGCONT);
		break;
	case PROTO_VM_KILL:
		(void)kill(b->pid, SIGKILL);
		break;
	default:
		break;
	}
	answer(q, 0, NULL, NULL);
}

static void grow_disk(const struct box *b, uint64_t bytes)
{
	char path[160];
	at(b, "disk", path);
	ck_assert_int_eq(truncate(path, (off_t)bytes), 0);
}

static void do_box(struct launcher *la, struct request *q)
{
	struct box *b = map_get(la->boxes, q->q.box.id);
	if (!b || !b->alive) {
		answer(q, -ENOENT, "there is no live sandbox", NULL);
		return;
	}
	struct proto_reply r = describe(b);
	switch (q->q.head.kind) {
	case PROTO_VM_DO:
		do_verb(la, q, b);
		return;
	case PROTO_VM_SNAPSHOT:
		keep(la, b, q->q.box.snapshot);
		break;
	case PROTO_VM_WARM:
		(void)kill(b->pid, SIGKILL);
		keep(la, b, b->tmpl);
		break;
	case PROTO_RESIZE:
		if (q->q.resize.to.disk_bytes)
			grow_disk(b, q->q.resize.to.disk_bytes);
		break;
	case PROTO_USAGE:
		r = (struct proto_reply){ .usage = { .memory_bytes = 1, .pids = 1 } };
		break;
	default:
		break;
	}
	answer(q, 0, NULL, &r);
}

static void do_other(struct launcher *la, struct request *q)
{
	struct proto_reply r = { 0 };
	char path[160];
	if (q->q.head.kind == PROTO_VM_INFO) {
		(void)str_copy(r.info.vmm, sizeof(r.info.vmm), la->vmm);
		(void)str_copy(r.info.jailer, sizeof(r.info.jailer), la->jailer);
	} else if (q->q.head.kind == PROTO_VM_PREPARE) {
		fake_launcher_kept(la, q->q.create.vm.tmpl, "state", path);
		r.vm.warm = path_exists(path);
	} else if (q->q.head.kind == PROTO_VM_FORGET) {
		fake_launcher_kept(la, q->q.box.id, "", path);
		ck_assert_int_eq(path_remove_tree(path), 0);
	} else if (q->q.head.kind == PROTO_LIST) {
		void *it = NULL;
		for (struct box *b; (b = map_next(la->boxes, &it, NULL));)
			q->item(b->id, q->arg);
	}
	answer(q, 0, NULL, &r);
}

static bool fails(struct launcher *la, struct request *q)
{
	for (size_t i = 0; i < sizeof(la->failing) / sizeof(*la->failing); i++) {
		struct failing *f = &la->failing[i];
		if (f->count == 0 || f->kind != q->q.head.kind ||
		    (f->kind == PROTO_VM_DO && f->verb != q->q.box.on))
			continue;
		f->count--;
		answer(q, f->code, "the test wants it", NULL);
		return true;
	}
	return false;
}

static void serve(struct launcher *la, struct request *q)
{
	if (fails(la, q))
		return;
	switch (q->q.head.kind) {
	case PROTO_CREATE:
		do_create(la, q);
		break;
	case PROTO_DESTROY:
		do_destroy(la, q);
		break;
	case PROTO_ADOPT:
	case PROTO_USAGE:
	case PROTO_INTERNET:
	case PROTO_RESIZE:
	case PROTO_VM_DO:
	case PROTO_VM_WARM:
	case PROTO_VM_SNAPSHOT:
		do_box(la, q);
		break;
	default:
		do_other(la, q);
		break;
	}
}

static void on_run(struct loop_defer *d, void *arg)
{
	struct launcher *la = arg;
	struct link now;
	link_init(&now);
	for (struct link *l; (l = list_pop_front(&la->queue));)
		list_push_back(&now, l);
	for (struct link *l; (l = list_pop_front(&now));) {
		struct request *q = container_of(l, struct request, link);
		if (la->held & 1ull << q->q.head.kind)
			list_push_back(&la->queue, l);
		else
			serve(la, q);
	}
}

static struct request *add(
    struct launcher *la, enum proto_kind kind, const char *id, launcher_done_fn *done, void *arg)
{
	struct request *q = mem_zalloc(sizeof(*q));
	if (!q)
		return NULL;
	q->q.head.kind = kind;
	q->done = done;
	q->arg = arg;
	if (id)
		(void)str_copy(q->q.box.id, sizeof(q->q.box.id), id);
	link_init(&q->link);
	list_push_back(&la->queue, &q->link);
	loop_defer_set(&la->run);
	return q;
}

static int added(const struct request *q)
{
	return q ? 0 : -ENOMEM;
}

int launcher_create(
    struct launcher *la, const struct proto_create *c, launcher_done_fn *done, void *arg)
{
	struct request *q = add(la, PROTO_CREATE, NULL, done, arg);
	if (q)
		q->q.create = *c;
	return added(q);
}

int launcher_vm_prepare(
    struct launcher *la, const struct proto_create *c, launcher_done_fn *done, void *arg)
{
	struct request *q = add(la, PROTO_VM_PREPARE, NULL, done, arg);
	if (q)
		q->q.create = *c;
	return added(q);
}

int launcher_destroy(struct launcher *la, const char *id, launcher_done_fn *done, void *arg)
{
	return added(add(la, PROTO_DESTROY, id, done, arg));
}

int launcher_adopt(struct launcher *la, const char *id, launcher_done_fn *done, void *arg)
{
	return added(add(la, PROTO_ADOPT, id, done, arg));
}

int launcher_usage(struct launcher *la, const char *id, launcher_done_fn *done, void *arg)
{
	return added(add(la, PROTO_USAGE, id, done, arg));
}

int launcher_set_internet(
    struct launcher *la, const char *id, bool on, launcher_done_fn *done, void *arg)
{
	return added(add(la, PROTO_INTERNET, id, done, arg));
}

int launcher_resize(struct launcher *la, const char *id, const struct proto_sizes *to,
    launcher_done_fn *done, void *arg)
{
	struct request *q = add(la, PROTO_RESIZE, id, done, arg);
	if (q)
		q->q.resize.to = *to;
	return added(q);
}

int launcher_list(
    struct launcher *la, void (*item)(const char *id, void *arg), launcher_done_fn *done, void *arg)
{
	struct request *q = add(la, PROTO_LIST, NULL, done, arg);
	if (q)
		q->item = item;
	return added(q);
}

int launcher_vm_snapshots(
    struct launcher *la, void (*item)(const char *id, void *arg), launcher_done_fn *done, void *arg)
{
	struct request *q = add(la, PROTO_VM_SNAPSHOTS, NULL, done, arg);
	if (q)
		q->item = item;
	return added(q);
}

int launcher_prepare(struct launcher *la, const char *base, launcher_done_fn *done, void *arg)
{
	return added(add(la, PROTO_PREPARE, NULL, done, arg));
}

int launcher_vm_info(
    struct launcher *la, enum proto_box_kind kind, launcher_done_fn *done, void *arg)
{
	return added(add(la, PROTO_VM_INFO, NULL, done, arg));
}

int launcher_vm_do(
    struct launcher *la, const char *id, enum proto_vm_verb verb, launcher_done_fn *done, void *arg)
{
	struct request *q = add(la, PROTO_VM_DO, id, done, arg);
	if (q)
		q->q.box.on = verb;
	return added(q);
}

int launcher_vm_warm(struct launcher *la, const char *id, launcher_done_fn *done, void *arg)
{
	return added(add(la, PROTO_VM_WARM, id, done, arg));
}

int launcher_vm_snapshot(
    struct launcher *la, const char *id, const char *snapshot, launcher_done_fn *done, void *arg)
{
	struct request *q = add(la, PROTO_VM_SNAPSHOT, id, done, arg);
	if (q)
		(void)str_copy(q->q.box.snapshot, sizeof(q->q.box.snapshot), snapshot);
	return added(q);
}

int launcher_vm_forget(struct launcher *la, const char *snapshot, launcher_done_fn *done, void *arg)
{
	return added(add(la, PROTO_VM_FORGET, snapshot, done, arg));
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

/* ---- the test's side ---- */

struct launcher *fake_launcher_new(struct loop *l)
{
	struct launcher *la = mem_zalloc(sizeof(*la));
	la->loop = l;
	la->uid = getuid();
	la->boxes = map_new();
	la->watches = map_new();
	link_init(&la->queue);
	loop_defer_init(&la->run, l, on_run, la);
	(void)str_copy(la->dir, sizeof(la->dir), "/tmp/sg-fc-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(la->dir));
	fake_launcher_script(la, "no-tap\n");
	return la;
}

void fake_launcher_free(struct launcher *la)
{
	ck_assert_uint_eq(map_size(la->boxes), 0);
	ck_assert_uint_eq(map_size(la->watches), 0);
	ck_assert(list_is_empty(&la->queue));
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1); /* no child, not even a zombie */
	loop_defer_fini(&la->run);
	(void)map_free(la->boxes);
	(void)map_free(la->watches);
	ck_assert_int_eq(path_remove_tree(la->dir), 0);
	(void)mem_free(la);
}

void fake_launcher_set_jailer(struct launcher *la, const char *text)
{
	(void)str_copy(la->jailer, sizeof(la->jailer), text);
}

void fake_launcher_set_vmm(struct launcher *la, const char *text)
{
	(void)str_copy(la->vmm, sizeof(la->vmm), text);
}

void fake_launcher_fail(
    struct launcher *la, enum proto_kind kind, unsigned verb, int code, unsigned count)
{
	for (size_t i = 0; i < sizeof(la->failing) / sizeof(*la->failing); i++) {
		if (la->failing[i].count > 0)
			continue;
		la->failing[i] = (struct failing){ kind, verb, count, code };
		return;
	}
	ck_abort();
}

void fake_launcher_hold(struct launcher *la, enum proto_kind kind, bool hold)
{
	la->held = hold ? la->held | 1ull << kind : la->held & ~(1ull << kind);
	loop_defer_set(&la->run);
}

void fake_launcher_initrd(struct launcher *la, const char *path)
{
	(void)str_copy(la->initrd, sizeof(la->initrd), path ? path : "");
}

void fake_launcher_set_uid(struct launcher *la, uid_t uid)
{
	la->uid = uid;
}

void fake_launcher_set_network(struct launcher *la, bool on)
{
	la->network = on;
}

unsigned fake_launcher_boxes(const struct launcher *la)
{
	return (unsigned)map_size(la->boxes);
}

unsigned fake_launcher_alive(const struct launcher *la)
{
	void *it = NULL;
	unsigned n = 0;
	for (const struct box *b; (b = map_next(la->boxes, &it, NULL));)
		n += b->alive;
	return n;
}

unsigned fake_launcher_creates(const struct launcher *la)
{
	return la->creates;
}

unsigned fake_launcher_verbs(const struct launcher *la, enum proto_vm_verb verb)
{
	return la->verbs[verb];
}

const char *fake_launcher_dir(const struct launcher *la)
{
	return la->newest;
}

pid_t fake_launcher_pid(const struct launcher *la)
{
	return la->newest_pid;
}

void fake_launcher_forget_watches(struct launcher *la)
{
	void *it = NULL;
	const char *id;
	while (map_next(la->watches, &it, &id))
		(void)map_remove(la->watches, id);
}
