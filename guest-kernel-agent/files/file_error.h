/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Failures of file calls as clients see them: one map for RPC and plain HTTP. */
#include "wire/rpcwire.h"

struct as_user_job;
struct call;
struct err;
struct http_stream;

/* Store "path '...' does not exist" and the like for a -errno; returns the errno. */
int file_error(struct err *reterr, int error, const char *path);
enum rpc_code file_error_rpc(int error);
int file_error_http(int error); /* 404, 403, 400, 409, 507, 503 or 500 */

/* Answer with the failure of a job, also when its user was refused (unauthenticated, 401). */
void file_error_finish(struct call *c, const struct as_user_job *job);
void file_error_reply(struct http_stream *st, const struct as_user_job *job);
