/* SPDX-License-Identifier: Apache-2.0 */
#include "http_owner.h"

#include <assert.h>
#include <string.h>

#include "base/buf.h"

enum {
	MODE_CLIENT = 1,
	MODE_HOLD = 2,	/* never consume */
	MODE_EARLY = 4, /* answer before the request is whole */
	MODE_RESET = 8, /* break off at the first body bytes */
	MODE_STEP_SHIFT = 4,
	STREAMS_MAX = 64,
	WINDOW = 65535,
	RESET_AT = 3,
};

struct owned {
	uint64_t body; /* hash of the bytes, whatever their pieces */
	size_t bytes, unread;
	unsigned ends, closes;
};

struct owner {
	uint8_t mode;
	uint64_t log; /* hash of all events but body bytes */
	struct owned streams[STREAMS_MAX];
	size_t n;
};

static uint64_t mix(uint64_t h, const void *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ ((const unsigned char *)p)[i]) * 1099511628211u;
	return h;
}

static void note(struct owner *o, const char *event, const char *text)
{
	o->log = mix(o->log, event, strlen(event) + 1);
	if (text)
		o->log = mix(o->log, text, strlen(text) + 1);
}

static struct owner *owner_of(struct http_stream *st)
{
	return http_session_arg(http_stream_session(st));
}

static void note_fields(struct owner *o, const struct http_fields *f)
{
	for (size_t i = 0; i < f->n; i++) {
		assert(!strpbrk(f->v[i].name, " \r\n:") || f->v[i].name[0] == ':');
		assert(!strpbrk(f->v[i].value, "\r\n"));
		note(o, f->v[i].name, f->v[i].value);
	}
}

static void answer(struct http_stream *st)
{
	const struct http_head head = { .status = 200, .length = -1 };
	if (http_stream_respond(st, &head, false) < 0)
		return;
	(void)http_stream_write(st, "0123456789", 10);
	(void)http_stream_end(st, NULL);
}

static void on_head(struct http_stream *st, void *user)
{
	const struct http_head *head = http_stream_peer_head(st);
	assert(head->status >= 200 || head->status == 101);
	note(owner_of(st), "head", http_status_text(head->status));
	note_fields(owner_of(st), &head->fields);
}

static void on_data(struct http_stream *st, const void *p, size_t n, void *user)
{
	struct owned *x = user;
	struct owner *o = owner_of(st);
	assert(n > 0 && x->ends == 0 && x->closes == 0);
	x->body = mix(x->body, p, n);
	x->bytes += n;
	x->unread += n;
	assert(x->unread <= 2 * WINDOW);
	if (o->mode & MODE_RESET && x->bytes > RESET_AT) {
		http_stream_reset(st, HTTP_RESET_CANCEL);
	} else if (!(o->mode & MODE_HOLD)) {
		x->unread = 0;
		http_stream_consume(st, n);
	}
}

static void on_end(struct http_stream *st, const struct http_fields *trailers, void *user)
{
	struct owned *x = user;
	struct owner *o = owner_of(st);
	assert(x->ends == 0 && x->closes == 0);
	x->ends++;
	note(o, "end", NULL);
	note_fields(o, trailers);
	if (!(o->mode & (MODE_CLIENT | MODE_EARLY)))
		answer(st);
}

static void on_close(struct http_stream *st, int err, void *user)
{
	struct owned *x = user;
	assert(x->closes == 0);
	x->closes++;
}

static const struct http_handler handler = {
	.on_head = on_head,
	.on_data = on_data,
	.on_end = on_end,
	.on_close = on_close,
};

static void on_request(struct http_stream *st, void *arg)
{
	struct owner *o = arg;
	const struct http_head *head = http_stream_peer_head(st);
	assert(head->method[0] && head->path[0] && head->authority && head->scheme);
	assert(head->path[0] == '/' || strcmp(head->path, "*") == 0);
	note(o, head->method, head->path);
	note(o, head->authority, head->upgrade ? "upgrade" : NULL);
	note_fields(o, &head->fields);
	if (o->n == STREAMS_MAX) {
		http_stream_reset(st, HTTP_RESET_REFUSED);
		return;
	}
	http_stream_set_handler(st, &handler, &o->streams[o->n++]);
	if (o->mode & MODE_EARLY || head->upgrade)
		answer(st);
}

static void on_wake(struct http_session *s, void *arg)
{
}

static const struct http_session_ops ops = { on_request, on_wake };

static void flush(struct http_session *s)
{
	CLEAN_BUF struct buf out = BUF_INIT;
	while (http_session_send(s, &out) > 0) {
		(void)mix(0, buf_data(&out), buf_len(&out)); /* every byte is readable */
		buf_reset(&out);
	}
}

static void open_requests(struct owner *o, struct http_session *s)
{
	int err;
	for (int i = 0; i < 3; i++) {
		struct http_head head = { .method = (char *)(i == 1 ? "HEAD" : "GET"),
			.authority = (char *)"a",
			.path = (char *)"/",
			.length = -1 };
		if (http_session_request(s, &head, true, &handler, &o->streams[o->n], &err))
			o->n++;
	}
	flush(s);
}

/* Bytes that wait for our answer are offered again once it has left. */
static void feed(struct owner *o, struct http_session *s, const uint8_t *p, size_t n, size_t step)
{
	for (size_t done = 0; done < n;) {
		size_t piece = step && step < n - done ? step : n - done;
		ssize_t r = http_session_recv(s, p + done, piece, 0);
		if (r < 0) {
			note(o, "error", NULL);
			return;
		}
		done += (size_t)r;
		if ((size_t)r == piece)
			continue;
		flush(s);
		if (r == 0 && !http_session_want_read(s))
			return;
	}
	(void)http_session_recv_eof(s);
}

static void run(struct owner *o, session_new_fn *new, const char *prefix, size_t prefix_len,
    const uint8_t *p, size_t n, size_t step)
{
	const struct http_session_conf conf = { .ops = &ops, .arg = o, .stream_window = WINDOW };
	struct http_session *s = new (&conf);
	assert(s);
	if (o->mode & MODE_CLIENT)
		open_requests(o, s);
	else if (prefix)
		(void)http_session_recv(s, prefix, prefix_len, 0);
	feed(o, s, p, n, step);
	flush(s);
	(void)http_session_free(s, 0);
	for (size_t i = 0; i < o->n; i++)
		assert(o->streams[i].closes == 1);
}

void fuzz_http(session_new_fn *new_server, session_new_fn *new_client, const char *prefix,
    size_t prefix_len, bool compare, const uint8_t *p, size_t n)
{
	if (n == 0)
		return;
	uint8_t mode = p[0];
	session_new_fn *new = mode &MODE_CLIENT ? new_client : new_server;
	struct owner whole = { .mode = mode }, pieces = { .mode = mode };
	run(&whole, new, prefix, prefix_len, p + 1, n - 1, 0);
	run(&pieces, new, prefix, prefix_len, p + 1, n - 1, 1u + (mode >> MODE_STEP_SHIFT));
	if (!compare || mode & (MODE_RESET | MODE_EARLY))
		return; /* what came before depends on the pieces */
	assert(whole.log == pieces.log && whole.n == pieces.n);
	for (size_t i = 0; i < whole.n; i++) {
		assert(whole.streams[i].ends == pieces.streams[i].ends);
		assert(!whole.streams[i].ends || whole.streams[i].body == pieces.streams[i].body);
	}
}
