/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/files/filesystem.h"

#include <errno.h>

#include "base/err.h"
#include "base/mem.h"
#include "filesystem/filesystem.pb-c.h"
#include "guest-kernel-agent/files/file_error.h"
#include "guest-kernel-agent/files/filesystem_private.h"
#include "guest-kernel-agent/files/notifier.h"
#include "guest-kernel-agent/files/watch.h"
#include "guest-kernel-agent/system/identity.h"
#include "guest-kernel-agent/system/reply.h"
#include "guest-kernel-agent/system/user_select.h"

static const struct rpc_method methods[] = {
	{ .name = "Stat", .on_message = entries_rpc_on_stat, .on_done = entries_rpc_on_done },
	{ .name = "MakeDir",
	    .on_message = entries_rpc_on_make_dir,
	    .on_done = entries_rpc_on_done },
	{ .name = "Move", .on_message = entries_rpc_on_move, .on_done = entries_rpc_on_done },
	{ .name = "ListDir",
	    .on_message = entries_rpc_on_list_dir,
	    .on_done = entries_rpc_on_done },
	{ .name = "Remove", .on_message = entries_rpc_on_remove, .on_done = entries_rpc_on_done },
	{ .name = "WatchDir",
	    .server_stream = true,
	    .on_message = watch_rpc_on_watch_dir,
	    .on_ready = watch_rpc_on_ready,
	    .on_done = watch_rpc_on_done },
	{ .name = "CreateWatcher",
	    .on_message = watchers_rpc_on_create,
	    .on_done = watchers_rpc_on_create_done },
	{ .name = "GetWatcherEvents",
	    .on_message = watchers_rpc_on_get_events,
	    .on_done = watchers_rpc_on_get_done },
	{ .name = "RemoveWatcher",
	    .on_message = watchers_rpc_on_remove,
	    .on_done = watchers_rpc_on_done },
};

struct filesystem *filesystem_new(const struct filesystem_conf *conf)
{
	struct filesystem *fs = mem_zalloc(sizeof(*fs));
	if (!fs)
		return NULL;
	fs->conf = *conf;
	if (fs->conf.watcher_idle_ms == 0)
		fs->conf.watcher_idle_ms = FILESYSTEM_WATCHER_IDLE_MS;
	link_init(&fs->watchers);
	fs->service = (struct rpc_service){ .descriptor = &filesystem__filesystem__descriptor,
		.methods = methods,
		.n_methods = sizeof(methods) / sizeof(*methods),
		.arg = fs };
	fs->notifier = notifier_new(conf->loop);
	return fs->notifier ? fs : filesystem_free(fs);
}

void filesystem_stop(struct filesystem *fs)
{
	if (fs)
		watchers_close(fs);
}

struct filesystem *filesystem_free(struct filesystem *fs)
{
	if (!fs)
		return NULL;
	notifier_free(fs->notifier);
	return mem_free(fs);
}

const struct rpc_service *filesystem_service(const struct filesystem *fs)
{
	return &fs->service;
}

/* ---- for the methods ---- */

static struct watch *begin(struct filesystem *fs, struct watch_conf *conf,
    const struct watch_ops *ops, void *arg, struct err *reterr)
{
	conf->loop = fs->conf.loop;
	conf->as_user = fs->conf.as_user;
	conf->notifier = fs->notifier;
	conf->workdir = identity_workdir(fs->conf.identity);
	conf->max_events = fs->conf.max_events;
	struct watch *w = watch_new(conf, ops, arg);
	if (!w)
		(void)err_set(reterr, -ENOMEM, "out of memory");
	else if (watch_start(w, reterr) < 0)
		w = watch_close(w);
	return w;
}

struct watch *filesystem_watch(
    struct call *c, struct watch_conf *conf, const struct watch_ops *ops, void *arg)
{
	struct filesystem *fs = call_service_arg(c);
	struct err why = ERR_INIT;
	CLEAN_FREE char *user = NULL;
	int r = user_name_of_call(c, fs->conf.identity, &user, &why);
	if (r == -ENOMEM) {
		reply_no_memory(c);
		return NULL;
	}
	if (r < 0) {
		call_finish(c, RPC_UNAUTHENTICATED, "%s", err_text(&why));
		return NULL;
	}
	if (fs->n_watches == FILESYSTEM_WATCHES_MAX) {
		call_finish(c, RPC_RESOURCE_EXHAUSTED, "%d directories are watched already",
		    FILESYSTEM_WATCHES_MAX);
		return NULL;
	}
	conf->user = user;
	struct watch *w = begin(fs, conf, ops, arg, &why);
	if (w)
		fs->n_watches++;
	else
		call_finish(c, file_error_rpc(why.code), "%s", err_text(&why));
	return w;
}

void filesystem_unwatch(struct filesystem *fs, struct watch *w)
{
	if (!w)
		return;
	fs->n_watches--;
	watch_close(w);
}
