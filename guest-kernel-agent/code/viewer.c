/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/code/viewer.h"

#include <errno.h>

#include "base/mem.h"
#include "guest-kernel-agent/code/execution.h"

static int tell(struct viewer *v, struct event *ev)
{
	if (ev->seq && ev->seq < v->wish.from)
		return FOLLOWER_SILENT;
	int r = v->ops->on_event(ev, v->arg);
	return r < 0 ? r : FOLLOWER_SENT;
}

/* ---- under a cap ---- */

static int tell_head(struct viewer *v, struct event *ev)
{
	struct capped_text t = { .stream = event_output(ev),
		.offset = ev->output.offset,
		.text = ev->output.text,
		.n = ev->output.n };
	int r = capped_take(&v->capped, &t);
	if (r < 0)
		return r;
	ev->output.text = t.text;
	ev->output.n = (size_t)t.n;
	return t.n > 0 ? tell(v, ev) : FOLLOWER_SILENT;
}

/* A client that has seen the end has seen what comes before it. */
static int hold_end(struct viewer *v, const struct event *ev)
{
	if (ev->seq < v->wish.from)
		return FOLLOWER_SILENT;
	int r = mem_set_str(&v->detail, ev->end.detail);
	if (r < 0)
		return r;
	v->end = *ev;
	v->end.end.detail = v->detail;
	return FOLLOWER_MORE;
}

static int on_more(void *arg)
{
	struct viewer *v = arg;
	struct capped_text t;
	int part = capped_next(&v->capped, &t);
	if (part < 0)
		return part;
	if (part == CAPPED_NOTHING)
		return tell(v, &v->end);
	struct event ev = { .type = EVENT_OMITTED, .time_ns = v->end.time_ns };
	if (part == CAPPED_OMITTED) {
		ev.omitted.output = (enum output)t.stream;
		ev.omitted.offset = t.offset;
		ev.omitted.bytes = t.n;
	} else {
		ev.type = event_type_of((enum output)t.stream);
		ev.output.text = t.text;
		ev.output.n = (size_t)t.n;
		ev.output.offset = t.offset;
	}
	int r = tell(v, &ev);
	return r < 0 ? r : FOLLOWER_MORE;
}

static int tell_capped(struct viewer *v, struct event *ev)
{
	if (ev->type == EVENT_STDOUT || ev->type == EVENT_STDERR)
		return tell_head(v, ev);
	return ev->type == EVENT_END ? hold_end(v, ev) : tell(v, ev);
}

/* ---- following ---- */

static bool is_ready(void *arg)
{
	struct viewer *v = arg;
	return v->ops->is_ready(v->arg);
}

static int on_record(const struct journal_record *rec, void *arg)
{
	struct viewer *v = arg;
	struct event ev;
	int r = event_decode(rec, &ev);
	if (r < 0)
		return r;
	return v->wish.max_bytes ? tell_capped(v, &ev) : tell(v, &ev);
}

static int on_batch(void *arg)
{
	struct viewer *v = arg;
	return v->ops->on_batch ? v->ops->on_batch(v->arg) : 0;
}

static int on_silence(void *arg)
{
	struct viewer *v = arg;
	return v->ops->on_silence(v->arg);
}

static void on_end(int err, void *arg)
{
	struct viewer *v = arg;
	v->ops->on_end(err, v->arg);
}

static const struct follower_ops follow_ops = {
	.is_ready = is_ready,
	.on_record = on_record,
	.on_more = on_more,
	.on_batch = on_batch,
	.on_silence = on_silence,
	.on_end = on_end,
};

int viewer_init(struct viewer *v, struct loop *l, struct execution *x,
    const struct viewer_wish *wish, const struct viewer_ops *ops, void *arg)
{
	struct journal *j = execution_journal(x);
	*v = (struct viewer){ .ops = ops, .arg = arg, .wish = *wish };
	/* Under a cap, too, the client's place must be one that the journal holds. */
	int r = follower_init(&v->follower, l, j, wish->from, FOLLOWER_SILENCE_MS, &follow_ops, v);
	if (r == 0 && wish->max_bytes) {
		follower_fini(&v->follower);
		r = follower_init(
		    &v->follower, l, j, journal_first(j), FOLLOWER_SILENCE_MS, &follow_ops, v);
	}
	if (r < 0)
		return r;
	capped_init(&v->capped, wish->max_bytes);
	v->execution = execution_ref(x);
	return 0;
}

void viewer_fini(struct viewer *v)
{
	follower_fini(&v->follower);
	capped_fini(&v->capped);
	v->detail = mem_free(v->detail);
	v->execution = execution_unref(v->execution);
}
