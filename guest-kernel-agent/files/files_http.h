/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* envd's plain HTTP file endpoints: GET, HEAD and POST /files, POST /files/compose. */
#include <stddef.h>

struct as_user;
struct as_user_job;
struct envd;
struct http_stream;
struct identity;
struct loop;
struct url;

struct files_http {
	struct loop *loop;
	const struct identity *identity;
	struct as_user *as_user;
};

/* Adds the routes to e; f must outlive it. 0 or -ENOMEM. */
int files_http_add(struct files_http *f, struct envd *e);

void files_http_download(struct files_http *f, struct http_stream *st);
void files_http_upload(struct files_http *f, struct http_stream *st);
void files_http_compose(struct files_http *f, struct http_stream *st);

/* What every request to /files begins with: its query, and whether it may. 0 with *u to be freed,
 * or -errno after the request was answered. operation is "read" or "write". */
int files_http_begin(
    struct files_http *f, struct http_stream *st, const char *operation, struct url *u);
/* Copies for a job: the user's name, checked, and the directory where relative paths begin. 0, or
 * -errno after the request was answered. */
int files_http_who(struct files_http *f, struct http_stream *st, const char *username,
    struct as_user_job *job, char **ret_workdir);
