/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Client of QEMU's control protocol: one JSON object a line, over a unix socket. QEMU is taken for
 * as hostile as the guest that may have broken into it: lines are bounded, answers are matched by
 * number, and whatever does not fit the protocol ends the connection.
 *
 *   connecting -> greeting -> negotiating -> ready -> closed
 *
 * A command that was accepted is answered exactly once, with the first cause when the connection
 * ends before. Callbacks come from the loop, never from inside a call below; qmp_free() may be
 * called from any of them.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct loop;
struct qmp;

#define QMP_LINE_MAX (256u * 1024)
#define QMP_COMMANDS_MAX 16u
#define QMP_GREETING_LIMIT_MS 20000u /* a machine under load starts programs slowly */
#define QMP_ANSWER_LIMIT_MS 20000u

struct qmp_ops {
	void (*on_ready)(struct qmp *q, void *arg);
	/* data may be NULL. Optional. */
	void (*on_event)(struct qmp *q, const char *name, const json_t *data, void *arg);
	/* Once; every open command was answered before. The owner still frees it. */
	void (*on_closed)(struct qmp *q, const struct err *err, void *arg);
};

/* NULL and reterr. */
struct qmp *qmp_connect(
    struct loop *l, const char *path, const struct qmp_ops *ops, void *arg, struct err *reterr);
/* Open commands are dropped and nobody is told. */
struct qmp *qmp_free(struct qmp *q);

typedef void qmp_done_fn(const struct err *err, const json_t *ret, void *arg);
/* args may be NULL. 0, -ENOTCONN when it is not ready, -ENOBUFS, -ENOMEM; done is not called then.
 */
int qmp_command(
    struct qmp *q, const char *name, json_t *args_consume, qmp_done_fn *done, void *arg);

bool qmp_is_ready(const struct qmp *q);
/* Version of QEMU as 1000000 * major + 1000 * minor + micro; 0 before the greeting. */
unsigned qmp_version(const struct qmp *q);

/* For tests: over a connected socket. */
struct qmp *qmp_new(
    struct loop *l, int fd_consume, const struct qmp_ops *ops, void *arg, struct err *reterr);
