/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Answers of Firecracker's API server: HTTP/1.1 with Content-Length or no body, nothing else. The
 * process may be in a guest's hands, so every size is bounded. Makes no system call.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct err;

#define FC_HTTP_HEAD_MAX 8192u
#define FC_HTTP_BODY_MAX (256u * 1024u)

struct fc_http {
	struct buf head, body;
	bool in_body, complete;
	int status;
	size_t need; /* bytes of the body */
};

/* Ready for the next answer; zeroed memory is ready, too. */
void fc_http_reset(struct fc_http *h);
void fc_http_fini(struct fc_http *h);
/* Take bytes; *ret_used of them belong to this answer. 0 (look at complete), -EBADMSG with the
 * reason, -ENOMEM. */
int fc_http_feed(struct fc_http *h, const void *p, size_t n, size_t *ret_used, struct err *reterr);
/* The sentence of an answer that is a failure: "fault_message" verbatim (shortened when long), or
 * what can be said without it. */
void fc_http_fault(struct fc_http *h, char *dst, size_t cap);
