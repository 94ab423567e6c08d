/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* filesystem.Filesystem (proto/filesystem/filesystem.proto) on a router. */
#include <stddef.h>
#include <stdint.h>

#include "rpc/call.h"

struct as_user;
struct filesystem;
struct identity;
struct loop;

struct filesystem_conf {
	struct loop *loop;
	const struct identity *identity;
	struct as_user *as_user;
	/* 0 = the default */
	size_t max_events;	  /* that wait in one watch */
	uint64_t watcher_idle_ms; /* a watcher that nobody asks for so long is removed */
};

/* Everything in conf outlives it. */
struct filesystem *filesystem_new(const struct filesystem_conf *conf);
/* Watches end: after the calls have ended, before the pool of threads goes. Accepts NULL. */
void filesystem_stop(struct filesystem *fs);
/* After the pool of threads is gone. */
struct filesystem *filesystem_free(struct filesystem *fs);
const struct rpc_service *filesystem_service(const struct filesystem *fs);
