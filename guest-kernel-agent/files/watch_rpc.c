/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WatchDir: events leave as fast as the client takes them; what it does not take waits in the
 * watch, which is bounded. With entries, a batch of events is one job.
 */
#include <errno.h>

#include "base/err.h"
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

#define BATCH_MAX 128
#define KEEPALIVE_S 90 /* unless the client says otherwise */
#define KEEPALIVE_MAX_S 86400

struct stream {
	struct filesystem *fs;
	struct call *call;
	struct watch *watch;
	struct describe *describe; /* a batch whose entries are looked up */
	bool include_entry, started;
	struct loop_timer keepalive;
	uint64_t keepalive_ms;
};

/* ---- what is sent ---- */

static int send_event(struct stream *s, const struct watch_event *e)
{
	Filesystem__WatchDirResponse m = FILESYSTEM__WATCH_DIR_RESPONSE__INIT;
	struct event_proto p;
	int r = event_proto_init(&p, e);
	m.event_case = FILESYSTEM__WATCH_DIR_RESPONSE__EVENT_FILESYSTEM;
	m.filesystem = &p.m;
	if (r == 0)
		r = call_send(s->call, &m.base);
	event_proto_fini(&p);
	return r;
}

static void send_events(struct stream *s, struct link *events)
{
	int r = 0;
	LIST_EACH(k, events)
	{
		if (r == 0)
			r = send_event(s, container_of(k, struct watch_event, link));
	}
	watch_events_free(events);
	if (r == -ENOMEM)
		reply_no_memory(s->call);
	loop_timer_set(&s->keepalive, s->keepalive_ms);
}

static void on_described(struct link *events, void *arg);

/* Events to the client while it takes them; then the end, if there is one. */
static void pump(struct stream *s)
{
	struct link batch = LINK_INIT(batch);
	while (s->started && !s->describe && call_is_ready(s->call)) {
		const struct err *end = watch_end(s->watch);
		if (watch_take(s->watch, BATCH_MAX, &batch) > 0) {
			if (s->include_entry)
				s->describe = describe_start(
				    s->fs->conf.as_user, s->watch, &batch, on_described, s);
			if (!s->describe)
				send_events(s, &batch);
			continue;
		}
		if (end)
			call_finish(s->call, file_error_rpc(end->code), "%s", err_text(end));
		return;
	}
}

static void on_described(struct link *events, void *arg)
{
	struct stream *s = arg;
	s->describe = NULL;
	send_events(s, events);
	pump(s);
}

static void on_keepalive(struct loop_timer *t, void *arg)
{
	struct stream *s = arg;
	Filesystem__WatchDirResponse m = FILESYSTEM__WATCH_DIR_RESPONSE__INIT;
	Filesystem__WatchDirResponse__KeepAlive alive =
	    FILESYSTEM__WATCH_DIR_RESPONSE__KEEP_ALIVE__INIT;
	m.event_case = FILESYSTEM__WATCH_DIR_RESPONSE__EVENT_KEEPALIVE;
	m.keepalive = &alive;
	/* A client that does not take what is there needs no more of it. */
	if (call_is_ready(s->call) && call_send(s->call, &m.base) == -ENOMEM)
		reply_no_memory(s->call);
	loop_timer_set(&s->keepalive, s->keepalive_ms);
}

/* ---- the watch ---- */

static void on_started(const struct as_user_job *failed, void *arg)
{
	struct stream *s = arg;
	Filesystem__WatchDirResponse m = FILESYSTEM__WATCH_DIR_RESPONSE__INIT;
	Filesystem__WatchDirResponse__StartEvent start =
	    FILESYSTEM__WATCH_DIR_RESPONSE__START_EVENT__INIT;
	if (failed) {
		file_error_finish(s->call, failed);
		return;
	}
	m.event_case = FILESYSTEM__WATCH_DIR_RESPONSE__EVENT_START;
	m.start = &start;
	s->started = true;
	if (call_send(s->call, &m.base) == -ENOMEM)
		reply_no_memory(s->call);
	loop_timer_set(&s->keepalive, s->keepalive_ms);
}

static void on_more(void *arg)
{
	struct stream *s = arg;
	const struct err *end = watch_end(s->watch);
	if (!s->started && end)
		call_finish(s->call, file_error_rpc(end->code), "%s", err_text(end));
	else
		pump(s);
}

static const struct watch_ops watch_ops = { .on_started = on_started, .on_more = on_more };

/* ---- the call ---- */

static uint64_t keepalive_of(const struct call *c)
{
	const char *text = call_header(c, "keepalive-ping-interval");
	uint64_t seconds;
	if (!text || str_u64(text, KEEPALIVE_MAX_S, &seconds) < 0 || seconds == 0)
		seconds = KEEPALIVE_S;
	return seconds * 1000;
}

void watch_rpc_on_watch_dir(struct call *c, const ProtobufCMessage *m)
{
	const Filesystem__WatchDirRequest *q = (const Filesystem__WatchDirRequest *)m;
	struct watch_conf conf = {
		.path = q->path, .recursive = q->recursive, .allow_network = q->allow_network_mounts
	};
	struct stream *s = mem_zalloc(sizeof(*s));
	if (!s) {
		reply_no_memory(c);
		return;
	}
	s->fs = call_service_arg(c);
	s->call = c;
	s->include_entry = q->include_entry;
	s->keepalive_ms = keepalive_of(c);
	loop_timer_init(&s->keepalive, s->fs->conf.loop, on_keepalive, s);
	call_set_user(c, s);
	s->watch = filesystem_watch(c, &conf, &watch_ops, s);
}

void watch_rpc_on_ready(struct call *c)
{
	struct stream *s = call_user(c);
	if (s && s->watch)
		pump(s);
}

void watch_rpc_on_done(struct call *c, int err)
{
	struct stream *s = call_user(c);
	if (!s)
		return;
	filesystem_unwatch(s->fs, s->watch);
	describe_cancel(s->describe);
	loop_timer_fini(&s->keepalive);
	mem_free(s);
}
