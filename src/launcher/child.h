/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * From a fresh clone to process 1 of a sandbox. The child first waits for one byte on its status
 * socket (its record is written then), builds its world, gives up every right and becomes the
 * agent. The socket closes by itself when that works; before, the child sends one CHILD_DISK with
 * the root directory of the sandbox's disk, or one CHILD_FAILED and exits.
 *
 * In this order: cgroups, network, mounts, new root, user namespace, ids, capabilities, limits,
 * Landlock, seccomp, exec. Mount, pid, ipc, uts and net namespaces stay with the initial user
 * namespace: root inside can mount, name and configure nothing.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "jail/cgroup.h"

struct seccomp_prog;

#define CHILD_CGROUP_SHOWN 4

#define CHILD_LOWERS_MAX 8192

struct child_plan {
	const char *base;   /* lower layer of the root, the host's /usr is its /usr; or ... */
	const char *lowers; /* ... NULL, or layers of an image, topmost first: "DIR:DIR" */
	const char *master; /* formatted disk to copy; NULL = use a tmpfs */
	const char *disk;   /* the copy */
	const char *resolv_conf;
	const char *const *masks; /* host paths; those beneath /usr are hidden */
	struct { /* cgroup directories to show, from, and name beneath /sys/fs/cgroup */
		char from[512];
		const char *name;
	} cgroup[CHILD_CGROUP_SHOWN];
	uint64_t disk_bytes, memory_bytes;
	uint32_t uid_base;
	int conn_fd; /* the daemon's socket, to be closed at once */
	int status_fd, userns_fd, agent_fd, control_fd, data_fd, log_fd;
	int netns_fd; /* -1 = born in a new one, with loopback only */
	struct cgroup_door door;
	const struct seccomp_prog *filter;
	bool landlock;
	int (*fault)(const char *step, void *arg);
	void *fault_arg;
};

enum child_kind { CHILD_DISK = 1, CHILD_FAILED };
struct child_report {
	uint32_t kind;
	int32_t code;
	char step[32];
};

/* Never returns. */
void child_run(const struct child_plan *p) __attribute__((noreturn));

/* Parts that children of every kind use. 0 or -errno. */
int child_wait_for_record(int status_fd); /* -ECANCELED: the launcher is gone */
int child_enter_cgroups(const struct cgroup_door *door);
int child_set_limit(int which, uint64_t want); /* not above what we have */
void child_report_failure(int status_fd, const char *step, int code) __attribute__((noreturn));

/* rootfs.c: everything up to the new root, which it enters. *ret_step names what failed. The
 * descriptor of the disk's root goes to *ret_disk (-1 = none). */
int rootfs_enter(const struct child_plan *p, const char **ret_step, int *ret_disk);
/* What of it is memory, after its limit was changed; root: the directory of one that lives. */
int rootfs_resize(int root, uint64_t memory_bytes);
/* The test hook. */
int child_fault(const struct child_plan *p, const char *step);
