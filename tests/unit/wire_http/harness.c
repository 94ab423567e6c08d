/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

static unsigned char pattern(size_t i)
{
	return (unsigned char)(i * 31 + i / 251);
}

static void run_script(struct exchange *x, enum peer_event ev)
{
	if (x->peer->script)
		x->peer->script(x, ev);
}

static void on_head(struct http_stream *st, void *user)
{
	struct exchange *x = user;
	x->status = http_stream_peer_head(st)->status;
	x->heads++;
	x->whole = http_stream_peer_ended(st);
	run_script(x, PEER_HEAD);
}

/* The harness's own memory must not be part of a sweep over failing allocations. */
static void record(struct buf *b, const void *p, size_t n)
{
	while (b->cap - b->end < n) {
		size_t cap = b->cap ? 2 * b->cap : 4096;
		unsigned char *mem = realloc(b->mem, cap);
		ck_assert_ptr_nonnull(mem);
		b->mem = mem;
		b->cap = cap;
	}
	memcpy(b->mem + b->end, p, n);
	b->end += n;
}

static void on_data(struct http_stream *st, const void *p, size_t n, void *user)
{
	struct exchange *x = user;
	ck_assert_uint_gt(n, 0);
	ck_assert_uint_eq(x->ends, 0);
	record(&x->body, p, n);
	if (!x->peer->hold)
		http_stream_consume(st, n);
	run_script(x, PEER_DATA);
}

static void on_end(struct http_stream *st, const struct http_fields *trailers, void *user)
{
	struct exchange *x = user;
	const char *v = http_fields_get(trailers, "x-trailer");
	x->n_trailers = trailers->n;
	str_copy(x->trailer, sizeof(x->trailer), v ? v : "");
	x->ends++;
	run_script(x, PEER_END);
}

static void on_sent(struct http_stream *st, size_t n, void *user)
{
	struct exchange *x = user;
	x->sent += n;
	run_script(x, PEER_SENT);
}

static void on_close(struct http_stream *st, int err, void *user)
{
	struct exchange *x = user;
	x->closes++;
	x->err = err;
	run_script(x, PEER_CLOSE);
	x->st = NULL;
}

const struct http_handler peer_handler = { on_head, on_data, on_end, on_sent, on_close };

static struct exchange *add_exchange(struct peer *p, struct http_stream *st)
{
	struct exchange *x = calloc(1, sizeof(*x));
	ck_assert_ptr_nonnull(x);
	ck_assert_uint_lt(p->n, PEER_EXCHANGES);
	x->peer = p;
	x->st = st;
	p->x[p->n++] = x;
	return x;
}

static void on_request(struct http_stream *st, void *arg)
{
	struct peer *p = arg;
	struct exchange *x = add_exchange(p, st);
	const struct http_head *head = http_stream_peer_head(st);
	str_copy(x->method, sizeof(x->method), head->method);
	str_copy(x->path, sizeof(x->path), head->path);
	str_copy(x->authority, sizeof(x->authority), head->authority);
	x->upgrade = head->upgrade;
	x->whole = http_stream_peer_ended(st);
	if (!p->bare)
		http_stream_set_handler(st, &peer_handler, x);
	run_script(x, PEER_REQUEST);
}

static void on_wake(struct http_session *s, void *arg)
{
	struct peer *p = arg;
	p->wakes++;
}

static const struct http_session_ops ops = { on_request, on_wake };

void peer_init(struct peer *p, peer_new_fn *new, uint32_t window, uint32_t max_streams)
{
	memset(p, 0, sizeof(*p));
	const struct http_session_conf conf = {
		.ops = &ops, .arg = p, .stream_window = window, .max_streams = max_streams
	};
	p->now_ms = 1000;
	p->s = new (&conf);
}

void peer_fini(struct peer *p)
{
	p->s = http_session_free(p->s, 0);
	for (size_t i = 0; i < p->n; i++) {
		struct exchange *x = p->x[i];
		ck_assert(p->bare || x->closes == 1);
		ck_assert_uint_le(x->ends, 1);
		ck_assert_uint_le(x->sent, x->written);
		free(x->body.mem);
		free(x);
	}
	free(p->wire.mem);
	memset(p, 0, sizeof(*p));
}

ssize_t peer_feed(struct peer *p, const void *bytes, size_t n, size_t step)
{
	/* From the heap and in exact size, so that reading past the end is seen. */
	size_t done = 0;
	while (done < n) {
		size_t piece = step && step < n - done ? step : n - done;
		void *copy = malloc(piece);
		ck_assert_ptr_nonnull(copy);
		memcpy(copy, (const char *)bytes + done, piece);
		ssize_t r = http_session_recv(p->s, copy, piece, p->now_ms);
		free(copy);
		if (r < 0) {
			p->recv_err = r;
			return r;
		}
		done += (size_t)r;
		if ((size_t)r < piece)
			break;
	}
	return (ssize_t)done;
}

ssize_t peer_feed_str(struct peer *p, const char *text, size_t step)
{
	return peer_feed(p, text, strlen(text), step);
}

void peer_flush(struct peer *p)
{
	CLEAN_BUF struct buf out = BUF_INIT;
	ssize_t n;
	while ((n = http_session_send(p->s, &out)) > 0)
		continue;
	if (buf_len(&out) > 0)
		record(&p->wire, buf_data(&out), buf_len(&out));
	p->send_err = n;
}

const char *peer_output(struct peer *p)
{
	peer_flush(p);
	record(&p->wire, "", 1);
	p->wire.end = 0;
	return (const char *)p->wire.mem;
}

/* True when anything moved. */
static bool deliver(struct peer *from, struct peer *to, size_t step)
{
	size_t before = buf_len(&from->wire);
	peer_flush(from);
	bool moved = buf_len(&from->wire) > before;
	if (buf_len(&from->wire) == 0 || to->recv_err || !http_session_want_read(to->s))
		return moved;
	ssize_t r = peer_feed(to, buf_data(&from->wire), buf_len(&from->wire), step);
	size_t taken = r < 0 ? buf_len(&from->wire) : (size_t)r;
	memmove(from->wire.mem, from->wire.mem + taken, from->wire.end - taken);
	from->wire.end -= taken;
	return moved || taken > 0;
}

void peers_run(struct peer *a, struct peer *b, size_t step)
{
	bool moved;
	do {
		moved = deliver(a, b, step);
		moved = deliver(b, a, step) || moved;
	} while (moved);
}

struct exchange *peer_request(
    struct peer *p, const char *method, const char *path, int64_t length, bool end)
{
	struct http_head head = { .method = (char *)method,
		.scheme = (char *)"http",
		.authority = (char *)"example.test",
		.path = (char *)path,
		.length = length };
	int err = 0;
	struct exchange *x = add_exchange(p, NULL);
	str_copy(x->path, sizeof(x->path), path);
	x->st = http_session_request(p->s, &head, end, &peer_handler, x, &err);
	if (!x->st) {
		x->err = err;
		x->closes = 1;
	}
	return x;
}

int exchange_respond(struct exchange *x, int status, int64_t length, bool end)
{
	struct http_field fields[] = { { (char *)"x-test", (char *)"yes" } };
	struct http_head head = {
		.status = status, .length = length, .fields = { fields, 1, 1, 0 }
	};
	return http_stream_respond(x->st, &head, end);
}

int exchange_write(struct exchange *x, size_t n)
{
	unsigned char *p = malloc(n ? n : 1);
	ck_assert_ptr_nonnull(p);
	for (size_t i = 0; i < n; i++)
		p[i] = pattern(x->written + i);
	int r = http_stream_write(x->st, p, n);
	free(p);
	if (r == 0)
		x->written += n;
	return r;
}

int exchange_write_buf(struct exchange *x, size_t n)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	void *space;
	ck_assert_int_eq(buf_reserve(&b, n, &space), 0);
	for (size_t i = 0; i < n; i++)
		((unsigned char *)space)[i] = pattern(x->written + i);
	buf_commit(&b, n);
	int r = http_stream_write_buf(x->st, &b);
	ck_assert_uint_eq(buf_len(&b), r == 0 ? 0 : n);
	if (r == 0)
		x->written += n;
	return r;
}

int exchange_end(struct exchange *x, const char *trailer)
{
	struct http_field fields[] = { { (char *)"x-trailer", (char *)trailer } };
	struct http_fields trailers = { .v = fields, .n = 1, .cap = 1 };
	return http_stream_end(x->st, trailer ? &trailers : NULL);
}

bool exchange_has_pattern(const struct exchange *x, size_t n)
{
	if (buf_len(&x->body) != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (x->body.mem[x->body.start + i] != pattern(i))
			return false;
	return true;
}
