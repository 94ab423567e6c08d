/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * From a fresh clone to the jailer, in the manner of child.h and with its reports. In this order:
 * cgroups, disk, network, mounts, limits, exec.
 */
#include <stdbool.h>
#include <stdint.h>

#include "jail/cgroup.h"

struct fc_child_plan {
	const char *const *argv; /* the jailer's */
	const char *jail;	 /* base directory, shown as base */
	const char *base;
	const char *vm_dir, *vm_in_base; /* directory of sockets, and where it is shown */
	const char *disk_from, *disk, *disk_in_jail;
	uint32_t uid;
	int conn_fd; /* the daemon's socket, to be closed at once */
	int status_fd, log_fd;
	int netns_fd; /* -1 = born in a new one */
	struct cgroup_door door;
	int (*fault)(const char *step, void *arg);
	void *fault_arg;
};

/* Takes a struct fc_child_plan; never returns. */
void fc_child_run(const void *plan) __attribute__((noreturn));
