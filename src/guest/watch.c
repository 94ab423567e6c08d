/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/watch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"
#include "base/list.h"
#include "base/log.h"

#define WAIT_MS 60000 /* as long as the agent holds a question back */
#define LIMIT_MS (WAIT_MS + 15000)
#define PAUSE_MS 100
#define PAUSE_FAILED_MS 2000

static int read_counts(const char *body, size_t n, struct guest_limits *ret, struct err *reterr)
{
	int64_t oom = 0, pids = 0;
	CLEAN_JSON json_t *o = json_parse_object(body, n, CALL_ANSWER_MAX, false, reterr);
	if (!o || json_get_int(o, "oom", 0, INT64_MAX, &oom, reterr) < 0 ||
	    json_get_int(o, "pids", 0, INT64_MAX, &pids, reterr) < 0)
		return -EPROTO;
	*ret = (struct guest_limits){ (uint64_t)oom, (uint64_t)pids };
	return 0;
}

static enum call_verdict judge(struct guest_call *c, int status, const char *body, size_t n)
{
	struct guest_watch *w = container_of(c, struct guest_watch, call);
	struct err why = ERR_INIT;
	if (status != 200 || read_counts(body, n, &w->heard, &why) < 0)
		return guest_call_refuse(c, status, why.text);
	return CALL_DONE;
}

static void on_done(struct guest_call *c)
{
	struct guest_watch *w = container_of(c, struct guest_watch, call);
	bool failed = c->err.code != 0;
	if (failed)
		log_debug("%s", err_text(&c->err));
	loop_timer_set(&w->pause, failed ? PAUSE_FAILED_MS : PAUSE_MS);
	if (failed || (w->heard.oom_kills == w->known.oom_kills &&
			  w->heard.pids_refused == w->known.pids_refused))
		return;
	w->known = w->heard;
	w->told(&w->known, w->arg); /* may stop the watch, or free it */
}

static void on_pause(struct loop_timer *t, void *arg)
{
	struct guest_watch *w = arg;
	struct guest_call *c = &w->call;
	c->method = "GET";
	(void)snprintf(c->path, sizeof(c->path), "/limits?oom=%" PRIu64 "&pids=%" PRIu64 "&wait=%d",
	    w->known.oom_kills, w->known.pids_refused, WAIT_MS);
	guest_call_start(c, LIMIT_MS);
}

void guest_watch_init(struct guest_watch *w, struct loop *l, struct http_client *control)
{
	*w = (struct guest_watch){ .told = NULL };
	guest_call_init(&w->call, l, control);
	w->call.judge = judge;
	w->call.done = on_done;
	loop_timer_init(&w->pause, l, on_pause, w);
}

void guest_watch_fini(struct guest_watch *w)
{
	guest_call_fini(&w->call);
	loop_timer_fini(&w->pause);
}

void guest_watch_start(
    struct guest_watch *w, const struct guest_limits *known, guest_limits_fn *told, void *arg)
{
	w->known = *known;
	w->told = told;
	w->arg = arg;
	loop_timer_set(&w->pause, PAUSE_MS);
}

void guest_watch_stop(struct guest_watch *w)
{
	loop_timer_cancel(&w->pause);
	guest_call_drop(&w->call);
}
