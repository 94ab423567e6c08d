/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/files/file_error.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "guest-kernel-agent/files/as_user.h"
#include "guest-kernel-agent/jupyter/text.h"
#include "guest-kernel-agent/system/reply.h"
#include "rpc/call.h"

static const struct {
	int error;
	enum rpc_code rpc;
	int http;
	const char *text; /* behind "path '...'" */
} known[] = {
	{ ENOENT, RPC_NOT_FOUND, 404, "does not exist" },
	{ EACCES, RPC_PERMISSION_DENIED, 403, "permission denied" },
	{ EPERM, RPC_PERMISSION_DENIED, 403, "operation not permitted" },
	{ EEXIST, RPC_ALREADY_EXISTS, 409, "already exists" },
	{ ENOTDIR, RPC_INVALID_ARGUMENT, 400, "is not a directory" },
	{ EISDIR, RPC_INVALID_ARGUMENT, 400, "is a directory" },
	{ ELOOP, RPC_INVALID_ARGUMENT, 400, "too many levels of symbolic links" },
	{ ENAMETOOLONG, RPC_INVALID_ARGUMENT, 400, "the name is too long" },
	{ EINVAL, RPC_INVALID_ARGUMENT, 400, "not possible here" },
	{ ENXIO, RPC_INVALID_ARGUMENT, 400, "is not a regular file" },
	{ ENOSPC, RPC_RESOURCE_EXHAUSTED, 507, "no space left on the disk" },
	{ EDQUOT, RPC_RESOURCE_EXHAUSTED, 507, "the disk quota is used up" },
	{ EFBIG, RPC_RESOURCE_EXHAUSTED, 507, "the file would be too large" },
	{ ENOMEM, RPC_RESOURCE_EXHAUSTED, 503, "out of memory" },
	{ EMFILE, RPC_RESOURCE_EXHAUSTED, 503, "too many files are open" },
	{ ENFILE, RPC_RESOURCE_EXHAUSTED, 503, "too many files are open in the system" },
	{ ENOTEMPTY, RPC_FAILED_PRECONDITION, 409, "the directory is not empty" },
	{ EBUSY, RPC_FAILED_PRECONDITION, 409, "is in use" },
	{ ETXTBSY, RPC_FAILED_PRECONDITION, 409, "is a program that runs" },
	{ EXDEV, RPC_FAILED_PRECONDITION, 409, "is on another file system" },
	{ EROFS, RPC_FAILED_PRECONDITION, 403, "the file system is read-only" },
};

#define PATH_SHOWN_MAX 200
#define UNKNOWN (sizeof(known) / sizeof(*known))

static size_t find(int error)
{
	size_t i = 0;
	while (i < UNKNOWN && known[i].error != -error)
		i++;
	return i;
}

static bool is_continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

/* A path may be longer than an error's text and need not be UTF-8: its end says most. */
int file_error(struct err *reterr, int error, const char *path)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	size_t i = find(error), n = strlen(path);
	bool whole = n <= PATH_SHOWN_MAX;
	path += whole ? 0 : n - PATH_SHOWN_MAX;
	while (!whole && is_continuation(*path))
		path++;
	const char *shown = text_repair(&b, path, strlen(path)) == 0 ? buf_cstr(&b) : NULL;
	return err_set(reterr, error, "path '%s%s' %s", whole ? "" : "...", shown ? shown : "",
	    i < UNKNOWN ? known[i].text : err_name(error));
}

enum rpc_code file_error_rpc(int error)
{
	size_t i = find(error);
	return i < UNKNOWN ? known[i].rpc : RPC_INTERNAL;
}

int file_error_http(int error)
{
	size_t i = find(error);
	return i < UNKNOWN ? known[i].http : 500;
}

void file_error_finish(struct call *c, const struct as_user_job *job)
{
	if (job->refused && job->name)
		call_finish(c, RPC_UNAUTHENTICATED, "invalid username: '%s'", job->name);
	else if (job->refused)
		call_finish(c, RPC_UNAUTHENTICATED, "%s", err_text(&job->err));
	else
		call_finish(c, file_error_rpc(job->err.code), "%s", err_text(&job->err));
}

void file_error_reply(struct http_stream *st, const struct as_user_job *job)
{
	if (job->refused && job->name)
		(void)reply_error(
		    st, 401, "error looking up user '%s': %s", job->name, err_text(&job->err));
	else if (job->refused)
		(void)reply_error(st, 401, "%s", err_text(&job->err));
	else
		(void)reply_error(st, file_error_http(job->err.code), "%s", err_text(&job->err));
}
