/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a server owns on disk, and who may touch it.
 *
 *   STATE/                 root, 0711
 *     lock, sandglassd.pid root
 *     data/                worker, 0700: sandglass.db
 *     launcher/            root, 0700: root file systems, disks, records of sandboxes
 *   RUNTIME/               root, 0711
 *     agents/ID/           sockets of one sandbox's agent (made by the launcher)
 */
#include <stddef.h>
#include <sys/types.h>

struct config;
struct err;
struct role_inherit;

struct layout {
	uid_t uid; /* of the worker */
	gid_t gid;
	char instance[9]; /* tells servers on one machine apart: interface and cgroup names */
	int lock_fd;	  /* held while the server runs */
	char pid_path[4096];
};

/* Directories, the lock (one server a state directory), the worker's user. */
int layout_prepare(struct layout *l, const struct config *c, struct err *reterr);
void layout_release(struct layout *l);
/* In a child: becomes the launcher, whose socket is descriptor 3. */
void layout_exec_launcher(const struct layout *l, const struct config *c) __attribute__((noreturn));
/* Name, ids and instance of a worker, from the same configuration. */
int layout_identify(struct layout *l, const struct config *c, struct err *reterr);
/* The program named by key, or the one of that name beside ours. */
int layout_program(const char *configured, const char *name, char *dst, size_t cap);

/* Environment files: lines that a shell can source. */
void layout_read_env_key(const char *path, char *dst, size_t cap);
int layout_write_env(
    const struct config *c, const char *path, const char *key, const struct role_inherit *in);
/* READY=1 on NOTIFY_SOCKET when systemd waits for it. */
void layout_notify_service_manager(void);
