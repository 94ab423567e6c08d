/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Control groups of sandboxes: one group a sandbox beneath one parent an instance, in every
 * hierarchy that matters. Three layouts are served: version 2 alone, version 1 alone, and the
 * hybrid one, where version 1 has the controllers and a version 2 tree is used to place and kill.
 *
 * A process is placed without cgroup.procs of version 1, which costs an RCU grace period (5 to 14
 * ms): the single-threaded child writes "0" to `tasks` files that its parent opened; into version 2
 * it is born (CLONE_INTO_CGROUP).
 *
 * Names come from us, never from a guest: [a-z0-9-].
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

enum cgroup_controller {
	CGROUP_MEMORY,
	CGROUP_CPU,
	CGROUP_CPUACCT,
	CGROUP_PIDS,
	CGROUP_CONTROLLERS
};
#define CGROUP_UNIFIED CGROUP_CONTROLLERS /* index of the version 2 tree */
#define CGROUP_TREES (CGROUP_CONTROLLERS + 1)

struct cgroup_tree {
	int parent_fd[CGROUP_TREES]; /* our parent group in each; -1 = not there */
	char path[CGROUP_TREES][256];
	bool v2; /* the version 2 tree has the controllers */
};

struct cgroup_limits {
	uint64_t memory_bytes; /* swap is off */
	uint32_t cpu_milli, max_pids;
};

struct cgroup_usage {
	uint64_t memory_bytes, memory_limit, cpu_usec;
	uint64_t oom_kills, pids_refused;
	uint32_t pids;
};

/* Find the hierarchies (mountinfo: NULL = /proc/self/mountinfo), make the parent group. 0 or
 * -errno. */
int cgroup_tree_open(
    struct cgroup_tree *t, const char *mountinfo, const char *parent, struct err *reterr);
void cgroup_tree_close(struct cgroup_tree *t); /* the parent group stays */
/* Remove the parent group; -EBUSY while it has children. */
int cgroup_tree_remove(const struct cgroup_tree *t);

/* On failure nothing is left behind. */
int cgroup_create(const struct cgroup_tree *t, const char *name, const struct cgroup_limits *l,
    struct err *reterr);
/* Other limits while it is in use; memory_bytes 0 = as it is. -EBUSY when so much is used already
 * that processes would have to be killed. */
int cgroup_resize(const struct cgroup_tree *t, const char *name, uint64_t memory_bytes,
    uint32_t cpu_milli, struct err *reterr);
/* 0 (also when there is none), -EBUSY while processes are in it. */
int cgroup_remove(const struct cgroup_tree *t, const char *name);
/* Kill every process in it. 0 or -errno. */
int cgroup_kill(const struct cgroup_tree *t, const char *name);
/* Fields that cannot be read stay 0. */
void cgroup_read(const struct cgroup_tree *t, const char *name, struct cgroup_usage *ret);
/* Names of all groups beneath the parent; fn returns 0 to go on. 0 or -errno. */
int cgroup_each(const struct cgroup_tree *t, int (*fn)(const char *name, void *arg), void *arg);

/* What a child needs to enter a group; all -1 when closed. */
struct cgroup_door {
	int unified_fd; /* for clone3; -1 = no version 2 tree */
	int tasks_fd[CGROUP_CONTROLLERS];
};
int cgroup_door_open(const struct cgroup_tree *t, const char *name, struct cgroup_door *ret);
void cgroup_door_close(struct cgroup_door *d);
/* In the single-threaded child. 0 or -errno. */
int cgroup_door_enter(const struct cgroup_door *d);

/* Version 1: an eventfd that counts out-of-memory conditions; -ENOTSUP on version 2, whose files
 * are watched with inotify instead. */
int cgroup_oom_eventfd(const struct cgroup_tree *t, const char *name);
/* Paths of the files that change when a limit is met; 0, or -ENOTSUP (version 1 has none for OOM).
 */
int cgroup_oom_path(const struct cgroup_tree *t, const char *name, char *dst, size_t cap);
/* Version 1 tells nobody about refused forks on newer kernels: count them from this descriptor of
 * the file, which can be read again and again. */
int cgroup_pids_open(const struct cgroup_tree *t, const char *name);
uint64_t cgroup_pids_count(int pids_fd);
int cgroup_pids_path(const struct cgroup_tree *t, const char *name, char *dst, size_t cap);
/* Directory of the group in one tree, for showing it to the sandbox; -ENOENT when it is not there.
 */
int cgroup_path(
    const struct cgroup_tree *t, unsigned tree, const char *name, char *dst, size_t cap);
