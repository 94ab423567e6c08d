/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the methods of filesystem.Filesystem share. */
#include "base/list.h"
#include "guest-kernel-agent/files/filesystem.h"

struct err;
struct notifier;
struct watch;
struct watch_conf;
struct watch_ops;

#define FILESYSTEM_WATCHES_MAX 128 /* streams and watchers of one sandbox */
#define FILESYSTEM_WATCHER_IDLE_MS (3600 * 1000)

struct filesystem {
	struct filesystem_conf conf;
	struct rpc_service service;
	struct notifier *notifier;
	unsigned n_watches;
	struct link watchers; /* of watchers_rpc.c */
};

/* A watch for a call, begun; NULL after the call was finished. user, workdir and the places where
 * things come from are filled in. */
struct watch *filesystem_watch(
    struct call *c, struct watch_conf *conf, const struct watch_ops *ops, void *arg);
/* Accepts NULL. */
void filesystem_unwatch(struct filesystem *fs, struct watch *w);

/* files/entries_rpc.c: the methods that are one job each */
void entries_rpc_on_stat(struct call *c, const ProtobufCMessage *m);
void entries_rpc_on_make_dir(struct call *c, const ProtobufCMessage *m);
void entries_rpc_on_move(struct call *c, const ProtobufCMessage *m);
void entries_rpc_on_list_dir(struct call *c, const ProtobufCMessage *m);
void entries_rpc_on_remove(struct call *c, const ProtobufCMessage *m);
void entries_rpc_on_done(struct call *c, int err);

/* files/watch_rpc.c: the stream */
void watch_rpc_on_watch_dir(struct call *c, const ProtobufCMessage *m);
void watch_rpc_on_ready(struct call *c);
void watch_rpc_on_done(struct call *c, int err);

/* files/watchers_rpc.c: watchers that are asked for their events */
void watchers_rpc_on_create(struct call *c, const ProtobufCMessage *m);
void watchers_rpc_on_create_done(struct call *c, int err);
void watchers_rpc_on_get_events(struct call *c, const ProtobufCMessage *m);
void watchers_rpc_on_get_done(struct call *c, int err);
void watchers_rpc_on_remove(struct call *c, const ProtobufCMessage *m);
void watchers_rpc_on_done(struct call *c, int err);
void watchers_close(struct filesystem *fs);
