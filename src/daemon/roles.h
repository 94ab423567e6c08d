/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The processes of one server.
 *
 *   supervisor (root)      opens the listening sockets, starts the other two, starts them again
 * when they |                    die, passes signals on. It reads nothing that a client or a guest
 * can send.
 *     +- launcher (root)   namespaces, mounts, cgroups; talks to the worker over a seqpacket socket
 *     +- worker            everything else, as an unprivileged user without capabilities, under
 * seccomp
 *
 * Supervisor and worker share a seqpacket socket: the worker says when it serves, the supervisor
 * hands over the socket of a launcher that was started again. Sandboxes are children of none of the
 * three.
 */
#include <stdbool.h>
#include <stdint.h>

struct config;
struct err;

/* Messages on the socket between supervisor and worker; fixed size, one per packet. */
enum role_message_kind {
	ROLE_READY = 1, /* worker -> supervisor: serving */
	ROLE_LAUNCHER,	/* supervisor -> worker, with one descriptor: a new launcher's socket */
};
struct role_message {
	uint32_t kind;
	char api_key[64]; /* READY: a key made at this start, or "" */
};

/* What a worker inherits. */
struct role_inherit {
	int supervisor_fd;
	int launcher_fd;
	int listen_fd, tls_listen_fd; /* -1 = none */
	char known_key[64]; /* the key of an environment file from the last start, or "" */
	bool want_key;	    /* make a key when known_key is not valid (any more) */
};

/* Run the whole server in the foreground; returns the exit status. env_file may be NULL. */
int roles_run(const struct config *c, const char *config_path, const char *env_file);

/* The worker's main (worker.c): never returns to the caller's state, gives the exit status. */
int worker_run(const struct config *c, const struct role_inherit *in);
