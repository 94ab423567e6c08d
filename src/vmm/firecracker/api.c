/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/firecracker/api.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "base/str.h"

#define CREATE_LIMIT_MS 30000u
#define CREATE_BYTES_PER_S (100ull << 20)
#define CREATE_LIMIT_MAX_MS (60u * 60u * 1000u)
#define READ_CHUNK 16384u

unsigned fc_api_create_limit(uint64_t memory_bytes)
{
	uint64_t ms = CREATE_LIMIT_MS + memory_bytes / CREATE_BYTES_PER_S * 1000;
	return ms < CREATE_LIMIT_MAX_MS ? (unsigned)ms : CREATE_LIMIT_MAX_MS;
}

/* The connection is of no use any more. */
static void hang_up(struct fc_api *a)
{
	loop_io_fini(&a->io);
	a->fd = fd_close(a->fd);
}

static void settle(struct fc_api *a)
{
	loop_timer_cancel(&a->limit);
	if (a->fd >= 0)
		(void)loop_io_want(&a->io, LOOP_READ); /* its end is noticed */
	loop_defer_set(&a->tell);
}

static void fail(struct fc_api *a, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void fail(struct fc_api *a, int code, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)err_set(&a->err, code, "%s: %s", a->what, text);
	hang_up(a);
	settle(a);
}

static void on_tell(struct loop_defer *d, void *arg)
{
	struct fc_api *a = arg;
	fc_api_done_fn *done = a->done;
	void *done_arg = a->arg;
	struct err err = a->err;
	CLEAN_BUF struct buf body = a->in.body;
	a->in.body = (struct buf)BUF_INIT;
	fc_http_reset(&a->in);
	a->busy = false;
	if (err.code)
		buf_reset(&body);
	done(&err, &body, done_arg);
}

static void on_limit(struct loop_timer *t, void *arg)
{
	fail(arg, -ETIMEDOUT, "no answer in time");
}

static void on_complete(struct fc_api *a)
{
	char text[ERR_TEXT_MAX];
	if (a->in.status >= 300) {
		fc_http_fault(&a->in, text, sizeof(text));
		(void)err_set(&a->err, -EREMOTEIO, "%s: %s", a->what, text);
	}
	settle(a);
}

static void on_readable(struct fc_api *a)
{
	char text[READ_CHUNK];
	struct err err = ERR_INIT;
	size_t used = 0;
	ssize_t n = read(a->fd, text, sizeof(text));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	bool waits = a->busy && !a->in.complete && a->err.code == 0;
	if (n <= 0) {
		if (waits)
			fail(a, -ECONNRESET, "the connection ended");
		else
			hang_up(a);
		return;
	}
	int r = waits ? fc_http_feed(&a->in, text, (size_t)n, &used, &err) : 0;
	if (r < 0)
		fail(a, r, "%s", err_text(&err));
	else if (used < (size_t)n && waits)
		fail(a, -EBADMSG, "the API sent more than an answer");
	else if (!waits)
		hang_up(a); /* bytes that nobody asked for */
	else if (a->in.complete)
		on_complete(a);
}

static void on_writable(struct fc_api *a)
{
	ssize_t n = send(a->fd, buf_data(&a->out), buf_len(&a->out), MSG_NOSIGNAL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		/* An answer may stand there already: the process said why it ends. */
		buf_reset(&a->out);
		(void)loop_io_want(&a->io, LOOP_READ);
		return;
	}
	buf_consume(&a->out, (size_t)n);
	if (buf_len(&a->out) == 0)
		(void)loop_io_want(&a->io, LOOP_READ);
}

static void on_io(struct loop_io *io, unsigned events, void *arg)
{
	struct fc_api *a = arg;
	if (events & LOOP_READ)
		on_readable(a);
	if (a->fd >= 0 && (events & LOOP_WRITE))
		on_writable(a);
}

int fc_api_open(struct fc_api *a, struct loop *l, const char *path)
{
	*a = (struct fc_api){ .loop = l, .fd = -1 };
	int fd = fd_connect_unix(path);
	if (fd < 0)
		return fd;
	a->fd = fd;
	int r = loop_io_init(&a->io, l, fd, on_io, a);
	if (r == 0)
		r = loop_io_want(&a->io, LOOP_READ);
	if (r < 0) {
		loop_io_fini(&a->io);
		a->fd = fd_close(a->fd);
		return r;
	}
	loop_timer_init(&a->limit, l, on_limit, a);
	loop_defer_init(&a->tell, l, on_tell, a);
	return 0;
}

void fc_api_close(struct fc_api *a)
{
	if (!a->loop)
		return;
	hang_up(a);
	loop_timer_fini(&a->limit);
	loop_defer_fini(&a->tell);
	buf_fini(&a->out);
	fc_http_fini(&a->in);
	*a = (struct fc_api){ .fd = -1 };
}

bool fc_api_is_open(const struct fc_api *a)
{
	return a->loop && a->fd >= 0;
}

bool fc_api_is_by(const struct fc_api *a, pid_t pid, uid_t uid)
{
	struct ucred c;
	socklen_t n = sizeof(c);
	return getsockopt(a->fd, SOL_SOCKET, SO_PEERCRED, &c, &n) == 0 && c.pid == pid &&
	       c.uid == uid;
}

static int write_request(
    struct fc_api *a, const char *method, const char *path, const struct buf *body)
{
	size_t n = body ? buf_len(body) : 0;
	int r = buf_printf(&a->out, "%s %s HTTP/1.1\r\nHost: localhost\r\n", method, path);
	if (r == 0 && n > 0)
		r = buf_printf(
		    &a->out, "Content-Type: application/json\r\nContent-Length: %zu\r\n", n);
	if (r == 0)
		r = buf_append_str(&a->out, "\r\n");
	if (r == 0 && n > 0)
		r = buf_append(&a->out, buf_data(body), n);
	return r;
}

void fc_api_call(struct fc_api *a, const char *method, const char *path, struct buf *body,
    unsigned limit_ms, fc_api_done_fn *done, void *arg)
{
	assert(!a->busy);
	a->busy = true;
	a->done = done;
	a->arg = arg;
	err_reset(&a->err);
	(void)snprintf(a->what, sizeof(a->what), "%s %s", method, path);
	if (a->fd < 0) {
		fail(a, -ECONNRESET, "there is no connection to Firecracker any more");
	} else if (write_request(a, method, path, body) < 0 ||
		   loop_io_want(&a->io, LOOP_READ | LOOP_WRITE) < 0) {
		fail(a, -ENOMEM, "out of memory");
	} else {
		loop_timer_set(&a->limit, limit_ms);
	}
	if (body)
		buf_fini(body);
}

static bool is_settled(const struct fc_api *a)
{
	return a->in.complete || a->err.code != 0;
}

bool fc_api_drain(struct fc_api *a)
{
	if (!a->loop || !a->busy)
		return false;
	for (size_t had = 0; a->fd >= 0 && !is_settled(a);) {
		size_t now;
		on_readable(a);
		now = buf_len(&a->in.head) + buf_len(&a->in.body);
		if (now == had)
			break;
		had = now;
	}
	return is_settled(a);
}

void fc_api_cancel(struct fc_api *a)
{
	if (!a->loop || !a->busy)
		return;
	loop_timer_cancel(&a->limit);
	loop_defer_cancel(&a->tell);
	hang_up(a);
	fc_http_reset(&a->in);
	buf_reset(&a->out);
	a->busy = false;
}
