/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/system/request.h"

#include <string.h>

#include "base/str.h"
#include "guest-kernel-agent/system/reply.h"
#include "wire/http.h"

const char *request_header(const struct http_stream *st, const char *name)
{
	const struct http_fields *f = &http_stream_peer_head(st)->fields;
	return http_fields_count(f, name) == 1 ? http_fields_get(f, name) : NULL;
}

void request_path(const struct http_stream *st, char dst[REQUEST_PATH_MAX])
{
	const char *path = http_stream_peer_head(st)->path;
	size_t n = strcspn(path, "?");
	if (n >= REQUEST_PATH_MAX)
		n = 0;
	memcpy(dst, path, n);
	dst[n] = 0;
}

bool request_is(
    const struct http_stream *st, const char *method, const char *path, const char *wanted)
{
	return str_eq(path, wanted) && str_eq(http_stream_peer_head(st)->method, method);
}

void request_not_found(struct http_stream *st, bool known)
{
	if (known)
		(void)reply_error(st, 405, "method not allowed");
	else
		(void)reply_error(st, 404, "path not found");
}
