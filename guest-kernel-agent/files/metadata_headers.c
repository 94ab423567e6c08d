/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/files/metadata_headers.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/files/file_info.h"
#include "wire/http.h"

#define PREFIX "x-metadata-"

static int check(const char *key, const char *value, struct err *reterr)
{
	if (!*key || strlen(key) > FILE_METADATA_KEY_MAX)
		return err_set(reterr, -EINVAL, "x-metadata-%s: a name has 1 to %d bytes", key,
		    FILE_METADATA_KEY_MAX);
	for (const char *p = value; *p; p++)
		if (*p < ' ' || *p > '~')
			return err_set(
			    reterr, -EINVAL, "x-metadata-%s: expected printable ASCII", key);
	return 0;
}

int metadata_headers(const struct http_fields *f, json_t **ret, struct err *reterr)
{
	CLEAN_JSON json_t *all = NULL;
	size_t bytes = 0;
	for (size_t i = 0; i < f->n; i++) {
		const char *key = str_after(f->v[i].name, PREFIX), *value = f->v[i].value;
		if (!key)
			continue;
		int r = check(key, value, reterr);
		if (r < 0)
			return r;
		bytes += strlen(key) + strlen(value);
		if (bytes > FILE_METADATA_BYTES_MAX || json_object_size(all) == FILE_METADATA_MAX)
			return err_set(reterr, -EINVAL,
			    "x-metadata-%s: at most %d entries and %d bytes of metadata", key,
			    FILE_METADATA_MAX, FILE_METADATA_BYTES_MAX);
		if (json_object_get(all, key))
			return err_set(reterr, -EINVAL, "x-metadata-%s: comes twice", key);
		if (!all)
			all = json_object();
		if (json_object_set_new(all, key, json_string(value)) < 0)
			return err_set(reterr, -ENOMEM, "out of memory");
	}
	*ret = TAKE(all);
	return 0;
}
