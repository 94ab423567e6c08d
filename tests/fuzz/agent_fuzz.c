/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request to the agent, over contexts without kernels: whatever it says, it gets one answer or
 * none, and everything is freed. Input: 'c' for the control channel or any other byte for the code
 * interpreter, then a line "METHOD TARGET CONTENT-TYPE", then the body.
 */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "guest-kernel-agent/code/execution.h"
#include "guest-kernel-agent/code/interpreter.h"
#include "guest-kernel-agent/jupyter/context.h"
#include "guest-kernel-agent/system/control.h"
#include "guest-kernel-agent/system/identity.h"
#include "guest-kernel-agent/system/marks.h"
#include "guest-kernel-agent/system/metrics.h"
#include "guest-kernel-agent/system/notices.h"
#include "loop/loop.h"
#include "wire/http.h"

#define TURNS 8

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* ---- what a request must not do to the machine that runs this ---- */

int marks_write(const char *dir, const struct identity *id, struct err *reterr)
{
	assert(*identity_sandbox_id(id));
	return 0;
}

int marks_add_entropy(const void *p, size_t n, struct err *reterr)
{
	assert(n > 0);
	return 0;
}

/* ---- the agent ---- */

struct agent {
	struct loop *loop;
	struct identity *identity;
	struct metrics *metrics;
	struct notices notices;
	struct contexts *contexts;
	struct executions *executions;
	struct interpreter *interpreter;
	struct control *control;
	bool is_control;
	unsigned requests;
};

static void make(struct agent *a)
{
	a->loop = loop_new();
	a->identity = identity_new();
	a->metrics = metrics_new();
	a->contexts = contexts_new(a->loop);
	const struct executions_conf ec = {
		.loop = a->loop, .contexts = a->contexts, .notices = &a->notices
	};
	a->executions = executions_new(&ec);
	a->interpreter = interpreter_new(a->loop, a->identity, a->contexts, a->executions);
	const struct control_conf cc = { .loop = a->loop,
		.identity = a->identity,
		.contexts = a->contexts,
		.metrics = a->metrics,
		.notices = &a->notices };
	a->control = control_new(&cc);
	assert(a->interpreter && a->control);
}

static void turn(struct agent *a)
{
	for (int i = 0; i < TURNS; i++)
		assert(loop_turn(a->loop, false) == 0);
}

static void unmake(struct agent *a)
{
	turn(a);
	interpreter_free(a->interpreter);
	contexts_free(a->contexts);
	executions_free(a->executions);
	control_free(a->control);
	metrics_free(a->metrics);
	identity_free(a->identity);
	loop_free(a->loop);
}

/* ---- one connection ---- */

static void on_request(struct http_stream *st, void *arg)
{
	struct agent *a = arg;
	a->requests++;
	if (a->is_control)
		control_on_request(st, a->control);
	else
		interpreter_handle(a->interpreter, st);
}

static void on_wake(struct http_session *s, void *arg)
{
}

static const struct http_session_ops ops = { on_request, on_wake };

static void flush(struct agent *a, struct http_session *s)
{
	CLEAN_BUF struct buf out = BUF_INIT;
	turn(a);
	while (http_session_send(s, &out) > 0) {
		buf_reset(&out);
		turn(a);
	}
}

static void speak(struct agent *a, const void *p, size_t n)
{
	const struct http_session_conf conf = { .ops = &ops, .arg = a };
	struct http_session *s = h1_server_new(&conf);
	assert(s);
	for (size_t done = 0; done < n;) {
		ssize_t r = http_session_recv(s, (const char *)p + done, n - done, 0);
		flush(a, s);
		if (r <= 0)
			break;
		done += (size_t)r;
	}
	flush(a, s);
	(void)http_session_free(s, 0);
}

/* "METHOD TARGET CONTENT-TYPE\nBODY" as an HTTP/1.1 request. */
static bool write_request(struct buf *dst, const char *p, size_t n)
{
	const char *end = memchr(p, '\n', n);
	const char *target = end ? memchr(p, ' ', (size_t)(end - p)) : NULL;
	const char *type = target ? memchr(target + 1, ' ', (size_t)(end - target - 1)) : NULL;
	if (!type)
		return false;
	size_t body = n - (size_t)(end + 1 - p);
	return buf_printf(dst,
		   "%.*s HTTP/1.1\r\nhost: a\r\ncontent-type: %.*s\r\ncontent-length: %zu\r\n\r\n",
		   (int)(type - p), p, (int)(end - type - 1), type + 1, body) == 0 &&
	       buf_append(dst, end + 1, body) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	CLEAN_BUF struct buf request = BUF_INIT;
	struct agent a = { 0 };
	/* The contexts would write as much as a cell asks for. */
	if (n == 0 || memmem(p, n, "spam", 4) ||
	    !write_request(&request, (const char *)p + 1, n - 1))
		return 0;
	make(&a);
	a.is_control = p[0] == 'c';
	speak(&a, buf_data(&request), buf_len(&request));
	if (a.is_control && a.requests > 0) /* the same once more meets what the first one left */
		speak(&a, buf_data(&request), buf_len(&request));
	unmake(&a);
	return 0;
}
