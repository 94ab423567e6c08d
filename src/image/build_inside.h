/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Parts of a build that run inside the image's jail: no path of theirs leads out of it. Each
 * returns an exit status after a message on standard error. */
#include <stddef.h>

struct inside_setup {
	const char *user, *workdir;
	const char *sources_list; /* text for /etc/apt/sources.list; NULL = leave it */
};
/* Directories, files of /etc, and the account that sandboxes need. arg is a struct inside_setup. */
int inside_setup(void *arg);

struct inside_file {
	const char *path, *owner;
	unsigned mode;
	const void *content;
	size_t n;
};
struct inside_files {
	const struct inside_file *v;
	size_t n;
};
int inside_files(void *arg); /* a struct inside_files */
/* Take away what only the build needed. */
int inside_finish(void *arg);
