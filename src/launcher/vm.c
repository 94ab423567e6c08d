/* SPDX-License-Identifier: Apache-2.0 */
#include "launcher/vm.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "base/clock.h"
#include "base/fdutil.h"
#include "base/str.h"
#include "hostnet/tap.h"
#include "launcher/box.h"

#define TSC_WINDOW_NS 300000000ull /* long enough for a few millionths */

bool vm_is(const struct box *b)
{
	return b->rec.kind != PROTO_BOX_NAMESPACE;
}

void vm_init(struct vm *v)
{
	v->monitor_fd = v->tap_fd = v->memory_fd = v->state_fd = -1;
}

void vm_fini(struct vm *v)
{
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

void vm_host_init(struct vm_host *h)
{
	h->tsc_khz = 0;
	h->tsc_start_ns = raw_ns();
	h->tsc_start = __rdtsc();
}

uint64_t vm_host_tsc_khz(struct vm_host *h)
{
	uint64_t ns = raw_ns() - h->tsc_start_ns;
	if (h->tsc_khz)
		return h->tsc_khz;
	if (ns < TSC_WINDOW_NS) {
		struct timespec t = { .tv_nsec = (long)(TSC_WINDOW_NS - ns) };
		(void)nanosleep(&t, NULL);
		ns = raw_ns() - h->tsc_start_ns;
	}
	double ticks = (double)(__rdtsc() - h->tsc_start);
	h->tsc_khz = (uint64_t)(ticks * 1e6 / (double)ns);
	return h->tsc_khz;
}

/* ---- steps of a create ---- */

int vm_reserve(struct box *b, struct err *reterr)
{
	b->rec.kvm = b->want.vm.kvm;
	b->rec.memory_bytes = b->want.memory_bytes;
	(void)str_copy(b->rec.base, sizeof(b->rec.base), "vm");
	return vm_image_find(b->want.vm.tmpl, &b->vm.image, reterr);
}

void vm_limits(const struct box *b, uint64_t *ret_memory, uint32_t *ret_pids)
{
	*ret_memory =
	    b->want.memory_bytes + (b->want.vm.kvm ? VM_OVERHEAD_KVM : VM_OVERHEAD_EMULATED);
	*ret_pids = VM_THREADS + b->want.vm.vcpus;
}

int vm_add_tap(struct box *b, struct err *reterr)
{
	uid_t owner = slots_base(&b->srv->slots, b->rec.slot);
	return tap_add(
	    b->netns_fd, owner, b->rec.kind == PROTO_BOX_QEMU ? &b->vm.tap_fd : NULL, reterr);
}
