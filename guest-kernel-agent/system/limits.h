/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * GET /limits: how often this virtual machine met its limits since it became a sandbox, told when
 * it happens. A machine's kernel counts both for the cgroup that everything is in: processes killed
 * because memory ran out (memory.events), forks refused by the limit of processes (pids.events).
 *
 *   GET /limits?oom=N&pids=N&wait=MS    {"oom": N, "pids": N}
 *
 * The answer comes when a count is not the one that was given, or after the wait.
 */
#include <stdint.h>

struct err;
struct http_stream;
struct limits;
struct loop;

/* dir: of the cgroup. NULL when out of memory. A file that is not there counts nothing. */
struct limits *limits_new(struct loop *l, const char *dir);
struct limits *limits_free(struct limits *l); /* no request waits any more */
/* From now on counts are those of a new sandbox. */
void limits_begin(struct limits *l);
/* target: of the request, with its query. */
void limits_handle(struct limits *l, struct http_stream *st, const char *target);
