/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The body of an upload on its way into files: one raw, or any number as multipart/form-data fields
 * named "file", each optionally compressed as a whole. Blocking; in a thread with the user's
 * rights. Each file is whole or not there.
 */
#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/path.h"
#include "guest-kernel-agent/files/staged_file.h"
#include "wire/multipart.h"

struct err;
struct gunzip;
struct map;
struct user;

struct upload {
	/* given */
	char *path;	  /* of the query, NULL when absent */
	char *workdir;	  /* where relative paths begin */
	json_t *metadata; /* NULL: none */
	int64_t length;	  /* of the body, -1 when unknown */
	bool is_form;
	struct multipart form; /* initialised when is_form */
	struct gunzip *gunzip; /* NULL: not compressed */
	/* private */
	const struct user *user;
	struct err *err;
	struct map *seen;
	json_t *written;
	struct staged_file file;
	char at[PATH_LEN_MAX]; /* of file */
	bool skip;	       /* a field that is no file */
};

/* Bytes of the body, the first call with n = 0 is allowed. 0 or -errno with reterr. */
int upload_write(
    struct upload *u, const struct user *user, const void *p, size_t n, struct err *reterr);
/* The body is whole: *ret is the list of files for the client. */
int upload_end(struct upload *u, const struct user *user, json_t **ret, struct err *reterr);
/* What is not finished goes; needs the user's rights, like the others. */
void upload_abort(struct upload *u);
/* Memory only, after upload_end() or upload_abort(). */
void upload_fini(struct upload *u);
