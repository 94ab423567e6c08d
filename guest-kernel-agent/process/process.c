/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One process: its beginning, its signals, its end. Everything that the end waits for (the program
 * ran, the leader is collected, its output is at its end, no kill is under way) is looked at in one
 * place, on_settle(), in a turn of its own.
 */
#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/fdutil.h"
#include "base/id.h"
#include "base/mem.h"
#include "guest-kernel-agent/journal/journal.h"
#include "guest-kernel-agent/process/endpoints.h"
#include "guest-kernel-agent/process/process_private.h"
#include "guest-kernel-agent/system/environ.h"
#include "guest-kernel-agent/system/notices.h"
#include "guest-kernel-agent/system/tree.h"

#define LIMIT_MAX_MS (30 * 24 * 3600 * 1000ull) /* no sandbox lives longer */
#define OOM_ADJ "400"				/* goes before the agent and before kernels */

/* ---- the end ---- */

/* A kill that the host told of a while ago was somebody else's, who is no child of ours. */
static bool killed_for_memory(const struct process *p)
{
	struct oom_watch *w = &p->owner->oom;
	const struct notices *n = p->owner->conf.notices;
	if (!oom_watch_has_counter(w))
		return notices_oom_recent(n);
	return oom_watch_grew(w, p->ooms) && !notices_oom_is_old(n, w->seen);
}

static enum process_end how_it_ended(struct process *p)
{
	if (p->kill_reason)
		return p->kill_reason;
	if (!WIFSIGNALED(p->wait_status))
		return PROCESS_END_EXITED;
	if (WTERMSIG(p->wait_status) == SIGKILL && killed_for_memory(p))
		return PROCESS_END_OUT_OF_MEMORY;
	return PROCESS_END_SIGNALED;
}

static void on_child(struct loop_child *c, int wait_status, void *arg)
{
	struct process *p = arg;
	p->reaped = true;
	p->wait_status = wait_status;
	p->how = how_it_ended(p);
	if (p->state == PROCESS_STATE_RUNNING)
		p->state = PROCESS_STATE_DRAINING;
	process_settle(p);
}

bool process_is_over(const struct process *p)
{
	return p->reaped && p->hurried && !p->killing;
}

void process_settle(struct process *p)
{
	loop_defer_set(&p->settle);
}

static void close_ends(struct process *p)
{
	for (int i = 0; i < OUTPUTS; i++)
		output_fini(&p->outputs[i]);
	input_fini(&p->input);
	loop_timer_fini(&p->deadline);
	loop_child_fini(&p->child);
	loop_io_fini(&p->status_io);
	p->status_fd = fd_close(p->status_fd);
}

static void finish(struct process *p)
{
	p->state = PROCESS_STATE_ENDED;
	p->ended_ms = clock_mono_ms();
	p->ended_ns = clock_real_ns();
	close_ends(p);
	(void)process_event_add_end(p->journal, p->how, p->wait_status);
	journal_close(p->journal);
	processes_keep(p->owner, p);
}

static void on_settle(struct loop_defer *d, void *arg)
{
	struct process *p = process_ref(arg);
	if (p->state == PROCESS_STATE_RUNNING || p->state == PROCESS_STATE_DRAINING) {
		bool open = false;
		for (int i = 0; i < OUTPUTS; i++) {
			output_resume(&p->outputs[i]);
			open = open || output_is_open(&p->outputs[i]);
		}
		if (p->state == PROCESS_STATE_DRAINING && !open && !p->killing)
			finish(p);
	} else if (p->state == PROCESS_STATE_REFUSED && p->reaped && !p->killing) {
		close_ends(p);
		processes_keep(p->owner, p);
	}
	process_unref(p);
}

/* From inside calls on readers, where nothing may be written. */
static void on_room(void *arg)
{
	process_settle(arg);
}

/* Whether anybody follows or not. */
static void on_deadline(struct loop_timer *t, void *arg)
{
	(void)process_kill(arg, PROCESS_END_DEADLINE);
}

/* ---- the beginning ---- */

static void tell_starter(struct process *p, int stage, int error)
{
	void (*fn)(struct process *, int, int, void *) = p->on_started;
	p->on_started = NULL;
	if (fn)
		fn(p, stage, error, p->arg);
}

static void on_status(struct loop_io *io, unsigned events, void *arg)
{
	struct process *p = arg;
	struct spawn_failure f = { 0 };
	ssize_t n = read(p->status_fd, &f, sizeof(f));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	loop_io_fini(&p->status_io);
	p->status_fd = fd_close(p->status_fd);
	process_ref(p);
	if (n == (ssize_t)sizeof(f)) {
		p->state = PROCESS_STATE_REFUSED;
		tell_starter(p, f.stage, f.error);
	} else {
		p->state = p->reaped ? PROCESS_STATE_DRAINING : PROCESS_STATE_RUNNING;
		(void)process_event_add_started(p->journal, (uint32_t)p->pid);
		tell_starter(p, 0, 0);
	}
	process_settle(p);
	process_unref(p);
}

static struct process *process_new(struct processes *ps, const struct process_start *s)
{
	struct process *p = mem_zalloc(sizeof(*p));
	if (!p)
		return NULL;
	struct journal_conf jc = { .memory = ps->conf.journal_memory,
		.cap = ps->conf.journal_cap,
		.keep = true,
		.drop_oldest = true,
		.on_room = on_room,
		.arg = p };
	p->owner = ps;
	p->refs = 1;
	p->status_fd = p->input.fd = -1;
	p->mark = ps->next_mark++;
	p->ooms = oom_watch_count(&ps->oom);
	p->on_started = s->on_started;
	p->arg = s->arg;
	p->output_max = s->output_max;
	p->created_ns = clock_real_ns();
	p->has_terminal = s->terminal != NULL;
	link_init(&p->link);
	link_init(&p->kill_waits);
	id_uuid(p->id);
	loop_defer_init(&p->settle, ps->conf.loop, on_settle, p);
	loop_timer_init(&p->deadline, ps->conf.loop, on_deadline, p);
	if (s->limit_ms != UINT64_MAX)
		loop_timer_set(
		    &p->deadline, s->limit_ms < LIMIT_MAX_MS ? s->limit_ms : LIMIT_MAX_MS);
	p->journal = journal_new(&jc);
	return p->journal ? p : mem_free(p);
}

void process_free(struct process *p)
{
	close_ends(p);
	loop_defer_fini(&p->settle);
	for (int i = 0; i < OUTPUTS; i++)
		offsets_fini(&p->outputs[i].offsets);
	journal_free(p->journal);
	process_command_fini(&p->command);
	mem_free(p);
}

static int spawn(
    struct process *p, const struct process_start *s, struct endpoints *e, struct err *reterr)
{
	size_t n = 0;
	while (s->command->args && s->command->args[n])
		n++;
	CLEAN_FREE const char **argv = mem_calloc(n + 2, sizeof(*argv));
	if (!argv)
		return err_set(reterr, -ENOMEM, "out of memory");
	argv[0] = s->command->cmd;
	for (size_t i = 0; i < n; i++)
		argv[i + 1] = s->command->args[i];
	struct spawn sp = { .argv = argv,
		.envp = s->envp,
		.cwd = s->command->dir,
		.user = s->user,
		.input = e->child[0],
		.output = e->child[1],
		.error = e->child[2],
		.terminal = s->terminal != NULL,
		.oom_adj = OOM_ADJ,
		.mark = p->mark,
		.status = e->status_child };
	int pidfd, r = spawn_process(&sp, &p->pid, &pidfd, reterr);
	if (r < 0)
		return r;
	r = loop_child_init(&p->child, p->owner->conf.loop, pidfd, on_child, p);
	if (r < 0)
		(void)kill(p->pid, SIGKILL);
	return r < 0 ? err_set(reterr, r, "cannot watch a process") : 0;
}

/* Our sides of its descriptors. */
static int watch(struct process *p, struct endpoints *e)
{
	struct loop *l = p->owner->conf.loop;
	p->status_fd = TAKE_FD(e->status);
	(void)loop_io_init(&p->status_io, l, p->status_fd, on_status, p);
	output_init(&p->outputs[OUTPUT_FIRST], p,
	    p->has_terminal ? PROCESS_EVENT_PTY : PROCESS_EVENT_STDOUT, TAKE_FD(e->out));
	if (!p->has_terminal)
		output_init(&p->outputs[OUTPUT_SECOND], p, PROCESS_EVENT_STDERR, TAKE_FD(e->err));
	int r = e->in < 0 ? 0 : input_init(&p->input, l, TAKE_FD(e->in));
	return r < 0 ? r : loop_io_want(&p->status_io, LOOP_READ);
}

int process_start(
    struct processes *ps, const struct process_start *s, struct process **ret, struct err *reterr)
{
	if (ps->n_live >= PROCESSES_LIVE_MAX)
		return err_set(reterr, -EBUSY, "more than %d processes", PROCESSES_LIVE_MAX);
	struct endpoints e = ENDPOINTS_INIT;
	struct process *p = process_new(ps, s);
	int r = p ? endpoints_open(&e, s->terminal, s->stdin_open, s->user, reterr)
		  : err_set(reterr, -ENOMEM, "out of memory");
	if (r == 0)
		r = spawn(p, s, &e, reterr);
	if (r == 0 && (r = watch(p, &e)) < 0) {
		(void)err_set(reterr, r, "cannot watch a process");
		(void)syscall(SYS_pidfd_send_signal, p->child.pidfd, SIGKILL, NULL, 0);
	}
	endpoints_close(&e);
	if (r < 0) {
		if (p)
			process_free(p);
		return r;
	}
	p->command = *s->command;
	*s->command = (struct process_command){ 0 };
	list_push_back(&ps->live, &p->link);
	ps->n_live++;
	*ret = process_ref(p);
	return 0;
}

void process_forget_starter(struct process *p)
{
	p->on_started = NULL;
}

struct process *process_ref(struct process *p)
{
	p->refs++;
	return p;
}

struct process *process_unref(struct process *p)
{
	if (p && --p->refs == 0)
		process_free(p);
	return NULL;
}

void process_command_fini(struct process_command *c)
{
	mem_free(c->cmd);
	mem_free(c->cwd);
	mem_free(c->tag);
	mem_free(c->dir);
	environ_free(c->args);
	environ_free(c->envs);
	*c = (struct process_command){ 0 };
}

/* ---- signals ---- */

struct kill_job {
	struct work_job work;
	struct process *process; /* a reference; not touched in the thread */
	uint64_t mark;
};

static void run_kill(struct work_job *w)
{
	(void)tree_kill(container_of(w, struct kill_job, work)->mark);
}

static void tell_kill_waits(struct process *p)
{
	for (struct link *k; (k = list_pop_front(&p->kill_waits));) {
		struct process_wait *w = container_of(k, struct process_wait, link);
		w->done(w);
	}
}

static void on_killed(struct work_job *w)
{
	struct kill_job *job = container_of(w, struct kill_job, work);
	struct process *p = job->process;
	mem_free(job);
	p->killing = false;
	tell_kill_waits(p);
	process_settle(p);
	process_unref(p);
}

int process_signal(struct process *p, int signo)
{
	if (p->state == PROCESS_STATE_ENDED || p->state == PROCESS_STATE_REFUSED)
		return -ESRCH;
	p->hurried = p->hurried || signo == SIGTERM || signo == SIGKILL;
	process_settle(p);
	if (!p->reaped)
		(void)syscall(SYS_pidfd_send_signal, p->child.pidfd, signo, NULL, 0);
	return 0;
}

int process_kill(struct process *p, enum process_end how)
{
	int r = process_signal(p, SIGKILL);
	if (r < 0)
		return r;
	if (!p->kill_reason && !p->reaped)
		p->kill_reason = how;
	if (p->killing)
		return 0;
	struct kill_job *job = mem_zalloc(sizeof(*job));
	if (!job)
		return -ENOMEM; /* the process itself is killed */
	job->work = (struct work_job){ .run = run_kill, .done = on_killed };
	job->process = process_ref(p);
	job->mark = p->mark;
	p->killing = true;
	work_submit(p->owner->killers, 0, &job->work);
	return 0;
}

bool process_wait_killed(struct process *p, struct process_wait *w)
{
	if (p->killing)
		list_push_back(&p->kill_waits, &w->link);
	return p->killing;
}

void process_wait_cancel(struct process_wait *w)
{
	link_remove(&w->link);
}

/* ---- input ---- */

int process_write(struct process *p, bool to_terminal, struct input_piece *piece)
{
	if (to_terminal != p->has_terminal)
		return PROCESS_E_TERMINAL;
	if (p->state == PROCESS_STATE_ENDED || !input_is_open(&p->input))
		return PROCESS_E_NO_INPUT;
	return input_add(&p->input, piece);
}

void process_write_cancel(struct process *p, struct input_piece *piece)
{
	input_remove(&p->input, piece);
}

int process_close_stdin(struct process *p)
{
	if (p->has_terminal)
		return PROCESS_E_TERMINAL;
	input_close(&p->input);
	return 0;
}

int process_resize(struct process *p, const struct process_terminal *t)
{
	struct winsize w = { .ws_col = t->cols, .ws_row = t->rows };
	const struct output *o = &p->outputs[OUTPUT_FIRST];
	if (!p->has_terminal)
		return PROCESS_E_TERMINAL;
	if (!output_is_open(o))
		return -ESRCH;
	return ioctl(o->fd, TIOCSWINSZ, &w) < 0 ? -errno : 0;
}

/* ---- questions ---- */

pid_t process_pid(const struct process *p)
{
	return p->pid;
}

const char *process_id(const struct process *p)
{
	return p->id;
}

const struct process_command *process_command(const struct process *p)
{
	return &p->command;
}

struct journal *process_journal(const struct process *p)
{
	return p->journal;
}

bool process_is_ended(const struct process *p)
{
	return p->state == PROCESS_STATE_ENDED;
}

static const struct output *find_output(const struct process *p, enum process_event_type stream)
{
	for (int i = 0; i < OUTPUTS; i++)
		if (p->outputs[i].process && p->outputs[i].type == stream)
			return &p->outputs[i];
	return NULL;
}

const struct offsets *process_offsets(const struct process *p, enum process_event_type stream)
{
	const struct output *o = find_output(p, stream);
	return o ? &o->offsets : NULL;
}

uint64_t process_bytes(const struct process *p, enum process_event_type stream)
{
	const struct output *o = find_output(p, stream);
	return o ? o->written : 0;
}

void process_outcome(const struct process *p, struct process_outcome *ret)
{
	*ret = (struct process_outcome){ .created_ns = p->created_ns };
	if (p->state != PROCESS_STATE_ENDED)
		return;
	ret->ended_ns = p->ended_ns;
	ret->how = p->how;
	ret->wait_status = p->wait_status;
}
