/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the sandbox uses: from its control group where that is visible and limited (v2 or v1), else
 * from /proc, which is right for a virtual machine.
 */
#include <jansson.h>

struct metrics;

struct metrics *metrics_new(void);
struct metrics *metrics_free(struct metrics *m);
/* A new object as GET /metrics answers it, or NULL on -ENOMEM. Processor use counts since the last
 * call. */
json_t *metrics_read(struct metrics *m);
