/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/process/control_rpc.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "guest-kernel-agent/process/process.h"
#include "guest-kernel-agent/process/request.h"
#include "guest-kernel-agent/process/service.h"
#include "process/process.pb-c.h"
#include "guest-kernel-agent/system/reply.h"
#include "rpc/call.h"

typedef Process__ProcessInfo Info;
typedef Process__ProcessConfig Config;
typedef Process__ProcessConfig__EnvsEntry Entry;

void control_rpc_on_done(struct call *c, int err)
{
	(void)c;
	(void)err;
}

/* ---- List ---- */

/* One process as a message that points into it. */
struct description {
	Info info;
	Config config;
	Entry *entries, **envs;
	char *names; /* of the variables, one behind the other */
};

static void description_fini(struct description *d)
{
	mem_free(d->entries);
	mem_free(d->envs);
	mem_free(d->names);
}

static size_t count(char *const *list)
{
	size_t n = 0;
	while (list[n])
		n++;
	return n;
}

static int describe_envs(struct description *d, char *const *envs)
{
	size_t n = count(envs), bytes = 0;
	for (size_t i = 0; i < n; i++)
		bytes += strcspn(envs[i], "=") + 1;
	d->entries = mem_calloc(n, sizeof(*d->entries));
	d->envs = mem_calloc(n, sizeof(Entry *));
	d->names = mem_alloc(bytes);
	if (!d->entries || !d->envs || !d->names)
		return -ENOMEM;
	char *name = d->names;
	for (size_t i = 0; i < n; i++) {
		size_t len = strcspn(envs[i], "=");
		process__process_config__envs_entry__init(&d->entries[i]);
		memcpy(name, envs[i], len);
		name[len] = '\0';
		d->entries[i].key = name;
		d->entries[i].value = envs[i] + len + 1;
		d->envs[i] = &d->entries[i];
		name += len + 1;
	}
	d->config.n_envs = n;
	d->config.envs = d->envs;
	return 0;
}

static int describe(struct description *d, const struct process *p)
{
	const struct process_command *c = process_command(p);
	process__process_info__init(&d->info);
	process__process_config__init(&d->config);
	d->config.cmd = c->cmd;
	d->config.cwd = c->cwd;
	d->config.args = c->args;
	d->config.n_args = count(c->args);
	d->info.config = &d->config;
	d->info.pid = (uint32_t)process_pid(p);
	d->info.tag = c->tag;
	return describe_envs(d, c->envs);
}

void control_rpc_on_list(struct call *c, const ProtobufCMessage *m)
{
	const struct process_service *sv = call_service_arg(c);
	Process__ListResponse all = PROCESS__LIST_RESPONSE__INIT;
	size_t n = 0;
	int r = 0;
	for (struct process *p = NULL; (p = processes_next(sv->processes, p));)
		n++;
	CLEAN_FREE struct description *each = mem_calloc(n, sizeof(*each));
	CLEAN_FREE Info **list = mem_calloc(n, sizeof(Info *));
	if (!each || !list) {
		reply_no_memory(c);
		return;
	}
	size_t i = 0;
	for (struct process *p = NULL; r == 0 && (p = processes_next(sv->processes, p)); i++) {
		r = describe(&each[i], p);
		list[i] = &each[i].info;
	}
	all.n_processes = i;
	all.processes = list;
	if (r < 0)
		reply_no_memory(c);
	else
		reply_message(c, &all.base);
	for (i = 0; i < n; i++)
		description_fini(&each[i]);
}

/* ---- Update ---- */

void control_rpc_on_update(struct call *c, const ProtobufCMessage *m)
{
	const Process__UpdateRequest *q = (const Process__UpdateRequest *)m;
	Process__UpdateResponse answer = PROCESS__UPDATE_RESPONSE__INIT;
	struct process_terminal t;
	struct process *p = process_request_find(c, q->process, true);
	if (!p || (q->pty && !process_request_terminal(c, q->pty, &t)))
		return;
	int r = q->pty ? process_resize(p, &t) : 0;
	if (r == PROCESS_E_TERMINAL)
		call_finish(c, RPC_INTERNAL, "tty not assigned to process");
	else if (r < 0)
		call_finish(c, RPC_INTERNAL, "the terminal cannot be resized: %s", err_name(r));
	else
		reply_message(c, &answer.base);
}

/* ---- CloseStdin ---- */

void control_rpc_on_close_stdin(struct call *c, const ProtobufCMessage *m)
{
	const Process__CloseStdinRequest *q = (const Process__CloseStdinRequest *)m;
	Process__CloseStdinResponse answer = PROCESS__CLOSE_STDIN_RESPONSE__INIT;
	struct process *p = process_request_find(c, q->process, true);
	if (!p)
		return;
	if (process_close_stdin(p) == PROCESS_E_TERMINAL)
		call_finish(
		    c, RPC_UNKNOWN, "a terminal has no input to close; send Ctrl+D (0x04) instead");
	else
		reply_message(c, &answer.base);
}

/* ---- SendSignal ---- */

/* A kill is answered when nothing of the process is left. */
struct pending_kill {
	struct process_wait wait;
	struct call *call;
};

static void answer_signal(struct call *c)
{
	Process__SendSignalResponse answer = PROCESS__SEND_SIGNAL_RESPONSE__INIT;
	reply_message(c, &answer.base);
}

static void on_killed(struct process_wait *w)
{
	answer_signal(container_of(w, struct pending_kill, wait)->call);
}

void control_rpc_on_signal_done(struct call *c, int err)
{
	struct pending_kill *k = call_user(c);
	if (k)
		process_wait_cancel(&k->wait);
	mem_free(k);
}

static void kill_and_wait(struct call *c, struct process *p)
{
	struct pending_kill *k = mem_zalloc(sizeof(*k));
	if (!k) {
		reply_no_memory(c);
		return;
	}
	k->call = c;
	k->wait.done = on_killed;
	call_set_user(c, k);
	int r = process_kill(p, PROCESS_END_KILLED);
	if (r < 0)
		call_finish(c, RPC_INTERNAL, "the process cannot be killed: %s", err_name(r));
	else if (!process_wait_killed(p, &k->wait))
		answer_signal(c);
}

void control_rpc_on_signal(struct call *c, const ProtobufCMessage *m)
{
	const Process__SendSignalRequest *q = (const Process__SendSignalRequest *)m;
	struct process *p = process_request_find(c, q->process, true);
	if (!p)
		return;
	if (q->signal == PROCESS__SIGNAL__SIGNAL_SIGKILL) {
		kill_and_wait(c, p);
	} else if (q->signal == PROCESS__SIGNAL__SIGNAL_SIGTERM) {
		(void)process_signal(p, SIGTERM);
		answer_signal(c);
	} else {
		call_finish(c, RPC_UNIMPLEMENTED,
		    "invalid signal: %d; expected SIGNAL_SIGTERM or SIGNAL_SIGKILL",
		    (int)q->signal);
	}
}
