/* SPDX-License-Identifier: Apache-2.0 */
#include "launcher/qemu_args.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/path.h"
#include "hostnet/tap.h"
#include "launcher/vm_child.h"

/* More makes no difference, 16 slows guests down. */
#define TRANSLATION_MIB 64

static int add(struct qemu_args *a, const char *s)
{
	if (a->n == QEMU_ARGS_MAX)
		return -E2BIG;
	a->argv[a->n++] = s;
	a->argv[a->n] = NULL;
	return 0;
}

static int addf(struct qemu_args *a, const char *option, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static int addf(struct qemu_args *a, const char *option, const char *fmt, ...)
{
	char *at = a->text + a->used;
	size_t left = sizeof(a->text) - a->used;
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(at, left, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= left)
		return -E2BIG;
	a->used += (size_t)n + 1;
	int r = add(a, option);
	return r < 0 ? r : add(a, at);
}

static bool is_fresh(const struct qemu_conf *c)
{
	return c->start == PROTO_START_COLD || c->start == PROTO_START_PROBE;
}

static int add_machine(struct qemu_args *a, const struct qemu_conf *c)
{
	unsigned long long mib = c->memory_bytes >> 20;
	int r = c->kvm ? addf(a, "-accel", "kvm")
		       : addf(a, "-accel", "tcg,tb-size=%d", TRANSLATION_MIB);
	if (r == 0)
		r = addf(a, "-cpu", "%s", c->kvm ? "host" : "max");
	if (r == 0)
		r = addf(a, "-smp", "%u", c->vcpus);
	if (r == 0)
		r = addf(a, "-m", "%llu", mib);
	/* A clone's writes stay its own. */
	if (r == 0)
		r = addf(a, "-object",
		    "memory-backend-file,id=m,size=%lluM,mem-path=/proc/self/fd/%d,share=%s", mib,
		    VM_FD_MEMORY, is_fresh(c) ? "on" : "off");
	return r < 0 ? r
		     : addf(a, "-machine",
			   "microvm,acpi=on,rtc=on,x-option-roms=off,isa-serial=on,"
			   "memory-backend=m,mem-merge=off,dump-guest-core=off");
}

static int add_disk(struct qemu_args *a, const char *id, int fd, const char *how)
{
	int r = addf(a, "-add-fd", "fd=%d,set=%d", fd, fd);
	if (r == 0)
		r = addf(
		    a, "-drive", "id=%s,file=/dev/fdset/%d,format=raw,if=none,%s", id, fd, how);
	return r < 0 ? r : addf(a, "-device", "virtio-blk-device,drive=%s", id);
}

static int add_port(struct qemu_args *a, const char *id, int fd, int nr)
{
	int r = addf(a, "-chardev", "socket,id=%s,fd=%d,server=on,wait=off", id, fd);
	return r < 0 ? r
		     : addf(a, "-device", "virtserialport,chardev=%s,name=sandglass.%s,nr=%d", id,
			   id, nr);
}

/* Its disk is thrown away when it ends: what the guest wants flushed need not reach the platter.
 * Past the host's page cache, because dirty pages there count as the VM's memory, and a guest that
 * writes fast would be killed for them. Snapshots sync their copy. */
static int add_devices(struct qemu_args *a, const struct qemu_conf *c)
{
	int r = 0;
	if (c->start != PROTO_START_PROBE)
		r = add_disk(a, "root", VM_FD_ROOT, "readonly=on,file.locking=off");
	if (r == 0)
		r = add_disk(a, "disk", VM_FD_DISK,
		    "cache.direct=on,cache.no-flush=on,discard=unmap,auto-read-only=off,file."
		    "locking=off");
	if (r == 0)
		r = addf(a, "-device", "virtio-serial-device,max_ports=3");
	if (r == 0)
		r = add_port(a, "control", VM_FD_CONTROL, 1);
	if (r == 0)
		r = add_port(a, "data", VM_FD_DATA, 2);
	if (r == 0)
		r = c->network ? addf(a, "-netdev", "tap,id=n0,fd=%d,vhost=off", VM_FD_TAP)
			       : addf(a, "-netdev", "hubport,id=n0,hubid=0");
	if (r == 0)
		r = addf(a, "-device", "virtio-net-device,netdev=n0,mac=" TAP_GUEST_MAC);
	return r < 0 ? r : addf(a, "-device", "virtio-rng-device");
}

/* The guest's console and QEMU's own complaints go to the log. */
static int add_control(struct qemu_args *a)
{
	int r = addf(a, "-chardev", "stdio,id=console,signal=off");
	if (r == 0)
		r = addf(a, "-serial", "chardev:console");
	if (r == 0)
		r = addf(a, "-add-fd", "fd=%d,set=%d", VM_FD_STATE, VM_FD_STATE);
	if (r == 0)
		r = addf(a, "-chardev", "socket,id=mon,fd=%d,server=on,wait=off", VM_FD_MONITOR);
	if (r == 0)
		r = addf(a, "-mon", "chardev=mon,mode=control");
	return r < 0 ? r
		     : addf(a, "-sandbox",
			   "on,obsolete=deny,elevateprivileges=deny,spawn=deny,"
			   "resourcecontrol=deny");
}

static int add_start(struct qemu_args *a, const struct qemu_conf *c)
{
	int r;
	if (is_fresh(c)) {
		r = addf(a, "-kernel", VM_KERNEL);
		if (r == 0 && c->start == PROTO_START_COLD)
			r = addf(a, "-initrd", VM_INITRD);
		return r < 0 ? r : addf(a, "-append", "%s", c->append);
	}
	/* Saved without a configuration section. */
	r = addf(a, "-global", "migration.send-configuration=off");
	if (r == 0)
		r = addf(a, "-incoming", "defer");
	return r < 0 ? r : add(a, "-S");
}

int qemu_args_build(struct qemu_args *a, const struct qemu_conf *c)
{
	static const char *const plain[] = { "-nodefaults", "-no-user-config", "-no-reboot",
		"-display", "none" };
	a->n = a->used = 0;
	int r = add(a, c->program);
	for (size_t i = 0; r == 0 && i < sizeof(plain) / sizeof(plain[0]); i++)
		r = add(a, plain[i]);
	if (r == 0)
		r = add_machine(a, c);
	if (r == 0)
		r = add_devices(a, c);
	if (r == 0)
		r = add_control(a);
	return r < 0 ? r : add_start(a, c);
}

/* Without tsc_early_khz some boots never end: the kernel cannot calibrate by a timer that QEMU
 * emulates. */
int qemu_append(char dst[QEMU_APPEND_MAX], const struct qemu_boot *b)
{
	return path_printf(dst, QEMU_APPEND_MAX,
	    "reboot=t panic=-1 quiet console=ttyS0 tsc_early_khz=%llu tsc=reliable "
	    "random.trust_cpu=on sandglass.root=/dev/vda sandglass.rootfs=%s "
	    "sandglass.disk=/dev/vdb sandglass.channel=serial "
	    "sandglass.net=" TAP_GUEST_ADDRESS "/%d," TAP_ADDRESS "," TAP_MAC "%s%s",
	    (unsigned long long)b->tsc_khz, b->fs, TAP_PREFIX, b->dns[0] ? " sandglass.dns=" : "",
	    b->dns);
}
