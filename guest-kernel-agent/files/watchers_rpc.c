/* SPDX-License-Identifier: Apache-2.0 */
/* CreateWatcher, GetWatcherEvents, RemoveWatcher: a watch that belongs to no call. */
#include <errno.h>

#include "base/err.h"
#include "base/id.h"
#include "base/mem.h"
#include "base/str.h"
#include "filesystem/filesystem.pb-c.h"
#include "guest-kernel-agent/files/as_user.h"
#include "guest-kernel-agent/files/describe.h"
#include "guest-kernel-agent/files/entry_proto.h"
#include "guest-kernel-agent/files/file_error.h"
#include "guest-kernel-agent/files/filesystem_private.h"
#include "guest-kernel-agent/files/watch.h"
#include "guest-kernel-agent/system/reply.h"
#include "loop/loop.h"

#define ID_RANDOM 20

struct watcher {
	struct link link; /* filesystem.watchers */
	struct filesystem *fs;
	struct call *creating; /* until the watch began */
	struct watch *watch;
	bool include_entry;
	struct loop_timer idle;
	char id[1 + ID_RANDOM + 1];
};

/* Events on their way to one call. */
struct fetch {
	struct call *call;
	struct describe *describe;
};

static struct watcher *watcher_free(struct watcher *w)
{
	link_remove(&w->link);
	filesystem_unwatch(w->fs, w->watch);
	loop_timer_fini(&w->idle);
	return mem_free(w);
}

static void on_idle(struct loop_timer *t, void *arg)
{
	watcher_free(arg);
}

void watchers_close(struct filesystem *fs)
{
	for (struct link *k; (k = list_first(&fs->watchers));)
		watcher_free(container_of(k, struct watcher, link));
}

/* NULL after the call was finished. */
static struct watcher *find(struct call *c, const char *id)
{
	struct filesystem *fs = call_service_arg(c);
	LIST_EACH(k, &fs->watchers)
	{
		struct watcher *w = container_of(k, struct watcher, link);
		if (!w->creating && str_eq(w->id, id))
			return w;
	}
	call_finish(c, RPC_NOT_FOUND, "watcher with id %s not found", id);
	return NULL;
}

/* ---- create ---- */

static void on_started(const struct as_user_job *failed, void *arg)
{
	struct watcher *w = arg;
	struct call *c = TAKE(w->creating);
	Filesystem__CreateWatcherResponse m = FILESYSTEM__CREATE_WATCHER_RESPONSE__INIT;
	call_set_user(c, NULL);
	if (failed) {
		file_error_finish(c, failed);
		watcher_free(w);
		return;
	}
	m.watcher_id = w->id;
	loop_timer_set(&w->idle, w->fs->conf.watcher_idle_ms);
	reply_message(c, &m.base);
}

static void on_more(void *arg)
{
	struct watcher *w = arg;
	const struct err *end = watch_end(w->watch);
	if (!w->creating || !end)
		return;
	call_set_user(w->creating, NULL);
	call_finish(w->creating, file_error_rpc(end->code), "%s", err_text(end));
	watcher_free(w);
}

static const struct watch_ops watch_ops = { .on_started = on_started, .on_more = on_more };

void watchers_rpc_on_create(struct call *c, const ProtobufCMessage *m)
{
	const Filesystem__CreateWatcherRequest *q = (const Filesystem__CreateWatcherRequest *)m;
	struct watch_conf conf = {
		.path = q->path, .recursive = q->recursive, .allow_network = q->allow_network_mounts
	};
	struct watcher *w = mem_zalloc(sizeof(*w));
	if (!w) {
		reply_no_memory(c);
		return;
	}
	w->fs = call_service_arg(c);
	w->creating = c;
	w->include_entry = q->include_entry;
	w->id[0] = 'w';
	id_random_text(w->id + 1, ID_RANDOM);
	loop_timer_init(&w->idle, w->fs->conf.loop, on_idle, w);
	list_push_back(&w->fs->watchers, &w->link);
	w->watch = filesystem_watch(c, &conf, &watch_ops, w);
	if (w->watch)
		call_set_user(c, w);
	else
		watcher_free(w);
}

/* The client left before it knew the id. */
void watchers_rpc_on_create_done(struct call *c, int err)
{
	struct watcher *w = call_user(c);
	if (w)
		watcher_free(w);
}

/* ---- events ---- */

static void answer(struct call *c, struct link *events, size_t n)
{
	Filesystem__GetWatcherEventsResponse m = FILESYSTEM__GET_WATCHER_EVENTS_RESPONSE__INIT;
	CLEAN_FREE struct event_proto *each = mem_calloc(n, sizeof(*each));
	CLEAN_FREE Filesystem__FilesystemEvent **list = mem_calloc(n, sizeof(*list));
	size_t i = 0;
	int r = each && list ? 0 : -ENOMEM;
	LIST_EACH(k, events)
	{
		if (r < 0)
			break;
		r = event_proto_init(&each[i], container_of(k, struct watch_event, link));
		list[i] = &each[i].m;
		i++;
	}
	m.n_events = n;
	m.events = list;
	if (r < 0)
		reply_no_memory(c);
	else
		reply_message(c, &m.base);
	while (i-- > 0)
		event_proto_fini(&each[i]);
}

static size_t count(const struct link *events)
{
	size_t n = 0;
	LIST_EACH(k, events)
	n++;
	return n;
}

static void on_described(struct link *events, void *arg)
{
	struct fetch *f = arg;
	f->describe = NULL;
	answer(f->call, events, count(events));
}

static void fetch_described(struct watcher *w, struct call *c, struct link *events)
{
	struct fetch *f = mem_zalloc(sizeof(*f));
	if (f)
		f->describe =
		    describe_start(w->fs->conf.as_user, w->watch, events, on_described, f);
	if (!f || !f->describe) {
		mem_free(f);
		reply_no_memory(c);
		return;
	}
	f->call = c;
	call_set_user(c, f);
}

void watchers_rpc_on_get_events(struct call *c, const ProtobufCMessage *m)
{
	struct watcher *w = find(c, ((const Filesystem__GetWatcherEventsRequest *)m)->watcher_id);
	struct link events = LINK_INIT(events);
	if (!w)
		return;
	loop_timer_set(&w->idle, w->fs->conf.watcher_idle_ms);
	size_t n = watch_take(w->watch, WATCH_EVENTS_MAX, &events);
	const struct err *end = watch_end(w->watch);
	/* A directory that is gone changes no more; anything else must be known. */
	if (n == 0 && end && end->code != -ENOENT)
		call_finish(c, file_error_rpc(end->code), "%s", err_text(end));
	else if (w->include_entry && n > 0)
		fetch_described(w, c, &events);
	else
		answer(c, &events, n);
	watch_events_free(&events);
}

void watchers_rpc_on_get_done(struct call *c, int err)
{
	struct fetch *f = call_user(c);
	if (!f)
		return;
	describe_cancel(f->describe);
	mem_free(f);
}

/* ---- remove ---- */

void watchers_rpc_on_remove(struct call *c, const ProtobufCMessage *m)
{
	Filesystem__RemoveWatcherResponse answer_m = FILESYSTEM__REMOVE_WATCHER_RESPONSE__INIT;
	struct watcher *w = find(c, ((const Filesystem__RemoveWatcherRequest *)m)->watcher_id);
	if (!w)
		return;
	watcher_free(w);
	reply_message(c, &answer_m.base);
}

void watchers_rpc_on_done(struct call *c, int err)
{
}
