/* SPDX-License-Identifier: Apache-2.0 */
#include "service/cors.h"

#include "base/str.h"
#include "service/reply.h"
#include "wire/http.h"

const char cors_exposed[] = "grpc-status, grpc-message, grpc-status-details-bin, grpc-encoding, "
			    "connect-content-encoding, connect-accept-encoding, x-next-token, "
			    "x-total-running, retry-after, location, cache-control, "
			    "x-content-type-options, content-disposition";

static const char allowed_headers[] =
    "authorization, content-type, content-encoding, range, x-api-key, x-access-token, "
    "e2b-sandbox-id, e2b-sandbox-port, e2b-traffic-access-token, sandglass-sandbox-id, "
    "connect-protocol-version, connect-timeout-ms, connect-accept-encoding, grpc-timeout, "
    "x-grpc-web, x-user-agent, keepalive-ping-interval, browser, lang, lang_version, "
    "package_version, publisher, sdk_runtime, system";

bool cors_is_preflight(const struct http_head *request)
{
	return str_eq(request->method, "OPTIONS") && http_fields_get(&request->fields, "origin") &&
	       http_fields_get(&request->fields, "access-control-request-method");
}

int cors_add(struct http_fields *f, const struct http_head *request)
{
	if (!http_fields_get(&request->fields, "origin"))
		return 0;
	int r = http_fields_add(f, "access-control-allow-origin", "*");
	return r < 0 ? r : http_fields_add(f, "access-control-expose-headers", cors_exposed);
}

/* The names that a page asks for are allowed as asked when they are plain tokens, so that custom
 * headers (x-metadata-*) pass as well. */
static const char *headers_for(const struct http_head *request)
{
	static const char token_list[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					 "0123456789-_, ";
	const char *asked = http_fields_get(&request->fields, "access-control-request-headers");
	return asked && *asked && str_only(asked, token_list) ? asked : allowed_headers;
}

void cors_answer(struct http_stream *st)
{
	struct http_fields f = { 0 };
	const struct http_head *request = http_stream_peer_head(st);
	int r = http_fields_add(
	    &f, "access-control-allow-methods", "GET, HEAD, POST, PUT, PATCH, DELETE");
	if (r == 0)
		r = http_fields_add(&f, "access-control-allow-headers", headers_for(request));
	if (r == 0)
		r = http_fields_add(&f, "access-control-max-age", "7200");
	if (r == 0)
		r = http_fields_add(
		    &f, "vary", "access-control-request-method, access-control-request-headers");
	reply_send(st, r == 0 ? 204 : 500, &f, NULL, NULL, 0);
	http_fields_fini(&f);
}
