/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any text as JSON of a message with every field type: refused with a sentence, or a message that
 * survives being written and read again.
 */
#include <assert.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "proto/types.pb-c.h"
#include "wire/pbwire.h"
#include "wire/pjson.h"

#define TYPE &sandglass__test__everything__descriptor

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct err err = ERR_INIT;
	struct buf json = BUF_INIT, once = BUF_INIT, twice = BUF_INIT;
	ProtobufCMessage *m = pjson_decode(TYPE, p, n, &err);
	assert((m != NULL) == (err.code == 0));
	if (!m) {
		assert(err.text[0]);
		return 0;
	}
	assert(pb_pack(&once, m) == 0);
	assert(pjson_encode(&json, m) == 0);
	protobuf_c_message_free_unpacked(m, NULL);
	m = pjson_decode(TYPE, buf_data(&json), buf_len(&json), &err);
	assert(m);
	assert(pb_pack(&twice, m) == 0);
	protobuf_c_message_free_unpacked(m, NULL);
	assert(buf_len(&once) == buf_len(&twice));
	assert(
	    buf_len(&once) == 0 || memcmp(buf_data(&once), buf_data(&twice), buf_len(&once)) == 0);
	buf_fini(&json);
	buf_fini(&once);
	buf_fini(&twice);
	return 0;
}
