/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Host side of the agent's two channels. The control channel carries our calls (ready, init,
 * notices) as small JSON answers over HTTP/2; the data channel carries clients' requests untouched.
 * Both reconnect.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct guest;
struct http_client;
struct loop;

/* How a channel is reached; strings are copied. */
enum guest_channel_kind {
	GUEST_CHANNEL_UNIX,   /* a unix socket of the agent's own: any number of connections */
	GUEST_CHANNEL_SERIAL, /* unix socket of a virtio-serial port: one at a time (channel.h) */
	GUEST_CHANNEL_VSOCK,  /* unix socket of a VMM that takes "CONNECT port" (channel.h) */
};
struct guest_channel {
	enum guest_channel_kind kind;
	const char *path;
	uint32_t port; /* GUEST_CHANNEL_VSOCK */
};

/* NULL on -ENOMEM. */
struct guest *guest_new(
    struct loop *l, const struct guest_channel *control, const struct guest_channel *data);
struct guest *guest_free(struct guest *g); /* pending callbacks are dropped, data streams reset */

typedef void guest_fn(const struct err *err, void *arg);

struct guest_boot {
	const char *template_id;
	const char *user, *workdir; /* default user and directory of processes and files */
	const char *const *env;	    /* the template's "K=V", NULL at the end */
	const char *const *kernels; /* languages to start ahead, NULL at the end */
	/* How long ended executions are kept: seconds, number, bytes of output. */
	unsigned history_s, history_count;
	uint64_t history_bytes;
	unsigned pids; /* processes and threads of a virtual machine; 0 = the host limits them */
};
/* POST /boot, then ask until the agent says that its first kernel has answered a cell (or that it
 * has none): -ETIMEDOUT otherwise. The agent may need a moment until it listens; that is waited
 * for. */
void guest_boot(
    struct guest *g, const struct guest_boot *b, uint64_t timeout_ms, guest_fn *done, void *arg);
/* Is an agent that was booted earlier still there and initialised? (after a restart of the daemon)
 */
void guest_check(struct guest *g, uint64_t timeout_ms, guest_fn *done, void *arg);

/* POST /quiesce: the agent brings the machine to rest for a snapshot: nothing runs but idle
 * kernels, everything is on its disk, connections of the data channel are closed. -EPROTO when
 * something runs. */
void guest_quiesce(struct guest *g, uint64_t timeout_ms, guest_fn *done, void *arg);
/* A restored machine runs again: POST /wake gives it entropy and identities of its own and, when
 * warm_up is set, lets its kernels run a few cells; POST /clock, the time, until an answer comes
 * soon; then it is asked as by guest_boot(). Safe to repeat. */
void guest_wake(struct guest *g, bool warm_up, uint64_t timeout_ms, guest_fn *done, void *arg);
/* Close the connections of both channels, e.g. before the machine is stopped; those of a serial
 * port or vsock are closed when done is called, after at most a second. Never fails; channels open
 * again with the next call. Not while another call is in progress. */
void guest_close_channels(struct guest *g, guest_fn *done, void *arg);

struct guest_identity {
	const char *sandbox_id;
	const char *template_id;
	const char *access_token; /* NULL = the sandbox is not secured */
	const char *const *env;	  /* "K=V", NULL at the end */
	const char *default_user;
	const char *default_workdir;
	uint64_t disk_bytes; /* of a virtual machine whose disk may have grown; 0 = it has not */
};
/* Turn a pooled guest into this sandbox: identity, environment, clock, fresh entropy. Once. */
void guest_init(struct guest *g, const struct guest_identity *id, guest_fn *done, void *arg);
/* Tell the agent of a host-side event ("oom", "pids") so that it can name the reason. */
void guest_notice(struct guest *g, const char *kind, int64_t count);
/* What a virtual machine's own kernel counts since it became a sandbox. */
struct guest_limits {
	uint64_t oom_kills;    /* processes killed because memory ran out */
	uint64_t pids_refused; /* forks refused by the limit of processes */
};
typedef void guest_limits_fn(const struct guest_limits *now, void *arg);
/* Tell of counts that are not the known ones any more, until it is stopped: for as long as the
 * sandbox runs. For machines whose limits the host does not see. */
void guest_watch_limits(
    struct guest *g, const struct guest_limits *known, guest_limits_fn *told, void *arg);
void guest_unwatch_limits(struct guest *g);
/* Data plane requests go here. */
struct http_client *guest_data(struct guest *g);
/* The sandbox is dead: reset all data streams now. */
void guest_reset(struct guest *g);
