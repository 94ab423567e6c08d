/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a Connect or gRPC-Web text client sends. Input: three header values, each ended by a NUL
 * (content type, Connect timeout, gRPC timeout), then the body, which is read as base64 when the
 * content type says so.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "proto/types.pb-c.h"
#include "wire/pbwire.h"
#include "wire/pjson.h"
#include "wire/rpcwire.h"

#define MESSAGE_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* The next text up to its NUL; NULL when there is none. */
static const char *take_text(const uint8_t **p, size_t *n)
{
	const char *s = (const char *)*p;
	const uint8_t *end = memchr(*p, 0, *n);
	if (!end)
		return NULL;
	*n -= (size_t)(end + 1 - *p);
	*p = end + 1;
	return s;
}

static void decode(enum rpc_codec codec, const void *p, size_t n)
{
	const ProtobufCMessageDescriptor *type = &sandglass__test__everything__descriptor;
	struct err err = ERR_INIT;
	ProtobufCMessage *m =
	    codec == RPC_JSON ? pjson_decode(type, p, n, &err) : pb_unpack(type, p, n, &err);
	assert((m != NULL) == (err.code == 0));
	if (m)
		protobuf_c_message_free_unpacked(m, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	const char *type = take_text(&p, &n);
	const char *connect = type ? take_text(&p, &n) : NULL;
	const char *grpc = connect ? take_text(&p, &n) : NULL;
	enum rpc_protocol protocol = RPC_CONNECT_STREAM;
	enum rpc_codec codec = RPC_JSON;
	struct rpc_deframer d;
	uint64_t ms = 0;
	uint8_t flags;
	const void *msg;
	size_t len;
	(void)rpc_parse_content_type(type, &protocol, &codec);
	if (rpc_parse_connect_timeout(connect, &ms) == 0)
		assert(ms <= 9999999999u);
	if (rpc_parse_grpc_timeout(grpc, &ms) == 0)
		assert(ms <= (uint64_t)99999999 * 3600000);
	if (protocol == RPC_CONNECT_UNARY) {
		decode(codec, p, n);
		return 0;
	}
	rpc_deframer_init(&d, MESSAGE_MAX, protocol == RPC_GRPC_WEB_TEXT);
	if (rpc_deframer_feed(&d, p, n) == 0) {
		while (rpc_deframer_next(&d, &flags, &msg, &len) > 0)
			decode(codec, msg, len);
	}
	rpc_deframer_fini(&d);
	return 0;
}
