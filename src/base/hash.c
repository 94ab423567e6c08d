/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <errno.h>
#include <openssl/evp.h>

#include "base/str.h"

int hash_sha256(const void *p, size_t n, unsigned char dst[HASH_SHA256_LEN])
{
	return EVP_Digest(p, n, dst, NULL, EVP_sha256(), NULL) == 1 ? 0 : -ENOMEM;
}

int hash_sha256_hex(const void *p, size_t n, char dst[2 * HASH_SHA256_LEN + 1])
{
	unsigned char sum[HASH_SHA256_LEN];
	int r = hash_sha256(p, n, sum);
	if (r == 0)
		str_hex(sum, sizeof(sum), dst);
	return r;
}
