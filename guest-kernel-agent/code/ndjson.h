/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Events as the lines that E2B's SDKs read from /execute: one JSON object a line, ASCII only, no
 * blank line, "end_of_execution" last. MIME types become named fields here.
 */
#include <stdbool.h>
#include <stdint.h>

struct buf;
struct event;

struct ndjson {
	int64_t second; /* that stamp was made for */
	char stamp[24]; /* "2026-11-21T04:57:00" */
	bool had_error; /* an error line was written */
	bool numbered;	/* lines carry "seq", which SDKs ignore; by it a client can go on */
};

/* Lines for one event; none for those without a counterpart. 0 or -ENOMEM. */
int ndjson_add_event(struct ndjson *s, struct buf *dst, struct event *ev);
int ndjson_add_keepalive(struct buf *dst);
/* The execution could not even begin: an error line and the end. */
int ndjson_add_failure(struct buf *dst, const char *name, const char *value);
