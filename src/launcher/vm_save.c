/* SPDX-License-Identifier: Apache-2.0 */
#include "launcher/vm_save.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "base/log.h"
#include "base/path.h"
#include "base/str.h"
#include "launcher/box.h"
#include "launcher/disk.h"
#include "launcher/mem_diff.h"
#include "launcher/vm_child.h"
#include "launcher/warm.h"

#define SEAL_AGAIN_MS 10
#define FIND_FDS 128

/* What the task tells, in memory that it shares with us. */
struct vm_report {
	struct err err;
};

/* ---- in a task ---- */

static int sync_close(int *fd)
{
	int r = fsync(*fd) < 0 ? -errno : 0;
	*fd = fd_close(*fd);
	return r;
}

static int create_in(const char *dir, const char *name, int *ret_fd)
{
	char path[160];
	int r = path_printf(path, sizeof(path), "%s/%s", dir, name);
	if (r < 0)
		return r;
	*ret_fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return *ret_fd < 0 ? -errno : 0;
}

/* Bytes only. */
static int store_state(struct vm_save *v)
{
	struct stat st;
	CLEAN_FD int to = -1;
	int r = fstat(v->state_fd, &st) < 0 ? -errno : create_in(v->tmp, "state", &to);
	if (r == 0 && (st.st_size <= 0 || st.st_size > VM_STATE_MAX))
		return err_set(&v->report->err, -EBADMSG,
		    "its device state has %lld bytes, at most %u are taken", (long long)st.st_size,
		    VM_STATE_MAX);
	if (r == 0 && ftruncate(to, st.st_size) < 0)
		r = -errno;
	if (r == 0)
		r = disk_copy_data(v->state_fd, to);
	v->manifest.state_size = (uint64_t)st.st_size;
	return r < 0 ? r : sync_close(&to);
}

static int store_disk(struct vm_save *v)
{
	char to[160];
	int r = path_printf(to, sizeof(to), "%s/disk", v->tmp);
	if (r < 0)
		return r;
	CLEAN_FD int fd = disk_copy(v->disk, to);
	if (fd < 0)
		return fd;
	return sync_close(&fd);
}

static int store_memory(struct vm_save *v)
{
	CLEAN_FD int to = -1;
	int r = create_in(v->tmp, "mem", &to);
	if (r < 0)
		return r;
	if (v->memory_fd < 0) { /* the difference to a warm snapshot */
		r = mem_diff_save(
		    &v->target, v->base_fd, to, &v->manifest.memory_size, &v->report->err);
	} else {
		v->manifest.memory_size = v->manifest.memory_bytes;
		r = ftruncate(to, (off_t)v->manifest.memory_bytes) < 0
			? -errno
			: disk_copy_data(v->memory_fd, to);
	}
	return r < 0 ? r : sync_close(&to);
}

static int store(void *arg)
{
	struct vm_save *v = arg;
	int r = mkdir(v->tmp, 0700) < 0 ? -errno : 0;
	if (r == 0)
		r = store_state(v);
	if (r == 0)
		r = store_memory(v);
	if (r == 0)
		r = store_disk(v);
	if (r == 0)
		r = vm_manifest_write(v->tmp, &v->manifest);
	if (r == 0 && rename(v->tmp, v->dir) < 0)
		r = -errno;
	if (r == 0) {
		CLEAN_FD int parent = open(v->parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = parent < 0 || fsync(parent) < 0 ? -errno : 0;
	}
	return r;
}

static int inject(void *arg)
{
	struct vm_save *v = arg;
	char path[128];
	int r = vm_snapshot_path(v->snapshot, "mem", path, sizeof(path));
	if (r < 0)
		return r;
	CLEAN_FD int in = open(path, O_RDONLY | O_CLOEXEC);
	return in < 0 ? -errno : mem_diff_load(&v->target, in, &v->report->err);
}

/* ---- steps ---- */

static void on_task(struct task *t, int r, void *arg)
{
	struct box *b = arg;
	if (r < 0 && b->vm.save.report->err.code)
		(void)op_fail(&b->op, r, "%s", b->vm.save.report->err.text);
	op_wake(&b->op, b->wait, r);
}

static void cancel_task(struct op *op)
{
	struct box *b = op->owner;
	task_kill(&b->task);
}

/* Number of the state file in a VMM, which has moved it; -ENOENT. */
static int find_state(pid_t pid)
{
	static const char want[] = "/memfd:" VM_STATE_NAME " (deleted)";
	for (int fd = VM_FD_CONTROL; fd < FIND_FDS; fd++) {
		char path[64], target[sizeof(want) + 1];
		(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
		ssize_t n = readlink(path, target, sizeof(target));
		if (n == sizeof(want) - 1 && memcmp(target, want, (size_t)n) == 0)
			return fd;
	}
	return -ENOENT;
}

/* One that was adopted: its own descriptor, which is of no use to us unless it is such a file. */
static int fetch_state(struct box *b)
{
	struct stat st;
	struct statfs fs;
	int n = find_state(b->rec.pid);
	if (n < 0)
		return n;
	CLEAN_FD int fd = (int)syscall(SYS_pidfd_getfd, b->child.pidfd, n, 0);
	if (fd < 0 || fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_nlink != 0 || fs.f_type != TMPFS_MAGIC)
		return -EBADF;
	b->vm.state_fd = TAKE_FD(fd);
	return 0;
}

void vm_rewind_state(struct box *b)
{
	if (b->vm.state_fd < 0 && (!b->child_running || fetch_state(b) < 0))
		return;
	(void)lseek(b->vm.state_fd, 0, SEEK_SET);
}

static int begin_state(struct op *op)
{
	struct box *b = op->owner;
	struct vm_save *v = &b->vm.save;
	char self[64], head[4];
	int r = box_fault(b, "save-state");
	if (r == 0 && b->vm.state_fd < 0)
		r = fetch_state(b);
	if (r == 0)
		r = path_printf(self, sizeof(self), "/proc/self/fd/%d", b->vm.state_fd);
	if (r < 0)
		return r;
	v->state_fd = open(self, O_RDONLY | O_CLOEXEC);
	if (v->state_fd < 0)
		return -errno;
	if (pread(v->state_fd, head, sizeof(head), 0) != sizeof(head) ||
	    memcmp(head, "QEVM", sizeof(head)) != 0)
		return op_fail(op, -EBADMSG, "its VMM has saved no device state");
	return 0;
}

static int begin_end(struct op *op)
{
	struct box *b = op->owner;
	int r = box_fault(b, "save-end");
	if (r < 0)
		return r;
	b->wait = op_slot(op);
	(void)syscall(SYS_pidfd_send_signal, b->child.pidfd, SIGKILL, NULL, 0);
	r = cgroup_kill(&b->srv->cgroups, b->rec.id);
	return r < 0 ? r : OP_WAIT; /* on_process_end() */
}

static void try_seal(struct loop_timer *t, void *arg)
{
	struct box *b = arg;
	int r = warm_seal(b->vm.memory_fd);
	if (r == -EBUSY)
		loop_timer_set(&b->again, SEAL_AGAIN_MS);
	else
		op_wake(&b->op, b->wait, r);
}

/* Busy while the kernel takes the dead process apart. */
static int begin_seal(struct op *op)
{
	struct box *b = op->owner;
	int r = box_fault(b, "save-seal");
	if (r == 0)
		r = warm_seal(b->vm.memory_fd);
	if (r != -EBUSY)
		return r;
	b->wait = op_slot(op);
	loop_timer_fini(&b->again);
	loop_timer_init(&b->again, b->srv->loop, try_seal, b);
	loop_timer_set(&b->again, SEAL_AGAIN_MS);
	return OP_WAIT;
}

static void cancel_seal(struct op *op)
{
	struct box *b = op->owner;
	loop_timer_cancel(&b->again);
}

static int start_task(struct box *b, int (*fn)(void *arg))
{
	struct vm_save *v = &b->vm.save;
	const int all[] = { v->state_fd, v->memory_fd, v->base_fd };
	int keep[TASK_KEEP_MAX];
	unsigned n = 0;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i] >= 0)
			keep[n++] = all[i];
	b->wait = op_slot(&b->op);
	int r = task_start_with(&b->task, b->srv->loop, keep, n, fn, v, on_task, b);
	return r < 0 ? r : OP_WAIT;
}

static int begin_store(struct op *op)
{
	struct box *b = op->owner;
	struct vm_save *v = &b->vm.save;
	int r = box_fault(b, "save-store");
	if (r < 0 || (v->ends_it && warm_exists(v->manifest.key)))
		return r; /* another one was quicker, and is as good */
	if (v->ends_it)
		r = warm_set_aside(b->srv, v->manifest.key);
	v->is_stored = r == 0;
	return r < 0 ? r : start_task(b, store);
}

static int undo_store(struct op *op)
{
	const struct box *b = op->owner;
	return path_remove_tree(b->vm.save.tmp);
}

static int begin_publish(struct op *op)
{
	struct box *b = op->owner;
	const struct vm_save *v = &b->vm.save;
	int r = box_fault(b, "save-publish");
	if (r == 0 && v->is_stored)
		r = warm_add(b->srv, v->manifest.key, TAKE_FD(b->vm.memory_fd));
	if (r == 0)
		warm_drop_stale(b->srv, &v->manifest);
	return r;
}

static int begin_inject(struct op *op)
{
	struct box *b = op->owner;
	int r = box_fault(b, "load-memory");
	return r < 0 ? r : start_task(b, inject);
}

static const struct op_step warm_steps[] = {
	{ "state", begin_state, NULL, NULL, 1 },
	{ "end", begin_end, NULL, NULL, 10000 },
	{ "seal", begin_seal, NULL, cancel_seal, 10000 },
	{ "store", begin_store, undo_store, cancel_task, 120000 },
	{ "publish", begin_publish, NULL, NULL, 1 },
};
static const struct op_step snapshot_steps[] = {
	{ "state", begin_state, NULL, NULL, 1 },
	{ "store", begin_store, undo_store, cancel_task, 120000 },
};
static const struct op_step load_steps[] = {
	{ "inject", begin_inject, NULL, cancel_task, 120000 },
};

#define TABLE(name)                                                        \
	static const struct op_table name##_table = { #name, name##_steps, \
		sizeof(name##_steps) / sizeof(name##_steps[0]) }
TABLE(warm);
TABLE(snapshot);
TABLE(load);

/* ---- life of a save ---- */

static void save_fini(struct vm_save *v)
{
	v->state_fd = fd_close(v->state_fd);
	v->memory_fd = v->base_fd = -1; /* borrowed */
	if (v->report)
		(void)munmap(v->report, sizeof(*v->report));
	v->report = NULL;
}

static void on_done(struct op *op)
{
	struct box *b = op->owner;
	struct err err = op->err;
	op_fini(op);
	save_fini(&b->vm.save);
	vm_rewind_state(b);
	box_set_state(b, b->child_running ? BOX_LIVE : BOX_DEAD);
	server_reply(b->srv, b->save_seq, &err, NULL);
	if (!b->child_running && !b->vm.save.ends_it)
		box_tell_end(b, b->end_status);
	if (!list_is_empty(&b->waiters))
		box_remove(b); /* asked for meanwhile */
}

static int begin(struct box *b, const struct op_table *table, uint64_t seq, struct err *reterr)
{
	struct vm_save *v = &b->vm.save;
	v->report = mmap(
	    NULL, sizeof(*v->report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (v->report == MAP_FAILED) {
		v->report = NULL;
		return err_set(reterr, -ENOMEM, "out of memory");
	}
	b->save_seq = seq;
	box_set_state(b, BOX_SAVING);
	op_init(&b->op, b->srv->loop, table, b, on_done);
	op_start(&b->op);
	return 0;
}

static void save_init(struct box *b)
{
	b->vm.save = (struct vm_save){ .state_fd = -1,
		.memory_fd = -1,
		.base_fd = -1,
		.manifest = b->vm.manifest,
		.target = { b->rec.pid, b->rec.start, WARM_MEMORY_NAME, b->rec.memory_bytes } };
}

static int set_paths(struct vm_save *v, const struct box *b, const char *parent, const char *name)
{
	(void)str_copy(v->parent, sizeof(v->parent), parent);
	int r = path_printf(v->dir, sizeof(v->dir), "%s/%s", parent, name);
	if (r == 0)
		r = path_printf(v->tmp, sizeof(v->tmp), "%s.%s" VM_UNFINISHED, v->dir, b->rec.id);
	return r < 0 ? r : box_path(b, "disk", v->disk, sizeof(v->disk));
}

int vm_save_warm(struct box *b, uint64_t seq, struct err *reterr)
{
	struct vm_save *v = &b->vm.save;
	if (b->rec.kind != PROTO_BOX_QEMU || b->vm.memory_fd < 0 || b->rec.warm[0])
		return err_set(reterr, -EINVAL,
		    "only a VM that this launcher has booted can become a warm snapshot");
	save_init(b);
	v->memory_fd = b->vm.memory_fd;
	v->ends_it = true;
	int r = set_paths(v, b, "warm", v->manifest.key);
	return r < 0 ? r : begin(b, &warm_table, seq, reterr);
}

int vm_save_snapshot(struct box *b, const char *snapshot, uint64_t seq, struct err *reterr)
{
	struct vm_save *v = &b->vm.save;
	char dir[128];
	if (b->rec.kind != PROTO_BOX_QEMU || !b->rec.warm[0])
		return err_set(
		    reterr, -ENOTSUP, "only a VM that was cloned from a warm snapshot can be kept");
	save_init(b);
	/* What lies below says what the snapshot fits to. */
	int r = warm_path(b->rec.warm, "", dir, sizeof(dir));
	if (r == 0)
		r = vm_manifest_read(dir, &v->manifest, reterr);
	if (r < 0)
		return err_set(reterr, r, "its warm snapshot: %s", err_name(r));
	v->manifest.disk_bytes = b->rec.disk_bytes; /* it may have grown */
	v->base_fd = warm_memory(b->srv, b->rec.warm);
	r = set_paths(v, b, "snapshots", snapshot);
	if (r == 0 && path_exists(v->dir))
		r = err_set(reterr, -EEXIST, "snapshot %s exists already", snapshot);
	return r < 0 ? r : begin(b, &snapshot_table, seq, reterr);
}

int vm_load_memory(struct box *b, uint64_t seq, struct err *reterr)
{
	if (b->rec.kind != PROTO_BOX_QEMU || b->want.start != PROTO_START_SNAPSHOT ||
	    b->vm.is_loaded)
		return err_set(
		    reterr, -EINVAL, "only a VM that starts from a snapshot can be filled, once");
	save_init(b);
	(void)str_copy(b->vm.save.snapshot, sizeof(b->vm.save.snapshot), b->want.snapshot);
	b->vm.is_loaded = true;
	return begin(b, &load_table, seq, reterr);
}
