/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The control channel: calls of the daemon, on a server of their own, which no request of the data
 * channel can reach.
 *
 *   POST /boot     the template: {templateId, user, workdir, env{}, kernels[], pids}; kernels
 *                  start, and at most that many processes run. 204
 *   GET  /ready    200 once they answered, else 503 with the reason, after up to ?wait=MS
 *   POST /quiesce  {}: ready for a snapshot. 204 when nothing runs and all is on the disk, and data
 *                  connections were closed; else 409 with what runs
 *   POST /wake     {timestamp, entropy, hostname}: a copy of a snapshot runs. 204 when the machine
 *                  is one of its own; then /ready waits for the kernels' warm-up. Again does it
 *                  again
 *   POST /init     the sandbox: {sandboxId, templateId, accessToken, envVars{}, timestamp, entropy,
 *                  user, workdir, diskBytes}. 204 once, and for the same again; 409 for another.
 *                  diskBytes (0 = as it is): the disk has grown, the file system is to fill it
 *   GET  /state    {initialised, sandboxId}
 *   POST /notice   {kind, count}: something that only the host can see
 *   GET  /limits   of a virtual machine: what only it can see (limits.h)
 *   GET  /metrics  as envd's
 */
#include "guest-kernel-agent/system/notices.h"

struct contexts;
struct control;
struct executions;
struct http_stream;
struct identity;
struct limits;
struct loop;
struct machine;
struct processes;
struct metrics;

struct control_conf {
	struct loop *loop;
	struct identity *identity;
	struct contexts *contexts;
	struct executions *executions;
	struct processes *processes;
	struct metrics *metrics;
	struct notices *notices;
	const struct machine *machine; /* NULL: clock and identities are somebody else's */
	struct limits *limits;	       /* NULL: the host sees them */
	const char *disk;	       /* device of a machine's; NULL: it is not ours */
	void (*drop_data)(void *arg);  /* break all connections of the data channel; may be NULL */
	void *arg;
	const char *mark_dir;	/* where the marker files go */
	const char *python_dir; /* where our Python files go */
};

struct control *control_new(const struct control_conf *c);
/* The server and the contexts are gone already. */
struct control *control_free(struct control *c);
/* For http_server_conf: arg is the control. */
void control_on_request(struct http_stream *st, void *arg);
