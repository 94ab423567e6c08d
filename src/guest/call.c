/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/call.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "rpc/http_client.h"
#include "wire/http.h"

#define PAUSE_FIRST_MS 2
#define PAUSE_MAX_MS 100
#define WORDS_MAX 120

static void ask(struct guest_call *c);

/* ---- ends ---- */

static void finish(struct guest_call *c)
{
	c->deadline_ms = 0;
	buf_reset(&c->body);
	c->done(c);
}

static void on_finish(struct loop_defer *d, void *arg)
{
	finish(arg);
}

static void finish_later(struct guest_call *c)
{
	loop_defer_set(&c->finish);
}

enum call_verdict guest_call_refuse(struct guest_call *c, int status, const char *words)
{
	char shown[WORDS_MAX + 1];
	size_t n = 0;
	for (; words && words[n] && n < WORDS_MAX; n++)
		shown[n] = words[n] >= ' ' && words[n] <= '~' ? words[n] : '?';
	shown[n] = '\0';
	(void)err_set(&c->err, -EPROTO, "the sandbox's agent answered %d to %s %s%s%s", status,
	    c->method, c->path, n ? ": " : "", shown);
	return CALL_DONE;
}

uint64_t guest_call_time_left(const struct guest_call *c)
{
	uint64_t now = clock_mono_ms();
	return now < c->deadline_ms ? c->deadline_ms - now : 0;
}

/* ---- tries ---- */

/* Nobody listens yet, or the connection broke: both are worth another try. */
static bool is_transient(int err)
{
	return err != -ENOMEM && err != -EFBIG && err != -EPROTO;
}

static void fail(struct guest_call *c, int err)
{
	if (err == -EFBIG)
		(void)err_set(&c->err, -EPROTO,
		    "the sandbox's agent sent more than %d bytes to %s %s", CALL_ANSWER_MAX,
		    c->method, c->path);
	else
		(void)err_set(&c->err, err, "the sandbox's agent did not answer %s %s: %s",
		    c->method, c->path, err_name(err));
}

static void on_answer(int err, int status, const void *body, size_t n, void *arg)
{
	struct guest_call *c = arg;
	c->fetch = NULL;
	if (err == 0 && c->judge(c, status, body, n) == CALL_DONE) {
		finish(c);
		return;
	}
	uint64_t left = guest_call_time_left(c);
	if (left == 0 || !is_transient(err)) {
		fail(c, is_transient(err) ? -ETIMEDOUT : err);
		finish(c);
		return;
	}
	if (err == 0) {
		c->pause_ms = PAUSE_FIRST_MS;
		ask(c);
		return;
	}
	loop_timer_set(&c->retry, c->pause_ms < left ? c->pause_ms : left);
	c->pause_ms = c->pause_ms * 2 < PAUSE_MAX_MS ? c->pause_ms * 2 : PAUSE_MAX_MS;
}

static void on_retry(struct loop_timer *t, void *arg)
{
	ask(arg);
}

static int make_head(const struct guest_call *c, struct http_head *head)
{
	int r = http_head_set_request(head, c->method, "http", "agent", c->path);
	if (r == 0 && buf_len(&c->body))
		r = http_fields_add(&head->fields, "content-type", "application/json");
	if (r == 0 && buf_len(&c->body))
		r = http_fields_addf(&head->fields, "content-length", "%zu", buf_len(&c->body));
	return r;
}

static void ask(struct guest_call *c)
{
	struct http_head head = HTTP_HEAD_INIT;
	uint64_t left = guest_call_time_left(c);
	c->asked_ms = clock_mono_ms();
	if ((!c->prepare || c->prepare(c) == 0) && make_head(c, &head) == 0)
		c->fetch = http_fetch_start(c->client, &head, buf_data(&c->body), buf_len(&c->body),
		    CALL_ANSWER_MAX, left ? left : 1, on_answer, c);
	http_head_fini(&head);
	if (!c->fetch) {
		fail(c, -ENOMEM);
		finish_later(c);
	}
}

/* ---- life ---- */

void guest_call_init(struct guest_call *c, struct loop *l, struct http_client *client)
{
	*c = (struct guest_call){ .loop = l, .client = client };
	loop_timer_init(&c->retry, l, on_retry, c);
	loop_defer_init(&c->finish, l, on_finish, c);
}

void guest_call_drop(struct guest_call *c)
{
	http_fetch_cancel(c->fetch);
	c->fetch = NULL;
	loop_timer_cancel(&c->retry);
	loop_defer_cancel(&c->finish);
	c->deadline_ms = 0;
	buf_reset(&c->body);
}

void guest_call_fini(struct guest_call *c)
{
	guest_call_drop(c);
	loop_timer_fini(&c->retry);
	loop_defer_fini(&c->finish);
	buf_fini(&c->body);
}

bool guest_call_is_active(const struct guest_call *c)
{
	return c->deadline_ms != 0;
}

void guest_call_start(struct guest_call *c, uint64_t timeout_ms)
{
	assert(!guest_call_is_active(c));
	err_reset(&c->err);
	c->deadline_ms = clock_mono_ms() + timeout_ms;
	c->pause_ms = PAUSE_FIRST_MS;
	ask(c);
}

void guest_call_start_failed(struct guest_call *c)
{
	assert(!guest_call_is_active(c) && c->err.code);
	c->deadline_ms = clock_mono_ms() + 1;
	finish_later(c);
}
