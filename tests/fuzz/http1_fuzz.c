/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as an HTTP/1.x connection, in both roles. */
#include "http_owner.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	fuzz_http(h1_server_new, h1_client_new, NULL, 0, true, p, n);
	return 0;
}
