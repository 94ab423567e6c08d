/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Client side of the launcher, the privileged process that makes and ends sandboxes (proto.h says
 * what travels between the two). Requests run in parallel and are matched by number.
 *
 * A launcher that dies is started again by the supervisor, which hands over a new socket for
 * launcher_connect(). Meanwhile requests wait; those that were on their way are sent again when
 * repeating them does no harm, and a create fails with -ECONNRESET after what it may have left was
 * removed. Watched sandboxes are adopted again by themselves; one that died meanwhile gets its
 * EXITED.
 *
 * Every callback comes exactly once, from a later loop turn.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/id.h"
#include "launcher/proto.h"

struct launcher;
struct loop;

/* lost is told when the launcher's socket ended; the caller then waits for a new one. May be NULL.
 * NULL on -ENOMEM (socket is closed then, too). */
struct launcher *launcher_new(
    struct loop *l, int socket_consume, void (*lost)(void *arg), void *arg);
/* A new launcher took the place of the lost one. 0 or -errno. */
int launcher_connect(struct launcher *la, int socket_consume);
/* Requests that are still open are dropped without an answer. Sandboxes live on. */
struct launcher *launcher_free(struct launcher *la);

typedef void launcher_done_fn(const struct err *err, const struct proto_reply *reply, void *arg);

/* 0, or -ENOMEM and done is not called. reply is NULL when err->code != 0. */
int launcher_prepare(struct launcher *la, const char *base, launcher_done_fn *done, void *arg);
int launcher_create(
    struct launcher *la, const struct proto_create *c, launcher_done_fn *done, void *arg);
/* Answers 0 also when there was no such sandbox. */
int launcher_destroy(struct launcher *la, const char *id, launcher_done_fn *done, void *arg);
int launcher_adopt(struct launcher *la, const char *id, launcher_done_fn *done, void *arg);
int launcher_usage(struct launcher *la, const char *id, launcher_done_fn *done, void *arg);
int launcher_set_internet(
    struct launcher *la, const char *id, bool on, launcher_done_fn *done, void *arg);
/* Limits of one that lives. The VMM of a larger disk is to be told of it afterwards. -EBUSY when
 * its processes use more memory already, -EINVAL when the disk is larger, -ENOTSUP when its kind
 * cannot change that. */
int launcher_resize(struct launcher *la, const char *id, const struct proto_sizes *to,
    launcher_done_fn *done, void *arg);
/* One call of item for each sandbox, then done. */
int launcher_list(struct launcher *la, void (*item)(const char *id, void *arg),
    launcher_done_fn *done, void *arg);

/* ---- images ---- */

/* Build the image of a template; log for each line, then done: -EBUSY while that is going on
 * already, -ECANCELED after a cancel. A build that a lost launcher took along starts again. */
int launcher_build(struct launcher *la, const char *name, bool force,
    void (*log)(const struct proto_log *m, void *arg), launcher_done_fn *done, void *arg);
int launcher_build_cancel(struct launcher *la, const char *name, launcher_done_fn *done, void *arg);
/* One call of image for each template that has one, is being built or failed to be. */
int launcher_images(struct launcher *la, void (*image)(const struct proto_image *m, void *arg),
    launcher_done_fn *done, void *arg);
int launcher_image_remove(struct launcher *la, const char *name, launcher_done_fn *done, void *arg);
/* ---- VMs ---- */
int launcher_vm_prepare(
    struct launcher *la, const struct proto_create *c, launcher_done_fn *done, void *arg);
int launcher_vm_load(struct launcher *la, const char *id, launcher_done_fn *done, void *arg);
int launcher_vm_info(
    struct launcher *la, enum proto_box_kind kind, launcher_done_fn *done, void *arg);
int launcher_vm_do(struct launcher *la, const char *id, enum proto_vm_verb verb,
    launcher_done_fn *done, void *arg);
int launcher_vm_warm(struct launcher *la, const char *id, launcher_done_fn *done, void *arg);
int launcher_vm_snapshot(
    struct launcher *la, const char *id, const char *snapshot, launcher_done_fn *done, void *arg);
/* One call of item for each snapshot, then done. */
int launcher_vm_snapshots(struct launcher *la, void (*item)(const char *id, void *arg),
    launcher_done_fn *done, void *arg);
int launcher_vm_forget(
    struct launcher *la, const char *snapshot, launcher_done_fn *done, void *arg);

/* Events of one sandbox. The handler must be unlinked before its memory goes. */
struct launcher_watch {
	char id[ID_SANDBOX_LEN + 1];
	void (*cb)(struct launcher_watch *w, const struct proto_event *e);
};
int launcher_watch_add(struct launcher *la, struct launcher_watch *w); /* 0, -ENOMEM, -EEXIST */
void launcher_watch_remove(struct launcher *la, struct launcher_watch *w);
