/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/process/request.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/process/process.h"
#include "guest-kernel-agent/process/service.h"
#include "guest-kernel-agent/system/environ.h"
#include "guest-kernel-agent/system/identity.h"
#include "guest-kernel-agent/system/reply.h"
#include "guest-kernel-agent/system/user_select.h"
#include "guest-kernel-agent/system/users.h"

#define COLS 80
#define ROWS 24
#define SIZE_LIMIT 65535 /* what a terminal can say */

typedef Process__ProcessConfig Config;

/* ---- what is asked for ---- */

static char **copy_texts(char *const *texts, size_t n)
{
	char **list = mem_calloc(n + 1, sizeof(*list));
	for (size_t i = 0; list && i < n; i++) {
		list[i] = mem_strdup(texts[i]);
		if (!list[i])
			return environ_free(list);
	}
	return list;
}

static char **copy_envs(const Config *q)
{
	char **list = mem_calloc(q->n_envs + 1, sizeof(*list));
	for (size_t i = 0; list && i < q->n_envs; i++) {
		list[i] = mem_printf("%s=%s", q->envs[i]->key, q->envs[i]->value);
		if (!list[i])
			return environ_free(list);
	}
	return list;
}

static int copy_command(
    struct process_command *dst, const Config *q, const char *tag, const char *dir)
{
	dst->cmd = mem_strdup(q->cmd);
	dst->cwd = mem_strdup(q->cwd);
	dst->tag = mem_strdup(tag);
	dst->dir = mem_strdup(dir);
	dst->args = copy_texts(q->args, q->n_args);
	dst->envs = copy_envs(q);
	return dst->cmd && dst->cwd && dst->tag && dst->dir && dst->args && dst->envs ? 0 : -ENOMEM;
}

static int check_envs(const Config *q, struct err *reterr)
{
	for (size_t i = 0; i < q->n_envs; i++)
		if (!*q->envs[i]->key || strchr(q->envs[i]->key, '='))
			return err_set(reterr, -EINVAL,
			    "process.envs: a name must not be empty or contain '='");
	return 0;
}

/* The user's, the sandbox's, the request's; the last one wins. NULL on -ENOMEM. */
static char **environment(const struct identity *id, const struct user *u, const Config *q)
{
	CLEAN_JSON json_t *env = environ_of_user(u);
	if (!env || json_object_update(env, (json_t *)identity_env_object(id)) < 0)
		return NULL;
	for (size_t i = 0; i < q->n_envs; i++)
		if (json_object_set_new(env, q->envs[i]->key, json_string(q->envs[i]->value)) < 0)
			return NULL;
	return environ_list(env);
}

bool process_request_terminal(struct call *c, const Process__PTY *pty, struct process_terminal *ret)
{
	uint32_t cols = pty->size ? pty->size->cols : 0, rows = pty->size ? pty->size->rows : 0;
	if (cols > SIZE_LIMIT || rows > SIZE_LIMIT) {
		call_finish(c, RPC_INVALID_ARGUMENT,
		    "pty.size: expected columns and rows of at most %d", SIZE_LIMIT);
		return false;
	}
	ret->cols = (uint16_t)(cols ? cols : COLS);
	ret->rows = (uint16_t)(rows ? rows : ROWS);
	return true;
}

/* ---- starting ---- */

/* The user that the call names: false when the call is finished. */
static bool find_user(struct call *c, const struct identity *id, struct user *ret)
{
	CLEAN_FREE char *name = NULL;
	struct err err = ERR_INIT;
	int r = user_name_of_call(c, id, &name, &err);
	if (r == 0)
		r = user_lookup(name, ret, &err);
	if (r == -ENOENT)
		call_finish(c, RPC_UNAUTHENTICATED, "invalid username: '%s'", name);
	else if (r == -ENOMEM)
		reply_no_memory(c);
	else if (r < 0)
		call_finish(c, RPC_UNAUTHENTICATED, "%s", err_text(&err));
	return r == 0;
}

static struct process *start_as(struct call *c, const struct process_wish *w, const struct user *u,
    struct process_command *command, const struct process_terminal *t)
{
	const struct process_service *sv = call_service_arg(c);
	char dir[PATH_LEN_MAX];
	struct err err = ERR_INIT;
	struct process *p = NULL;
	int r = check_envs(w->config, &err);
	if (r == 0)
		r = user_path(dir, u, identity_workdir(sv->identity), w->config->cwd, &err);
	if (r < 0) {
		call_finish(c, RPC_INVALID_ARGUMENT, "%s", err_text(&err));
		return NULL;
	}
	char **envp = environment(sv->identity, u, w->config);
	struct process_start s = { .command = command,
		.user = u,
		.envp = (const char *const *)envp,
		.terminal = t,
		.stdin_open = w->stdin_open,
		.output_max = w->output_max,
		.limit_ms = w->limit_ms ? w->limit_ms : call_time_left(c),
		.on_started = w->on_started,
		.arg = w->arg };
	r = envp && copy_command(command, w->config, w->tag, dir) == 0
		? process_start(sv->processes, &s, &p, &err)
		: err_set(&err, -ENOMEM, "out of memory");
	environ_free(envp);
	if (r < 0)
		call_finish(c, RPC_RESOURCE_EXHAUSTED, "%s", err_text(&err));
	return r < 0 ? NULL : p;
}

struct process *process_request_start(struct call *c, const struct process_wish *w)
{
	const struct process_service *sv = call_service_arg(c);
	struct process_command command = { 0 };
	struct process_terminal terminal;
	struct user u = { 0 };
	struct process *p = NULL;
	if (!w->config || !*w->config->cmd) {
		call_finish(c, RPC_INVALID_ARGUMENT, "process.cmd: expected a program");
		return NULL;
	}
	if ((!w->pty || process_request_terminal(c, w->pty, &terminal)) &&
	    find_user(c, sv->identity, &u))
		p = start_as(c, w, &u, &command, w->pty ? &terminal : NULL);
	process_command_fini(&command);
	user_fini(&u);
	return p;
}

void process_request_refuse(struct call *c, const struct process *p, int stage, int error)
{
	const char *cwd = process_command(p)->dir;
	if (stage == SPAWN_CWD && error == ENOENT)
		call_finish(c, RPC_INVALID_ARGUMENT, "cwd '%s' does not exist", cwd);
	else if (stage == SPAWN_CWD)
		call_finish(c, RPC_INVALID_ARGUMENT, "cwd '%s': %s", cwd, err_name(-error));
	else if (stage == SPAWN_USER)
		call_finish(c, RPC_PERMISSION_DENIED, "the agent cannot become this user: %s",
		    err_name(-error));
	else
		call_finish(
		    c, RPC_INTERNAL, "the process could not be prepared: %s", err_name(-error));
}

/* ---- finding ---- */

struct process *process_request_find(
    struct call *c, const Process__ProcessSelector *selector, bool live)
{
	const struct process_service *sv = call_service_arg(c);
	bool by_pid =
	    selector && selector->selector_case == PROCESS__PROCESS_SELECTOR__SELECTOR_PID;
	bool by_tag =
	    selector && selector->selector_case == PROCESS__PROCESS_SELECTOR__SELECTOR_TAG;
	struct process *p = by_pid   ? processes_find_pid(sv->processes, selector->pid)
			    : by_tag ? processes_find_tag(sv->processes, selector->tag)
				     : NULL;
	if (p && !(live && process_is_ended(p)))
		return p;
	if (by_pid)
		call_finish(c, RPC_NOT_FOUND, "process with pid %u not found", selector->pid);
	else if (by_tag)
		call_finish(c, RPC_NOT_FOUND, "process with tag %s not found", selector->tag);
	else
		call_finish(c, RPC_INVALID_ARGUMENT, "process: expected a pid or a tag");
	return NULL;
}

struct process *process_request_find_ref(struct call *c, const Sandglass__V1__ProcessRef *ref)
{
	const struct process_service *sv = call_service_arg(c);
	struct process *p = NULL;
	switch (ref ? ref->ref_case : SANDGLASS__V1__PROCESS_REF__REF__NOT_SET) {
	case SANDGLASS__V1__PROCESS_REF__REF_PID:
		p = processes_find_pid(sv->processes, ref->pid);
		break;
	case SANDGLASS__V1__PROCESS_REF__REF_TAG:
		p = processes_find_tag(sv->processes, ref->tag);
		break;
	case SANDGLASS__V1__PROCESS_REF__REF_PROCESS_ID:
		p = processes_find_id(sv->processes, ref->process_id);
		break;
	default:
		call_finish(
		    c, RPC_INVALID_ARGUMENT, "process: expected a pid, a tag or a process_id");
		return NULL;
	}
	if (!p)
		call_finish(c, RPC_NOT_FOUND, "no such process, or it ended too long ago");
	return p;
}
