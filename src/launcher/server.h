/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The launcher itself: one root process with one loop, that owns every sandbox of an instance. It
 * ends when the daemon's socket ends; sandboxes do not end with it. All paths are relative to its
 * working directory STATE/launcher (root, 0700), so that nobody who can rename things above it can
 * redirect them:
 *
 *   bases/NAME/       root file systems, read-only lower layers
 *   layers/, images/, kernels/   image/build.h
 *   masters/SIZE      empty, formatted disks to copy from
 *   boxes/ID/         record, disk, jail
 *   warm/, snapshots/ of VMs (warm.h, vm_save.h)
 *   fc/               snapshots of Firecracker (fc.h)
 *   stage/            an empty directory; each sandbox's child mounts its own tmpfs here
 *
 * Sockets are in RUNTIME/agents/ID/, connectable by the owner only.
 */
#include <stdbool.h>
#include <sys/types.h>

struct err;
struct server;

struct server_conf {
	const char *state_dir, *runtime_dir;
	const char *instance;
	uid_t owner_uid;
	gid_t owner_gid;
	const char *templates_dir;	  /* of which images are built; NULL = none are */
	const char *agent;		  /* program that becomes process 1 of sandboxes; static */
	const char *firecracker, *jailer; /* programs; NULL = in the usual places */
	const char *const *masks; /* host directories that no sandbox shall see, NULL at the end */
	const char *cidr;	  /* NULL = a built-in one */
	const char *const *dns;	  /* NULL = the host's */
	unsigned net_ready; /* network slots to keep prepared; 0 = network is off altogether */
	/* Asked before each step of making a sandbox, also inside its child: a failure to play, or
	 * 0. For tests; NULL otherwise. */
	int (*fault)(const char *step, void *arg);
	void *fault_arg;
};

/* Serve one daemon on socket_consume until it hangs up: 0, or -errno and reterr when the launcher
 * could not start. Changes the working directory. */
int server_run(const struct server_conf *c, int socket_consume, struct err *reterr);
