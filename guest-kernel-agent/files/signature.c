/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/files/signature.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/str.h"
#include "guest-kernel-agent/system/identity.h"
#include "wire/url.h"

int signature_make(const char *path, const char *operation, const char *username, const char *token,
    int64_t expires, char dst[SIGNATURE_MAX])
{
	CLEAN_BUF struct buf text = BUF_INIT, out = BUF_INIT;
	unsigned char digest[HASH_SHA256_LEN];
	int r = buf_printf(&text, "%s:%s:%s:%s", path, operation, username, token);
	if (r == 0 && expires != SIGNATURE_NEVER)
		r = buf_printf(&text, ":%" PRId64, expires);
	if (r == 0)
		r = hash_sha256(buf_data(&text), buf_len(&text), digest);
	if (r == 0)
		r = buf_append_str(&out, "v1_");
	if (r == 0)
		r = str_base64(&out, digest, sizeof(digest), false);
	const char *s = r == 0 ? buf_cstr(&out) : NULL;
	if (!s)
		return -ENOMEM;
	(void)str_copy(dst, SIGNATURE_MAX, s);
	return 0;
}

static const char *param_or_empty(const struct url *u, const char *name)
{
	const char *v = url_param(u, name);
	return v ? v : "";
}

int signature_check(const struct identity *id, const char *header, const struct url *u,
    const char *operation, int64_t now, const char **ret_refusal)
{
	static const char invalid[] = "invalid signature";
	const char *given = url_param(u, "signature");
	const char *until = url_param(u, "signature_expiration");
	char wanted[SIGNATURE_MAX];
	int64_t expires = SIGNATURE_NEVER;
	*ret_refusal = NULL;
	if (!identity_is_secured(id))
		return 0;
	if (header) {
		if (!identity_token_ok(id, header))
			*ret_refusal = "access token present in header but does not match";
		return 0;
	}
	if (str_empty(given)) {
		*ret_refusal = "missing signature query parameter";
		return 0;
	}
	if (until && str_i64(until, 0, INT64_MAX, &expires) < 0) {
		*ret_refusal = invalid;
		return 0;
	}
	int r = signature_make(param_or_empty(u, "path"), operation, param_or_empty(u, "username"),
	    identity_token(id), expires, wanted);
	if (r < 0)
		return r;
	if (!str_ct_eq(given, strlen(given), wanted, strlen(wanted)))
		*ret_refusal = invalid;
	else if (until && expires < now)
		*ret_refusal = "signature is already expired";
	return 0;
}
