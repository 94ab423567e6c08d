/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Emulated machines with our agent as their init, started by hand: no launcher and no driver is
 * between the test and them. SANDGLASS_TEST_KERNEL names a directory with vmlinux and modules/, as
 * "sandglass template build" leaves it in STATE/launcher/kernels/VERSION.
 */
#include <stdbool.h>
#include <sys/types.h>

#include "lib/tmpdir.h"

/* What all machines of a test share. */
struct machine_rig {
	struct tmpdir dir;
	const char *kernel;
	char root[128], disk[128], initrd[128];
	unsigned tsc_khz;
};

struct machine_vm {
	struct machine_rig *rig;
	pid_t pid;
	char dir[128]; /* of its sockets, disk, memory and state */
	char control[160], data[160];
	bool balloon;
	pid_t vsock_pid, relay_pid; /* the device, and what clients reach it by */
	char vsock[160];	    /* where a host connects to any port; "" = it has none */
	int qmp;
};

/* Why there is no machine here, or NULL. */
const char *machine_rig_missing(void);
/* Why no machine has a vsock device, or NULL. SANDGLASS_TEST_VSOCK names the program
 * vhost-device-vsock (of the Rust registry), whose socket speaks as Firecracker's does. */
const char *machine_vsock_missing(void);
void machine_rig_open(struct machine_rig *r);
void machine_rig_close(struct machine_rig *r);

/* parameters: of its kernel's command line, NULL = as it should be. */
void machine_start(
    struct machine_vm *vm, struct machine_rig *r, const char *name, const char *parameters);
void machine_start_vsock(struct machine_vm *vm, struct machine_rig *r, const char *name);
void machine_start_balloon(struct machine_vm *vm, struct machine_rig *r, const char *name);
size_t machine_memory_in_use(const struct machine_vm *vm); /* bytes, of one that is no copy */
/* A copy of one that was saved; it runs on where that stood. */
void machine_restore(struct machine_vm *vm, const struct machine_vm *from, const char *name);
/* Stop it, keep its memory and state, end it. */
void machine_save(struct machine_vm *vm);
/* Wait for its end by itself: its exit status. */
int machine_wait(struct machine_vm *vm);
void machine_kill(struct machine_vm *vm);
unsigned machine_cpu_ms(const struct machine_vm *vm); /* time of processors that it used */
