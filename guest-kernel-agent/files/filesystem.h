/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* filesystem.Filesystem (proto/filesystem/filesystem.proto) on a router. */
#include "rpc/call.h"

struct as_user;
struct filesystem;
struct identity;
struct loop;

struct filesystem_conf {
	struct loop *loop;
	const struct identity *identity;
	struct as_user *as_user;
};

/* Everything in conf outlives it. */
struct filesystem *filesystem_new(const struct filesystem_conf *conf);
/* After the calls have ended and the pool of threads is gone. */
struct filesystem *filesystem_free(struct filesystem *fs);
const struct rpc_service *filesystem_service(const struct filesystem *fs);
