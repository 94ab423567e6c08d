/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <errno.h>
#include <stdbool.h>

#include <openssl/evp.h>

#include "base/mem.h"
#include "base/str.h"

struct hasher {
	EVP_MD *md;
	EVP_MD_CTX *ctx;
};

struct hasher *hasher_new(void)
{
	struct hasher *h = mem_zalloc(sizeof(*h));
	if (!h)
		return NULL;
	h->md = EVP_MD_fetch(NULL, "SHA256", NULL);
	h->ctx = EVP_MD_CTX_new();
	return h->md && h->ctx ? h : hasher_free(h);
}

struct hasher *hasher_free(struct hasher *h)
{
	if (!h)
		return NULL;
	EVP_MD_CTX_free(h->ctx);
	EVP_MD_free(h->md);
	return mem_free(h);
}

int hasher_sha256(struct hasher *h, const void *p, size_t n, unsigned char dst[HASH_SHA256_LEN])
{
	bool done = EVP_DigestInit_ex2(h->ctx, h->md, NULL) == 1 &&
		    EVP_DigestUpdate(h->ctx, p, n) == 1 &&
		    EVP_DigestFinal_ex(h->ctx, dst, NULL) == 1;
	return done ? 0 : -ENOMEM;
}

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
