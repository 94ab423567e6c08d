/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as HTTP/2 frames behind a valid preface, in both roles. */
#include "http_owner.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* After GOAWAY on a connection without streams, nghttp2 reads the piece to its end and no further
 * one. */
static bool has_goaway(const uint8_t *p, size_t n)
{
	for (size_t at = 1; at + 9 <= n;) {
		if (p[at + 3] == 7)
			return true;
		at += 9 + ((size_t)p[at] << 16 | (size_t)p[at + 1] << 8 | p[at + 2]);
	}
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	fuzz_http(
	    h2_server_new, h2_client_new, preface, sizeof(preface) - 1, !has_goaway(p, n), p, n);
	return 0;
}
