/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* SHA-256 (libcrypto). A program that uses it links CRYPTO_LIBS or OPENSSL_LIBS. */
#include <stddef.h>

#define HASH_SHA256_LEN 32

/* For who hashes often: looking the function up in the library costs more than a short text. */
struct hasher;
struct hasher *hasher_new(void); /* NULL on -ENOMEM */
struct hasher *hasher_free(struct hasher *h);
int hasher_sha256(struct hasher *h, const void *p, size_t n, unsigned char dst[HASH_SHA256_LEN]);

/* 0 or -ENOMEM (the library could not make its context). */
int hash_sha256(const void *p, size_t n, unsigned char dst[HASH_SHA256_LEN]);
/* As hexadecimal text, terminated. */
int hash_sha256_hex(const void *p, size_t n, char dst[2 * HASH_SHA256_LEN + 1]);
