/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Client of one Firecracker's API socket: one connection that is kept, one request at a time (the
 * server has one thread), bodies with a length. After a limit has run out the state of the machine
 * is not known: the connection is given up, every later call fails, and the machine must be killed.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "loop/loop.h"
#include "vmm/firecracker/http.h"

#define FC_LIMIT_CONFIG_MS 2000u
#define FC_LIMIT_PAUSE_MS 40000u /* its own limit is 30 s */
#define FC_LIMIT_LOAD_MS 10000u
#define FC_LIMIT_START_MS 10000u
/* Writing a snapshot of a machine with so much memory. */
unsigned fc_api_create_limit(uint64_t memory_bytes);

/* err: 0; -EREMOTEIO = refused, its text is the fault verbatim; -ETIMEDOUT; -ECONNRESET = the
 * connection ended. body is that of a 200, "" otherwise; gone after the call. */
typedef void fc_api_done_fn(const struct err *err, struct buf *body, void *arg);

struct fc_api {
	struct loop *loop;
	int fd;
	bool busy;
	struct loop_io io;
	struct loop_timer limit;
	struct loop_defer tell;
	struct buf out;
	struct fc_http in;
	struct err err; /* of the call that is about to be told */
	char what[96];	/* "PUT /drives/disk" */
	fc_api_done_fn *done;
	void *arg;
};

/* 0, or -errno of connect(2): -ENOENT, -ECONNREFUSED = not there yet. */
int fc_api_open(struct fc_api *a, struct loop *l, const char *path);
/* An open call is dropped without an answer. Accepts zeroed memory. */
void fc_api_close(struct fc_api *a);
bool fc_api_is_open(const struct fc_api *a);
/* Does this process of this user listen there? */
bool fc_api_is_by(const struct fc_api *a, pid_t pid, uid_t uid);
/* Takes over the bytes of body (NULL or empty = none). No other call may be open. Always answers,
 * from a later turn. */
void fc_api_call(struct fc_api *a, const char *method, const char *path, struct buf *body,
    unsigned limit_ms, fc_api_done_fn *done, void *arg);
/* The process has ended: read what it still said. True when a call is open and its answer, or its
 * failure, is about to be told. */
bool fc_api_drain(struct fc_api *a);
/* Forget the open call: its answer is not told, and the connection cannot be used any more. */
void fc_api_cancel(struct fc_api *a);
