/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The body of POST /sandboxes and /v2/sandboxes. What is unknown is ignored; what is known and asks
 * for something that cannot be had is refused, its harmless default is accepted.
 */
#include <jansson.h>
#include <stdbool.h>

struct err;
struct params;
struct templates;

/* 0; -EINVAL and reterr naming the field; SANDBOX_E_TEMPLATE; -ENOMEM. ret is to be finished with
 * params_fini() in any case. */
int create_body_read(const json_t *body, bool version2, const struct templates *ts,
    struct params *ret, struct err *reterr);
