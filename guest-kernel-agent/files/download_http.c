/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET and HEAD of /files. The first job opens the file and reads its beginning, from which the head
 * is made; each further one reads the next piece while the one before is being sent. A reader that
 * falls behind by LIMIT_STREAM_QUEUE stops the reading.
 *
 * What the head promised is exact: bytes that the file grows by are not sent, and a file that
 * shrinks resets the stream. Files of the kernel have no size; they are sent to their end.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fdutil.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/files/as_user.h"
#include "guest-kernel-agent/files/content_type.h"
#include "guest-kernel-agent/files/file_error.h"
#include "guest-kernel-agent/files/files_http.h"
#include "guest-kernel-agent/files/gzip.h"
#include "guest-kernel-agent/system/reply.h"
#include "guest-kernel-agent/system/user_select.h"
#include "wire/http.h"
#include "wire/http_accept.h"
#include "wire/http_cond.h"
#include "wire/http_date.h"
#include "wire/http_range.h"
#include "wire/url.h"

#define PIECE (256 * 1024)
#define ETAG_MAX 64
/* Smaller ones gain nothing; larger ones are better fetched in ranges, with their size told. */
#define GZIP_MIN 1024
#define GZIP_MAX (32 * 1024 * 1024)

enum state { STATE_OPENING, STATE_SENDING, STATE_OVER };

struct download {
	struct as_user_job job;
	struct as_user *as_user;
	struct http_stream *st; /* NULL once it is gone */
	enum state state;
	bool busy; /* a job runs */
	char *path, *workdir;
	int fd;
	struct stat file;
	bool endless;	   /* no size is known: to the end of the file */
	uint64_t at, left; /* next byte, and how many still to read */
	struct buf piece;  /* of PIECE bytes at most */
	size_t n;	   /* read into it */
	struct gzip *gzip; /* NULL: as it is */
	struct buf packed;
	char name[PATH_LEN_MAX]; /* absolute path */
};

static void download_free(struct download *d)
{
	as_user_job_fini(&d->job);
	mem_free(d->path);
	mem_free(d->workdir);
	buf_fini(&d->piece);
	gzip_free(d->gzip);
	buf_fini(&d->packed);
	(void)fd_close(d->fd);
	mem_free(d);
}

/* ---- in a thread ---- */

/* A FIFO or a device must not hold the thread. */
static int open_regular(struct download *d)
{
	d->fd = open(d->name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (d->fd < 0 || fstat(d->fd, &d->file) < 0)
		return -errno;
	if (S_ISDIR(d->file.st_mode))
		return -EISDIR;
	return S_ISREG(d->file.st_mode) ? 0 : -ENXIO;
}

/* Up to max bytes from where we are. */
static int read_piece(struct download *d, size_t max)
{
	void *space;
	d->n = 0;
	buf_consume(&d->piece, buf_len(&d->piece));
	if (buf_reserve(&d->piece, max, &space) < 0)
		return -ENOMEM;
	while (d->n < max) {
		ssize_t k = pread(d->fd, (char *)space + d->n, max - d->n, (off_t)(d->at + d->n));
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		if (k == 0)
			break;
		d->n += (size_t)k;
	}
	buf_commit(&d->piece, d->n);
	return 0;
}

static void run_open(struct as_user_job *job)
{
	struct download *d = container_of(job, struct download, job);
	int r = user_path(d->name, &job->user, d->workdir, d->path, &job->err);
	if (r == 0)
		r = open_regular(d);
	if (r == 0)
		r = read_piece(d, d->file.st_size > 0 && d->file.st_size < PIECE
				      ? (size_t)d->file.st_size
				      : PIECE);
	if (r < 0)
		(void)file_error(&job->err, r, d->name); /* unless it was told already */
}

static void pack(struct download *d, bool last)
{
	if (gzip_write(d->gzip, buf_data(&d->piece), d->n, last, &d->packed) < 0)
		(void)err_set(&d->job.err, -ENOMEM, "out of memory");
}

static void run_read(struct as_user_job *job)
{
	struct download *d = container_of(job, struct download, job);
	size_t max = d->endless || d->left > PIECE ? PIECE : (size_t)d->left;
	int r = read_piece(d, max);
	if (r < 0 || (!d->endless && d->n < max))
		(void)err_set(&job->err, r < 0 ? r : -EIO, "the file changed");
	else if (d->gzip)
		pack(d, d->n == d->left);
}

/* ---- sending ---- */

static void submit(
    struct download *d, void (*run)(struct as_user_job *job), void (*done)(struct as_user_job *job))
{
	d->busy = true;
	d->job.run = run;
	d->job.done = done;
	as_user_submit(d->as_user, &d->job);
}

/* What was promised cannot be kept. */
static void cut(struct download *d)
{
	d->state = STATE_OVER;
	http_stream_reset(d->st, HTTP_RESET_INTERNAL);
}

static int write_piece(struct download *d)
{
	int r = http_stream_write_buf(d->st, d->gzip ? &d->packed : &d->piece);
	d->at += d->n;
	d->left -= d->endless ? 0 : d->n;
	return r;
}

static void on_read(struct as_user_job *job);

static void go_on(struct download *d)
{
	if (d->busy || d->state != STATE_SENDING || http_stream_queued(d->st) >= LIMIT_STREAM_QUEUE)
		return;
	submit(d, run_read, on_read);
}

/* The piece goes out; the end, when it was the last. */
static void pass_on(struct download *d)
{
	bool last = d->endless ? d->n == 0 : d->left == d->n;
	int r = write_piece(d);
	if (r == 0 && last) {
		d->state = STATE_OVER;
		r = http_stream_end(d->st, NULL);
	}
	if (r < 0)
		cut(d);
	else
		go_on(d);
}

static void on_read(struct as_user_job *job)
{
	struct download *d = container_of(job, struct download, job);
	d->busy = false;
	if (!d->st)
		download_free(d);
	else if (job->refused || job->err.code)
		cut(d);
	else
		pass_on(d);
}

/* ---- the head ---- */

/* What is sent, decided from the request and the file. */
struct choice {
	int status;
	bool gzip;
	const char *type;
	uint64_t first, length;
	char etag[ETAG_MAX];
};

static int choose_coding(const struct download *d, struct choice *c, bool range)
{
	struct http_accept a = http_accept_encoding(&http_stream_peer_head(d->st)->fields);
	uint64_t size = c->length;
	bool worth = content_type_is_text(c->type) && size >= GZIP_MIN && size <= GZIP_MAX;
	if (!a.identity && (!a.gzip || d->endless))
		return 406;
	c->gzip = a.gzip && !d->endless && ((worth && !range) || !a.identity);
	return 0;
}

static void choose(const struct download *d, struct choice *c)
{
	const struct http_fields *f = &http_stream_peer_head(d->st)->fields;
	const char *range = d->endless ? NULL : http_fields_get(f, "range");
	int64_t now = clock_real_ms() / 1000, mtime = d->file.st_mtim.tv_sec;
	uint64_t size = (uint64_t)d->file.st_size;
	*c = (struct choice){ .status = 200, .length = size };
	c->type = content_type_of(d->name, buf_data(&d->piece), d->n, d->n == size);
	int refused = choose_coding(d, c, range != NULL);
	(void)snprintf(c->etag, sizeof(c->etag), "\"%" PRIx64 "-%" PRIx64 "-%" PRIx64 ".%09ld%s\"",
	    (uint64_t)d->file.st_ino, size, (uint64_t)mtime, d->file.st_mtim.tv_nsec,
	    c->gzip ? "-gzip" : "");
	enum http_cond cond = d->endless ? HTTP_COND_GO : http_cond_check(f, c->etag, mtime, now);
	if (refused) {
		c->status = refused;
	} else if (cond != HTTP_COND_GO) {
		c->status = cond == HTTP_COND_FAILED ? 412 : 304;
	} else if (range && !c->gzip && http_cond_range_counts(f, c->etag, mtime, now)) {
		enum http_range r = http_range_parse(range, size, &c->first, &c->length);
		c->status = r == HTTP_RANGE_PART ? 206 : r == HTTP_RANGE_UNSATISFIABLE ? 416 : 200;
	}
}

/* Text in quotes where that can say it, else RFC 8187. */
static int add_disposition(struct http_fields *f, const char *path)
{
	CLEAN_BUF struct buf v = BUF_INIT;
	const char *name = strrchr(path, '/') + 1;
	bool plain = true;
	for (const char *p = name; *p; p++)
		plain = plain && *p >= ' ' && *p <= '~' && *p != '"' && *p != '\\';
	int r = plain ? buf_printf(&v, "inline; filename=\"%s\"", name)
		      : buf_append_str(&v, "inline; filename*=utf-8''");
	if (r == 0 && !plain)
		r = str_percent(&v, name, strlen(name));
	const char *text = r == 0 ? buf_cstr(&v) : NULL;
	return text ? http_fields_add(f, "content-disposition", text) : -ENOMEM;
}

static int add_validators(struct http_fields *f, const struct download *d, const struct choice *c)
{
	char date[HTTP_DATE_MAX];
	if (d->endless)
		return 0;
	int r = http_fields_add(f, "etag", c->etag);
	if (r == 0 && d->file.st_mtim.tv_sec > 0)
		r = http_fields_add(f, "last-modified", http_date(d->file.st_mtim.tv_sec, date));
	return r < 0 ? r : http_fields_add(f, "accept-ranges", "bytes");
}

static int add_content(struct http_fields *f, const struct download *d, const struct choice *c)
{
	int r = add_disposition(f, d->name);
	if (r == 0)
		r = http_fields_add(f, "content-type", c->type);
	if (r == 0)
		r = http_fields_add(f, "x-content-type-options", "nosniff");
	if (r == 0 && c->gzip)
		r = http_fields_add(f, "content-encoding", "gzip");
	if (r == 0 && c->status == 206)
		r = http_fields_addf(f, "content-range", "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
		    c->first, c->first + c->length - 1, (uint64_t)d->file.st_size);
	return r;
}

static int respond(struct download *d, const struct choice *c, bool end)
{
	struct http_head head = HTTP_HEAD_INIT;
	head.status = c->status;
	if (c->status != 304 && !c->gzip && !d->endless)
		head.length = (int64_t)c->length;
	int r = http_fields_add(&head.fields, "vary", "Accept-Encoding");
	if (r == 0)
		r = add_validators(&head.fields, d, c);
	if (r == 0 && c->status != 304)
		r = add_content(&head.fields, d, c);
	if (r == 0)
		r = reply_add_cors(d->st, &head.fields);
	if (r == 0)
		r = http_stream_respond(d->st, &head, end);
	http_head_fini(&head);
	return r;
}

static int refuse(struct download *d, const struct choice *c)
{
	if (c->status == 412)
		return reply_error(d->st, 412, "path '%s' has changed", d->name);
	if (c->status == 406)
		return reply_error(d->st, 406, "no acceptable encoding: expected gzip or identity");
	return reply_error(d->st, 416, "range: not within the %" PRIu64 " bytes of '%s'",
	    (uint64_t)d->file.st_size, d->name);
}

/* The first piece was read from the file's beginning. */
static void send_first(struct download *d, const struct choice *c)
{
	d->state = STATE_SENDING;
	d->at = c->first;
	d->left = c->length;
	if (!d->endless && c->first > 0) {
		go_on(d);
		return;
	}
	if (!d->endless && d->n > d->left) {
		d->n = (size_t)d->left;
		buf_truncate(&d->piece, d->n);
	}
	if (!d->endless && d->n < d->left && d->n < PIECE)
		cut(d); /* it shrank already */
	else if (d->gzip)
		go_on(d); /* packing is for a thread */
	else
		pass_on(d);
}

static void answer(struct download *d)
{
	struct choice c;
	bool bare = str_eq(http_stream_peer_head(d->st)->method, "HEAD");
	d->endless = d->file.st_size == 0 && d->n > 0;
	choose(d, &c);
	d->state = STATE_OVER;
	if (c.status == 406 || c.status == 412 || c.status == 416) {
		(void)refuse(d, &c);
		return;
	}
	bool end = bare || c.status == 304 || (c.length == 0 && !d->endless);
	d->gzip = c.gzip && !end ? gzip_new() : NULL;
	int r = c.gzip && !end && !d->gzip ? -ENOMEM : respond(d, &c, end);
	if (r < 0)
		http_stream_reset(d->st, HTTP_RESET_INTERNAL);
	else if (!end)
		send_first(d, &c);
}

static void on_opened(struct as_user_job *job)
{
	struct download *d = container_of(job, struct download, job);
	d->busy = false;
	if (!d->st) {
		download_free(d);
	} else if (job->refused || job->err.code) {
		d->state = STATE_OVER;
		file_error_reply(d->st, job);
	} else {
		answer(d);
	}
}

/* ---- the client ---- */

static void on_sent(struct http_stream *st, size_t n, void *user)
{
	struct download *d = user;
	if (http_stream_queued(st) <= LIMIT_STREAM_QUEUE / 2)
		go_on(d);
}

static void on_close(struct http_stream *st, int err, void *user)
{
	struct download *d = user;
	d->st = NULL;
	if (!d->busy)
		download_free(d);
}

static const struct http_handler handler = { .on_sent = on_sent, .on_close = on_close };

static struct download *download_new(const char *path)
{
	struct download *d = mem_zalloc(sizeof(*d));
	if (!d)
		return NULL;
	d->fd = -1;
	d->path = mem_strdup(path ? path : "");
	if (d->path)
		return d;
	download_free(d);
	return NULL;
}

void files_http_download(struct files_http *f, struct http_stream *st)
{
	struct url u;
	if (files_http_begin(f, st, "read", &u) < 0)
		return;
	struct download *d = download_new(url_param(&u, "path"));
	if (!d) {
		(void)reply_error(st, 503, "out of memory");
	} else if (files_http_who(f, st, url_param(&u, "username"), &d->job, &d->workdir) < 0) {
		download_free(d);
	} else {
		d->as_user = f->as_user;
		d->st = st;
		http_stream_set_handler(st, &handler, d);
		submit(d, run_open, on_opened);
	}
	url_fini(&u);
}
