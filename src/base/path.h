/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Paths and directory trees. Nothing here follows a symbolic link that it did not make itself. */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define PATH_LEN_MAX 4096

/* dst = a "/" b without doubled slashes: 0 or -ENAMETOOLONG. dst may be a itself. */
int path_join(char *dst, size_t cap, const char *a, const char *b);
int path_printf(char *dst, size_t cap, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
bool path_exists(const char *path);
/* Create the directory and its parents: 0 or -errno (an existing directory is fine). */
int path_mkdir_p(const char *path, mode_t mode);
/* Remove a whole tree, also across permission bits; crosses no mount point. 0 or first -errno;
 * -ENOENT counts as done. */
int path_remove_tree(const char *path);
