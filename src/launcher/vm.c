/* SPDX-License-Identifier: Apache-2.0 */
#include "launcher/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fdutil.h"
#include "base/log.h"
#include "base/path.h"
#include "base/str.h"
#include "hostnet/tap.h"
#include "jail/caps.h"
#include "launcher/box.h"
#include "launcher/fc.h"
#include "launcher/vm_save.h"

#define TSC_WINDOW_NS 300000000ull /* long enough for a few millionths */
#define TSC_LOOKS 32
#define TSC_MAX 100000000ull /* kHz */
#define TSC_SAME 10000ull    /* rates that differ by less than this part are one */

bool vm_is(const struct box *b)
{
	return b->rec.kind != PROTO_BOX_NAMESPACE;
}

void vm_init(struct vm *v)
{
	v->monitor_fd = v->tap_fd = v->memory_fd = v->state_fd = v->warm_fd = -1;
}

void vm_fini(struct vm *v)
{
	warm_unwant(&v->wait);
	v->warm_fd = -1;
	int *const fds[] = { &v->monitor_fd, &v->tap_fd, &v->memory_fd, &v->state_fd };
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		*fds[i] = fd_close(*fds[i]);
}

/* ---- the time stamp counter ---- */

static uint64_t raw_ns(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Both clocks at one moment. Of several looks the one that took least: in between we may be held up
 * for longer than the rate can bear. */
static void look(uint64_t *ret_ticks, uint64_t *ret_ns)
{
	uint64_t least = UINT64_MAX;
	for (int i = 0; i < TSC_LOOKS; i++) {
		uint64_t before = __rdtsc(), ns = raw_ns(), took = __rdtsc() - before;
		if (took >= least)
			continue;
		least = took;
		*ret_ticks = before + took / 2;
		*ret_ns = ns;
	}
}

void vm_host_init(struct vm_host *h, const char *file)
{
	h->file = file;
	h->tsc_khz = 0;
	look(&h->tsc_start, &h->tsc_start_ns);
}

/* What was measured first stays, unless it cannot be the same machine: snapshots are tied to it. */
static uint64_t as_before(const char *file, uint64_t khz)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	char text[32];
	uint64_t before = 0;
	if (!file)
		return khz;
	int r = fd_read_file(AT_FDCWD, file, sizeof(text), &b);
	if (r == 0 && buf_len(&b) > 0)
		r = str_u64(buf_cstr(&b), TSC_MAX, &before);
	uint64_t apart = before > khz ? before - khz : khz - before;
	if (r == 0 && apart <= khz / TSC_SAME)
		return before;
	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)khz);
	r = fd_replace_file(AT_FDCWD, file, 0600, text, strlen(text));
	if (r < 0)
		log_warn("cannot keep the rate of the counter: %s: %s", file, err_name(r));
	return khz;
}

uint64_t vm_host_tsc_khz(struct vm_host *h)
{
	uint64_t passed = raw_ns() - h->tsc_start_ns, ticks = 0, ns = 0;
	if (h->tsc_khz)
		return h->tsc_khz;
	if (passed < TSC_WINDOW_NS) {
		struct timespec t = { .tv_nsec = (long)(TSC_WINDOW_NS - passed) };
		(void)nanosleep(&t, NULL);
	}
	look(&ticks, &ns);
	double rate = (double)(ticks - h->tsc_start) * 1e6 / (double)(ns - h->tsc_start_ns);
	h->tsc_khz = as_before(h->file, (uint64_t)rate);
	return h->tsc_khz;
}

/* ---- steps of a create ---- */

static int check_same(
    const char *what, uint64_t is, uint64_t want, const char *snapshot, struct err *reterr)
{
	return is == want
		   ? 0
		   : err_set(reterr, -EINVAL, "%s: snapshot %s has %llu, and keeps it; got %llu",
			 what, snapshot, (unsigned long long)is, (unsigned long long)want);
}

/* It must fit this machine; what it holds may be older than the template. */
static int reserve_snapshot(struct box *b, struct err *reterr)
{
	const struct proto_create *c = &b->want;
	struct vm_manifest m, now;
	struct err why = ERR_INIT;
	char dir[128];
	int r = vm_snapshot_path(c->snapshot, "", dir, sizeof(dir));
	if (r < 0)
		return r;
	if (!path_exists(dir))
		return err_set(reterr, -ENOENT, "there is no snapshot %s", c->snapshot);
	r = vm_manifest_read(dir, &m, &why);
	if (r < 0)
		return err_set(reterr, r, "snapshot %s: %s", c->snapshot, err_text(&why));
	r = vm_image_read(m.image, b->srv->agent_hash, &b->vm.image, reterr);
	if (r == 0)
		r = warm_key(b->srv, c, &b->vm.image, &now);
	if (r < 0)
		return r;
	if (m.kvm != c->vm.kvm || !str_eq(m.host, now.host))
		return err_set(reterr, -ESTALE,
		    "snapshot %s was made with another processor, QEMU or accelerator: it cannot "
		    "run here",
		    c->snapshot);
	r = check_same("memory", m.memory_bytes, c->memory_bytes, c->snapshot, reterr);
	if (r == 0)
		r = check_same("disk", m.disk_bytes, c->disk_bytes, c->snapshot, reterr);
	if (r == 0)
		r = check_same("vcpus", m.vcpus, c->vm.vcpus, c->snapshot, reterr);
	if (r == 0 && !warm_exists(m.key))
		r = err_set(reterr, -ESTALE,
		    "snapshot %s: the warm snapshot of template %s below it is gone", c->snapshot,
		    m.tmpl);
	b->vm.manifest = m;
	return r;
}

static int reserve_image(struct box *b, struct err *reterr)
{
	int r = vm_image_find(b->want.vm.tmpl, b->srv->agent_hash, &b->vm.image, reterr);
	if (r == 0)
		r = warm_key(b->srv, &b->want, &b->vm.image, &b->vm.manifest);
	if (r == 0 && b->want.start == PROTO_START_CLONE && !warm_exists(b->vm.manifest.key))
		r = err_set(
		    reterr, -ENOENT, "template %s has no warm snapshot that fits", b->want.vm.tmpl);
	return r;
}

int vm_reserve(struct box *b, struct err *reterr)
{
	b->rec.kvm = b->want.vm.kvm;
	b->rec.memory_bytes = b->want.memory_bytes;
	if (b->rec.kind == PROTO_BOX_FIRECRACKER)
		return fc_reserve(b, reterr);
	if (!qemu_program())
		return err_set(reterr, -ENOENT,
		    "qemu-system-x86_64 (package qemu-system-x86) is not installed");
	if (b->want.vm.kvm && access("/dev/kvm", F_OK) < 0)
		return err_set(reterr, -ENOENT, "this machine has no /dev/kvm");
	if (b->want.start == PROTO_START_PROBE)
		return path_printf(b->rec.base, sizeof(b->rec.base), "probe");
	int r = b->want.start == PROTO_START_SNAPSHOT ? reserve_snapshot(b, reterr)
						      : reserve_image(b, reterr);
	if (r < 0)
		return r;
	if (b->want.start != PROTO_START_COLD)
		(void)str_copy(b->rec.warm, sizeof(b->rec.warm), b->vm.manifest.key);
	return path_printf(b->rec.base, sizeof(b->rec.base), "image-%s", b->vm.image.hash);
}

static void on_memory(struct warm_wait *w, int fd_or_code, void *arg)
{
	struct box *b = arg;
	b->vm.warm_fd = fd_or_code;
	op_wake(&b->op, b->wait, fd_or_code < 0 ? fd_or_code : 0);
}

int vm_begin_memory(struct op *op)
{
	struct box *b = op->owner;
	int r = box_fault(b, "memory");
	if (r < 0 || !b->rec.warm[0])
		return r;
	b->vm.wait = (struct warm_wait){ .done = on_memory, .arg = b };
	b->wait = op_slot(op);
	r = warm_want(b->srv, b->rec.warm, b->rec.memory_bytes, &b->vm.wait);
	return r < 0 ? r : OP_WAIT;
}

void vm_cancel_memory(struct op *op)
{
	struct box *b = op->owner;
	warm_unwant(&b->vm.wait);
}

void vm_limits(const struct box *b, uint64_t *ret_memory, uint32_t *ret_pids)
{
	bool fresh = b->want.start == PROTO_START_COLD || b->want.start == PROTO_START_PROBE;
	/* A page that a clone is the first to touch exists twice: the kernel makes it in the memory
	 * of the template, where all clones find it from then on, and then the clone's copy. Both
	 * count as the clone's. */
	*ret_memory = b->want.memory_bytes * (fresh ? 1 : 2) +
		      (b->want.vm.kvm ? VM_OVERHEAD_KVM : VM_OVERHEAD_EMULATED);
	*ret_pids = VM_THREADS + b->want.vm.vcpus;
}

/* ---- the disk ---- */

/* As large as anything that it has to write: its disk, or a Firecracker's memory in a snapshot.
 * Where the limit cannot be raised later, as in a container without that right, it is the largest.
 */
uint64_t vm_file_limit(const struct box *b)
{
	uint64_t disk = b->rec.disk_bytes, memory = b->rec.memory_bytes;
	if (!caps_have(CAP_SYS_RESOURCE))
		disk = PROTO_DISK_MAX;
	if (b->rec.kind != PROTO_BOX_FIRECRACKER)
		return disk;
	return (disk > memory ? disk : memory) + FC_SLACK_BYTES;
}

static int raise_file_limit(const struct box *b)
{
	const struct rlimit l = { vm_file_limit(b), vm_file_limit(b) };
	if (!caps_have(CAP_SYS_RESOURCE))
		return 0;
	return prlimit(b->rec.pid, RLIMIT_FSIZE, &l, NULL) < 0 ? -errno : 0;
}

static int set_disk(struct box *b, uint64_t bytes)
{
	char path[64];
	b->rec.disk_bytes = bytes;
	int r = box_has_ended(b) ? -ESRCH : raise_file_limit(b);
	if (r == 0)
		r = box_path(b, "disk", path, sizeof(path));
	if (r == 0 && truncate(path, (off_t)bytes) < 0)
		r = -errno;
	return r < 0 ? r : box_write_record(b);
}

int vm_grow_disk(struct box *b, uint64_t bytes, struct err *reterr)
{
	uint64_t had = b->rec.disk_bytes;
	if (bytes < had)
		return err_set(reterr, -EINVAL, "disk: it has %llu MiB already, expected more",
		    (unsigned long long)(had >> 20));
	int r = set_disk(b, bytes);
	if (r == 0)
		return 0;
	b->rec.disk_bytes = had;
	return err_set(reterr, r, "cannot make the disk larger: %s", err_name(r));
}

int vm_add_tap(struct box *b, struct err *reterr)
{
	uid_t owner = slots_base(&b->srv->slots, b->rec.slot);
	return tap_add(
	    b->netns_fd, owner, b->rec.kind == PROTO_BOX_QEMU ? &b->vm.tap_fd : NULL, reterr);
}
