/* SPDX-License-Identifier: Apache-2.0 */
#include "service/sandbox_service.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/template.h"
#include "rpc/http_server.h"
#include "sandbox/sandbox.h"
#include "service/control.h"
#include "service/cors.h"
#include "service/cursor.h"
#include "service/params.h"
#include "service/pb_sandbox.h"
#include "service/pb_template.h"
#include "service/status.h"

#define MAX_METHODS 10

struct sandbox_service {
	const struct control *ctl;
	struct rpc_service rpc;
	struct rpc_method methods[MAX_METHODS];
	struct link watches; /* struct watch */
	bool draining;
};

/* ---- what methods share ---- */
const struct control *service_call_control(const struct call *c)
{
	const struct sandbox_service *s = call_service_arg(c);
	return s->ctl;
}

static enum rpc_code check_key(
    struct auth *auth, struct call *c, struct auth_team *ret, char *text, size_t cap)
{
	unsigned retry_s = 0;
	struct http_stream *st = call_stream(c);
	char seconds[16];
	switch (auth_check(auth, http_stream_peer_head(st), http_server_peer(st), ret, &retry_s)) {
	case AUTH_OK:
		return RPC_OK;
	case AUTH_LIMITED:
		(void)snprintf(seconds, sizeof(seconds), "%u", retry_s);
		(void)call_add_header(c, "retry-after", seconds);
		(void)snprintf(text, cap,
		    "too many calls without a valid API key, try again in %u s", retry_s);
		return RPC_RESOURCE_EXHAUSTED;
	case AUTH_MISSING:
		(void)str_copy(text, cap, "API key is missing, send it in the metadata x-api-key");
		return RPC_UNAUTHENTICATED;
	case AUTH_INVALID:
		break;
	}
	(void)str_copy(text, cap, "invalid API key");
	return RPC_UNAUTHENTICATED;
}

enum rpc_code sandbox_service_gate(struct call *c, char *text, size_t cap, void *arg)
{
	const struct control *ctl = arg;
	struct auth_team team;
	if (call_header(c, "origin") &&
	    (call_add_header(c, "access-control-allow-origin", "*") < 0 ||
		call_add_header(c, "access-control-expose-headers", cors_exposed) < 0)) {
		(void)str_copy(text, cap, "out of memory");
		return RPC_RESOURCE_EXHAUSTED;
	}
	if (!str_after(call_method(c), "/sandglass."))
		return RPC_OK;
	return check_key(ctl->auth, c, &team, text, cap);
}

bool service_call_team(struct call *c, struct auth_team *ret)
{
	char text[128];
	enum rpc_code code = check_key(service_call_control(c)->auth, c, ret, text, sizeof(text));
	if (code != RPC_OK)
		call_finish(c, code, "%s", text);
	return code == RPC_OK;
}

static void finish_err(struct call *c, const struct err *err)
{
	call_finish(c, status_from_err(err).rpc, "%s", err_text(err));
}

struct sandbox *service_call_sandbox(struct call *c, const struct auth_team *t, const char *id)
{
	struct sandbox *sb = NULL;
	if (!id_sandbox_valid(id))
		call_finish(c, RPC_INVALID_ARGUMENT,
		    "sandbox_id: expected 1 to %d characters of a-z and 0-9", ID_SANDBOX_LEN);
	else if (!(sb = control_find(service_call_control(c), t, id)))
		call_finish(c, RPC_NOT_FOUND, "sandbox_id: no sandbox '%s'", id);
	return sb;
}

void service_call_answer(struct call *c, int r, const ProtobufCMessage *m)
{
	if (r == 0)
		r = call_send(c, m);
	if (r < 0)
		call_finish(c, RPC_RESOURCE_EXHAUSTED, "out of memory");
	else
		call_finish(c, RPC_OK, NULL);
}

static void ignore_done(struct call *c, int err)
{
	(void)c;
	(void)err;
}

/* ---- calls that wait: held by the call and by the operation ---- */
struct pending {
	struct call *call; /* NULL once the call is over */
	unsigned refs;
	struct auth_team team;
	struct params params;		     /* create */
	struct sandbox_create *create;	     /* while it can be cancelled */
	char sandbox_id[ID_SANDBOX_LEN + 1]; /* pause, resume */
};

static struct pending *pending_new(struct call *c, const struct auth_team *team)
{
	struct pending *p = mem_zalloc(sizeof(*p));
	if (!p) {
		call_finish(c, RPC_RESOURCE_EXHAUSTED, "out of memory");
		return NULL;
	}
	p->call = c;
	p->refs = 1;
	p->team = *team;
	call_set_user(c, p);
	return p;
}

static void pending_unref(struct pending *p)
{
	if (--p->refs > 0)
		return;
	params_fini(&p->params);
	(void)mem_free(p);
}

static void pending_done(struct call *c, int err)
{
	struct pending *p = call_user(c);
	(void)err;
	if (!p)
		return;
	p->call = NULL;
	if (p->create) {
		sandbox_create_cancel(TAKE(p->create));
		pending_unref(p);
	}
	pending_unref(p);
}

/* ---- CreateSandbox ---- */
/* The message m, of which two fields are a sandbox and its token. */
static void answer_sandbox(struct call *c, const struct sandbox *sb, const ProtobufCMessage *m,
    Sandglass__V1__Sandbox **field, char **token_field)
{
	struct pb_sandbox pb;
	struct sandbox_view v;
	int r = pb_sandbox_init(&pb, sb);
	sandbox_view(sb, &v);
	*field = &pb.m;
	if (v.access_token)
		*token_field = (char *)v.access_token;
	service_call_answer(c, r, m);
	pb_sandbox_fini(&pb);
}

static void answer_created(struct call *c, const struct sandbox *sb)
{
	Sandglass__V1__CreateSandboxResponse m = SANDGLASS__V1__CREATE_SANDBOX_RESPONSE__INIT;
	answer_sandbox(c, sb, &m.base, &m.sandbox, &m.access_token);
}

static void on_created(const struct err *err, struct sandbox *sb, void *arg)
{
	struct pending *p = arg;
	p->create = NULL;
	if (p->call && err->code)
		finish_err(p->call, err);
	else if (p->call)
		answer_created(p->call, sb);
	pending_unref(p);
}

static int read_create(const Sandglass__V1__CreateSandboxRequest *q, const struct templates *ts,
    struct params *ret, struct err *reterr)
{
	int r = params_set_template(
	    ret, ts, *q->template_ ? q->template_ : CONTROL_DEFAULT_TEMPLATE, reterr);
	if (r == 0)
		r = params_set_timeout(ret, "timeout_seconds", q->timeout_seconds, reterr);
	for (size_t i = 0; r == 0 && i < q->n_metadata; i++)
		r = params_add_metadata(
		    ret, "metadata", q->metadata[i]->key, q->metadata[i]->value, reterr);
	for (size_t i = 0; r == 0 && i < q->n_env; i++)
		r = params_add_env(ret, "env", q->env[i]->key, q->env[i]->value, reterr);
	if (r == 0)
		r = params_set_size(ret, "cpu_milli", PARAMS_CPU, q->cpu_milli, 1, reterr);
	if (r == 0)
		r = params_set_size(ret, "memory_bytes", PARAMS_MEMORY, q->memory_bytes, 1, reterr);
	if (r == 0)
		r = params_set_size(ret, "disk_bytes", PARAMS_DISK, q->disk_bytes, 1, reterr);
	ret->p.secure = !q->insecure;
	ret->p.auto_pause = q->auto_pause;
	ret->p.internet = !q->deny_internet;
	ret->p.allow_public_traffic = true;
	return r;
}

static void create_sandbox(struct call *c, const ProtobufCMessage *m)
{
	const struct control *ctl = service_call_control(c);
	struct err err = ERR_INIT;
	struct auth_team team;
	struct pending *p = service_call_team(c, &team) ? pending_new(c, &team) : NULL;
	if (!p)
		return;
	int r = read_create(
	    (const Sandglass__V1__CreateSandboxRequest *)m, ctl->templates, &p->params, &err);
	if (r == 0) {
		p->create = sandbox_create(
		    ctl->sandboxes, params_finish(&p->params, &p->team), on_created, p);
		r = p->create ? 0 : -ENOMEM;
	}
	if (r == 0) {
		p->refs++;
		return;
	}
	(void)err_set(&err, r, "out of memory");
	finish_err(c, &err);
}

/* A call on a sandbox that waits; NULL: answered. */
static struct pending *pending_on(struct call *c, const char *id, struct sandbox **ret_sb)
{
	struct auth_team team;
	*ret_sb = service_call_team(c, &team) ? service_call_sandbox(c, &team, id) : NULL;
	struct pending *p = *ret_sb ? pending_new(c, &team) : NULL;
	if (p) {
		(void)str_copy(p->sandbox_id, sizeof(p->sandbox_id), id);
		p->refs++;
	}
	return p;
}

/* Answers with a message that says nothing more than that it was done. */
static void finish_pending(struct pending *p, const struct err *err, const ProtobufCMessage *m)
{
	if (p->call && err->code)
		finish_err(p->call, err);
	else if (p->call)
		service_call_answer(p->call, 0, m);
	pending_unref(p);
}

/* ---- KillSandbox ---- */
static void on_killed(const struct err *err, void *arg)
{
	Sandglass__V1__KillSandboxResponse m = SANDGLASS__V1__KILL_SANDBOX_RESPONSE__INIT;
	finish_pending(arg, err, &m.base);
}

static void kill_sandbox(struct call *c, const ProtobufCMessage *m)
{
	const Sandglass__V1__KillSandboxRequest *q = (const void *)m;
	struct sandbox *sb;
	struct pending *p = pending_on(c, q->sandbox_id, &sb);
	if (p)
		sandbox_kill(sb, SANDBOX_END_KILLED, on_killed, p);
}

/* ---- PauseSandbox, ResumeSandbox ---- */
static void on_paused(const struct err *err, void *arg)
{
	Sandglass__V1__PauseSandboxResponse m = SANDGLASS__V1__PAUSE_SANDBOX_RESPONSE__INIT;
	finish_pending(arg, err, &m.base);
}

static void pause_sandbox(struct call *c, const ProtobufCMessage *m)
{
	const Sandglass__V1__PauseSandboxRequest *q = (const void *)m;
	struct sandbox *sb;
	struct pending *p = pending_on(c, q->sandbox_id, &sb);
	if (p)
		sandbox_pause(sb, on_paused, p);
}

static void answer_resumed(struct call *c, const struct sandbox *sb)
{
	Sandglass__V1__ResumeSandboxResponse m = SANDGLASS__V1__RESUME_SANDBOX_RESPONSE__INIT;
	answer_sandbox(c, sb, &m.base, &m.sandbox, &m.access_token);
}

static void on_resumed(const struct err *err, void *arg)
{
	struct pending *p = arg;
	struct sandbox *sb = NULL;
	if (p->call && err->code)
		finish_err(p->call, err);
	else if (p->call)
		sb = service_call_sandbox(p->call, &p->team, p->sandbox_id);
	if (sb)
		answer_resumed(p->call, sb);
	pending_unref(p);
}

static void resume_sandbox(struct call *c, const ProtobufCMessage *m)
{
	const Sandglass__V1__ResumeSandboxRequest *q = (const void *)m;
	struct sandbox *sb;
	struct pending *p = pending_on(c, q->sandbox_id, &sb);
	if (p)
		sandbox_resume(sb, q->timeout_seconds, p->team.max_sandboxes, on_resumed, p);
}

/* ---- calls that answer at once ---- */
static void get_sandbox(struct call *c, const ProtobufCMessage *m)
{
	Sandglass__V1__GetSandboxResponse answer = SANDGLASS__V1__GET_SANDBOX_RESPONSE__INIT;
	const Sandglass__V1__GetSandboxRequest *q = (const void *)m;
	struct auth_team team;
	struct sandbox *sb =
	    service_call_team(c, &team) ? service_call_sandbox(c, &team, q->sandbox_id) : NULL;
	if (sb)
		answer_sandbox(c, sb, &answer.base, &answer.sandbox, &answer.access_token);
}

static void set_timeout(struct call *c, const ProtobufCMessage *m)
{
	Sandglass__V1__SetTimeoutResponse answer = SANDGLASS__V1__SET_TIMEOUT_RESPONSE__INIT;
	const Sandglass__V1__SetTimeoutRequest *q = (const void *)m;
	struct err err = ERR_INIT;
	struct auth_team team;
	struct sandbox_view v;
	struct sandbox *sb =
	    service_call_team(c, &team) ? service_call_sandbox(c, &team, q->sandbox_id) : NULL;
	if (!sb)
		return;
	int r = q->timeout_seconds ? sandbox_set_timeout(sb, q->timeout_seconds, false, &err)
				   : err_set(&err, -EINVAL, "expected at least 1 second");
	if (r != 0) {
		(void)err_set(&err, r, "%s", err_name(r));
		err_prefix(&err, "timeout_seconds");
		finish_err(c, &err);
		return;
	}
	sandbox_view(sb, &v);
	Google__Protobuf__Timestamp end = pb_timestamp(v.end_at_ns);
	answer.end_at = &end;
	service_call_answer(c, 0, &answer.base);
}

/* ---- ListSandboxes ---- */
struct listing {
	struct params_list metadata;
	struct sandbox_cursor after;
	struct sandbox_filter filter;
	size_t max;
	bool nothing;
};

static int read_state(Sandglass__V1__SandboxState state, struct listing *ret, struct err *reterr)
{
	switch (state) {
	case SANDGLASS__V1__SANDBOX_STATE__SANDBOX_STATE_UNSPECIFIED:
		return 0;
	case SANDGLASS__V1__SANDBOX_STATE__SANDBOX_STATE_RUNNING:
		ret->filter.hide_paused = true;
		return 0;
	case SANDGLASS__V1__SANDBOX_STATE__SANDBOX_STATE_PAUSED:
		ret->filter.hide_running = true;
		return 0;
	default:
		return err_set(reterr, -EINVAL,
		    "state: expected SANDBOX_STATE_RUNNING, SANDBOX_STATE_PAUSED or none");
	}
}

static int read_listing(const Sandglass__V1__ListSandboxesRequest *q, const struct templates *ts,
    struct listing *ret, struct err *reterr)
{
	int r = 0;
	if (q->page_size > CONTROL_PAGE_MAX)
		return err_set(
		    reterr, -EINVAL, "page_size: expected a number from 1 to %d", CONTROL_PAGE_MAX);
	ret->max = q->page_size ? q->page_size : CONTROL_PAGE_MAX;
	for (size_t i = 0; r == 0 && i < q->n_metadata; i++) {
		r = params_list_add(&ret->metadata, "metadata", q->metadata[i]->key, reterr);
		if (r == 0)
			r = params_list_add(
			    &ret->metadata, "metadata", q->metadata[i]->value, reterr);
	}
	ret->filter.metadata = (const char *const *)ret->metadata.v;
	if (r == 0 && *q->template_) {
		ret->filter.tmpl = templates_find(ts, q->template_);
		ret->nothing = !ret->filter.tmpl;
	}
	if (r == 0)
		r = read_state(q->state, ret, reterr);
	if (r == 0 && *q->page_token) {
		r = cursor_decode(q->page_token, false, &ret->after);
		if (r < 0)
			return err_set(reterr, r,
			    "page_token: expected the next_page_token of the page before");
		ret->filter.after = &ret->after;
	}
	return r;
}

static void answer_page(struct call *c, struct sandbox *const *page, size_t n, bool more)
{
	Sandglass__V1__ListSandboxesResponse m = SANDGLASS__V1__LIST_SANDBOXES_RESPONSE__INIT;
	CLEAN_FREE struct pb_sandbox *pbs = mem_calloc(n + 1, sizeof(*pbs));
	CLEAN_FREE Sandglass__V1__Sandbox **list = mem_calloc(n + 1, sizeof(*list));
	CLEAN_FREE char *token = NULL;
	int r = pbs && list ? 0 : -ENOMEM;
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = pb_sandbox_init(&pbs[i], page[i]);
		list[i] = &pbs[i].m;
	}
	if (r == 0 && more && n > 0) {
		struct sandbox_cursor last;
		struct sandbox_view v;
		sandbox_view(page[n - 1], &v);
		last.started_ns = v.started_ns;
		(void)str_copy(last.id, sizeof(last.id), v.id);
		token = cursor_encode(&last, false);
		r = token ? 0 : -ENOMEM;
	}
	m.sandboxes = list;
	m.n_sandboxes = n;
	if (token)
		m.next_page_token = token;
	service_call_answer(c, r, &m.base);
	for (size_t i = 0; pbs && i < n; i++)
		pb_sandbox_fini(&pbs[i]);
}

static void list_sandboxes(struct call *c, const ProtobufCMessage *m)
{
	const struct control *ctl = service_call_control(c);
	struct listing l = { 0 };
	struct err err = ERR_INIT;
	struct auth_team team;
	struct sandbox *page[CONTROL_PAGE_MAX];
	bool more = false;
	size_t n = 0;
	if (!service_call_team(c, &team))
		return;
	l.filter.team_id = team.id;
	int r = read_listing((const void *)m, ctl->templates, &l, &err);
	if (r == 0 && !l.nothing)
		n = sandboxes_list(ctl->sandboxes, &l.filter, page, l.max, &more);
	params_list_fini(&l.metadata);
	if (r == 0) {
		answer_page(c, page, n, more);
		return;
	}
	(void)err_set(&err, r, "out of memory");
	finish_err(c, &err);
}

/* ---- ListTemplates ---- */
static void list_templates(struct call *c, const ProtobufCMessage *q)
{
	Sandglass__V1__ListTemplatesResponse m = SANDGLASS__V1__LIST_TEMPLATES_RESPONSE__INIT;
	const struct control *ctl = service_call_control(c);
	size_t n = templates_count(ctl->templates);
	CLEAN_FREE Sandglass__V1__Template *v = mem_calloc(n + 1, sizeof(*v));
	CLEAN_FREE Sandglass__V1__Template **list = mem_calloc(n + 1, sizeof(*list));
	(void)q;
	for (size_t i = 0; v && list && i < n; i++) {
		pb_template_fill(&v[i], ctl, templates_at(ctl->templates, i));
		list[i] = &v[i];
	}
	m.templates = list;
	m.n_templates = n;
	service_call_answer(c, v && list ? 0 : -ENOMEM, &m.base);
}

/* ---- the service ---- */
static const struct rpc_method methods[] = {
	{ .name = "CreateSandbox", .on_message = create_sandbox, .on_done = pending_done },
	{ .name = "GetSandbox", .on_message = get_sandbox, .on_done = ignore_done },
	{ .name = "ListSandboxes", .on_message = list_sandboxes, .on_done = ignore_done },
	{ .name = "KillSandbox", .on_message = kill_sandbox, .on_done = pending_done },
	{ .name = "PauseSandbox", .on_message = pause_sandbox, .on_done = pending_done },
	{ .name = "ResumeSandbox", .on_message = resume_sandbox, .on_done = pending_done },
	{ .name = "SetTimeout", .on_message = set_timeout, .on_done = ignore_done },
	{ .name = "ListTemplates", .on_message = list_templates, .on_done = ignore_done },
};
#define N_METHODS (sizeof(methods) / sizeof(methods[0]))

struct sandbox_service *sandbox_service_new(const struct control *c)
{
	struct sandbox_service *s = mem_zalloc(sizeof(*s));
	if (!s)
		return NULL;
	s->ctl = c;
	link_init(&s->watches);
	for (size_t i = 0; i < N_METHODS; i++)
		s->methods[i] = methods[i];
	s->methods[N_METHODS] = sandbox_watch_method;
	s->rpc = (struct rpc_service){ .descriptor = &sandglass__v1__sandbox_service__descriptor,
		.methods = s->methods,
		.n_methods = N_METHODS + 1,
		.arg = s };
	return s;
}

struct sandbox_service *sandbox_service_free(struct sandbox_service *s)
{
	return mem_free(s);
}

const struct rpc_service *sandbox_service_rpc(const struct sandbox_service *s)
{
	return &s->rpc;
}

struct link *sandbox_service_watches(struct sandbox_service *s)
{
	return &s->watches;
}

bool sandbox_service_is_draining(const struct sandbox_service *s)
{
	return s->draining;
}

void sandbox_service_drain(struct sandbox_service *s)
{
	s->draining = true;
	LIST_EACH_SAFE(it, &s->watches)
	sandbox_watch_stop(it);
}
