/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Templates and their images. A reader that is slower than a build's log misses lines, and is told
 * how many; the end of the build reaches it in any case.
 */
#include "service/template_service.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/template.h"
#include "loop/loop.h"
#include "rpc/call.h"
#include "sandglass/v1/template.pb-c.h"
#include "service/control.h"
#include "service/pb_sandbox.h"
#include "service/pb_template.h"
#include "service/status.h"
#include "vmm/images.h"

#define HEARTBEAT_MS 10000 /* promised are 15 s */
#define QUEUE_MAX LIMIT_STREAM_QUEUE
#define N_METHODS 4

struct template_service {
	const struct control *ctl;
	struct rpc_service rpc;
	struct link builds; /* struct follow */
	bool draining;
};

static const struct control *control_of(const struct call *c)
{
	const struct template_service *s = call_service_arg(c);
	return s->ctl;
}

static const struct template *find(struct call *c, const char *ref)
{
	const struct template *t = templates_find(control_of(c)->templates, ref);
	if (!t)
		call_finish(c, RPC_NOT_FOUND, "template: no template '%.128s'", ref);
	return t;
}

static void answer(struct call *c, int r, const ProtobufCMessage *m)
{
	if (r == 0)
		r = call_send(c, m);
	if (r < 0)
		call_finish(c, RPC_RESOURCE_EXHAUSTED, "out of memory");
	else
		call_finish(c, RPC_OK, NULL);
}

/* ---- a call that waits for the launcher: held by both ---- */

struct wait {
	struct call *call; /* NULL once the call is over */
	const struct template *tmpl;
	unsigned refs;
};

static void wait_unref(struct wait *w)
{
	if (--w->refs == 0)
		(void)mem_free(w);
}

static void wait_done(struct call *c, int err)
{
	struct wait *w = call_user(c);
	(void)err;
	if (!w)
		return;
	w->call = NULL;
	wait_unref(w);
}

/* Refs: the call's and the launcher's. */
static struct wait *wait_new(struct call *c, const struct template *t)
{
	struct wait *w = mem_zalloc(sizeof(*w));
	if (!w) {
		call_finish(c, RPC_RESOURCE_EXHAUSTED, "out of memory");
		return NULL;
	}
	w->call = c;
	w->tmpl = t;
	w->refs = 2;
	call_set_user(c, w);
	return w;
}

static void wait_sent(struct wait *w, int r)
{
	if (r == 0)
		return;
	call_finish(w->call, RPC_RESOURCE_EXHAUSTED, "out of memory");
	wait_unref(w);
}

/* ---- ListTemplates, GetTemplate ---- */

static void answer_list(struct call *c)
{
	Sandglass__V1__ListTemplateImagesResponse m =
	    SANDGLASS__V1__LIST_TEMPLATE_IMAGES_RESPONSE__INIT;
	const struct control *ctl = control_of(c);
	size_t n = templates_count(ctl->templates);
	CLEAN_FREE struct pb_template_image *v = mem_calloc(n + 1, sizeof(*v));
	CLEAN_FREE Sandglass__V1__TemplateImage **list = mem_calloc(n + 1, sizeof(*list));
	for (size_t i = 0; v && list && i < n; i++) {
		pb_template_image_fill(&v[i], ctl, templates_at(ctl->templates, i));
		list[i] = &v[i].m;
	}
	m.templates = list;
	m.n_templates = n;
	answer(c, v && list ? 0 : -ENOMEM, &m.base);
}

static void answer_one(struct call *c, const struct template *t)
{
	Sandglass__V1__GetTemplateResponse m = SANDGLASS__V1__GET_TEMPLATE_RESPONSE__INIT;
	struct pb_template_image pb;
	pb_template_image_fill(&pb, control_of(c), t);
	m.template_ = &pb.m;
	answer(c, 0, &m.base);
}

/* What is known may be told also when the launcher does not answer. */
static void on_refreshed(const struct err *err, void *arg)
{
	struct wait *w = arg;
	(void)err;
	if (w->call && w->tmpl)
		answer_one(w->call, w->tmpl);
	else if (w->call)
		answer_list(w->call);
	wait_unref(w);
}

static void list_templates(struct call *c, const ProtobufCMessage *m)
{
	struct wait *w = wait_new(c, NULL);
	(void)m;
	if (w)
		wait_sent(w, images_refresh(control_of(c)->images, on_refreshed, w));
}

static void get_template(struct call *c, const ProtobufCMessage *m)
{
	const Sandglass__V1__GetTemplateRequest *q = (const void *)m;
	const struct template *t = find(c, q->template_);
	struct wait *w = t ? wait_new(c, t) : NULL;
	if (w)
		wait_sent(w, images_refresh(control_of(c)->images, on_refreshed, w));
}

/* ---- RemoveTemplate ---- */

/* Most failures of the launcher's come from what the template or the machine is like. */
static enum rpc_code code_of(const struct err *err)
{
	switch (err->code) {
	case -EIO:
		return RPC_UNKNOWN;
	case -EBUSY:
	case -EINVAL:
	case -ENOENT:
	case -ENOTSUP:
		return RPC_FAILED_PRECONDITION;
	default:
		return status_from_err(err).rpc;
	}
}

static void on_removed(const struct err *err, void *arg)
{
	Sandglass__V1__RemoveTemplateResponse m = SANDGLASS__V1__REMOVE_TEMPLATE_RESPONSE__INIT;
	struct wait *w = arg;
	if (w->call && err->code)
		call_finish(w->call, code_of(err), "%s", err_text(err));
	else if (w->call)
		answer(w->call, 0, &m.base);
	wait_unref(w);
}

static void remove_template(struct call *c, const ProtobufCMessage *m)
{
	const Sandglass__V1__RemoveTemplateRequest *q = (const void *)m;
	const struct template *t = find(c, q->template_);
	struct wait *w = t ? wait_new(c, t) : NULL;
	if (w)
		wait_sent(w, images_remove(control_of(c)->images, t->name, on_removed, w));
}

/* ---- BuildTemplate ---- */

typedef Sandglass__V1__BuildTemplateResponse build_message;

struct follow {
	struct link link;
	struct call *call;
	struct template_service *srv;
	const struct template *tmpl;
	struct images_build *build; /* NULL once it is over */
	struct loop_timer heartbeat;
	unsigned missed; /* lines */
};

static void send_message(struct follow *f, const build_message *m)
{
	if (call_stream(f->call) && call_send(f->call, &m->base) == -ENOMEM)
		call_finish(f->call, RPC_RESOURCE_EXHAUSTED, "out of memory");
	loop_timer_set(&f->heartbeat, HEARTBEAT_MS);
}

static void send_line(struct follow *f, const struct image_line *l)
{
	static const Sandglass__V1__BuildTemplateResponse__Level levels[] = {
		SANDGLASS__V1__BUILD_TEMPLATE_RESPONSE__LEVEL__LEVEL_DEBUG,
		SANDGLASS__V1__BUILD_TEMPLATE_RESPONSE__LEVEL__LEVEL_INFO,
		SANDGLASS__V1__BUILD_TEMPLATE_RESPONSE__LEVEL__LEVEL_WARN,
		SANDGLASS__V1__BUILD_TEMPLATE_RESPONSE__LEVEL__LEVEL_ERROR
	};
	Sandglass__V1__BuildTemplateResponse__Line line =
	    SANDGLASS__V1__BUILD_TEMPLATE_RESPONSE__LINE__INIT;
	build_message m = SANDGLASS__V1__BUILD_TEMPLATE_RESPONSE__INIT;
	Google__Protobuf__Timestamp time = pb_timestamp(l->time_real_ns);
	line.time = &time;
	line.level = levels[l->level];
	line.step = (char *)l->step;
	line.text = (char *)l->text;
	m.event_case = SANDGLASS__V1__BUILD_TEMPLATE_RESPONSE__EVENT_LINE;
	m.line = &line;
	send_message(f, &m);
}

static void tell_missed(struct follow *f)
{
	char text[96];
	if (f->missed == 0)
		return;
	(void)snprintf(
	    text, sizeof(text), "%u lines were not read in time and are left out", f->missed);
	const struct image_line l = { IMAGE_LINE_WARN, "log", text, clock_real_ns() };
	f->missed = 0;
	send_line(f, &l);
}

static void on_line(const struct image_line *l, void *arg)
{
	struct follow *f = arg;
	struct http_stream *st = call_stream(f->call);
	if (st && http_stream_queued(st) > QUEUE_MAX) {
		f->missed++;
		return;
	}
	tell_missed(f);
	send_line(f, l);
}

static void on_built(const struct err *err, void *arg)
{
	struct follow *f = arg;
	Sandglass__V1__BuildTemplateResponse__Result result =
	    SANDGLASS__V1__BUILD_TEMPLATE_RESPONSE__RESULT__INIT;
	build_message m = SANDGLASS__V1__BUILD_TEMPLATE_RESPONSE__INIT;
	struct pb_template_image pb;
	f->build = NULL;
	tell_missed(f);
	if (err->code) {
		call_finish(f->call, code_of(err), "%s", err_text(err));
		return;
	}
	pb_template_image_fill(&pb, f->srv->ctl, f->tmpl);
	result.template_ = &pb.m;
	m.event_case = SANDGLASS__V1__BUILD_TEMPLATE_RESPONSE__EVENT_RESULT;
	m.result = &result;
	send_message(f, &m);
	call_finish(f->call, RPC_OK, NULL);
}

static void on_heartbeat(struct loop_timer *t, void *arg)
{
	struct follow *f = arg;
	Sandglass__V1__BuildTemplateResponse__Heartbeat beat =
	    SANDGLASS__V1__BUILD_TEMPLATE_RESPONSE__HEARTBEAT__INIT;
	build_message m = SANDGLASS__V1__BUILD_TEMPLATE_RESPONSE__INIT;
	m.event_case = SANDGLASS__V1__BUILD_TEMPLATE_RESPONSE__EVENT_HEARTBEAT;
	m.heartbeat = &beat;
	(void)t;
	send_message(f, &m);
}

static void build_template(struct call *c, const ProtobufCMessage *m)
{
	static const struct images_ops ops = { on_line, on_built };
	const Sandglass__V1__BuildTemplateRequest *q = (const void *)m;
	struct template_service *s = call_service_arg(c);
	const struct template *t = find(c, q->template_);
	if (!t)
		return;
	if (s->draining) {
		call_finish(c, RPC_UNAVAILABLE, "the server is stopping");
		return;
	}
	struct follow *f = mem_zalloc(sizeof(*f));
	if (f)
		f->build = images_build(s->ctl->images, t->name, q->force, &ops, f);
	if (!f || !f->build) {
		(void)mem_free(f);
		call_finish(c, RPC_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	f->call = c;
	f->srv = s;
	f->tmpl = t;
	loop_timer_init(&f->heartbeat, s->ctl->loop, on_heartbeat, f);
	list_push_back(&s->builds, &f->link);
	call_set_user(c, f);
	on_heartbeat(&f->heartbeat, f);
}

static void build_over(struct call *c, int err)
{
	struct follow *f = call_user(c);
	(void)err;
	if (!f)
		return;
	if (f->build)
		images_build_cancel(f->build);
	link_remove(&f->link);
	loop_timer_fini(&f->heartbeat);
	(void)mem_free(f);
}

/* ---- the service ---- */

static const struct rpc_method methods[N_METHODS] = {
	{ .name = "BuildTemplate",
	    .server_stream = true,
	    .on_message = build_template,
	    .on_done = build_over },
	{ .name = "ListTemplates", .on_message = list_templates, .on_done = wait_done },
	{ .name = "GetTemplate", .on_message = get_template, .on_done = wait_done },
	{ .name = "RemoveTemplate", .on_message = remove_template, .on_done = wait_done },
};

struct template_service *template_service_new(const struct control *c)
{
	struct template_service *s = mem_zalloc(sizeof(*s));
	if (!s)
		return NULL;
	s->ctl = c;
	link_init(&s->builds);
	s->rpc = (struct rpc_service){ .descriptor = &sandglass__v1__template_service__descriptor,
		.methods = methods,
		.n_methods = N_METHODS,
		.arg = s };
	return s;
}

struct template_service *template_service_free(struct template_service *s)
{
	return mem_free(s);
}

const struct rpc_service *template_service_rpc(const struct template_service *s)
{
	return &s->rpc;
}

void template_service_drain(struct template_service *s)
{
	s->draining = true;
	LIST_EACH_SAFE(it, &s->builds)
	call_finish(
	    container_of(it, struct follow, link)->call, RPC_UNAVAILABLE, "the server is stopping");
}
