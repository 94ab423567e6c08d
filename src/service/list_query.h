/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The query of GET /sandboxes and GET /v2/sandboxes. */
#include <stdbool.h>
#include <stddef.h>

#include "sandbox/sandbox.h"
#include "service/params.h"

struct err;
struct templates;
struct url;

struct list_query {
	struct sandbox_filter filter; /* all but the team */
	struct params_list metadata;
	struct sandbox_cursor after;
	size_t limit;
	bool nothing; /* no sandbox can match */
};

/* 0; -EINVAL and reterr naming the parameter; -ENOMEM. Finish ret in any case. */
int list_query_read(const struct url *u, bool version2, const struct templates *ts,
    struct list_query *ret, struct err *reterr);
void list_query_fini(struct list_query *q);
