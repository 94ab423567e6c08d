/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/files/upload.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/files/file_error.h"
#include "guest-kernel-agent/files/gzip.h"
#include "guest-kernel-agent/system/user_select.h"

#define FIELD "file"

static int no_memory(struct upload *u)
{
	return err_set(u->err, -ENOMEM, "out of memory");
}

/* ---- one file ---- */

static int remember(struct upload *u)
{
	if (!u->seen)
		u->seen = map_new();
	if (!u->written)
		u->written = json_array();
	if (!u->seen || !u->written)
		return no_memory(u);
	int r = map_add(u->seen, u->at, u);
	if (r == -EEXIST)
		return err_set(u->err, -EINVAL, "path '%s' comes twice in one upload", u->at);
	return r < 0 ? no_memory(u) : 0;
}

static int begin_file(struct upload *u, const char *path)
{
	int r = user_path(u->at, u->user, u->workdir, path, u->err);
	if (r == 0)
		r = remember(u);
	if (r == 0)
		r = staged_file_open(&u->file, u->at, u->err);
	if (r == 0 && u->length > 0)
		r = staged_file_expect(&u->file, (uint64_t)u->length, u->err);
	return r;
}

static int end_file(struct upload *u)
{
	const char *name = strrchr(u->at, '/') + 1;
	int r = staged_file_commit(&u->file, u->metadata, u->err);
	if (r < 0)
		return r;
	json_t *entry = json_pack("{s:s, s:s, s:s, s:O*}", "name", name, "path", u->at, "type",
	    "file", "metadata", u->metadata);
	return json_array_append_new(u->written, entry) < 0 ? no_memory(u) : 0;
}

/* ---- multipart ---- */

static int begin_part(struct upload *u)
{
	const char *path = u->path ? u->path : u->form.filename;
	u->skip = !str_eq(u->form.name, FIELD);
	if (u->skip)
		return 0;
	if (str_empty(path))
		return err_set(u->err, -EINVAL,
		    "multipart: a field '" FIELD "' without a filename, and no path in the query");
	return begin_file(u, path);
}

static int take_event(struct upload *u, enum multipart_event event, const void *data, size_t len)
{
	switch (event) {
	case MULTIPART_PART:
		return begin_part(u);
	case MULTIPART_DATA:
		return u->skip ? 0 : staged_file_write(&u->file, data, len, u->err);
	case MULTIPART_PART_END:
		return u->skip ? 0 : end_file(u);
	case MULTIPART_MORE:
	case MULTIPART_END:
		break;
	}
	return 0;
}

static int take_form(struct upload *u, const char *p, size_t n)
{
	for (size_t done = 0; done < n;) {
		enum multipart_event event;
		const void *data;
		size_t len;
		ssize_t k =
		    multipart_step(&u->form, p + done, n - done, &event, &data, &len, u->err);
		if (k < 0)
			return (int)k;
		done += (size_t)k;
		int r = take_event(u, event, data, len);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- the body ---- */

static int take_plain(void *arg, const void *p, size_t n)
{
	struct upload *u = arg;
	return u->is_form ? take_form(u, p, n) : staged_file_write(&u->file, p, n, u->err);
}

static int begin_raw(struct upload *u)
{
	return u->is_form || u->file.live ? 0 : begin_file(u, u->path);
}

int upload_write(
    struct upload *u, const struct user *user, const void *p, size_t n, struct err *reterr)
{
	u->user = user;
	u->err = reterr;
	int r = begin_raw(u);
	if (r < 0 || n == 0)
		return r;
	return u->gunzip ? gunzip_write(u->gunzip, p, n, take_plain, u, reterr)
			 : take_plain(u, p, n);
}

int upload_end(struct upload *u, const struct user *user, json_t **ret, struct err *reterr)
{
	int r = upload_write(u, user, NULL, 0, reterr);
	if (r == 0 && u->gunzip)
		r = gunzip_end(u->gunzip, reterr);
	if (r == 0)
		r = u->is_form ? multipart_finish(&u->form, reterr) : end_file(u);
	if (r == 0 && !u->written)
		r = err_set(reterr, -EINVAL, "multipart: no field named '" FIELD "'");
	if (r == 0)
		*ret = TAKE(u->written);
	return r;
}

void upload_abort(struct upload *u)
{
	staged_file_abort(&u->file);
}

void upload_fini(struct upload *u)
{
	staged_file_fini(&u->file);
	u->path = mem_free(u->path);
	u->workdir = mem_free(u->workdir);
	json_decref(u->metadata);
	json_decref(u->written);
	u->metadata = u->written = NULL;
	u->seen = map_free(u->seen);
	u->gunzip = gunzip_free(u->gunzip);
	multipart_fini(&u->form);
}
