/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /files. Bytes collect in `in` while a job writes those in `out`; they are consumed when they
 * were written, so the client sends no faster than the disk takes, and no more than the stream's
 * window and as much again is ever held.
 *
 *   RUNNING    bytes come; jobs write them one after the other
 *   ANSWERED   the client has its answer; what still comes is dropped
 *   UNDOING    the last job: unfinished files go
 *
 * The object is freed when the stream is gone, no job runs and nothing is unfinished.
 */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/files/as_user.h"
#include "guest-kernel-agent/files/file_error.h"
#include "guest-kernel-agent/files/files_http.h"
#include "guest-kernel-agent/files/gzip.h"
#include "guest-kernel-agent/files/metadata_headers.h"
#include "guest-kernel-agent/files/upload.h"
#include "guest-kernel-agent/system/reply.h"
#include "guest-kernel-agent/system/request.h"
#include "loop/loop.h"
#include "wire/header_param.h"
#include "wire/http.h"
#include "wire/url.h"

#define IDLE_MS (10 * 60 * 1000) /* a client that sends nothing */

enum state { STATE_RUNNING, STATE_ANSWERED, STATE_UNDOING };

struct upload_request {
	struct as_user_job job;
	struct as_user *as_user;
	struct http_stream *st; /* NULL once it is gone */
	enum state state;
	bool busy;	 /* a job runs */
	bool peer_ended; /* the body is whole */
	bool last;	 /* the job ends the upload */
	bool undone;	 /* nothing is unfinished */
	struct buf in, out;
	json_t *written;
	struct upload upload;
	struct loop_timer idle;
};

static void request_free(struct upload_request *q)
{
	loop_timer_fini(&q->idle);
	as_user_job_fini(&q->job);
	upload_fini(&q->upload);
	json_decref(q->written);
	buf_fini(&q->in);
	buf_fini(&q->out);
	mem_free(q);
}

/* ---- in a thread ---- */

static void run_write(struct as_user_job *job)
{
	struct upload_request *q = container_of(job, struct upload_request, job);
	int r =
	    upload_write(&q->upload, &job->user, buf_data(&q->out), buf_len(&q->out), &job->err);
	if (r == 0 && q->last)
		r = upload_end(&q->upload, &job->user, &q->written, &job->err);
	if (r == 0)
		return;
	(void)err_set(&job->err, r, "%s", err_name(r));
	upload_abort(&q->upload); /* before the client hears of it */
}

static void run_undo(struct as_user_job *job)
{
	upload_abort(&container_of(job, struct upload_request, job)->upload);
}

/* ---- the order of jobs ---- */

static void on_undone(struct as_user_job *job)
{
	struct upload_request *q = container_of(job, struct upload_request, job);
	q->busy = false;
	q->undone = true;
	if (!q->st)
		request_free(q);
}

/* Nothing more is to be written: unfinished files go, then the object, when its stream is gone. */
static void undo(struct upload_request *q)
{
	if (q->busy || q->state == STATE_UNDOING)
		return;
	q->state = STATE_UNDOING;
	if (q->undone) {
		if (!q->st)
			request_free(q);
		return;
	}
	q->busy = true;
	q->job.run = run_undo;
	q->job.done = on_undone;
	as_user_submit(q->as_user, &q->job);
}

static void drop(struct upload_request *q, struct buf *b)
{
	if (q->st && buf_len(b) > 0)
		http_stream_consume(q->st, buf_len(b));
	buf_consume(b, buf_len(b)); /* the memory is for the next bytes */
}

static void answer(struct upload_request *q)
{
	q->state = STATE_ANSWERED;
	loop_timer_cancel(&q->idle);
	if (q->job.refused || q->job.err.code)
		file_error_reply(q->st, &q->job);
	else
		(void)reply_json(q->st, 200, TAKE(q->written));
}

static void on_written(struct as_user_job *job);

static void go_on(struct upload_request *q)
{
	if (q->busy || q->state != STATE_RUNNING || (buf_len(&q->in) == 0 && !q->peer_ended))
		return;
	struct buf empty = q->out;
	q->out = q->in;
	q->in = empty;
	q->last = q->peer_ended;
	q->busy = true;
	q->job.run = run_write;
	q->job.done = on_written;
	as_user_submit(q->as_user, &q->job);
}

static void on_written(struct as_user_job *job)
{
	struct upload_request *q = container_of(job, struct upload_request, job);
	bool failed = job->refused || job->err.code;
	q->busy = false;
	q->undone = failed || q->last;
	drop(q, &q->out);
	if (q->st && (failed || q->last)) {
		answer(q);
		drop(q, &q->in);
	}
	if (!q->st || failed)
		undo(q);
	else
		go_on(q);
}

/* ---- the client ---- */

static void on_data(struct http_stream *st, const void *p, size_t n, void *user)
{
	struct upload_request *q = user;
	if (q->state != STATE_RUNNING) {
		http_stream_consume(st, n);
		return;
	}
	if (buf_append(&q->in, p, n) < 0) {
		http_stream_reset(st, HTTP_RESET_INTERNAL);
		return;
	}
	loop_timer_set(&q->idle, IDLE_MS);
	go_on(q);
}

static void on_end(struct http_stream *st, const struct http_fields *trailers, void *user)
{
	struct upload_request *q = user;
	q->peer_ended = true;
	loop_timer_cancel(&q->idle);
	go_on(q);
}

static void on_close(struct http_stream *st, int err, void *user)
{
	struct upload_request *q = user;
	bool over = q->state == STATE_UNDOING && !q->busy;
	q->st = NULL;
	loop_timer_cancel(&q->idle);
	if (over)
		request_free(q);
	else
		undo(q);
}

static const struct http_handler handler = {
	.on_data = on_data,
	.on_end = on_end,
	.on_close = on_close,
};

static void on_idle(struct loop_timer *t, void *arg)
{
	struct upload_request *q = arg;
	http_stream_reset(q->st, HTTP_RESET_CANCEL);
}

/* ---- the head ---- */

static int set_encoding(struct upload *u, const char *encoding, struct err *reterr)
{
	if (!encoding || str_ieq(encoding, "identity"))
		return 0;
	if (!str_ieq(encoding, "gzip"))
		return err_set(reterr, -EINVAL,
		    "content-encoding '%s' is not supported, expected gzip or identity", encoding);
	u->gunzip = gunzip_new();
	return u->gunzip ? 0 : err_set(reterr, -ENOMEM, "out of memory");
}

static int set_form(struct upload *u, const char *type, struct err *reterr)
{
	if (type && header_value_is(type, "application/octet-stream")) {
		if (str_empty(u->path))
			return err_set(reterr, -EINVAL,
			    "path: expected in the query of an application/octet-stream upload");
		return 0;
	}
	if (!type || !header_value_is(type, "multipart/form-data"))
		return err_set(reterr, -EINVAL,
		    "content-type: expected multipart/form-data or application/octet-stream");
	u->is_form = true;
	return multipart_init(&u->form, type, reterr);
}

static int read_head(
    struct upload *u, const struct http_stream *st, const struct url *url, struct err *reterr)
{
	const struct http_head *head = http_stream_peer_head(st);
	const char *path = url_param(url, "path");
	u->length = head->length;
	if (!str_empty(path)) {
		u->path = mem_strdup(path);
		if (!u->path)
			return err_set(reterr, -ENOMEM, "out of memory");
	}
	int r = set_form(u, request_header(st, "content-type"), reterr);
	if (r == 0)
		r = set_encoding(u, http_fields_get(&head->fields, "content-encoding"), reterr);
	return r < 0 ? r : metadata_headers(&head->fields, &u->metadata, reterr);
}

static void start(struct files_http *f, struct http_stream *st, struct upload_request *q)
{
	q->as_user = f->as_user;
	q->st = st;
	loop_timer_init(&q->idle, f->loop, on_idle, q);
	loop_timer_set(&q->idle, IDLE_MS);
	http_stream_set_handler(st, &handler, q);
}

void files_http_upload(struct files_http *f, struct http_stream *st)
{
	struct url u;
	struct err why = ERR_INIT;
	if (files_http_begin(f, st, "write", &u) < 0)
		return;
	struct upload_request *q = mem_zalloc(sizeof(*q));
	if (!q) {
		(void)reply_error(st, 503, "out of memory");
	} else if (read_head(&q->upload, st, &u, &why) < 0) {
		(void)reply_error(st, file_error_http(why.code), "%s", why.text);
		request_free(q);
	} else if (files_http_who(f, st, url_param(&u, "username"), &q->job, &q->upload.workdir) <
		   0) {
		request_free(q);
	} else {
		start(f, st, q);
	}
	url_fini(&u);
}
