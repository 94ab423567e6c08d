/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /execute of E2B's SDKs.
 *
 *   (before)    the request body comes; whatever is wrong with it is answered with a status
 *   PREPARING   a default context is being made; its failure is answered with a status, unless that
 *               takes so long that the head had to go out: then it is an error line
 *   FOLLOWING   200 was sent, also while the cell waits in its context's queue; lines follow
 *   ENDED       the stream was ended or reset; only on_close is to come
 *
 * The client's going away interrupts the cell. Once the head was sent a failure of ours resets the
 * stream, because the SDKs take a clean end for a complete answer. While PREPARING, the context's
 * callback keeps the request alive after the client left (st is NULL then).
 *
 * Request headers ask for more (contrib/docs/STREAMS.md): with Sandglass-Execution-Id the cell
 * outlives the connection, and a request with the same id does not run it again but replays what
 * the first would have got. With Sandglass-From-Seq it only replays, from that event on ("seq" of
 * the lines). Sandglass-Max-Bytes caps stdout and stderr, as max_bytes of the native API does.
 */
#include "guest-kernel-agent/code/execute_http.h"

#include <errno.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/code/cell.h"
#include "guest-kernel-agent/code/event.h"
#include "guest-kernel-agent/code/execution.h"
#include "guest-kernel-agent/code/viewer.h"
#include "guest-kernel-agent/code/interpreter.h"
#include "guest-kernel-agent/code/ndjson.h"
#include "guest-kernel-agent/system/reply.h"
#include "guest-kernel-agent/system/request.h"
#include "loop/loop.h"
#include "rpc/http_server.h"
#include "wire/http.h"

#define HEAD_LATEST_MS 20000	/* SDKs wait 60 s for the head */
#define WRITE_BYTES (64 * 1024) /* lines are collected up to this */

enum state { STATE_PREPARING, STATE_FOLLOWING, STATE_ENDED };

struct execute {
	struct interpreter *ip;
	struct http_stream *st; /* NULL once the client is gone */
	enum state state;
	bool head_sent;
	char id[EXECUTION_ID_MAX]; /* "" = nobody attaches, the cell goes with the client */
	struct viewer_wish wish;
	struct cell cell;
	struct loop_timer head_timer;
	struct viewer viewer;
	struct ndjson lines;
	struct buf out;
};

static void execute_free(struct execute *e)
{
	loop_timer_fini(&e->head_timer);
	viewer_fini(&e->viewer);
	cell_fini(&e->cell);
	buf_fini(&e->out);
	mem_free(e);
}

/* ---- writing ---- */

static int flush_lines(struct execute *e)
{
	int r = buf_len(&e->out) == 0
		    ? 0
		    : http_stream_write(e->st, buf_data(&e->out), buf_len(&e->out));
	buf_reset(&e->out);
	return r;
}

static int send_head(struct execute *e)
{
	struct http_head head = HTTP_HEAD_INIT;
	if (e->head_sent)
		return 0;
	head.status = 200;
	int r = http_fields_add(&head.fields, "content-type", "application/x-ndjson");
	if (r == 0)
		r = http_fields_add(&head.fields, "cache-control", "no-store");
	if (r == 0 && *e->id)
		r = http_fields_add(&head.fields, "sandglass-execution-id", e->id);
	if (r == 0)
		r = reply_add_cors(e->st, &head.fields);
	if (r == 0)
		r = http_stream_respond(e->st, &head, false);
	http_head_fini(&head);
	e->head_sent = r == 0;
	return r;
}

/* No more lines: the rest goes out, and the end in order, or a reset that nobody takes for one. */
static void finish(struct execute *e, int err)
{
	e->state = STATE_ENDED;
	loop_timer_cancel(&e->head_timer);
	if (err == 0)
		err = flush_lines(e);
	if (err == 0)
		err = http_stream_end(e->st, NULL);
	if (err < 0)
		http_stream_reset(e->st, HTTP_RESET_INTERNAL);
}

/* The cell could not be started. */
static void refuse(struct execute *e, int status, const char *text)
{
	if (e->head_sent) {
		int r = ndjson_add_failure(&e->out, "ExecutionAborted", text);
		finish(e, r);
		return;
	}
	e->state = STATE_ENDED;
	loop_timer_cancel(&e->head_timer);
	(void)reply_text(e->st, status, text);
}

/* ---- following ---- */

static bool is_ready(void *arg)
{
	const struct execute *e = arg;
	return http_stream_queued(e->st) + buf_len(&e->out) < LIMIT_STREAM_QUEUE;
}

static int on_event(struct event *ev, void *arg)
{
	struct execute *e = arg;
	int r = ndjson_add_event(&e->lines, &e->out, ev);
	return r == 0 && buf_len(&e->out) >= WRITE_BYTES ? flush_lines(e) : r;
}

static int on_batch(void *arg)
{
	return flush_lines(arg);
}

static int on_silence(void *arg)
{
	struct execute *e = arg;
	int r = ndjson_add_keepalive(&e->out);
	return r < 0 ? r : flush_lines(e);
}

static void on_follow_end(int err, void *arg)
{
	finish(arg, err);
}

static const struct viewer_ops follow_ops = {
	.is_ready = is_ready,
	.on_event = on_event,
	.on_batch = on_batch,
	.on_silence = on_silence,
	.on_end = on_follow_end,
};

static void refuse_place(struct execute *e, const struct execution *x)
{
	CLEAN_BUF struct buf text = BUF_INIT;
	int r = buf_printf(&text, "Sandglass-From-Seq: this execution's journal holds %llu to %llu",
	    (unsigned long long)journal_first(execution_journal(x)),
	    (unsigned long long)journal_last(execution_journal(x)));
	refuse(e, 416, r == 0 ? buf_cstr(&text) : "Sandglass-From-Seq: out of range");
}

static void follow(struct execute *e, struct execution *x)
{
	int r = viewer_init(&e->viewer, e->ip->loop, x, &e->wish, &follow_ops, e);
	if (r == -ERANGE && !e->head_sent) {
		refuse_place(e, x);
		return;
	}
	e->state = STATE_FOLLOWING;
	loop_timer_cancel(&e->head_timer);
	if (r == 0)
		r = send_head(e);
	if (r == 0)
		return;
	if (!*e->id)
		execution_abandon(x);
	viewer_fini(&e->viewer);
	finish(e, r);
}

/* The id is in use: the same cell again, or a mistake. */
static void attach(struct execute *e, struct execution *x)
{
	if (e->cell.n > 0 && !execution_has_code(x, e->cell.code, e->cell.n))
		refuse(e, 409, "Sandglass-Execution-Id: in use by an execution of other code");
	else
		follow(e, x);
}

static void run_in(struct execute *e, struct context *c)
{
	struct execution *x;
	struct execution_ask ask = { .code = e->cell.code,
		.n = e->cell.n,
		.env = (const char *const *)e->cell.env,
		.keep = *e->id,
		.id = e->id };
	int r = execution_start(e->ip->executions, c, &ask, &x);
	if (r == -EEXIST) {
		attach(e, executions_find(e->ip->executions, e->id));
		return;
	}
	if (r < 0) {
		refuse(e, r == -EBUSY ? 429 : 503,
		    r == -EBUSY ? "Too many executions are running" : "Out of memory");
		return;
	}
	follow(e, x);
	execution_unref(x);
}

/* ---- the client's side ---- */

static void on_sent(struct http_stream *st, size_t n, void *user)
{
	struct execute *e = user;
	if (http_stream_queued(st) < LIMIT_STREAM_QUEUE / 2)
		viewer_resume(&e->viewer);
}

static void on_close(struct http_stream *st, int err, void *user)
{
	struct execute *e = user;
	e->st = NULL;
	loop_timer_cancel(&e->head_timer);
	if (e->state == STATE_PREPARING)
		return; /* on_context() frees */
	if (e->state == STATE_FOLLOWING && viewer_is_live(&e->viewer) && !*e->id)
		execution_abandon(e->viewer.execution);
	execute_free(e);
}

static const struct http_handler handler = { .on_sent = on_sent, .on_close = on_close };

/* ---- the context ---- */

static void on_head_timer(struct loop_timer *t, void *arg)
{
	struct execute *e = arg;
	int r = send_head(e);
	if (r < 0)
		http_stream_reset(e->st, HTTP_RESET_INTERNAL);
}

static void on_context(const struct err *err, struct context *c, void *arg)
{
	struct execute *e = arg;
	if (!e->st)
		execute_free(e);
	else if (!c || (err && err->code))
		refuse(e, 500, err_text(err));
	else
		run_in(e, c);
}

static void begin(struct execute *e)
{
	struct context *c = NULL;
	const char *language = NULL;
	struct err why = ERR_INIT;
	struct execution *x = *e->id ? executions_find(e->ip->executions, e->id) : NULL;
	if (x) {
		attach(e, x);
		return;
	}
	if (e->wish.from > 0) {
		refuse(e, 404, "Sandglass-Execution-Id: no such execution, or not kept any more");
		return;
	}
	switch (cell_target(&e->cell, e->ip->contexts, &c, &language, &why)) {
	case CELL_CONTEXT:
		run_in(e, c);
		return;
	case CELL_DEFAULT:
		e->state = STATE_PREPARING;
		loop_timer_set(&e->head_timer, HEAD_LATEST_MS);
		if (context_default(e->ip->contexts, language, on_context, e) < 0)
			refuse(e, 503, "Out of memory");
		return;
	case CELL_E_BOTH:
		refuse(e, 400, why.text);
		return;
	case CELL_E_NO_CONTEXT:
		refuse(e, 404, why.text);
		return;
	case CELL_E_NO_LANGUAGE:
		refuse(e, 500, why.text);
		return;
	}
}

/* ---- the request ---- */

static int parse(struct cell *cell, const json_t *o, struct err *reterr)
{
	const char *code = NULL, *context = "", *language = "", *name;
	json_t *env = NULL, *v;
	int r = json_get_str(o, "code", CELL_CODE_MAX, &code, reterr);
	if (r < 0 || json_get_str(o, "context_id", 256, &context, reterr) < 0 ||
	    json_get_str(o, "language", 64, &language, reterr) < 0 ||
	    json_get_str_map(o, "env_vars", CELL_ENV_MAX, CELL_ENV_BYTES, &env, reterr) < 0)
		return -EINVAL;
	if (!code)
		return err_set(reterr, -EINVAL, "code: expected a string");
	r = cell_set(cell, code, context, language);
	json_object_foreach(env, name, v)
	{
		if (r == 0)
			r = cell_add_env(cell, name, json_string_value(v));
	}
	return r < 0 ? err_set(reterr, r, "Out of memory") : 0;
}

static int parse_number(struct http_stream *st, const char *name, uint64_t *dst, struct err *reterr)
{
	const char *text = request_header(st, name);
	if (!text || str_u64(text, UINT64_MAX, dst) == 0)
		return 0;
	return err_set(reterr, -EINVAL, "%s: expected a number", name);
}

static int parse_headers(struct execute *e, struct http_stream *st, struct err *reterr)
{
	const char *id = request_header(st, "sandglass-execution-id");
	if (parse_number(st, "sandglass-from-seq", &e->wish.from, reterr) < 0 ||
	    parse_number(st, "sandglass-max-bytes", &e->wish.max_bytes, reterr) < 0)
		return -EINVAL;
	if (!economy_is_cap(e->wish.max_bytes))
		return err_set(
		    reterr, -EINVAL, "sandglass-max-bytes: expected 0 or at least %u", ECONOMY_MIN);
	if (id && !execution_id_ok(id))
		return err_set(reterr, -EINVAL,
		    "sandglass-execution-id: expected letters, digits and \"-_.\", at most %d",
		    EXECUTION_ID_MAX - 1);
	if (!id && e->wish.from > 0)
		return err_set(reterr, -EINVAL,
		    "sandglass-from-seq: expected together with sandglass-execution-id");
	(void)str_copy(e->id, sizeof(e->id), id ? id : "");
	e->lines.numbered = id != NULL;
	return 0;
}

static void on_body(struct http_stream *st, int err, const void *p, size_t n, void *arg)
{
	struct err why = ERR_INIT;
	if (err < 0) {
		if (err == -EFBIG)
			(void)reply_text(st, 413, "The request body is too large");
		return;
	}
	CLEAN_JSON json_t *o = json_parse_object(p, n, 2 * CELL_CODE_MAX, false, &why);
	struct execute *e = mem_zalloc(sizeof(*e));
	if (!e || !o || parse(&e->cell, o, &why) < 0 || parse_headers(e, st, &why) < 0) {
		(void)reply_text(st, why.code == -EINVAL ? 400 : 503, err_text(&why));
		if (e)
			execute_free(e);
		return;
	}
	e->ip = arg;
	e->st = st;
	e->state = STATE_ENDED; /* until begun */
	loop_timer_init(&e->head_timer, e->ip->loop, on_head_timer, e);
	http_stream_set_handler(st, &handler, e);
	begin(e);
}

void execute_http_start(struct interpreter *ip, struct http_stream *st)
{
	if (http_collect(st, 2 * CELL_CODE_MAX, on_body, ip) < 0)
		http_stream_reset(st, HTTP_RESET_INTERNAL);
}
