/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A person at a browser is shown a page where a program gets JSON: which of them asks, and the
 * page. */
#include <stdbool.h>

struct buf;
struct http_head;

#define PROBLEM_PAGE_TYPE "text/html; charset=utf-8"
/* For the field content-security-policy: nothing that a host name smuggles in may run. */
#define PROBLEM_PAGE_POLICY "default-src 'none'; style-src 'unsafe-inline'"

/* True when a browser shows the answer to a person: by User-Agent, unless Sec-Fetch-Mode, Accept or
 * X-Requested-With tell of a script. */
bool problem_wants_page(const struct http_head *request);
/* text: one sentence. host: as the client named it. 0 or -ENOMEM. */
int problem_page(struct buf *dst, int status, const char *text, const char *sandbox_id,
    unsigned port, const char *host);
