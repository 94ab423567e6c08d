/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/jupyter/kernel.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fdutil.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "guest-kernel-agent/jupyter/kernel_private.h"
#include "guest-kernel-agent/jupyter/kernelspec.h"
#include "guest-kernel-agent/system/spawn.h"

#define START_LIMIT_MS 60000 /* also enough for emulated machines */
#define PROBE_AGAIN_MS 20    /* until our subscription has reached the kernel */
#define DIAGNOSTIC_LINE_MAX 200
#define DEAD_OUTPUT_GRACE_MS 1000 /* silence after which no output of a dead process is awaited */

static const bool kernel_moves[4][4] = {
	[KERNEL_STARTING] = { [KERNEL_READY] = true,
	    [KERNEL_STOPPING] = true,
	    [KERNEL_GONE] = true },
	[KERNEL_READY] = { [KERNEL_STOPPING] = true, [KERNEL_GONE] = true },
	[KERNEL_STOPPING] = { [KERNEL_GONE] = true },
};

static void kernel_set_state(struct kernel *k, enum kernel_state to)
{
	assert(kernel_moves[k->state][to]);
	k->state = to;
}

static void kernel_kill(struct kernel *k)
{
	spawn_signal_group(k->pid, k->child.pidfd, SIGKILL);
}

void kernel_fail(struct kernel *k, const struct err *why)
{
	(void)err_set(&k->why, why->code ? why->code : -EPIPE, "%s", err_text(why));
	kernel_kill(k);
}

/* ---- requests ---- */

int kernel_request(struct kernel *k, struct channel *c, const char *type, const json_t *content,
    char ret_id[MESSAGE_ID_MAX])
{
	CLEAN_BUF struct buf text = BUF_INIT;
	int r = content ? json_write(&text, content, false) : buf_append_str(&text, "{}");

	if (r == 0)
		r = session_send(
		    &k->session, &c->zmtp, type, buf_data(&text), buf_len(&text), ret_id);
	if (r == 0)
		channel_flush(c);
	return r;
}

bool kernel_takes_along(const struct kernel *k)
{
	return k->takes_along;
}

int kernel_execute(struct kernel *k, const char *code, size_t n, bool silent, const json_t *along)
{
	CLEAN_JSON json_t *content = NULL;

	assert(k->state == KERNEL_READY && !k->run.active);
	content = json_pack("{s:s%, s:b, s:b, s:{}, s:b, s:b}", "code", code, n, "silent", silent,
	    "store_history", !silent, "user_expressions", "allow_stdin", 0, "stop_on_error", 0);
	if (!content || (along && json_object_set(content, "sandglass", (json_t *)along) < 0))
		return -ENOMEM;
	k->run = (struct kernel_run){ .active = true, .silent = silent };
	int r = kernel_request(k, &k->shell, "execute_request", content, k->run.id);
	if (r < 0)
		k->run.active = false;
	else
		kernel_watch_run(k);
	return r;
}

void kernel_send_interrupt(struct kernel *k)
{
	char id[MESSAGE_ID_MAX];

	k->run.interrupt = false;
	if (!k->interrupt_by_message) {
		spawn_signal_group(k->pid, k->child.pidfd, SIGINT);
		kernel_watch_interrupt(k);
	} else if (kernel_request(k, &k->control, "interrupt_request", NULL, id) < 0)
		log_warn("no memory to interrupt a kernel");
}

void kernel_interrupt(struct kernel *k)
{
	if (!k->run.active || k->ended)
		return;
	k->run.interrupt = true;
	if (k->run.reachable)
		kernel_send_interrupt(k);
}

void kernel_resume_output(struct kernel *k)
{
	if (!k->blocked)
		return;
	k->blocked = false;
	loop_defer_set(&k->deliver);
}

/* ---- start ---- */

static void kernel_probe(struct kernel *k)
{
	struct err err = ERR_INIT;
	char id[MESSAGE_ID_MAX];

	if (kernel_request(k, &k->shell, "kernel_info_request", NULL, id) < 0) {
		(void)err_set(&err, -ENOMEM, "no memory to start a kernel");
		kernel_fail(k, &err);
	}
}

/* Ready is who has answered on shell and is heard on iopub: an answer alone could be ahead of our
 * subscription, and the first output would be lost. */
void kernel_check_ready(struct kernel *k)
{
	if (k->state != KERNEL_STARTING || !k->shell.opened || !k->iopub.opened)
		return;
	if (!k->info_replied && !loop_timer_is_armed(&k->quiet)) {
		kernel_probe(k);
		loop_timer_set(&k->quiet, START_LIMIT_MS);
	} else if (k->info_replied && !k->iopub_live) {
		loop_timer_set(&k->quiet, PROBE_AGAIN_MS);
	} else if (k->info_replied) {
		loop_timer_cancel(&k->quiet);
		loop_timer_cancel(&k->limit);
		kernel_set_state(k, KERNEL_READY);
		k->ops->on_ready(k, k->arg);
	}
}

static void on_quiet(struct loop_timer *t, void *arg)
{
	struct kernel *k = arg;

	if (k->ended)
		kernel_check_gone(k);
	else if (k->state == KERNEL_STARTING)
		kernel_probe(k);
	else
		kernel_end_wait(k);
}

void kernel_limit(struct kernel *k, unsigned ms, const char *why)
{
	k->limit_why = why;
	loop_timer_set(&k->limit, ms);
}

static void on_limit(struct loop_timer *t, void *arg)
{
	struct kernel *k = arg;
	struct err err = ERR_INIT;

	(void)err_set(&err, -ETIMEDOUT, "%s", k->limit_why);
	kernel_fail(k, &err);
}

/* ---- end ---- */

/* The last line that is not empty of what the process itself wrote, made printable. */
static void last_diagnostic(const struct kernel *k, char *dst, size_t cap)
{
	size_t end = k->n_diagnostics, start, n = 0;

	while (end && k->diagnostics[end - 1] <= ' ')
		end--;
	for (start = end; start && k->diagnostics[start - 1] != '\n';)
		start--;
	for (; start < end && n + 1 < cap; start++) {
		char c = k->diagnostics[start];
		dst[n++] = c >= ' ' && c <= '~' ? c : '?';
	}
	dst[n] = '\0';
}

/* Make k->why a sentence, whatever happened. A kernel that never answered has said why on stderr.
 */
static void describe_end(struct kernel *k)
{
	int st = k->wait_status;
	char said[DIAGNOSTIC_LINE_MAX] = "";
	const char *signal_name;

	if (!k->info_replied)
		last_diagnostic(k, said, sizeof(said));
	const char *colon = said[0] ? ": " : "";
	if (st == -1) {
		(void)err_set(&k->why, -ECHILD, "the kernel ended%s%s", colon, said);
	} else if (WIFSIGNALED(st)) {
		signal_name = sigdescr_np(WTERMSIG(st));
		(void)err_set(&k->why, -ECHILD, "the kernel was killed by signal %d (%s)%s%s",
		    WTERMSIG(st), signal_name ? signal_name : "?", colon, said);
	} else {
		(void)err_set(&k->why, -ECHILD, "the kernel exited with status %d%s%s",
		    WEXITSTATUS(st), colon, said);
	}
}

/* After the process has ended, what it sent before is still delivered; then the owner is told. */
void kernel_check_gone(struct kernel *k)
{
	bool output_awaited = k->run.active && !k->run.silent && k->state == KERNEL_READY &&
			      (!k->iopub.closed || k->holding);

	if (!k->ended || k->state == KERNEL_GONE)
		return;
	if (output_awaited && (k->blocked || k->holding || loop_timer_is_armed(&k->quiet)))
		return;
	loop_timer_cancel(&k->quiet);
	loop_defer_cancel(&k->deliver);
	kernel_set_state(k, KERNEL_GONE);
	describe_end(k);
	k->ops->on_exit(k, k->wait_status, err_text(&k->why), k->arg);
}

static void on_child_end(struct loop_child *c, int wait_status, void *arg)
{
	struct kernel *k = arg;

	k->ended = true;
	k->wait_status = wait_status;
	kernel_kill(k); /* what it started in its group */
	loop_timer_cancel(&k->limit);
	loop_timer_set(&k->quiet, DEAD_OUTPUT_GRACE_MS);
	kernel_check_gone(k);
}

int kernel_watch(struct kernel *k, int pidfd_consume)
{
	int r = loop_child_init(&k->child, k->loop, pidfd_consume, on_child_end, k);

	if (r == 0)
		kernel_limit(k, START_LIMIT_MS, "the kernel did not answer in time");
	return r;
}

void kernel_stop(struct kernel *k, unsigned grace_ms)
{
	char id[MESSAGE_ID_MAX];
	struct err err = ERR_INIT;
	CLEAN_JSON json_t *content = json_pack("{s:b}", "restart", 0);

	if (k->state == KERNEL_GONE)
		return;
	if (k->state != KERNEL_STOPPING)
		kernel_set_state(k, KERNEL_STOPPING);
	loop_timer_cancel(&k->quiet);
	(void)err_set(&err, -ECANCELED, "the kernel was stopped");
	if (grace_ms == 0 || !k->control.opened ||
	    kernel_request(k, &k->control, "shutdown_request", content, id) < 0)
		kernel_fail(k, &err);
	else
		kernel_limit(k, grace_ms, "the kernel did not shut down when asked");
	if (k->ended)
		loop_timer_set(&k->quiet, 0);
}

/* ---- life ---- */

struct kernel *kernel_new(struct loop *l, const struct kernel_config *config,
    const struct kernel_ops *ops, void *arg, struct err *reterr)
{
	struct kernel *k = mem_zalloc(sizeof(*k));

	if (!k) {
		(void)err_set(reterr, -ENOMEM, "no memory for a kernel");
		return NULL;
	}
	k->loop = l;
	k->ops = ops;
	k->arg = arg;
	k->output = -1;
	k->interrupt_by_message = config->spec->interrupt_by_message;
	k->traceback_lines = config->spec->traceback_lines;
	loop_timer_init(&k->limit, l, on_limit, k);
	loop_timer_init(&k->quiet, l, on_quiet, k);
	kernel_watch_init(k);
	loop_defer_init(&k->deliver, l, kernel_deliver, k);
	if (kernel_launch(k, config, reterr) < 0)
		return kernel_free(k);
	return k;
}

struct kernel *kernel_free(struct kernel *k)
{
	if (!k)
		return NULL;
	if (k->pid && !k->ended) {
		kernel_kill(k);
		(void)waitpid(k->pid, NULL, 0);
	}
	loop_child_fini(&k->child);
	channel_fini(&k->shell);
	channel_fini(&k->control);
	channel_fini(&k->iopub);
	loop_timer_fini(&k->limit);
	loop_timer_fini(&k->quiet);
	kernel_watch_fini(k);
	loop_defer_fini(&k->deliver);
	loop_io_fini(&k->output_io);
	(void)fd_close(k->output);
	session_fini(&k->session);
	json_decref(k->run.error);
	if (k->dir[0])
		(void)path_remove_tree(k->dir);
	return mem_free(k);
}
