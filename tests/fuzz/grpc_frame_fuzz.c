/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gRPC body cut into pieces. Input: piece size, then the bytes. What comes out, framed again, is
 * what went in; the messages are decoded, and what was decoded can be written as JSON.
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

static void decode(const void *p, size_t n)
{
	struct err err = ERR_INIT;
	struct buf json = BUF_INIT;
	ProtobufCMessage *m = pb_unpack(&sandglass__test__everything__descriptor, p, n, &err);
	assert(m || err.code);
	if (m) {
		int r = pjson_encode(&json, m);
		assert(r == 0 || (r == -EINVAL && buf_len(&json) == 0));
		protobuf_c_message_free_unpacked(m, NULL);
	}
	buf_fini(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct rpc_deframer d;
	struct buf again = BUF_INIT;
	uint8_t flags;
	const void *msg;
	size_t len, piece = n && p[0] ? p[0] : 1;
	int r = 0;
	rpc_deframer_init(&d, MESSAGE_MAX, false);
	for (size_t at = 1; r >= 0 && at < n; at += piece) {
		r = rpc_deframer_feed(&d, p + at, n - at < piece ? n - at : piece);
		while (r >= 0 && (r = rpc_deframer_next(&d, &flags, &msg, &len)) > 0) {
			assert(len <= MESSAGE_MAX);
			assert(rpc_frame(&again, flags, msg, len, false) == 0);
			decode(msg, len);
		}
	}
	assert(n < 1 || buf_len(&again) < n);
	assert(buf_len(&again) == 0 || memcmp(buf_data(&again), p + 1, buf_len(&again)) == 0);
	buf_fini(&again);
	rpc_deframer_fini(&d);
	return 0;
}
