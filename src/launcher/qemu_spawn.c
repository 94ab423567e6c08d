/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "base/path.h"
#include "base/str.h"
#include "hostnet/hostnet.h"
#include "launcher/box.h"
#include "launcher/disk.h"
#include "launcher/outbox.h"
#include "launcher/qemu_args.h"
#include "launcher/vm_child.h"
#include "launcher/vm_save.h"

/* Paths and texts that a plan points to. */
struct plan_store {
	struct vm_child_plan plan;
	struct qemu_args args;
	char append[QEMU_APPEND_MAX], dns[128];
	char disk_from[128], disk[128];
	int files[2]; /* opened here, closed again once the child has them */
};

const char *qemu_program(void)
{
	static const char *const places[] = { "/usr/bin/qemu-system-x86_64",
		"/usr/local/bin/qemu-system-x86_64", NULL };
	for (const char *const *p = places; *p; p++)
		if (access(*p, X_OK) == 0)
			return *p;
	return NULL;
}

int vm_list_dns(const struct box *b, char *dst, size_t cap)
{
	static const char word[] = "nameserver ";
	const char *s = b->srv->net ? hostnet_resolv_conf(b->srv->net) : "";
	size_t n = 0;
	dst[0] = '\0';
	while ((s = strstr(s, word)) != NULL) {
		s += sizeof(word) - 1;
		size_t len = strcspn(s, " \n");
		int r = path_printf(dst + n, cap - n, "%s%.*s", n ? "," : "", (int)len, s);
		if (r < 0)
			return r;
		n = strlen(dst);
	}
	return 0;
}

static int make_args(struct box *b, struct plan_store *ps)
{
	const struct qemu_conf conf = { .program = qemu_program(),
		.start = b->want.start,
		.kvm = b->want.vm.kvm,
		.network = b->vm.tap_fd >= 0,
		.vcpus = b->want.vm.vcpus,
		.memory_bytes = b->want.memory_bytes,
		.append = ps->append };
	const struct qemu_boot boot = {
		.fs = b->vm.image.fs, .tsc_khz = vm_host_tsc_khz(&b->srv->vm_host), .dns = ps->dns
	};
	int r = vm_list_dns(b, ps->dns, sizeof(ps->dns));
	if (r == 0)
		r = qemu_append(ps->append, &boot);
	return r < 0 ? r : qemu_args_build(&ps->args, &conf);
}

static int open_file(struct plan_store *ps, int slot, const char *path, enum vm_fd as)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ps->files[slot] = ps->plan.fds[as] = fd;
	return 0;
}

static int make_memory(struct box *b)
{
	b->vm.memory_fd = memfd_create(WARM_MEMORY_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (b->vm.memory_fd < 0 || ftruncate(b->vm.memory_fd, (off_t)b->want.memory_bytes) < 0)
		return -errno;
	return 0;
}

/* Opened once more for writing only: QEMU takes nothing else for its output. */
static int make_state(struct box *b)
{
	char self[64];
	CLEAN_FD int mem = memfd_create(VM_STATE_NAME, MFD_CLOEXEC);
	if (mem < 0)
		return -errno;
	int r = path_printf(self, sizeof(self), "/proc/self/fd/%d", mem);
	if (r < 0)
		return r;
	b->vm.state_fd = open(self, O_WRONLY | O_CLOEXEC);
	return b->vm.state_fd < 0 ? -errno : 0;
}

/* Where its disk and its device state come from. */
static int source_path(const struct box *b, const char *file, char *dst, size_t cap)
{
	return b->want.start == PROTO_START_SNAPSHOT
		   ? vm_snapshot_path(b->want.snapshot, file, dst, cap)
		   : warm_path(b->rec.warm, file, dst, cap);
}

static int open_saved(struct box *b, struct plan_store *ps)
{
	char path[128];
	int r = source_path(b, "disk", ps->disk_from, sizeof(ps->disk_from));
	if (r == 0)
		r = source_path(b, "state", path, sizeof(path));
	if (r == 0)
		r = open_file(ps, 1, path, VM_FD_STATE_IN);
	ps->plan.fds[VM_FD_MEMORY] = b->vm.warm_fd;
	return r;
}

static int open_boot(struct box *b, struct plan_store *ps)
{
	int r = make_memory(b);
	ps->plan.fds[VM_FD_MEMORY] = b->vm.memory_fd;
	ps->plan.kernel = b->vm.image.kernel_path;
	ps->plan.initrd = b->vm.image.initrd_path[0] ? b->vm.image.initrd_path : NULL;
	return r < 0 ? r
		     : disk_master_path(b->rec.disk_bytes, ps->disk_from, sizeof(ps->disk_from));
}

static int open_files(struct box *b, struct plan_store *ps)
{
	int r = make_state(b);
	ps->plan.fds[VM_FD_STATE] = b->vm.state_fd;
	if (b->want.start == PROTO_START_PROBE) {
		char guest[128];
		if (r == 0)
			r = box_path(b, "guest", guest, sizeof(guest));
		if (r == 0)
			r = vm_image_probe(guest, &b->vm.image);
		return r < 0 ? r : open_boot(b, ps);
	}
	if (r == 0)
		r = open_file(ps, 0, b->vm.image.root_path, VM_FD_ROOT);
	if (r < 0)
		return r;
	return b->want.start == PROTO_START_COLD ? open_boot(b, ps) : open_saved(b, ps);
}

static int make_plan(struct box *b, const struct spawn *sp, struct plan_store *ps)
{
	const struct server *s = b->srv;
	ps->plan = (struct vm_child_plan){ .argv = ps->args.argv,
		.disk_from = ps->disk_from,
		.disk = ps->disk,
		.file_limit = vm_file_limit(b),
		.uid_base = slots_base(&s->slots, b->rec.slot),
		.kvm = b->rec.kvm,
		.landlock = s->landlock,
		.conn_fd = s->outbox->fd,
		.status_fd = sp->status[1],
		.log_fd = sp->log[1],
		.netns_fd = b->netns_fd,
		.door = sp->door,
		.fault = s->conf->fault,
		.fault_arg = s->conf->fault_arg };
	for (int i = 0; i < VM_FD_END; i++)
		ps->plan.fds[i] = -1;
	ps->plan.fds[VM_FD_CONTROL] = b->control_fd;
	ps->plan.fds[VM_FD_DATA] = b->data_fd;
	ps->plan.fds[VM_FD_MONITOR] = b->vm.monitor_fd;
	ps->plan.fds[VM_FD_TAP] = b->vm.tap_fd;
	int r = box_path(b, "disk", ps->disk, sizeof(ps->disk));
	if (r == 0)
		r = open_files(b, ps);
	return r < 0 ? r : make_args(b, ps);
}

int qemu_spawn(struct box *b, struct err *reterr)
{
	struct plan_store ps = { .files = { -1, -1 } };
	struct spawn sp;
	int r = spawn_open(b, &sp);
	if (r == 0)
		r = make_plan(b, &sp, &ps);
	if (r == 0)
		r = spawn_run(b, &sp, vm_child_run, &ps.plan);
	spawn_close(b, &sp);
	for (size_t i = 0; i < sizeof(ps.files) / sizeof(ps.files[0]); i++)
		(void)fd_close(ps.files[i]);
	b->vm.monitor_fd = fd_close(b->vm.monitor_fd);
	b->vm.tap_fd = fd_close(b->vm.tap_fd);
	return r < 0 ? err_set(reterr, r, "cannot start its VMM: %s", err_name(r)) : 0;
}
