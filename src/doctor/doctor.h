/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * sandglassd doctor: what this machine can do, before and after sandglass is installed. Three
 * parts:
 *
 *   host.h      checks of the kernel, the machine and its programs, which change nothing
 *   probe.h     each compiled-in driver's own test boot, through a launcher as the server has one
 *   selftest.h  two sandboxes of each driver that works, over gRPC from a private server
 *
 * The last two run beside a server that serves, and touch nothing of it (scratch.h): state and
 * runtime directories, processes, mount table and network are their own, and so is the instance's
 * tag, by which the launcher names control groups and chooses user ids. Root only starts and ends
 * processes and reads their short reports; what a launcher, a VMM or a sandbox says is read by
 * children that have given up their rights as the server's worker does.
 *
 * SIGINT, SIGTERM and SIGHUP end it early; everything is taken away again as at the end. When it is
 * killed, its processes end with it; a directory sandglass-doctor-X and empty control groups stay.
 *
 * The folder is a layer beside daemon: daemon includes it, and it starts servers as programs. It
 * may include the launcher's client and the drivers (test boots) and the gRPC client (self-test),
 * but not service or sandbox, which it meets over the network only.
 */
#include <stdbool.h>

/* One of the server's processes as doctor wants it started. */
struct doctor_server {
	const char *state_dir, *runtime_dir, *instance;
	const char *driver;   /* for a whole server */
	const char *env_file; /* the same */
	bool pool;
};

struct doctor_conf {
	const char *state_dir; /* absolute */
	const char *user;
	const char *driver;		  /* "auto" or the name of one */
	const char *min_isolation;	  /* "namespace" ... */
	const char *firecracker, *jailer; /* programs; "" = in the usual places */
	const char *template_name;	  /* for the self-test */
	bool json;			  /* tell it as one JSON object */
	bool quick;			  /* no self-test */
	bool verdict;			  /* no self-test, and the verdict alone is told */
	/* Run in a child as root, and never return: a launcher with its socket at descriptor 3; a
	 * whole server, with the configuration of the one that this machine has else. */
	void (*launcher_main)(const struct doctor_server *s, const void *arg);
	void (*server_main)(const struct doctor_server *s, const void *arg);
	const void *arg;
};

/* Examine, and print to standard output. The exit status: 0 when some driver that the configuration
 * allows works, 1 when none does or it could not be found out, 128 + n after signal n. */
int doctor_run(const struct doctor_conf *c);
