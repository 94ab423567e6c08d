/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Signed URLs of files: they open one path for one operation without the access token. */
#include <stdint.h>

#define SIGNATURE_MAX 64
#define SIGNATURE_NEVER (-1)

struct identity;
struct url;

/* "v1_" and the digest of what is signed; expires in seconds since 1970 or SIGNATURE_NEVER. 0 or
 * -ENOMEM. */
int signature_make(const char *path, const char *operation, const char *username, const char *token,
    int64_t expires, char dst[SIGNATURE_MAX]);
/* May this request go on? header is X-Access-Token (may be NULL), operation "read" or "write". 0
 * with *ret_refusal NULL or the message of a 401, or -ENOMEM. */
int signature_check(const struct identity *id, const char *header, const struct url *u,
    const char *operation, int64_t now, const char **ret_refusal);
