/* SPDX-License-Identifier: Apache-2.0 */
/* Status codes, content types, timeouts and status text: what the RPC protocols put into headers.
 */
#include "wire/rpcwire.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

#define N_CODES (RPC_UNAUTHENTICATED + 1)

static const struct {
	const char *name;
	int http;
} codes[N_CODES] = {
	[RPC_OK] = { "ok", 200 },
	[RPC_CANCELED] = { "canceled", 499 },
	[RPC_UNKNOWN] = { "unknown", 500 },
	[RPC_INVALID_ARGUMENT] = { "invalid_argument", 400 },
	[RPC_DEADLINE_EXCEEDED] = { "deadline_exceeded", 504 },
	[RPC_NOT_FOUND] = { "not_found", 404 },
	[RPC_ALREADY_EXISTS] = { "already_exists", 409 },
	[RPC_PERMISSION_DENIED] = { "permission_denied", 403 },
	[RPC_RESOURCE_EXHAUSTED] = { "resource_exhausted", 429 },
	[RPC_FAILED_PRECONDITION] = { "failed_precondition", 400 },
	[RPC_ABORTED] = { "aborted", 409 },
	[RPC_OUT_OF_RANGE] = { "out_of_range", 400 },
	[RPC_UNIMPLEMENTED] = { "unimplemented", 501 },
	[RPC_INTERNAL] = { "internal", 500 },
	[RPC_UNAVAILABLE] = { "unavailable", 503 },
	[RPC_DATA_LOSS] = { "data_loss", 500 },
	[RPC_UNAUTHENTICATED] = { "unauthenticated", 401 },
};

const char *rpc_code_name(enum rpc_code code)
{
	return (unsigned)code < N_CODES ? codes[code].name : codes[RPC_UNKNOWN].name;
}

enum rpc_code rpc_code_from_name(const char *s)
{
	for (unsigned i = 0; s && i < N_CODES; i++) {
		if (str_eq(codes[i].name, s))
			return (enum rpc_code)i;
	}
	return RPC_UNKNOWN;
}

int rpc_code_http(enum rpc_code code)
{
	return (unsigned)code < N_CODES ? codes[code].http : codes[RPC_UNKNOWN].http;
}

enum rpc_code rpc_code_from_http(int status)
{
	switch (status) {
	case 200:
		return RPC_OK;
	case 400:
		return RPC_INTERNAL;
	case 401:
		return RPC_UNAUTHENTICATED;
	case 403:
		return RPC_PERMISSION_DENIED;
	case 404:
		return RPC_UNIMPLEMENTED;
	case 429:
	case 502:
	case 503:
	case 504:
		return RPC_UNAVAILABLE;
	default:
		return RPC_UNKNOWN;
	}
}

/* ---- content types ---- */

/* The first row of a protocol and codec is what we answer with. */
static const struct {
	const char *type;
	enum rpc_protocol protocol;
	enum rpc_codec codec;
} content_types[] = {
	{ "application/grpc", RPC_GRPC, RPC_PROTO },
	{ "application/grpc+proto", RPC_GRPC, RPC_PROTO },
	{ "application/grpc+json", RPC_GRPC, RPC_JSON },
	{ "application/grpc-web+proto", RPC_GRPC_WEB, RPC_PROTO },
	{ "application/grpc-web", RPC_GRPC_WEB, RPC_PROTO },
	{ "application/grpc-web+json", RPC_GRPC_WEB, RPC_JSON },
	{ "application/grpc-web-text+proto", RPC_GRPC_WEB_TEXT, RPC_PROTO },
	{ "application/grpc-web-text", RPC_GRPC_WEB_TEXT, RPC_PROTO },
	{ "application/grpc-web-text+json", RPC_GRPC_WEB_TEXT, RPC_JSON },
	{ "application/json", RPC_CONNECT_UNARY, RPC_JSON },
	{ "application/proto", RPC_CONNECT_UNARY, RPC_PROTO },
	{ "application/connect+json", RPC_CONNECT_STREAM, RPC_JSON },
	{ "application/connect+proto", RPC_CONNECT_STREAM, RPC_PROTO },
};
#define N_CONTENT_TYPES (sizeof(content_types) / sizeof(content_types[0]))

static const char *skip_space(const char *s)
{
	return s + strspn(s, " \t");
}

/* Parameters are ignored, except a charset that is not UTF-8: JSON is decoded as nothing else. */
static bool params_are_fine(const char *s)
{
	while (*(s = skip_space(s)) == ';') {
		s = skip_space(s + 1);
		size_t n = strcspn(s, ";");
		if (n >= 8 && strncasecmp(s, "charset=", 8) == 0) {
			const char *v = s + 8;
			bool quoted = *v == '"';
			v += quoted;
			if (strncasecmp(v, "utf-8", 5) != 0)
				return false;
			v += 5;
			if (quoted && *v++ != '"')
				return false;
			if (v != s + n && *skip_space(v) != '\0' && *skip_space(v) != ';')
				return false;
		}
		s += n;
	}
	return *s == '\0';
}

int rpc_parse_content_type(
    const char *value, enum rpc_protocol *ret_protocol, enum rpc_codec *ret_codec)
{
	if (!value)
		return -ENOTSUP;
	value = skip_space(value);
	size_t n = strcspn(value, "; \t");
	for (size_t i = 0; i < N_CONTENT_TYPES; i++) {
		if (strlen(content_types[i].type) != n ||
		    strncasecmp(content_types[i].type, value, n) != 0)
			continue;
		if (!params_are_fine(value + n))
			return -ENOTSUP;
		*ret_protocol = content_types[i].protocol;
		*ret_codec = content_types[i].codec;
		return 0;
	}
	return -ENOTSUP;
}

const char *rpc_content_type(enum rpc_protocol protocol, enum rpc_codec codec)
{
	for (size_t i = 0; i < N_CONTENT_TYPES; i++) {
		if (content_types[i].protocol == protocol && content_types[i].codec == codec)
			return content_types[i].type;
	}
	return "application/octet-stream";
}

/* ---- timeouts ---- */

/* 1 to max_digits digits; the rest of the text is left in *s. */
static int parse_digits(const char **s, unsigned max_digits, uint64_t *ret)
{
	uint64_t v = 0;
	unsigned n = 0;
	for (; **s >= '0' && **s <= '9'; (*s)++) {
		if (++n > max_digits)
			return -EINVAL;
		v = v * 10 + (uint64_t)(**s - '0');
	}
	if (n == 0)
		return -EINVAL;
	*ret = v;
	return 0;
}

int rpc_parse_grpc_timeout(const char *s, uint64_t *ret_ms)
{
	uint64_t v;
	if (!s || parse_digits(&s, 8, &v) < 0 || !s[0] || s[1])
		return -EINVAL;
	switch (*s) {
	case 'H':
		*ret_ms = v * 3600 * 1000;
		return 0;
	case 'M':
		*ret_ms = v * 60 * 1000;
		return 0;
	case 'S':
		*ret_ms = v * 1000;
		return 0;
	case 'm':
		*ret_ms = v;
		return 0;
	case 'u':
		*ret_ms = (v + 999) / 1000;
		return 0;
	case 'n':
		*ret_ms = (v + 999999) / 1000000;
		return 0;
	default:
		return -EINVAL;
	}
}

int rpc_parse_connect_timeout(const char *s, uint64_t *ret_ms)
{
	uint64_t v;
	if (!s || parse_digits(&s, 10, &v) < 0 || *s)
		return -EINVAL;
	*ret_ms = v;
	return 0;
}

/* ---- grpc-message ---- */

int rpc_encode_message(struct buf *dst, const char *text)
{
	static const char digits[] = "0123456789ABCDEF";
	void *space;
	size_t n = strlen(text);
	if (n > SIZE_MAX / 3)
		return -ENOMEM;
	int r = buf_reserve(dst, n * 3, &space);
	if (r < 0)
		return r;
	char *d = space;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c >= 0x20 && c <= 0x7e && c != '%') {
			*d++ = (char)c;
			continue;
		}
		*d++ = '%';
		*d++ = digits[c >> 4];
		*d++ = digits[c & 15];
	}
	buf_commit(dst, (size_t)(d - (char *)space));
	return 0;
}
