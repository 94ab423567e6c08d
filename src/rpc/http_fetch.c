/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fetch ends by the response's end, the stream's end, its limits or cancellation, whichever comes
 * first. From then on it has no stream; done is called from a turn of the loop, so that it may do
 * anything, even free the client.
 */
#include "rpc/http_client.h"

#include <errno.h>

#include "base/buf.h"
#include "base/mem.h"
#include "loop/loop.h"

struct http_fetch {
	struct http_stream *st; /* NULL once it ended */
	struct buf body;
	size_t max;
	int err, status;
	http_fetch_fn *done;
	void *arg;
	struct loop_timer limit;
	struct loop_defer finish;
};

static const struct http_handler no_handler;

static void fetch_free(struct http_fetch *f)
{
	loop_timer_fini(&f->limit);
	loop_defer_fini(&f->finish);
	buf_fini(&f->body);
	mem_free(f);
}

static void on_finish(struct loop_defer *d, void *arg)
{
	struct http_fetch *f = arg;
	const char *body = f->err ? NULL : buf_cstr(&f->body); /* also terminated, for text */
	if (f->err == 0 && !body)
		f->err = -ENOMEM;
	f->done(f->err, f->err ? 0 : f->status, f->err ? NULL : body,
	    f->err ? 0 : buf_len(&f->body), f->arg);
	fetch_free(f);
}

/* Let go of the stream; break it off unless it is ending by itself. */
static void drop_stream(struct http_fetch *f, bool reset)
{
	struct http_stream *st = TAKE(f->st);
	if (!st)
		return;
	http_stream_set_handler(st, &no_handler, NULL);
	if (reset)
		http_stream_reset(st, HTTP_RESET_CANCEL);
}

static void finish(struct http_fetch *f, int err)
{
	f->st = NULL;
	f->err = err;
	loop_timer_cancel(&f->limit);
	loop_defer_set(&f->finish);
}

static void on_head(struct http_stream *st, void *user)
{
	struct http_fetch *f = user;
	f->status = http_stream_peer_head(st)->status;
}

static void on_data(struct http_stream *st, const void *p, size_t n, void *user)
{
	struct http_fetch *f = user;
	int r = n > f->max - buf_len(&f->body) ? -EFBIG : buf_append(&f->body, p, n);
	http_stream_consume(st, n);
	if (r < 0) {
		drop_stream(f, true);
		finish(f, r);
	}
}

static void on_end(struct http_stream *st, const struct http_fields *trailers, void *user)
{
	struct http_fetch *f = user;
	drop_stream(f, http_stream_queued(st) > 0); /* an answer before the request was all sent */
	finish(f, 0);
}

static void on_close(struct http_stream *st, int err, void *user)
{
	finish(user, err ? err : -ECONNRESET);
}

static const struct http_handler fetch_handler = {
	.on_head = on_head,
	.on_data = on_data,
	.on_end = on_end,
	.on_close = on_close,
};

static void on_limit(struct loop_timer *t, void *arg)
{
	struct http_fetch *f = arg;
	drop_stream(f, true);
	finish(f, -ETIMEDOUT);
}

/* Place the request: 0 or -errno. */
static int send_request(struct http_fetch *f, struct http_client *c, const struct http_head *head,
    const void *body, size_t n)
{
	int r = 0;
	f->st = http_client_request(c, head, n == 0, &fetch_handler, f, &r);
	if (!f->st)
		return r;
	if (n == 0)
		return 0;
	r = http_stream_write(f->st, body, n);
	if (r == 0)
		r = http_stream_end(f->st, NULL);
	if (r < 0)
		drop_stream(f, true);
	return r;
}

struct http_fetch *http_fetch_start(struct http_client *c, const struct http_head *head,
    const void *body, size_t n, size_t max, uint64_t timeout_ms, http_fetch_fn *done, void *arg)
{
	struct http_fetch *f = mem_zalloc(sizeof(*f));
	if (!f)
		return NULL;
	f->max = max;
	f->done = done;
	f->arg = arg;
	loop_timer_init(&f->limit, http_client_loop(c), on_limit, f);
	loop_defer_init(&f->finish, http_client_loop(c), on_finish, f);
	int r = send_request(f, c, head, body, n);
	if (r < 0)
		finish(f, r);
	else
		loop_timer_set(&f->limit, timeout_ms);
	return f;
}

void http_fetch_cancel(struct http_fetch *f)
{
	if (!f)
		return;
	drop_stream(f, true);
	fetch_free(f);
}
