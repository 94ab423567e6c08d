/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /sandboxes/{id}/metrics: the present, as a list of one. Processor use is what was used
 * between two samples a moment apart; a range of time that does not hold the present gets an empty
 * list.
 */
#include <errno.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"
#include "sandbox/sandbox.h"
#include "service/rest.h"
#include "vmm/vmm.h"

#define SAMPLE_GAP_MS 100

struct sampling {
	struct rest_req *req;
	struct sandbox *sb; /* referenced */
	struct loop_timer gap;
	bool second;
	uint64_t first_us, first_cpu_us;
};

static void sampling_free(struct sampling *s)
{
	loop_timer_fini(&s->gap);
	(void)sandbox_unref(s->sb);
	(void)rest_unref(s->req);
	(void)mem_free(s);
}

static json_t *metrics_json(const struct sampling *s, const struct vmm_usage *u)
{
	char when[CLOCK_RFC3339_MAX];
	struct sandbox_view v;
	int64_t now = clock_real_ns();
	uint64_t us = clock_mono_us() - s->first_us;
	uint64_t used = u->cpu_usec > s->first_cpu_us ? u->cpu_usec - s->first_cpu_us : 0;
	sandbox_view(s->sb, &v);
	return json_pack("[{s:s, s:I, s:i, s:f, s:I, s:I, s:I, s:I, s:I}]", "timestamp",
	    clock_rfc3339(now, when), "timestampUnix", (json_int_t)(now / 1000000000), "cpuCount",
	    (int)((v.cpu_milli + 999) / 1000), "cpuUsedPct",
	    us ? (double)used * 100 / (double)us : 0.0, "memUsed", (json_int_t)u->memory_bytes,
	    "memTotal", (json_int_t)u->memory_limit, "memCache", (json_int_t)0, "diskUsed",
	    (json_int_t)u->disk_bytes, "diskTotal", (json_int_t)u->disk_limit);
}

static void on_usage(const struct err *err, const struct vmm_usage *u, void *arg)
{
	struct sampling *s = arg;
	if (!err->code && !s->second && s->req->st) {
		s->first_us = clock_mono_us();
		s->first_cpu_us = u->cpu_usec;
		loop_timer_set(&s->gap, SAMPLE_GAP_MS);
		return;
	}
	if (err->code)
		rest_fail(s->req, err);
	else
		rest_json(s->req, 200, metrics_json(s, u));
	sampling_free(s);
}

static void on_gap(struct loop_timer *t, void *arg)
{
	struct sampling *s = arg;
	(void)t;
	s->second = true;
	sandbox_usage(s->sb, on_usage, s);
}

/* A usage that is asked for comes in any case; a gap need not be waited for. */
static void on_gone(struct rest_req *r)
{
	struct sampling *s = r->op;
	if (loop_timer_is_armed(&s->gap))
		sampling_free(s);
}

/* start and end in seconds; false: answered. */
static bool holds_now(struct rest_req *r, bool *ret)
{
	const char *from = url_param(&r->url, "start"), *to = url_param(&r->url, "end");
	int64_t start = 0, end = INT64_MAX, now = clock_real_ms() / 1000;
	if ((from && str_i64(from, 0, INT64_MAX, &start) < 0) ||
	    (to && str_i64(to, 0, INT64_MAX, &end) < 0)) {
		rest_error(r, 400, "validation error: start, end: expected unix times in seconds");
		return false;
	}
	*ret = start <= now && now <= end;
	return true;
}

void rest_metrics(struct rest_req *r)
{
	bool now = false;
	if (!holds_now(r, &now))
		return;
	if (!now) {
		rest_json(r, 200, json_array());
		return;
	}
	struct sampling *s = mem_zalloc(sizeof(*s));
	if (!s) {
		rest_error(r, 503, "out of memory");
		return;
	}
	s->req = rest_ref(r);
	s->sb = sandbox_ref(r->sb);
	loop_timer_init(&s->gap, r->ctl->loop, on_gap, s);
	r->op = s;
	r->on_gone = on_gone;
	sandbox_usage(s->sb, on_usage, s);
}
