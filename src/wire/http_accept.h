/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a client says about content codings (RFC 9110 12.5.3). */
#include <stdbool.h>

struct http_fields;

struct http_accept {
	bool gzip;     /* listed by name, or by "*" */
	bool identity; /* not excluded */
};
struct http_accept http_accept_encoding(const struct http_fields *request);
