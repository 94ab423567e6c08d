/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WatchEvents: the events of a team's sandboxes from the call on, and a heartbeat whenever nothing
 * was sent for a while. The first heartbeat comes at once: it says that the watch has begun.
 *
 * What a slow reader has not taken yet waits in its stream's queue; when that grows beyond a mark
 * the stream ends with RESOURCE_EXHAUSTED instead of skipping events silently.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"
#include "sandbox/sandbox.h"
#include "service/control.h"
#include "service/pb_sandbox.h"
#include "service/sandbox_service.h"

#define HEARTBEAT_MS 10000 /* promised are 15 s */
#define QUEUE_MAX LIMIT_STREAM_QUEUE

struct watch {
	struct link link;
	struct call *call;
	struct sandbox_sub *sub;
	struct loop_timer heartbeat;
	char sandbox_id[ID_SANDBOX_LEN + 1]; /* "" = all */
};

typedef Sandglass__V1__WatchEventsResponse watch_message;

static void watch_free(struct watch *w)
{
	link_remove(&w->link);
	loop_timer_fini(&w->heartbeat);
	if (w->sub)
		sandboxes_unsubscribe(w->sub);
	(void)mem_free(w);
}

static void send_message(struct watch *w, watch_message *m)
{
	struct http_stream *st = call_stream(w->call);
	if (!st) /* gone; on_done comes */
		return;
	Google__Protobuf__Timestamp now = pb_timestamp(clock_real_ns());
	m->time = &now;
	if (http_stream_queued(st) > QUEUE_MAX)
		call_finish(w->call, RPC_RESOURCE_EXHAUSTED,
		    "events were not read fast enough, more than %d bytes are waiting", QUEUE_MAX);
	else if (call_send(w->call, &m->base) == -ENOMEM)
		call_finish(w->call, RPC_RESOURCE_EXHAUSTED, "out of memory");
	m->time = NULL;
	loop_timer_set(&w->heartbeat, HEARTBEAT_MS);
}

static void send_heartbeat(struct watch *w)
{
	Sandglass__V1__WatchEventsResponse__Heartbeat beat =
	    SANDGLASS__V1__WATCH_EVENTS_RESPONSE__HEARTBEAT__INIT;
	watch_message m = SANDGLASS__V1__WATCH_EVENTS_RESPONSE__INIT;
	m.event_case = SANDGLASS__V1__WATCH_EVENTS_RESPONSE__EVENT_HEARTBEAT;
	m.heartbeat = &beat;
	send_message(w, &m);
}

static void on_heartbeat(struct loop_timer *t, void *arg)
{
	(void)t;
	send_heartbeat(arg);
}

/* The parts of an event, which its message points to. */
struct parts {
	Sandglass__V1__WatchEventsResponse__Created created;
	Sandglass__V1__WatchEventsResponse__TimeoutChanged timeout_changed;
	Sandglass__V1__WatchEventsResponse__MemoryExceeded memory_exceeded;
	Sandglass__V1__WatchEventsResponse__ProcessLimit process_limit;
	Sandglass__V1__WatchEventsResponse__Paused paused;
	Sandglass__V1__WatchEventsResponse__Resumed resumed;
	Sandglass__V1__WatchEventsResponse__Ended ended;
};

static void fill_event(watch_message *m, struct parts *p, enum sandbox_event_kind kind,
    const Sandglass__V1__Sandbox *sb)
{
	switch (kind) {
	case SANDBOX_EVENT_CREATED:
		sandglass__v1__watch_events_response__created__init(&p->created);
		m->event_case = SANDGLASS__V1__WATCH_EVENTS_RESPONSE__EVENT_CREATED;
		m->created = &p->created;
		break;
	case SANDBOX_EVENT_TIMEOUT_CHANGED:
		sandglass__v1__watch_events_response__timeout_changed__init(&p->timeout_changed);
		m->event_case = SANDGLASS__V1__WATCH_EVENTS_RESPONSE__EVENT_TIMEOUT_CHANGED;
		m->timeout_changed = &p->timeout_changed;
		break;
	case SANDBOX_EVENT_OOM:
		sandglass__v1__watch_events_response__memory_exceeded__init(&p->memory_exceeded);
		m->event_case = SANDGLASS__V1__WATCH_EVENTS_RESPONSE__EVENT_MEMORY_EXCEEDED;
		m->memory_exceeded = &p->memory_exceeded;
		p->memory_exceeded.kills = sb->oom_kills;
		break;
	case SANDBOX_EVENT_PIDS_LIMIT:
		sandglass__v1__watch_events_response__process_limit__init(&p->process_limit);
		m->event_case = SANDGLASS__V1__WATCH_EVENTS_RESPONSE__EVENT_PROCESS_LIMIT;
		m->process_limit = &p->process_limit;
		p->process_limit.refused = sb->pids_refused;
		break;
	case SANDBOX_EVENT_PAUSED:
		sandglass__v1__watch_events_response__paused__init(&p->paused);
		m->event_case = SANDGLASS__V1__WATCH_EVENTS_RESPONSE__EVENT_PAUSED;
		m->paused = &p->paused;
		break;
	case SANDBOX_EVENT_RESUMED:
		sandglass__v1__watch_events_response__resumed__init(&p->resumed);
		m->event_case = SANDGLASS__V1__WATCH_EVENTS_RESPONSE__EVENT_RESUMED;
		m->resumed = &p->resumed;
		break;
	case SANDBOX_EVENT_ENDED:
		sandglass__v1__watch_events_response__ended__init(&p->ended);
		m->event_case = SANDGLASS__V1__WATCH_EVENTS_RESPONSE__EVENT_ENDED;
		m->ended = &p->ended;
		p->ended.reason = sb->end_reason;
		p->ended.detail = sb->end_detail;
		break;
	}
}

static void on_event(enum sandbox_event_kind kind, struct sandbox *sb, void *arg)
{
	struct watch *w = arg;
	watch_message m = SANDGLASS__V1__WATCH_EVENTS_RESPONSE__INIT;
	struct parts parts;
	struct sandbox_view v;
	struct pb_sandbox pb;
	sandbox_view(sb, &v);
	if (*w->sandbox_id && !str_eq(w->sandbox_id, v.id))
		return;
	if (pb_sandbox_init(&pb, sb) == 0) {
		m.sandbox = &pb.m;
		fill_event(&m, &parts, kind, &pb.m);
		send_message(w, &m);
	} else {
		call_finish(w->call, RPC_RESOURCE_EXHAUSTED, "out of memory");
	}
	pb_sandbox_fini(&pb);
}

static void watch_events(struct call *c, const ProtobufCMessage *m)
{
	const Sandglass__V1__WatchEventsRequest *q = (const void *)m;
	const struct control *ctl = service_call_control(c);
	struct sandbox_service *s = call_service_arg(c);
	struct auth_team team;
	if (!service_call_team(c, &team))
		return;
	if (sandbox_service_is_draining(s)) {
		call_finish(c, RPC_UNAVAILABLE, "the server is stopping");
		return;
	}
	if (*q->sandbox_id && !service_call_sandbox(c, &team, q->sandbox_id))
		return;
	struct watch *w = mem_zalloc(sizeof(*w));
	if (w)
		w->sub = sandboxes_subscribe(ctl->sandboxes, team.id, on_event, w);
	if (!w || !w->sub) {
		(void)mem_free(w);
		call_finish(c, RPC_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	w->call = c;
	(void)str_copy(w->sandbox_id, sizeof(w->sandbox_id), q->sandbox_id);
	loop_timer_init(&w->heartbeat, ctl->loop, on_heartbeat, w);
	list_push_back(sandbox_service_watches(s), &w->link);
	call_set_user(c, w);
	send_heartbeat(w);
}

static void watch_done(struct call *c, int err)
{
	struct watch *w = call_user(c);
	(void)err;
	if (w)
		watch_free(w);
}

void sandbox_watch_stop(struct link *watch)
{
	call_finish(container_of(watch, struct watch, link)->call, RPC_UNAVAILABLE,
	    "the server is stopping");
}

const struct rpc_method sandbox_watch_method = {
	.name = "WatchEvents",
	.server_stream = true,
	.on_message = watch_events,
	.on_done = watch_done,
};
