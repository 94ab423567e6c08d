/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc_http_tests.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/str.h"
#include "io/listener.h"

static void copy_field(char *dst, size_t cap, const struct http_fields *f, const char *name)
{
	const char *v = http_fields_get(f, name);
	(void)str_copy(dst, cap, v ? v : "");
}

static void on_head(struct http_stream *st, void *user)
{
	struct exchange *x = user;
	const struct http_head *h = http_stream_peer_head(st);
	x->heads++;
	x->status = h->status;
	x->length = h->length;
	copy_field(x->content_type, sizeof(x->content_type), &h->fields, "content-type");
	copy_field(x->grpc_status, sizeof(x->grpc_status), &h->fields, "grpc-status");
}

static void on_data(struct http_stream *st, const void *p, size_t n, void *user)
{
	struct exchange *x = user;
	ck_assert_uint_eq(x->heads, 1);
	ck_assert_uint_eq(x->ends, 0);
	if (x->patterned)
		ck_assert(pattern_matches(p, n, x->total));
	if (!x->drop)
		ck_assert_int_eq(buf_append(&x->body, p, n), 0);
	x->total += n;
	if (x->slow)
		x->unconsumed += n;
	else
		http_stream_consume(st, n);
}

static void on_end(struct http_stream *st, const struct http_fields *trailers, void *user)
{
	struct exchange *x = user;
	x->ends++;
	if (!trailers)
		return;
	copy_field(x->trailer, sizeof(x->trailer), trailers, "x-trailer");
	if (!x->grpc_status[0])
		copy_field(x->grpc_status, sizeof(x->grpc_status), trailers, "grpc-status");
}

static void send_more(struct exchange *x)
{
	unsigned char p[8192];
	while (x->to_send > 0 && http_stream_queued(x->st) < LIMIT_STREAM_QUEUE) {
		size_t n = x->to_send < sizeof(p) ? x->to_send : sizeof(p);
		pattern_fill(p, n, x->sent_at);
		if (http_stream_write(x->st, p, n) < 0)
			return;
		x->sent_at += n;
		x->to_send -= n;
		if (x->to_send == 0)
			(void)http_stream_end(x->st, NULL);
	}
}

static void on_sent(struct http_stream *st, size_t n, void *user)
{
	struct exchange *x = user;
	x->sent += n;
	send_more(x);
}

static void on_close(struct http_stream *st, int err, void *user)
{
	struct exchange *x = user;
	ck_assert_ptr_eq(st, x->st);
	x->closes++;
	x->close_err = err;
	x->st = NULL;
}

static const struct http_handler exchange_handler = {
	.on_head = on_head,
	.on_data = on_data,
	.on_end = on_end,
	.on_sent = on_sent,
	.on_close = on_close,
};

void exchange_start(struct exchange *x, struct http_client *c, const char *method, const char *path,
    bool end, const char *const *fields)
{
	struct http_head head = HTTP_HEAD_INIT;
	int err = 0;
	ck_assert_int_eq(http_head_set_request(&head, method, "http", "sandglass.test", path), 0);
	for (; fields && *fields; fields += 2) {
		ck_assert_int_eq(http_fields_add(&head.fields, fields[0], fields[1]), 0);
		if (str_eq(fields[0], "upgrade"))
			head.upgrade = true;
	}
	x->st = http_client_request(c, &head, end, &exchange_handler, x, &err);
	ck_assert_msg(x->st != NULL, "%d", err);
	http_head_fini(&head);
}

void exchange_get(struct exchange *x, const char *path)
{
	exchange_start(x, w.client, "GET", path, true, NULL);
}

void exchange_send(struct exchange *x, const char *text, bool end)
{
	ck_assert_int_eq(http_stream_write(x->st, text, strlen(text)), 0);
	if (end)
		ck_assert_int_eq(http_stream_end(x->st, NULL), 0);
}

void exchange_send_pattern(struct exchange *x, size_t n)
{
	x->to_send = n;
	send_more(x);
}

void exchange_consume(struct exchange *x, size_t n)
{
	n = n < x->unconsumed ? n : x->unconsumed;
	x->unconsumed -= n;
	http_stream_consume(x->st, n);
}

bool exchange_body_is(const struct exchange *x, const char *text)
{
	return buf_len(&x->body) == strlen(text) &&
	       memcmp(buf_data(&x->body), text, strlen(text)) == 0;
}

void exchange_fini(struct exchange *x)
{
	static const struct http_handler nobody;
	if (x->st)
		http_stream_set_handler(x->st, &nobody, NULL);
	buf_fini(&x->body);
}

/* ---- bare TCP client ---- */

int raw_connect(unsigned port)
{
	int fd = listener_connect_tcp("127.0.0.1", port);
	ck_assert_int_ge(fd, 0);
	run_idle();
	return fd;
}

void raw_send(int fd, const char *text)
{
	size_t n = strlen(text);
	ck_assert_int_eq(send(fd, text, n, MSG_NOSIGNAL), (ssize_t)n);
}

/* One read: bytes, 0 or -errno; the loop turns while there is nothing. */
static ssize_t raw_read(int fd, struct buf *dst)
{
	char p[16 * 1024];
	for (;;) {
		ssize_t n = recv(fd, p, sizeof(p), MSG_DONTWAIT);
		if (n > 0)
			ck_assert_int_eq(buf_append(dst, p, (size_t)n), 0);
		if (n >= 0)
			return n;
		if (errno != EAGAIN)
			return -errno;
		ck_assert_int_eq(loop_turn(w.loop, false), 0);
	}
}

int raw_read_to_end(int fd, struct buf *dst)
{
	ssize_t n;
	do
		n = raw_read(fd, dst);
	while (n > 0);
	return (int)n;
}

void raw_read_until(int fd, struct buf *dst, const char *text)
{
	for (;;) {
		const char *s = buf_cstr(dst);
		ck_assert_ptr_nonnull(s);
		if (strstr(s, text))
			return;
		ck_assert_int_gt(raw_read(fd, dst), 0);
	}
}
