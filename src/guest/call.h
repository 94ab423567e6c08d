/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One call over a guest's control channel: asked again while the agent cannot be reached, judged by
 * the caller, ended by its limit. A guest has one at a time, so it is embedded and starting it
 * cannot fail except through done.
 *
 * The guest is hostile: an answer is at most CALL_ANSWER_MAX bytes, and its words are shown as
 * printable ASCII only.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "loop/loop.h"

struct http_client;
struct http_fetch;

#define CALL_ANSWER_MAX 4096

enum call_verdict {
	CALL_DONE,  /* err says how */
	CALL_AGAIN, /* at once: the answer says that it took its time */
};

struct guest_call {
	struct loop *loop;
	struct http_client *client;
	const char *method;
	char path[96]; /* with two counts of 19 digits */
	struct buf body;
	/* Before each try (optional): bring the body up to date. 0 or -ENOMEM. */
	int (*prepare)(struct guest_call *c);
	/* Judge an answer; for CALL_DONE with a failure err is set. May change method, path and
	 * body. */
	enum call_verdict (*judge)(struct guest_call *c, int status, const char *body, size_t n);
	void (*done)(struct guest_call *c); /* result in err; last use of c by the call */
	struct err err;
	/* private */
	uint64_t deadline_ms, asked_ms;
	unsigned pause_ms;
	struct http_fetch *fetch;
	struct loop_timer retry;
	struct loop_defer finish;
};

void guest_call_init(struct guest_call *c, struct loop *l, struct http_client *client);
void guest_call_fini(struct guest_call *c); /* a pending one is dropped */
void guest_call_drop(struct guest_call *c); /* a pending one: done is not called */
bool guest_call_is_active(const struct guest_call *c);
/* method, path, body, judge and done are set. done comes from a later turn. */
void guest_call_start(struct guest_call *c, uint64_t timeout_ms);
/* As guest_call_start(), but with a failure that happened before (err is set). */
void guest_call_start_failed(struct guest_call *c);
uint64_t guest_call_time_left(const struct guest_call *c);
/* "the agent answered 409 to POST /init: words"; returns CALL_DONE. */
enum call_verdict guest_call_refuse(struct guest_call *c, int status, const char *words);
