/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A client and a server HTTP session joined in memory, and an exchange that keeps all that came
 * back. Time stands still and bytes move only in loopback_pump().
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "wire/http.h"

struct loopback {
	struct http_session *client, *server;
	void (*on_request)(struct http_stream *st, void *arg);
	void *arg;
	size_t piece; /* bytes moved at a time; 0 = what the session gives */
	bool broken;  /* a session refused bytes */
	long fail_in; /* the server's allocations fail after so many, -1 = never */
};

/* version 1 or 2; requests go to on_request. Aborts the test on -ENOMEM. */
void loopback_init(struct loopback *lb, int version,
    void (*on_request)(struct http_stream *st, void *arg), void *arg);
void loopback_fini(struct loopback *lb);
/* Move bytes both ways until neither side has more. */
void loopback_pump(struct loopback *lb);
/* The client is gone: its session ends and the server learns of it. */
void loopback_drop_client(struct loopback *lb);

struct exchange {
	struct http_stream *st; /* NULL after on_close */
	int status;
	struct http_fields head, trailers;
	struct buf body;
	bool slow; /* do not consume what comes */
	size_t unconsumed;
	bool ended, closed;
	int close_err;
};

/* fields: name, value, ..., NULL. The request stays open: write the body with http_stream_write().
 */
void exchange_start(struct loopback *lb, struct exchange *x, const char *method, const char *path,
    const char *const *fields);
/* Whole request. */
void exchange_send(struct loopback *lb, struct exchange *x, const char *method, const char *path,
    const char *const *fields, const void *body, size_t n);
/* Read on: what was held back, and from now on everything. */
void exchange_resume(struct exchange *x);
void exchange_fini(struct exchange *x);
