/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * From a fresh clone to the VMM of a sandbox, in the manner of child.h and with its reports. The
 * VMM gets a root of its own that holds the host's /usr read-only and next to nothing else, new
 * mount, pid, ipc, uts and network namespaces, the ids of the sandbox's slot, no capabilities, and
 * the descriptors below. In this order: cgroups, disk, network, root, ids, limits, exec.
 */
#include <stdbool.h>
#include <stdint.h>

#include "jail/cgroup.h"

/* Numbers of descriptors in the VMM; standard output and error are the log. */
enum vm_fd {
	VM_FD_CONTROL = 3, /* listening sockets */
	VM_FD_DATA,
	VM_FD_MONITOR,
	VM_FD_ROOT,
	VM_FD_DISK,
	VM_FD_MEMORY,
	VM_FD_STATE,	/* device state is saved here */
	VM_FD_STATE_IN, /* and loaded from here */
	VM_FD_TAP,
	VM_FD_END
};

#define VM_KERNEL "/kernel"
#define VM_INITRD "/initrd"

struct vm_child_plan {
	const char *const *argv;
	int fds[VM_FD_END];	     /* ours, by their number there; -1 = none */
	const char *kernel, *initrd; /* shown as VM_KERNEL, VM_INITRD; NULL = none */
	const char *disk_from;	     /* disk to copy */
	const char *disk;	     /* the copy, opened as VM_FD_DISK */
	uint64_t file_limit;	     /* of what it may make a file as large as */
	uint32_t uid_base;
	bool kvm; /* /dev/kvm is there */
	bool landlock;
	int conn_fd; /* the daemon's socket, to be closed at once */
	int status_fd, log_fd;
	int netns_fd; /* -1 = born in a new one */
	struct cgroup_door door;
	int (*fault)(const char *step, void *arg);
	void *fault_arg;
};

/* Takes a struct vm_child_plan; never returns. */
void vm_child_run(const void *plan) __attribute__((noreturn));
