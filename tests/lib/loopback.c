/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/loopback.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "lib/test.h"

static void on_request(struct http_stream *st, void *arg)
{
	struct loopback *lb = arg;
	lb->on_request(st, lb->arg);
}

static void wake(struct http_session *s, void *arg)
{
	(void)s;
	(void)arg;
}

static const struct http_session_ops ops = { .on_request = on_request, .wake = wake };

void loopback_init(
    struct loopback *lb, int version, void (*request)(struct http_stream *st, void *arg), void *arg)
{
	const struct http_session_conf conf = { .ops = &ops, .arg = lb };
	*lb = (struct loopback){ .on_request = request, .arg = arg, .fail_in = -1 };
	lb->client = version == 1 ? h1_client_new(&conf) : h2_client_new(&conf);
	lb->server = version == 1 ? h1_server_new(&conf) : h2_server_new(&conf);
	ck_assert_ptr_nonnull(lb->client);
	ck_assert_ptr_nonnull(lb->server);
}

void loopback_fini(struct loopback *lb)
{
	lb->client = http_session_free(lb->client, 0);
	lb->server = http_session_free(lb->server, 0);
}

/* What the server does between these two has lb->fail_in allocations left. */
static long server_begin(const struct loopback *lb)
{
	mem_fail_after(lb->fail_in);
	return mem_alloc_count();
}

static void server_end(struct loopback *lb, long count)
{
	mem_fail_after(-1);
	if (lb->fail_in < 0)
		return;
	count = mem_alloc_count() - count;
	lb->fail_in = lb->fail_in > count ? lb->fail_in - count : 0;
}

static ssize_t session_send(struct loopback *lb, struct http_session *s, struct buf *out)
{
	if (s != lb->server)
		return http_session_send(s, out);
	long count = server_begin(lb);
	ssize_t n = http_session_send(s, out);
	server_end(lb, count);
	return n;
}

static ssize_t session_recv(struct loopback *lb, struct http_session *s, const void *p, size_t n)
{
	if (s != lb->server)
		return http_session_recv(s, p, n, 0);
	long count = server_begin(lb);
	ssize_t taken = http_session_recv(s, p, n, 0);
	server_end(lb, count);
	return taken;
}

/* One piece of output to the other side; false when there is none. */
static bool move(struct loopback *lb, struct http_session *from, struct http_session *to)
{
	CLEAN_BUF struct buf out = BUF_INIT;
	ssize_t n = session_send(lb, from, &out);
	if (n < 0)
		lb->broken = true;
	for (size_t at = 0; n > 0 && at < (size_t)n && !lb->broken;) {
		size_t piece = (size_t)n - at;
		if (lb->piece && piece > lb->piece)
			piece = lb->piece;
		ssize_t taken = session_recv(lb, to, buf_data(&out) + at, piece);
		lb->broken = taken < 0;
		/* These tests never stop an HTTP/1.1 reader for good. */
		ck_assert_msg(taken != 0, "the session takes no bytes");
		at += taken > 0 ? (size_t)taken : 0;
	}
	return n > 0;
}

void loopback_pump(struct loopback *lb)
{
	bool moved = true;
	while (moved && !lb->broken && lb->client && lb->server) {
		moved = move(lb, lb->client, lb->server);
		moved |= move(lb, lb->server, lb->client);
	}
}

void loopback_drop_client(struct loopback *lb)
{
	lb->client = http_session_free(lb->client, 0);
	(void)http_session_recv_eof(lb->server);
	lb->server = http_session_free(lb->server, 0);
}

/* ---- exchanges ---- */

static void copy_fields(struct http_fields *dst, const struct http_fields *src)
{
	for (size_t i = 0; i < src->n; i++)
		ck_assert_int_eq(http_fields_add(dst, src->v[i].name, src->v[i].value), 0);
}

static void on_head(struct http_stream *st, void *user)
{
	struct exchange *x = user;
	x->status = http_stream_peer_head(st)->status;
	copy_fields(&x->head, &http_stream_peer_head(st)->fields);
}

static void on_data(struct http_stream *st, const void *p, size_t n, void *user)
{
	struct exchange *x = user;
	ck_assert_int_eq(buf_append(&x->body, p, n), 0);
	if (x->slow)
		x->unconsumed += n;
	else
		http_stream_consume(st, n);
}

static void on_end(struct http_stream *st, const struct http_fields *trailers, void *user)
{
	struct exchange *x = user;
	(void)st;
	x->ended = true;
	copy_fields(&x->trailers, trailers);
}

static void on_close(struct http_stream *st, int err, void *user)
{
	struct exchange *x = user;
	(void)st;
	x->st = NULL;
	x->closed = true;
	x->close_err = err;
}

static const struct http_handler handler = {
	.on_head = on_head,
	.on_data = on_data,
	.on_end = on_end,
	.on_close = on_close,
};

void exchange_start(struct loopback *lb, struct exchange *x, const char *method, const char *path,
    const char *const *fields)
{
	struct http_head head = HTTP_HEAD_INIT;
	int err = 0;
	*x = (struct exchange){ 0 };
	ck_assert_int_eq(http_head_set_request(&head, method, "http", "test", path), 0);
	for (; fields && fields[0]; fields += 2)
		ck_assert_int_eq(http_fields_add(&head.fields, fields[0], fields[1]), 0);
	x->st = http_session_request(lb->client, &head, false, &handler, x, &err);
	ck_assert_msg(x->st != NULL, "no stream: %d", err);
	http_head_fini(&head);
}

void exchange_send(struct loopback *lb, struct exchange *x, const char *method, const char *path,
    const char *const *fields, const void *body, size_t n)
{
	exchange_start(lb, x, method, path, fields);
	if (n > 0)
		ck_assert_int_eq(http_stream_write(x->st, body, n), 0);
	ck_assert_int_eq(http_stream_end(x->st, NULL), 0);
}

void exchange_resume(struct exchange *x)
{
	x->slow = false;
	if (x->st)
		http_stream_consume(x->st, x->unconsumed);
	x->unconsumed = 0;
}

void exchange_fini(struct exchange *x)
{
	static const struct http_handler deaf = { 0 };
	if (x->st) {
		http_stream_set_handler(x->st, &deaf, NULL);
		http_stream_reset(x->st, HTTP_RESET_CANCEL);
	}
	http_fields_fini(&x->head);
	http_fields_fini(&x->trailers);
	buf_fini(&x->body);
	*x = (struct exchange){ 0 };
}
