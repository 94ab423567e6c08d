/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/files/files_http.h"

#include <errno.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "guest-kernel-agent/envd/envd.h"
#include "guest-kernel-agent/files/as_user.h"
#include "guest-kernel-agent/files/signature.h"
#include "guest-kernel-agent/system/identity.h"
#include "guest-kernel-agent/system/reply.h"
#include "guest-kernel-agent/system/request.h"
#include "guest-kernel-agent/system/user_select.h"
#include "wire/http.h"
#include "wire/url.h"

static void on_download(struct http_stream *st, void *arg)
{
	files_http_download(arg, st);
}

static void on_upload(struct http_stream *st, void *arg)
{
	files_http_upload(arg, st);
}

static void on_compose(struct http_stream *st, void *arg)
{
	files_http_compose(arg, st);
}

int files_http_add(struct files_http *f, struct envd *e)
{
	int r = envd_add_route(e, "GET", "/files", true, on_download, f);
	if (r == 0)
		r = envd_add_route(e, "HEAD", "/files", true, on_download, f);
	if (r == 0)
		r = envd_add_route(e, "POST", "/files", true, on_upload, f);
	return r < 0 ? r : envd_add_route(e, "POST", "/files/compose", false, on_compose, f);
}

int files_http_begin(
    struct files_http *f, struct http_stream *st, const char *operation, struct url *u)
{
	const char *refusal = NULL;
	int r = url_parse(u, http_stream_peer_head(st)->path);
	if (r == -ENOMEM) {
		http_stream_reset(st, HTTP_RESET_INTERNAL);
		return r;
	}
	if (r < 0) {
		(void)reply_error(
		    st, 400, "the query is malformed: expected percent-encoded UTF-8");
		return r;
	}
	r = signature_check(f->identity, request_header(st, "x-access-token"), u, operation,
	    clock_real_ms() / 1000, &refusal);
	if (r == 0 && !refusal)
		return 0;
	url_fini(u);
	if (refusal)
		(void)reply_error(st, 401, "%s", refusal);
	else
		http_stream_reset(st, HTTP_RESET_INTERNAL);
	return refusal ? -EACCES : r;
}

int files_http_who(struct files_http *f, struct http_stream *st, const char *username,
    struct as_user_job *job, char **ret_workdir)
{
	struct err why = ERR_INIT;
	int r = user_name_or_default(username, f->identity, &job->name, &why);
	*ret_workdir = r == 0 ? mem_strdup(identity_workdir(f->identity)) : NULL;
	if (r == 0 && *ret_workdir)
		return 0;
	if (r == -EINVAL)
		(void)reply_error(st, 400, "%s", why.text);
	else
		(void)reply_error(st, 503, "out of memory");
	return r < 0 ? r : -ENOMEM;
}
