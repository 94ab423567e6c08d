/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request for files says before its body is read. Input: the target, then lines "name:
 * value" of its head. A signature opens nothing but what it was made for, and not for longer;
 * metadata is within its limits.
 */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/files/file_info.h"
#include "guest-kernel-agent/files/metadata_headers.h"
#include "guest-kernel-agent/files/signature.h"
#include "guest-kernel-agent/system/identity.h"
#include "wire/http.h"
#include "wire/url.h"

#define NOW 1795226744
#define TOKEN "tok"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static struct identity *make_identity(void)
{
	struct identity *id = identity_new();
	json_t *o = json_pack("{s:s, s:s}", "sandboxId", "iabc", "accessToken", TOKEN);
	struct err err = ERR_INIT;
	assert(id && o && identity_init(id, o, &err) == 0);
	json_decref(o);
	return id;
}

static const char *param(const struct url *u, const char *name)
{
	const char *v = url_param(u, name);
	return v ? v : "";
}

static void check_opened(const struct url *u)
{
	char wanted[SIGNATURE_MAX];
	int64_t until = SIGNATURE_NEVER;
	if (url_param(u, "signature_expiration")) {
		assert(str_i64(param(u, "signature_expiration"), 0, INT64_MAX, &until) == 0);
		assert(until >= NOW);
	}
	assert(signature_make(
		   param(u, "path"), "read", param(u, "username"), TOKEN, until, wanted) == 0);
	assert(str_eq(wanted, param(u, "signature")));
}

static void read_target(const char *target)
{
	struct url u;
	const char *refusal;
	if (url_parse(&u, target) < 0)
		return;
	struct identity *id = make_identity();
	assert(signature_check(id, NULL, &u, "read", NOW, &refusal) == 0);
	if (!refusal)
		check_opened(&u);
	assert(signature_check(id, "other", &u, "read", NOW, &refusal) == 0 && refusal);
	assert(signature_check(id, TOKEN, &u, "read", NOW, &refusal) == 0 && !refusal);
	identity_free(id);
	url_fini(&u);
}

static void read_head(char *text)
{
	struct http_fields f = { 0 };
	struct err err = ERR_INIT;
	json_t *metadata = NULL;
	char *save = NULL;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *colon = strchr(line, ':');
		if (!colon)
			continue;
		*colon = '\0';
		(void)http_fields_add(&f, line, colon + 1 + strspn(colon + 1, " "));
	}
	int r = metadata_headers(&f, &metadata, &err);
	assert(r == err.code && (r == 0 || (r == -EINVAL && !metadata)));
	assert(json_object_size(metadata) <= f.n);
	json_decref(metadata);
	http_fields_fini(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	char *text = mem_strndup((const char *)p, n);
	assert(text);
	char *end = strchr(text, '\n');
	if (end)
		*end = '\0';
	read_target(text);
	if (end)
		read_head(end + 1);
	free(text);
	return 0;
}
