/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /files/compose: files one behind the other into a new one, which then takes the
 * destination's name; the sources go at the very end. Each job copies a bounded piece, so that one
 * request does not hold a thread for itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fdutil.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/files/as_user.h"
#include "guest-kernel-agent/files/file_error.h"
#include "guest-kernel-agent/files/files_http.h"
#include "guest-kernel-agent/files/staged_file.h"
#include "guest-kernel-agent/system/reply.h"
#include "guest-kernel-agent/system/user_select.h"
#include "rpc/http_server.h"
#include "wire/http.h"

#define SOURCES_MAX 1024
#define PIECE (128 * 1024)
#define PIECES_A_JOB 64

enum state { STATE_OPENING, STATE_COPYING, STATE_DONE, STATE_UNDOING };

struct compose {
	struct as_user_job job;
	struct as_user *as_user;
	struct http_stream *st; /* NULL once it is gone */
	enum state state;
	bool busy;
	char *workdir;
	json_t *request; /* holds what the next two point at */
	const json_t *sources;
	const char *destination;
	size_t i; /* source that is being copied */
	int fd;	  /* of it, or -1 */
	struct staged_file file;
	char to[PATH_LEN_MAX], from[PATH_LEN_MAX]; /* absolute */
};

static void compose_free(struct compose *c)
{
	staged_file_fini(&c->file);
	as_user_job_fini(&c->job);
	mem_free(c->workdir);
	json_decref(c->request);
	(void)fd_close(c->fd);
	mem_free(c);
}

/* ---- in a thread ---- */

static int source_path(struct compose *c, size_t i)
{
	return user_path(c->from, &c->job.user, c->workdir,
	    json_string_value(json_array_get(c->sources, i)), &c->job.err);
}

static int check_source(struct compose *c, size_t i, uint64_t *size)
{
	struct stat st;
	int r = source_path(c, i);
	if (r < 0)
		return r;
	if (str_eq(c->from, c->to))
		return err_set(
		    &c->job.err, -EINVAL, "path '%s': a source cannot be the destination", c->to);
	r = stat(c->from, &st) < 0 ? -errno : S_ISREG(st.st_mode) ? 0 : -ENXIO;
	if (r < 0)
		return file_error(&c->job.err, r, c->from);
	*size += (uint64_t)st.st_size;
	return 0;
}

/* Nothing is left before the client hears of it. */
static void fail(struct compose *c, int r)
{
	(void)err_set(&c->job.err, r, "%s", err_name(r));
	staged_file_abort(&c->file);
}

static void run_open(struct as_user_job *job)
{
	struct compose *c = container_of(job, struct compose, job);
	uint64_t size = 0;
	int r = user_path(c->to, &job->user, c->workdir, c->destination, &job->err);
	for (size_t i = 0; r == 0 && i < json_array_size(c->sources); i++)
		r = check_source(c, i, &size);
	if (r == 0)
		r = staged_file_open(&c->file, c->to, &job->err);
	if (r == 0)
		r = staged_file_expect(&c->file, size, &job->err);
	if (r < 0)
		fail(c, r);
}

static int open_source(struct compose *c)
{
	struct stat st;
	int r = source_path(c, c->i);
	if (r < 0)
		return r;
	c->fd = open(c->from, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (c->fd < 0 || fstat(c->fd, &st) < 0)
		return file_error(&c->job.err, -errno, c->from);
	return S_ISREG(st.st_mode) ? 0 : file_error(&c->job.err, -ENXIO, c->from);
}

/* 1: the source is at its end. */
static int copy_piece(struct compose *c, char *p)
{
	ssize_t n = read(c->fd, p, PIECE);
	if (n < 0)
		return file_error(&c->job.err, -errno, c->from);
	return n == 0 ? 1 : staged_file_write(&c->file, p, (size_t)n, &c->job.err);
}

static void remove_sources(struct compose *c)
{
	for (size_t i = 0; i < json_array_size(c->sources); i++)
		if (source_path(c, i) == 0)
			(void)unlink(c->from);
}

static int finish(struct compose *c)
{
	int r = staged_file_commit(&c->file, NULL, &c->job.err);
	if (r == 0)
		remove_sources(c);
	return r;
}

static void run_copy(struct as_user_job *job)
{
	struct compose *c = container_of(job, struct compose, job);
	CLEAN_FREE char *p = mem_alloc(PIECE);
	int r = p ? 0 : err_set(&job->err, -ENOMEM, "out of memory");
	for (int k = 0; r == 0 && k < PIECES_A_JOB && c->i < json_array_size(c->sources); k++) {
		if (c->fd < 0)
			r = open_source(c);
		if (r == 0)
			r = copy_piece(c, p);
		if (r == 1) {
			c->fd = fd_close(c->fd);
			c->i++;
			r = 0;
		}
	}
	if (r == 0 && c->i == json_array_size(c->sources))
		r = finish(c);
	if (r < 0)
		fail(c, r);
	else if (c->i == json_array_size(c->sources))
		c->state = STATE_DONE;
}

static void run_undo(struct as_user_job *job)
{
	staged_file_abort(&container_of(job, struct compose, job)->file);
}

/* ---- the order of jobs ---- */

static void on_done(struct as_user_job *job);

static void submit(struct compose *c, void (*run)(struct as_user_job *job))
{
	c->busy = true;
	c->job.run = run;
	c->job.done = on_done;
	as_user_submit(c->as_user, &c->job);
}

static void answer(struct compose *c)
{
	const char *name = strrchr(c->to, '/') + 1;
	if (c->job.refused || c->job.err.code)
		file_error_reply(c->st, &c->job);
	else
		(void)reply_json(c->st, 200,
		    json_pack("{s:s, s:s, s:s}", "name", name, "path", c->to, "type", "file"));
}

static void on_done(struct as_user_job *job)
{
	struct compose *c = container_of(job, struct compose, job);
	c->busy = false;
	if (job->refused || job->err.code)
		c->state = STATE_DONE;
	bool over = c->state >= STATE_DONE;
	if (c->st && c->state == STATE_DONE)
		answer(c);
	if (!over && !c->st) {
		c->state = STATE_UNDOING;
		submit(c, run_undo);
	} else if (!over) {
		c->state = STATE_COPYING;
		submit(c, run_copy);
	} else if (!c->st) {
		compose_free(c);
	}
}

static void on_close(struct http_stream *st, int err, void *user)
{
	struct compose *c = user;
	c->st = NULL;
	if (!c->busy)
		compose_free(c); /* otherwise the job's end sees that nobody waits */
}

static const struct http_handler handler = { .on_close = on_close };

/* ---- the request ---- */

static int parse(struct compose *c, const char **ret_username, struct err *reterr)
{
	json_t *sources = NULL;
	size_t i;
	json_t *v;
	if (json_get_array(c->request, "source_paths", SOURCES_MAX, &sources, reterr) < 0 ||
	    json_get_str(c->request, "destination", PATH_LEN_MAX - 1, &c->destination, reterr) <
		0 ||
	    json_get_str(c->request, "username", 255, ret_username, reterr) < 0)
		return -EINVAL;
	if (json_array_size(sources) == 0)
		return err_set(reterr, -EINVAL, "source_paths: expected at least one path");
	json_array_foreach(sources, i, v)
	{
		const char *s = json_string_value(v);
		if (str_empty(s) || strlen(s) != json_string_length(v))
			return err_set(reterr, -EINVAL, "source_paths[%zu]: expected a path", i);
	}
	if (str_empty(c->destination))
		return err_set(reterr, -EINVAL, "destination: expected a path");
	c->sources = sources;
	return 0;
}

static void begin(struct files_http *f, struct http_stream *st, json_t *request_consume)
{
	struct err why = ERR_INIT;
	const char *username = NULL;
	struct compose *c = mem_zalloc(sizeof(*c));
	if (!c) {
		json_decref(request_consume);
		(void)reply_error(st, 503, "out of memory");
		return;
	}
	c->fd = -1;
	c->request = request_consume;
	c->as_user = f->as_user;
	if (parse(c, &username, &why) < 0) {
		(void)reply_error(st, 400, "%s", why.text);
		compose_free(c);
	} else if (files_http_who(f, st, username, &c->job, &c->workdir) < 0) {
		compose_free(c);
	} else {
		c->st = st;
		http_stream_set_handler(st, &handler, c);
		submit(c, run_open);
	}
}

static void on_body(struct http_stream *st, int err, const void *p, size_t n, void *arg)
{
	struct err why = ERR_INIT;
	if (err < 0) {
		if (err == -EFBIG)
			(void)reply_error(st, 413, "the request body is too large");
		return;
	}
	json_t *request = json_parse_object(p, n, LIMIT_JSON_BODY, false, &why);
	if (request)
		begin(arg, st, request);
	else
		(void)reply_error(st, why.code == -EINVAL ? 400 : 503, "%s", err_text(&why));
}

void files_http_compose(struct files_http *f, struct http_stream *st)
{
	if (http_collect(st, LIMIT_JSON_BODY, on_body, f) < 0)
		http_stream_reset(st, HTTP_RESET_INTERNAL);
}
