/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a kernel says, turned into callbacks.
 *
 * Output arrives on iopub, the answer to a request on shell; an execution is over when its
 * execute_reply and its "idle" were seen. iopub may lose messages with kernels other than ours, and
 * an interrupt at an unlucky instant may cost the reply: when one of the two is there and the other
 * does not come within a while of silence, the execution ends without it.
 *
 * One iopub message at a time is delivered, long text in pieces. Before each piece the owner may
 * refuse (back-pressure); the message is then held, its channel paused, and delivery goes on after
 * kernel_resume_output(). A turn of the loop delivers a limited amount, so that other work gets its
 * turn.
 */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/jupyter/kernel_private.h"

#define PIECE_BYTES (32 * 1024)
#define PIECES_PER_TURN 32
#define LOST_PART_MS 2000
#define LOST_CHANNEL_GRACE_MS 2000 /* a process whose sockets are gone may be about to end */

static bool may_take(struct kernel *k)
{
	k->blocked = !k->ops->may_take(k, k->arg);
	return !k->blocked;
}

/* ---- errors ---- */

static const char *string_at(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* The length of NAME where both texts are "NAME: what", as Deno tells of code that it cannot parse.
 */
static size_t common_name(const char *name, const char *value)
{
	size_t n = strcspn(name, ": \n");

	return n && str_eq(name, value) && strncmp(name + n, ": ", 2) == 0 ? n : 0;
}

static void tell_error(struct kernel *k, const json_t *content)
{
	CLEAN_BUF struct buf traceback = BUF_INIT;
	const char *name = string_at(content, "ename"), *value = string_at(content, "evalue");
	size_t n_name = common_name(name, value);
	CLEAN_FREE char *short_name = n_name ? mem_strndup(name, n_name) : NULL;
	const json_t *lines = json_object_get(content, "traceback");
	int r = 0;

	for (size_t i = 0; i < json_array_size(lines) && r == 0; i++) {
		const char *line = json_string_value(json_array_get(lines, i));

		if (i && k->traceback_lines)
			r = buf_append_byte(&traceback, '\n');
		if (r == 0 && line)
			r = buf_append_str(&traceback, line);
	}
	const char *text = buf_cstr(&traceback);
	k->run.told_error = true;
	if (short_name) {
		name = short_name;
		value += n_name + strlen(": ");
	}
	k->ops->on_error(k, name, value, text ? text : "", k->arg);
}

/* ---- the end of an execution ---- */

static void finish_run(struct kernel *k)
{
	struct kernel_reply reply = k->run.reply;
	CLEAN_JSON json_t *error = TAKE(k->run.error);

	loop_timer_cancel(&k->quiet);
	kernel_watch_end(k);
	/* Some kernels tell some errors only here. */
	if (error && !k->run.told_error)
		tell_error(k, error);
	k->run.active = false;
	k->ops->on_done(k, &reply, k->arg);
}

void kernel_check_done(struct kernel *k)
{
	if (!k->run.active || k->state != KERNEL_READY)
		return;
	if (k->run.replied && k->run.idle)
		finish_run(k);
	else if (k->run.replied || k->run.idle)
		loop_timer_set(&k->quiet, LOST_PART_MS);
}

/* The reply will not come any more. */
static void take_as_replied(struct kernel *k)
{
	k->run.replied = true;
	k->run.reply.ok = !k->run.told_error;
	k->run.reply.lost = "the kernel's reply was lost";
}

/* The missing part will not come any more. */
void kernel_end_wait(struct kernel *k)
{
	if (!k->run.active || k->blocked)
		return;
	log_debug("kernel %d: execution ended without %s", (int)k->pid,
	    k->run.replied ? "idle" : "reply");
	if (!k->run.replied)
		take_as_replied(k);
	else if (!k->run.reply.lost)
		k->run.reply.lost = "the kernel did not say that it is idle again";
	finish_run(k);
}

/* ---- messages of iopub: true = delivered, false = held ---- */

static json_t *content_of(const struct message *m)
{
	struct err err = ERR_INIT;
	json_t *content = text_parse_object(m->content.p, m->content.n, &err);

	if (!content)
		log_debug("%s: %s", m->type, err_text(&err));
	return content;
}

static bool take_stream(struct kernel *k, const struct message *m)
{
	char piece[PIECE_BYTES];

	if (k->run.silent)
		return true;
	if (!k->streaming && !text_stream_open(&k->text, m->content.p, m->content.n))
		return true;
	k->streaming = true;
	for (int i = 0; !text_stream_at_end(&k->text); i++) {
		if (i == PIECES_PER_TURN) {
			loop_defer_set(&k->deliver);
			return false;
		}
		if (!may_take(k))
			return false;
		size_t n = text_stream_read(&k->text, piece, sizeof(piece));
		k->ops->on_stream(k, k->text.is_stderr, piece, n, k->arg);
	}
	k->streaming = false;
	return true;
}

static bool take_data(struct kernel *k, const struct message *m)
{
	if (k->run.silent)
		return true;
	if (!may_take(k))
		return false;
	CLEAN_JSON json_t *content = content_of(m);
	const json_t *data = json_object_get(content, "data");

	if (json_is_object(data))
		k->ops->on_result(k, str_eq(m->type, "execute_result"), data,
		    json_object_get(content, "metadata"), k->arg);
	return true;
}

static bool take_error(struct kernel *k, const struct message *m)
{
	if (!k->run.silent && !may_take(k))
		return false;
	CLEAN_JSON json_t *content = content_of(m);

	if (content)
		tell_error(k, content);
	return true;
}

static bool take_input(struct kernel *k, const struct message *m)
{
	CLEAN_JSON json_t *content = content_of(m);
	json_int_t count = json_integer_value(json_object_get(content, "execution_count"));

	k->run.reachable = true;
	k->run.reply.execution_count = (unsigned)count;
	k->ops->on_busy(k, (unsigned)count, k->arg);
	if (k->run.interrupt)
		kernel_send_interrupt(k);
	return true;
}

static bool take_status(struct kernel *k, const struct message *m)
{
	CLEAN_JSON json_t *content = content_of(m);

	if (str_eq(string_at(content, "execution_state"), "idle"))
		k->run.idle = true;
	return true;
}

static const struct {
	const char *type;
	bool (*take)(struct kernel *k, const struct message *m);
} takers[] = {
	{ "stream", take_stream },
	{ "status", take_status },
	{ "execute_input", take_input },
	{ "execute_result", take_data },
	{ "display_data", take_data },
	{ "error", take_error },
};

static bool take(struct kernel *k, const struct message *m)
{
	if (!k->run.active || k->state != KERNEL_READY)
		return true;
	/* What comes of the watchdog's request comes after all that the execution had to tell. */
	k->run.idle |= *k->run.probe && str_eq(m->parent_id, k->run.probe);
	if (!str_eq(m->parent_id, k->run.id))
		return true;
	for (size_t i = 0; i < sizeof(takers) / sizeof(takers[0]); i++)
		if (str_eq(takers[i].type, m->type))
			return takers[i].take(k, m);
	return true;
}

/* ---- iopub ---- */

/* Deliver the message in k->held, as far as the owner wants it. */
static void deliver_held(struct kernel *k)
{
	k->holding = !take(k, &k->held);
	if (k->holding) {
		channel_pause(&k->iopub);
		loop_timer_cancel(&k->quiet);
		return;
	}
	k->streaming = false;
	channel_resume(&k->iopub);
	kernel_check_done(k);
}

void kernel_deliver(struct loop_defer *d, void *arg)
{
	struct kernel *k = arg;

	if (k->holding)
		deliver_held(k);
	if (k->ended && !k->holding)
		loop_timer_set(&k->quiet, k->iopub.closed ? 0 : LOST_PART_MS);
}

/* The message that a channel holds: false when it is to be dropped. */
static bool open_message(struct kernel *k, const struct channel *c, struct message *ret)
{
	struct zmtp_span frames[ZMTP_FRAMES_MAX];
	struct err err = ERR_INIT;
	size_t n = zmtp_frames(&c->zmtp);

	for (size_t i = 0; i < n; i++)
		frames[i] = zmtp_frame(&c->zmtp, i);
	int r = session_open_message(&k->session, frames, n, ret, &err);
	if (r == MESSAGE_E_BAD)
		log_debug("kernel %d: %s", (int)k->pid, err_text(&err));
	else if (r < 0)
		kernel_fail(k, &err);
	return r == 0;
}

static void on_iopub_message(struct channel *c, void *arg)
{
	struct kernel *k = arg;

	if (k->state == KERNEL_STOPPING || !open_message(k, c, &k->held))
		return;
	if (k->state == KERNEL_STARTING) {
		k->iopub_live = k->iopub_live || k->held.parent_id[0];
		kernel_check_ready(k);
		return;
	}
	if (k->ended)
		loop_timer_set(&k->quiet, LOST_PART_MS);
	deliver_held(k);
}

/* ---- shell ---- */

/* IPython tells in a payload that the code called exit(). */
static bool asks_exit(const json_t *content)
{
	const json_t *payload = json_object_get(content, "payload");

	for (size_t i = 0; i < json_array_size(payload); i++) {
		const json_t *p = json_array_get(payload, i);

		if (str_eq(string_at(p, "source"), "ask_exit") &&
		    !json_is_true(json_object_get(p, "keepkernel")))
			return true;
	}
	return false;
}

static void take_reply(struct kernel *k, const struct message *m)
{
	CLEAN_JSON json_t *content = content_of(m);
	const json_t *count = json_object_get(content, "execution_count");

	if (!content)
		return;
	k->run.replied = true;
	k->run.reply.lost = NULL;
	k->run.reply.ok = str_eq(string_at(content, "status"), "ok");
	k->run.reply.exiting = asks_exit(content);
	if (json_is_integer(count))
		k->run.reply.execution_count = (unsigned)json_integer_value(count);
	json_decref(k->run.error);
	k->run.error = string_at(content, "ename")[0] ? json_incref(content) : NULL;
}

/* Kernels that run our module say so with a field of their own. */
static void take_info(struct kernel *k, const struct message *m)
{
	CLEAN_JSON json_t *content = content_of(m);

	k->info_replied = true;
	k->takes_along = json_is_true(json_object_get(content, "sandglass"));
}

/* The watchdog's request was queued behind the execution: that is over. */
static void take_probe_reply(struct kernel *k, const struct message *m)
{
	if (!k->run.active || k->run.replied || !*k->run.probe ||
	    !str_eq(m->parent_id, k->run.probe))
		return;
	take_as_replied(k);
	kernel_check_done(k);
}

static void on_shell_message(struct channel *c, void *arg)
{
	struct kernel *k = arg;
	struct message m;

	if (k->state == KERNEL_STOPPING || !open_message(k, c, &m))
		return;
	if (str_eq(m.type, "kernel_info_reply")) {
		take_info(k, &m);
		kernel_check_ready(k);
		take_probe_reply(k, &m);
	} else if (str_eq(m.type, "execute_reply") && k->run.active &&
		   str_eq(m.parent_id, k->run.id)) {
		take_reply(k, &m);
		kernel_check_done(k);
	}
}

/* ---- channels ---- */

static void on_open(struct channel *c, void *arg)
{
	kernel_check_ready(arg);
}

static void on_control_message(struct channel *c, void *arg)
{
	/* Answers to an interrupt or a shutdown: what they announce shows by itself. */
}

static void on_close(struct channel *c, const struct err *why, void *arg)
{
	struct kernel *k = arg;

	if (k->ended)
		kernel_check_gone(k);
	else if (why->code)
		kernel_fail(k, why);
	else
		kernel_limit(k, LOST_CHANNEL_GRACE_MS, "the kernel closed its connections");
}

const struct channel_ops kernel_shell_ops = { on_open, on_shell_message, on_close };
const struct channel_ops kernel_control_ops = { on_open, on_control_message, on_close };
const struct channel_ops kernel_iopub_ops = { on_open, on_iopub_message, on_close };
